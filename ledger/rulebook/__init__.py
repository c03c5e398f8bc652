"""A programme as data: its schema, the checks on it, and what it is compiled to."""
