"""Copies that outlive a ledger: backups and archives, and a ledger made from one again."""
