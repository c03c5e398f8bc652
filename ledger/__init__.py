"""The ledger: facts, entries, account, rules and programmes, all pure; and the journal that keeps them."""
