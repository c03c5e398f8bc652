"""Budgets and stocks that members share: what was drawn, what leases have of it, and what is left."""

from collections.abc import Iterator

from ledger.core.account import Account
from ledger.core.evolve import DRAWN, OUT
from ledger.errors import NotFound
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import POOL, Pool, ProgrammeVersion
from ledger.wire import answers
from ledger.wire.times import month_text, to_text


class UnknownPool(NotFound):
    """The rule book has no such budget or stock."""


def pools_of(ledger: Ledger, as_of: int, known_at: int | None = None) -> list[answers.Pool]:
    """Return every budget and stock of the rule book that is in force at an instant, as it stands then."""
    version = ledger.book.nearest(as_of)
    return [_pool(ledger, version, pool, as_of, known_at) for pool in version.pools.values()]


def pool_named(ledger: Ledger, name: str, as_of: int, known_at: int | None = None) -> answers.Pool:
    """Return a budget or stock: `campaigns.NAME`, `benefits.NAME`, or the name alone where one of them has it.

    Raises `UnknownPool`.
    """
    version = ledger.book.nearest(as_of)
    asked = name.removeprefix(POOL)
    found = [pool for pool in version.pools.values() if asked in _names(pool)]
    if len(found) != 1:
        known = ", ".join(pool.subject.removeprefix(POOL) for pool in version.pools.values()) or "none"
        raise UnknownPool(f'the rule book has no budget or stock "{name}" of its own; there are {known}')
    return _pool(ledger, version, found[0], as_of, known_at)


def _names(pool: Pool) -> tuple[str, str]:
    whole = pool.subject.removeprefix(POOL)
    return whole, whole.partition(".")[2]


def _pool(ledger: Ledger, version: ProgrammeVersion, pool: Pool, as_of: int, known_at: int | None) -> answers.Pool:
    bucket = version.month(as_of) if pool.by_month else 0
    root = ledger.account(pool.subject, as_of, known_at) or Account()
    leases = list(_leases(ledger, root, bucket, as_of, known_at))
    drawn = root.counts.get(bucket, {}).get(DRAWN, 0) + sum(lease.drawn for lease in leases)
    table, _, name = pool.subject.removeprefix(POOL).partition(".")
    book = version.programme
    kind = book.campaigns[name].kind if table == "campaigns" else ""
    return answers.Pool(
        pool=pool.subject.removeprefix(POOL),
        kind=kind,
        month=month_text(bucket) if bucket else "",
        limit=pool.limit,
        drawn=drawn,
        left=max(0, pool.limit - drawn),
        state="closed" if root.closed else "frozen" if root.frozen else "open",
        leases=leases,
        as_of=to_text(as_of, version.offset),
        version=version.name,
    )


def _leases(
    ledger: Ledger, root: Account, bucket: int, as_of: int, known_at: int | None
) -> Iterator[answers.PoolLease]:
    for counter, out in sorted(root.counts.get(bucket, {}).items()):
        if counter.startswith(OUT):
            name = counter.removeprefix(OUT)
            account = ledger.account(name, as_of, known_at) or Account()
            drawn = account.counts.get(bucket, {}).get(DRAWN, 0)
            yield answers.PoolLease(name.removeprefix(POOL), out, drawn)
