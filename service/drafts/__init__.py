"""Drafts of rule books: kept, backtested, handed in, approved by a second person, and published."""
