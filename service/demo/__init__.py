"""Facts to try the ledger with: a real shop's year, and made-up traffic."""
