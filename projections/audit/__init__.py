"""Whether it is true: replay, verify, reconcile, and proofs for outsiders."""
