"""The views that come with the ledger."""
