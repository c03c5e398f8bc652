"""What happened and what was decided, as it is written down: facts, entries, reasons, and their encodings."""
