"""What is asked of a ledger: members, tables, books, programmes."""
