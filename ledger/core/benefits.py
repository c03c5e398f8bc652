"""The benefits of a membership: how often a card's term gave one, by its quota's term, month or year."""

from ledger.core.account import Term
from ledger.rulebook.schema import Benefit


def quota_key(benefit: str, bucket: int) -> str:
    """How a term counts a benefit: by term (bucket 0), month or year."""
    return f"{benefit}:{bucket}"


def bucket_of(benefit: Benefit, month: int) -> int:
    """What a quota counts by: the month, the year, or 0 for the term."""
    return month if benefit.per == "month" else month // 12 if benefit.per == "year" else 0


def times_used(term: Term, name: str, benefit: Benefit, month: int) -> int:
    """How often a term's card gave a benefit in the bucket of a month."""
    return term.used.get(quota_key(name, bucket_of(benefit, month)), 0)
