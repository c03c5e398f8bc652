"""Every posting of every member: which points moved between which accounts, when, by which entry and rule."""

from collections.abc import Iterator

from ledger.core.postings import postings_of
from ledger.journal.ledger import Ledger
from ledger.journal.port import EntryRow
from ledger.wire.entries import Change, lot_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.answers.tables import Row, Table, by_member, columns
from projections.views.builtin.points import PointsView
from projections.views.decoding import decoded, decoder_for
from projections.views.view import FoldStep, RowDeltas, fold_entry, new_member, pass_time

POSTINGS = columns(
    "member entry:integer at:instant kind source destination points:integer fen:integer lot rule version"
)


class _Collector(PointsView):
    """The postings of one member, as rows; what falls due without an entry has no entry and no version."""

    def __init__(self) -> None:
        self.found: list[Row] = []

    def change(self, step: FoldStep, change: Change, rows: RowDeltas) -> None:
        """Collect what a change moves."""
        account, entry = step.subject.state, step.entry
        number, version = (entry.number, entry.version) if entry is not None else (None, None)
        for one in postings_of(change, account):
            lot = account.purse(one.kind).lots.get(one.lot)
            rule = getattr(change, "origin", None) or getattr(change, "rule", None) or (lot.rule if lot else None)
            moved = one.kind, one.source, one.destination, one.points, one.fen or None
            named = lot_text(one.lot) if one.lot else None
            self.found.append((step.member, number, step.at, *moved, named, rule, version))

    def take(self) -> list[Row]:
        """Return what was collected, and begin anew."""
        found, self.found = self.found, []
        return found


def postings(ledger: Ledger, as_of: int, known_at: int | None) -> Table:
    """Every posting by an instant, by member and in the order they happened, with what fell due by then."""
    books = ledger.books(known_at)
    nowhere = RowDeltas(())

    def of(partition: int) -> Iterator[Row]:
        view, book = _Collector(), books.in_partition(partition)
        decode = decoder_for([view])
        for member, rows in ledger.journal(partition).by_member():
            if member == PROGRAMME_SUBJECT:
                continue
            step = FoldStep(book, new_member(view, member))
            for row in rows:
                step.entry = decoded(decode, row)
                if step.entry.clock > as_of or (known_at is not None and step.entry.recorded > known_at):
                    break
                fold_entry(view, step, nowhere)
                yield from view.take()
            if step.subject.number:
                pass_time(view, step, as_of, nowhere)
            yield from view.take()

    return Table(POSTINGS, by_member([of(partition) for partition in ledger.partitions]), books.whole.offset)


def postings_behind(ledger: Ledger, partition: int, after: int) -> Iterator[tuple[EntryRow, list[Row]]]:
    """Yield the entries of a partition's chain behind a place that moved points, by member, each with its postings."""
    view, book, nowhere = _Collector(), ledger.books().in_partition(partition), RowDeltas(())
    decode = decoder_for([view])
    after = max(after, ledger.branch(partition).entries)  # what it shares with its parent stands in that one's chain
    for member, rows in ledger.journal(partition).by_member(left_over=True):
        step = FoldStep(book, new_member(view, member))
        for row in rows if member != PROGRAMME_SUBJECT else ():
            step.entry = decoded(decode, row)
            fold_entry(view, step, nowhere)
            if (found := view.take()) and row.sequence > after:
                yield row, found
