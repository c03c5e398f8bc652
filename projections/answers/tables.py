"""What can be exported: each table's columns and its rows, by member, streamed. Instants stay integers here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any, Literal, NamedTuple, cast

from ledger.core.account import Account, current_term
from ledger.core.scores import parts_at, score_month, value_at
from ledger.core.standing import tier_now
from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.entries import OUTCOMES, entry_of
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import change_to_dict, fact_head, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import Zone, month_text
from projections.answers.members import is_alias, is_member
from projections.answers.shops import ShopScores, shops_by_member, without_shop
from projections.answers.show import open_lots, opened_at, state_of

Form = Literal["text", "integer", "instant", "flag", "json"]
Row = tuple[Any, ...]


class Column(NamedTuple):
    """A column: its name, and what its values are (None where there is nothing to say)."""

    name: str
    form: Form = "text"


@dataclass(frozen=True)
class Table:
    """An export in the making: `offset` is the book's, for its instants."""

    columns: tuple[Column, ...]
    rows: Iterator[Row]
    offset: Zone


def columns(names: str) -> tuple[Column, ...]:
    """Return columns from their names, with the form behind a colon where it is not text: ``member points:integer``."""
    return tuple(
        Column(name, cast("Form", form or "text")) for name, _, form in (n.partition(":") for n in names.split())
    )


BALANCES = columns("member kind spendable:integer pending:integer held:integer debt:integer")
LOTS = columns(
    "member kind entry:integer rule earned:integer left:integer earned_at:instant expires_at:instant pending:flag"
    " account"
)
MEMBERSHIPS = columns("member membership state product from:instant until:instant")
ENTRIES = columns(
    "member number:integer position type id source occurred:instant recorded:instant clock:instant"
    " outcome reason figures:json version changes:json link"
)


@dataclass(frozen=True)
class AccountTable:
    """A table of what accounts have at an instant, under the version of the book that holds then."""

    columns: Callable[[ProgrammeVersion], tuple[Column, ...]]
    rows: Callable[
        [ProgrammeVersion, int, str, Account], Iterator[Row]
    ]  # of a version, an instant, a member and the account

    def __call__(self, ledger: Ledger, as_of: int, known_at: int | None) -> Table:
        """Return the table over every member with an entry, folded from the entries."""
        books = ledger.books(known_at)
        version = books.whole.nearest(as_of)

        def rows() -> Iterator[Row]:
            for member, account in ledger.accounts(as_of, known_at):
                if is_member(member):
                    yield from self.rows(books.of(member).nearest(as_of), as_of, member, account)

        return Table(self.columns(version), rows(), version.offset)


def _balances(version: ProgrammeVersion, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """Each kind of the book, and others that the member has points of; those that are kept for each shop by shop."""
    at_shops = {without_shop(kind) for kind in account.purses} & version.keyed_kinds
    for kind in dict.fromkeys([*(kind for kind in version.programme.kinds if kind not in at_shops), *account.purses]):
        purse = account.purse(kind)
        yield member, kind, purse.spendable(), purse.pending(), purse.held(), purse.debt


def _lots(version: ProgrammeVersion, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """Lots with something left, the soonest to expire first."""
    for kind, purse in sorted(account.purses.items()):
        for key, lot, end in open_lots(purse):
            entry, pending = entry_of(key), bool(lot.pending_until)
            of = opened_at(account, key) or None
            yield member, kind, entry, lot.rule, lot.earned, lot.left, lot.earned_at, end, pending, of


def _scores(version: ProgrammeVersion, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """Each score of the book that is not kept for each shop, with a column a part; another's name has none."""
    if is_alias(account):
        return
    parts = _parts(version)
    for name in version.programme.scores:
        if name in version.keyed_scores:
            continue
        found = parts_at(account, version, name, as_of)
        shown = (found.get(part) for part in parts)
        month = month_text(score_month(version, name, as_of))
        value, tier = value_at(account, version, name, as_of), tier_now(account, version, name, as_of)
        yield member, name, value, tier, month, *shown


def scores_at_shops(version: ProgrammeVersion, as_of: int, member: str, shops: ShopScores) -> Iterator[Row]:
    """Yield a row of `scores` for each score that is kept for each shop, and each shop where it has begun."""
    parts = _parts(version)
    for _, key, score in shops.describe(version, as_of):
        yield member, key, score.value, score.tier, score.month, *(score.parts.get(part) for part in parts)


def _scores_export(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """The scores of every member with an entry; those that are kept for each shop behind the others."""
    books = ledger.books(known_at)
    version = books.whole.nearest(as_of)
    table = scores(ledger, as_of, known_at)
    if not version.keyed_scores:
        return table

    def at_shops(partition: int) -> Iterator[Row]:
        for member, shops in shops_by_member(ledger, partition, as_of, known_at):
            yield from scores_at_shops(books.of(member).nearest(as_of), as_of, member, shops)

    return Table(table.columns, by_member([table.rows, *map(at_shops, ledger.partitions)]), table.offset)


def _memberships(version: ProgrammeVersion, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """The current or else the last term of each membership that the member ever had."""
    for name in account.terms:
        term = current_term(account, name, as_of)
        if term is not None:
            yield member, name, state_of(term, version, as_of), term.product, term.start, term.until


def _parts(version: ProgrammeVersion) -> list[str]:
    return list(dict.fromkeys(part for score in version.programme.scores.values() for part in score.parts))


balances = AccountTable(lambda _: BALANCES, _balances)
lots = AccountTable(lambda _: LOTS, _lots)
scores = AccountTable(
    lambda version: (
        *columns("member score value:integer tier month"),
        *(Column(p, "integer") for p in _parts(version)),
    ),
    _scores,
)
memberships = AccountTable(lambda _: MEMBERSHIPS, _memberships)


def entries(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Every entry whose clock is at or before `as_of`, by member and number."""
    offset = ledger.book.offset

    def of(partition: int) -> Iterator[Row]:
        for member, rows in ledger.journal(partition).by_member():
            if member == PROGRAMME_SUBJECT:
                continue
            for row in rows:
                entry = decode_entry(row.state)
                if entry.clock > as_of or (known_at is not None and entry.recorded > known_at):
                    break
                head = fact_head(entry)
                yield (
                    member,
                    entry.number,
                    position_text(entry.partition, entry.offset),
                    head.type,
                    head.id,
                    head.source,
                    entry.occurred,
                    entry.recorded,
                    entry.clock,
                    OUTCOMES[entry.outcome],
                    entry.reason,
                    entry.figures,
                    entry.version,
                    [change_to_dict(change, offset) for change in entry.changes],
                    row.link.hex(),
                )

    return Table(ENTRIES, by_member([of(p) for p in ledger.partitions]), offset)


TABLES: dict[str, Callable[[Ledger, int, int | None], Table]] = {
    "balances": balances,
    "lots": lots,
    "scores": _scores_export,
    "memberships": memberships,
    "entries": entries,
}


def by_member(partitions: list[Iterator[Row]]) -> Iterator[Row]:
    """Merge the rows of partitions, each in the order of its members, into one; the member is the first column."""
    return merge(*partitions, key=lambda row: row[0])
