"""Proof for outsiders: signed checkpoints, and that an entry is in one or that one extends another (RFC 9162).

The leaf input of a partition's tree is the 32 bytes ``SHA-256(entry)``, the same leaf that its chain links; leaf `n` is
the entry at place `n + 1`. `verifier/points_verify.py` checks all of it and shares no code with this package.
"""

from ledger.errors import BadNews, Unusable


class BadProof(Unusable):
    """A checkpoint or key that cannot be used: what is wrong, and the way out."""


class Refuted(BadNews):
    """The ledger is not what was signed, or is broken in itself: where, and what to do."""
