"""The local stream of a ledger that no Kafka feeds: an inbox in a folder or in PostgreSQL."""
