"""How often a benefit was given: by its card's term, day, month, year, pieces of days, or ever."""

from ledger.core.account import NEVER, Account, Term, is_dropped
from ledger.rulebook.compiled import Perk, Programme, ProgrammeVersion
from ledger.wire.entries import DAY_BUCKETS
from ledger.wire.times import DAY, day_of


def quota_key(benefit: str, bucket: int) -> str:
    """How a term counts a benefit: by term (bucket 0), or by the bucket of a time."""
    return f"{benefit}:{bucket}"


def bucket_of(perk: Perk, book: Programme, version: ProgrammeVersion, term: Term | None, instant: int) -> int:
    """What a quota counts an instant by: its month, year or day, the last day of its piece of days, or 0.

    Pieces follow one another from the start of the card's term, or else of the book's first version.
    """
    per = perk.per
    if per == "month":
        return version.month(instant)
    if per == "year":
        return version.month(instant) // 12
    if per == "day":
        return DAY_BUCKETS + day_of(instant, version.offset)
    if per == "days":
        begin = term.start if term is not None else book.versions[0].since
        piece = (instant - begin) // (perk.days * DAY)
        return DAY_BUCKETS + day_of(begin, version.offset) + (piece + 1) * perk.days - 1
    return 0


def times_used(account: Account, perk: Perk, term: Term | None, bucket: int) -> int:
    """How often a benefit was given in a bucket, by its card's term or by the account."""
    if perk.counted == "term":
        return term.used.get(quota_key(perk.name, bucket), 0) if term is not None else 0
    return account.counts.get(bucket, {}).get(f"benefit/{perk.name}", 0)


def forget_days(term: Term, month: int) -> None:
    """Let a term count claims of days before a month together, so that it stays small and still counts as used."""
    for key in [key for key in term.used if _is_old(key, month)]:
        whole = quota_key(key.rpartition(":")[0], 0)
        term.used[whole] = term.used.get(whole, 0) + term.used.pop(key)


def has_old_days(term: Term, month: int) -> bool:
    """Return True if a term counts claims of days before a month by themselves."""
    return any(_is_old(key, month) for key in term.used)


def _is_old(key: str, month: int) -> bool:
    bucket = int(key.rpartition(":")[2])
    return bucket >= DAY_BUCKETS and is_dropped(bucket, month)


def grace_until(version: ProgrammeVersion, term: Term) -> int:
    """Until when a term is in grace after its end: its end itself where it has none.

    Trials have none, nor cards that were given back (orders.md 12). One that a better card ended was not given back.
    """
    found = version.products.get(term.product)
    if found is None or term.trial or (term.cut_at and not term.upgraded):
        return term.until
    return term.until + found[1].grace_days * DAY


def is_in_grace(version: ProgrammeVersion, term: Term, instant: int) -> bool:
    """Return True if a term is over, and may still be renewed from its end on."""
    return term.until <= instant < grace_until(version, term)


def term_in_grace(account: Account, membership: str, version: ProgrammeVersion, instant: int) -> Term | None:
    """The last term of a membership that had begun by an instant, where it is in grace then.

    Its benefits hold, its rate does not. One that begins later is none of what a fact that comes late asks about.
    """
    begun = (term for term in reversed(account.terms.get(membership, ())) if term.start <= instant)
    last = next(begun, None)
    return last if last is not None and is_in_grace(version, last, instant) else None


def next_end_of_grace(account: Account, version: ProgrammeVersion, instant: int) -> int:
    """The first instant after this one at which a grace ends, `NEVER` where none does."""
    ends = [grace_until(version, terms[-1]) for terms in account.terms.values() if terms]
    return min((end for end in ends if end > instant), default=NEVER)
