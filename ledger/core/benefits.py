"""The benefits of a membership: how often a card's term gave one, by its quota's term, month or year."""

from ledger.core.account import NEVER, Account, Term
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import Benefit
from ledger.wire.times import DAY


def quota_key(benefit: str, bucket: int) -> str:
    """How a term counts a benefit: by term (bucket 0), month or year."""
    return f"{benefit}:{bucket}"


def bucket_of(benefit: Benefit, month: int) -> int:
    """What a quota counts by: the month, the year, or 0 for the term."""
    return month if benefit.per == "month" else month // 12 if benefit.per == "year" else 0


def times_used(term: Term, name: str, benefit: Benefit, month: int) -> int:
    """How often a term's card gave a benefit in the bucket of a month."""
    return term.used.get(quota_key(name, bucket_of(benefit, month)), 0)


def grace_until(version: ProgrammeVersion, term: Term) -> int:
    """Until when a term is in grace after its end: its end itself where it has none, as trials and cut terms have."""
    found = version.products.get(term.product)
    if found is None or term.trial or term.cut_at:
        return term.until
    return term.until + found[1].grace_days * DAY


def is_in_grace(version: ProgrammeVersion, term: Term, instant: int) -> bool:
    """Return True if a term is over, and may still be renewed from its end on."""
    return term.until <= instant < grace_until(version, term)


def term_in_grace(account: Account, membership: str, version: ProgrammeVersion, instant: int) -> Term | None:
    """The last term of a membership, where it is in grace at an instant: its benefits hold, its rate does not."""
    terms = account.terms.get(membership)
    return terms[-1] if terms and is_in_grace(version, terms[-1], instant) else None


def next_end_of_grace(account: Account, version: ProgrammeVersion, instant: int) -> int:
    """The first instant after this one at which a grace ends, `NEVER` where none does."""
    ends = [grace_until(version, terms[-1]) for terms in account.terms.values() if terms]
    return min((end for end in ends if end > instant), default=NEVER)
