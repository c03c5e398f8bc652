"""Webhooks: entries posted to others as they are decided, signed, in order, at least once and without a gap."""
