"""What every inbox must do, as cases that each of them runs: inherit, and say how to make a ledger that has one."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from consumers.local.open import has_inbox, open_inbox
from consumers.local.port import Inbox, InboxLine, SourceCursor
from consumers.stream import BACKLOG, Record
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.wire.times import SECOND

PARTITIONS = 4


def line(partition: int, recorded: int, value: bytes = b"v", key: str = "m-1", backlog: int = 0) -> InboxLine:
    return InboxLine(partition, recorded, backlog, key, value)


class InboxContract:
    """Cases of the inbox. `place` is where a ledger of four partitions without any record is, or is made."""

    @pytest.fixture
    def place(self, *_: Any) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, place: Any) -> Iterator[Ledger]:
        found = open_or_create(place)
        yield found
        found.close()

    @pytest.fixture
    def inbox(self, ledger: Ledger) -> Iterator[Inbox]:
        found = open_inbox(ledger, feeding=True)
        yield found
        found.close()

    def test_a_new_inbox_is_empty(self, inbox: Inbox, ledger: Ledger) -> None:
        assert inbox.partitions == PARTITIONS and has_inbox(ledger)
        for partition in range(PARTITIONS):
            assert inbox.end(partition) == -1 and inbox.last_recorded(partition) == 0
            assert list(inbox.read(partition, -1, 10)) == [] and inbox.record(partition, 0) is None
        assert inbox.feeds_of("f") == [] and inbox.spans_of(1) == [] and list(inbox.records_of(1)) == []

    def test_positions_are_dense_in_each_partition_in_the_order_of_the_lines(self, inbox: Inbox) -> None:
        assert inbox.append([line(2, 10), line(0, 11), line(2, 12)]) == [(2, 0), (0, 0), (2, 1)]
        assert inbox.append([line(0, 13), line(2, 14)]) == [(0, 1), (2, 2)]
        assert inbox.append([]) == []
        assert [inbox.end(partition) for partition in range(PARTITIONS)] == [1, -1, 2, -1]
        assert [record.offset for record in inbox.read(2, -1, 10)] == [0, 1, 2]

    def test_a_record_is_as_it_was_given(self, inbox: Inbox) -> None:
        long = InboxLine(1, 7, BACKLOG, "", b"\x00beginning\xff", 70_000, sha256(b"whole").digest())
        inbox.append([InboxLine(1, 5, 0, "m\x00Ω", b""), long])
        assert list(inbox.read(1, -1, 10)) == [
            Record(0, 5, 0, "m\x00Ω", b""),
            Record(1, 7, BACKLOG, "", b"\x00beginning\xff", 70_000, sha256(b"whole").digest()),
        ]
        assert (
            inbox.record(1, 1) == Record(1, 7, BACKLOG, "", long.value, 70_000, long.whole_sha256)
            and inbox.record(1, 2) is None
        )

    def test_along_a_partition_recorded_never_runs_back(self, inbox: Inbox) -> None:
        inbox.append([line(0, 50), line(0, 40), line(1, 30)])
        inbox.append([line(0, 45), line(0, 60), line(0, 59)])
        assert [record.recorded for record in inbox.read(0, -1, 10)] == [50, 50, 50, 60, 60]
        assert (inbox.last_recorded(0), inbox.last_recorded(1)) == (60, 30)

    def test_how_far_recorded_is_pushed_is_told_from_a_second_on(self, inbox: Inbox, ledger: Ledger) -> None:
        long = InboxLine(0, 0, 0, "", b"beginning", 70_000, sha256(b"whole").digest())
        first = line(0, 9 * SECOND)
        later = [line(0, 8 * SECOND), line(0, 8 * SECOND + 1), line(0, SECOND, backlog=BACKLOG), long]
        inbox.append([first, *later, line(1, SECOND)])
        inbox.append([line(0, 2 * SECOND)])
        pushed = [0, SECOND, 0, 0, 0, 7 * SECOND]
        assert [record.pushed for record in inbox.read(0, -1, 10)] == pushed
        assert [record.pushed for record in ledger.records(0, -1, 10)] == pushed

    def test_reading_is_bounded_in_records_and_bytes(self, inbox: Inbox) -> None:
        inbox.append([line(0, n, bytes(100)) for n in range(10)])
        assert [record.offset for record in inbox.read(0, 2, 3)] == [3, 4, 5]
        assert [record.offset for record in inbox.read(0, -1, 10, 250)] == [0, 1, 2]
        assert [record.offset for record in inbox.read(0, -1, 10, 1)] == [0], "one is always read"
        assert list(inbox.read(0, 9, 10)) == []

    def test_what_was_appended_is_there_when_it_is_opened_again(self, inbox: Inbox, ledger: Ledger) -> None:
        feed = inbox.new_feed("f")
        inbox.append([line(3, 5)], SourceCursor(feed.number, 10, 1, b"digest"))
        again = open_inbox(ledger)
        assert again.end(3) == 0 and again.last_recorded(3) == 5
        assert again.feeds_of("f") == [SourceCursor(feed.number, 10, 1, b"digest")]
        assert again.append([line(3, 1)]) == [(3, 1)]
        assert again.read(3, 0, 1)[0].recorded == 5
        again.close()

    def test_a_feed_goes_on_where_it_stood_and_the_latest_of_a_name_comes_first(self, inbox: Inbox) -> None:
        first = inbox.new_feed("f")
        assert first == SourceCursor(first.number, 0, 0, b"")
        inbox.append([line(0, 1)], SourceCursor(first.number, 5, 1, b"a"))
        inbox.append([], SourceCursor(first.number, 9, 1, b"b"))
        second = inbox.new_feed("f")
        inbox.new_feed("g")
        assert inbox.feeds_of("f") == [second, SourceCursor(first.number, 9, 1, b"b")]

    def test_the_records_of_a_feed_are_found_among_others_in_the_order_they_came(self, inbox: Inbox) -> None:
        feed = inbox.new_feed("f")
        inbox.append([line(1, 1)])
        inbox.append(
            [line(1, 2, key="a"), line(0, 3, key="b"), line(1, 4, key="c")], SourceCursor(feed.number, 1, 3, b"")
        )
        inbox.append([line(0, 5), line(1, 6)])
        inbox.append([line(0, 7, key="d"), line(3, 8, key="e")], SourceCursor(feed.number, 2, 5, b""))
        assert sorted(inbox.spans_of(feed.number)) == [(0, 0, 2), (1, 1, 2), (3, 0, 0)]
        found = list(inbox.records_of(feed.number))
        assert [(fed.partition, fed.offset, fed.key) for fed in found] == [
            (1, 1, "a"),
            (0, 0, "b"),
            (1, 2, "c"),
            (0, 2, "d"),
            (3, 0, "e"),
        ]
        assert [fed.line for fed in found] == sorted(fed.line for fed in found)
        assert [inbox.count_after(0, after, feed.number) for after in (-1, 0, 1, 2)] == [2, 1, 1, 0]

    def test_two_that_append_in_turns_go_on_behind_each_other(self, inbox: Inbox, ledger: Ledger) -> None:
        other = open_inbox(ledger, feeding=True)
        assert inbox.append([line(0, 10), line(1, 20)]) == [(0, 0), (1, 0)]
        assert other.append([line(0, 5), line(0, 6)]) == [(0, 1), (0, 2)]
        assert inbox.append([line(1, 7), line(0, 8)]) == [(1, 1), (0, 3)]
        assert [record.recorded for record in other.read(0, -1, 10)] == [10, 10, 10, 10]
        other.close()

    def test_any_number_of_records_of_any_size_are_read_from_anywhere(self, inbox: Inbox) -> None:
        lines = [line(0, n, b"%d" % n * (1 if n % 7 else 9_000)) for n in range(1_500)]
        inbox.append(lines)
        for after in (-1, 0, 254, 255, 256, 700, 1_497, 1_498, 1_499):
            assert [r.value for r in inbox.read(0, after, 600)] == [given.value for given in lines[after + 1 :][:600]]
        for offset in (0, 255, 256, 257, 1_499):
            assert inbox.record(0, offset) == Record(offset, offset, 0, "m-1", lines[offset].value)

    def test_a_record_that_is_dropped_leaves_length_and_hash(self, inbox: Inbox) -> None:
        inbox.append([line(0, 1, b"secret"), line(0, 2, b"book", key="programme")])
        for offset, value in enumerate((b"secret", b"book")):
            inbox.drop(0, offset, len(value), sha256(value).digest())
        first, second = inbox.read(0, -1, 10)
        assert first == Record(0, 1, 0, "", b"", 6, sha256(b"secret").digest())
        assert (second.key, second.value) == ("programme", b"")

    def test_the_ledger_gives_the_records_for_a_replay(self, inbox: Inbox, ledger: Ledger) -> None:
        inbox.append([line(0, n, b"%d" % n) for n in range(5)])
        assert ledger.records(0, 0, 3) == [(n, n, b"%d" % n, b"", 0, "m-1", 0, 0) for n in (1, 2, 3)]
        assert ledger.records(0, 3, 3) == []
