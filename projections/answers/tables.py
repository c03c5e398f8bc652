"""What can be exported: each table's columns and its rows, by member, streamed. Instants stay integers here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any, Literal, NamedTuple

from ledger.core.account import Account, current_term
from ledger.core.scores import parts_of, tier_of, value_of
from ledger.journal.ledger import Ledger, members_of
from ledger.rulebook.compiled import Book, Version
from ledger.wire.entries import LOT_BITS, OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import change_to_dict, fact_head, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import month_text
from projections.answers.show import open_lots, state_of

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
    offset: int


BALANCES = (
    Column("member"),
    Column("kind"),
    *(Column(n, "integer") for n in ("spendable", "pending", "held", "debt")),
)
LOTS = (
    Column("member"),
    Column("kind"),
    Column("entry", "integer"),
    Column("rule"),
    Column("earned", "integer"),
    Column("left", "integer"),
    Column("earned_at", "instant"),
    Column("expires_at", "instant"),
    Column("pending", "flag"),
)
MEMBERSHIPS = (
    Column("member"),
    Column("membership"),
    Column("state"),
    Column("product"),
    Column("from", "instant"),
    Column("until", "instant"),
)


def balances(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Each kind of the book for every member with an entry."""
    book = ledger.book_known_at(known_at)
    return Table(BALANCES, _each(ledger, as_of, known_at, lambda m, a: balance_rows(book, as_of, m, a)), book.offset)


def balance_rows(book: Book, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """A member's rows of `BALANCES`, of an account at an instant."""
    for kind in _kinds(book, account, as_of):
        purse = account.purse(kind)
        yield member, kind, purse.spendable(), purse.pending(), purse.held(), purse.debt


def lots(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Lots with something left, the soonest to expire first."""
    return Table(LOTS, _each(ledger, as_of, known_at, lot_rows), ledger.book.offset)


def lot_rows(member: str, account: Account) -> Iterator[Row]:
    """A member's rows of `LOTS`."""
    for kind, purse in sorted(account.purses.items()):
        for key, lot in open_lots(purse):
            entry, pending = key >> LOT_BITS, bool(lot.pending_until)
            yield member, kind, entry, lot.rule, lot.earned, lot.left, lot.earned_at, lot.expires_at, pending


def scores(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Each score of the book for every member with an entry, with a column a part."""
    version = ledger.book_known_at(known_at).nearest(as_of)
    rows = _each(ledger, as_of, known_at, lambda m, a: score_rows(version, as_of, m, a))
    return Table(score_columns(version), rows, version.offset)


def score_columns(version: Version) -> tuple[Column, ...]:
    """The columns of the scores of a version of the book."""
    return (
        Column("member"),
        Column("score"),
        Column("value", "integer"),
        Column("tier"),
        Column("month"),
        *(Column(part, "integer") for part in _parts(version)),
    )


def score_rows(version: Version, as_of: int, member: str, account: Account) -> Iterator[Row]:
    """A member's rows of `score_columns`."""
    month, parts = version.month(as_of), _parts(version)
    for name, score in version.programme.scores.items():
        value = value_of(account, name, score, month)
        found = parts_of(account, name, score, month)
        yield member, name, value, tier_of(score, value), month_text(month), *(found.get(part) for part in parts)


def memberships(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """The current or else the last term of each membership that a member ever had."""
    rows = _each(ledger, as_of, known_at, lambda m, a: membership_rows(as_of, m, a))
    return Table(MEMBERSHIPS, rows, ledger.book.offset)


def membership_rows(as_of: int, member: str, account: Account) -> Iterator[Row]:
    """A member's rows of `MEMBERSHIPS`."""
    for name in account.terms:
        term = current_term(account, name, as_of)
        if term is not None:
            yield member, name, state_of(term, as_of), term.product, term.start, term.until


def entries(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Every entry whose clock is at or before `as_of`, by member and number."""
    offset = ledger.book.offset
    columns = (
        Column("member"),
        Column("number", "integer"),
        Column("position"),
        Column("type"),
        Column("id"),
        Column("source"),
        Column("occurred", "instant"),
        Column("recorded", "instant"),
        Column("clock", "instant"),
        Column("outcome"),
        Column("reason"),
        Column("figures", "json"),
        Column("version"),
        Column("changes", "json"),
        Column("link"),
    )

    def of(partition: int) -> Iterator[Row]:
        for member, rows in members_of(ledger.journal(partition).scan_by_member()):
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

    return Table(columns, by_member([of(p) for p in ledger.partitions]), offset)


TABLES: dict[str, Callable[[Ledger, int, int | None], Table]] = {
    "balances": balances,
    "lots": lots,
    "scores": scores,
    "memberships": memberships,
    "entries": entries,
}


def _kinds(book: Book, account: Account, as_of: int) -> list[str]:
    kinds = book.nearest(as_of).programme.kinds
    return [*kinds, *(kind for kind in account.purses if kind not in kinds)]


def _parts(version: Version) -> list[str]:
    return list(dict.fromkeys(part for score in version.programme.scores.values() for part in score.parts))


def _each(
    ledger: Ledger, as_of: int, known_at: int | None, rows: Callable[[str, Account], Iterator[Row]]
) -> Iterator[Row]:
    for member, account in ledger.accounts(as_of, known_at):
        yield from rows(member, account)


def by_member(partitions: list[Iterator[Row]]) -> Iterator[Row]:
    """Merge the rows of partitions, each in the order of its members, into one; the member is the first column."""
    return merge(*partitions, key=lambda row: row[0])
