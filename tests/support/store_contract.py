"""What every store of a journal must do, as cases that each of them runs: inherit, and say how to open one.

SEEN_PAGE, OPEN_PAGE = encode_page(SEEN), encode_page(OrderPage())


class TestMyStore(StoreContract):
    def open(self, place: Path) -> MyJournal: ...
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.core.pages import COMPLETED, SEEN, OrderPage, encode_page
from ledger.journal.origin import State
from ledger.journal.port import (
    STREAM,
    DeadLetter,
    EntryRow,
    Fenced,
    Head,
    PageRow,
    Published,
    ReceiptRow,
    Snapshot,
    WentBack,
)
from ledger.journal.pruned import Span
from ledger.wire.entry_codec import GENESIS_LINK, leaf_of, link_after

SEEN_PAGE, OPEN_PAGE = encode_page(SEEN), encode_page(OrderPage())


class Broken(Exception):
    """Something went wrong in the middle of a batch."""


def parked(offset: int, reason: str = "not-json") -> DeadLetter:
    return DeadLetter(offset, 1_000 + offset, reason, "what is wrong", 5, sha256(b"bytes").digest(), b"bytes")


class StoreContract:
    """Cases of the store. `open` opens the journal at a place, and makes it where there is none."""

    def open(self, place: Path) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "journal"

    @pytest.fixture
    def store(self, place: Path) -> Any:
        store = self.open(place)
        self.token = store.acquire()
        return store

    def write(self, store: Any, *states: bytes, member: str = "m-1", position: int | None = None, **also: Any) -> None:
        """A batch: entries of one member, and what else is given, by the name of the batch's method."""
        before = store.head()
        numbers = len(store.entries_of(member))
        with store.transaction(len(states), self.token) as batch:
            link, rows = batch.link, []
            for number, state in enumerate(states, 1):
                link = link_after(link, leaf_of(state))
                rows.append(EntryRow(batch.before + number, member, numbers + number, state, link))
            batch.append(rows)
            for method, argument in also.items():
                getattr(batch, method)(argument)
            end = before.offset + len(states) if position is None else position
            batch.finish(link, end, before.recorded + 1)

    # -- where it stands ---------------------------------------------------------------------------------------------

    def test_a_new_journal_is_empty_and_stands_before_the_first_record(self, store: Any) -> None:
        assert store.head() == Head(0, GENESIS_LINK, -1, 0)
        assert list(store.scan()) == [] and store.published() == [] and store.parked() == []

    def test_entries_are_numbered_from_1_without_gaps_in_the_order_they_are_written(self, store: Any) -> None:
        self.write(store, b"a", b"b")
        self.write(store, b"c", member="m-2")
        self.write(store, b"d")
        rows = [(row.sequence, row.member, row.number, row.state) for row in store.scan()]
        assert rows == [(1, "m-1", 1, b"a"), (2, "m-1", 2, b"b"), (3, "m-2", 1, b"c"), (4, "m-1", 3, b"d")]
        assert store.head().entries == 4

    def test_the_head_keeps_the_last_link_the_position_and_the_last_recorded(self, store: Any) -> None:
        self.write(store, b"a", b"b", position=7)
        link = link_after(link_after(GENESIS_LINK, leaf_of(b"a")), leaf_of(b"b"))
        assert store.head() == Head(2, link, 7, 1)
        assert [row.link for row in store.scan()][-1] == link

    def test_what_was_written_is_there_when_the_store_is_opened_again(self, store: Any, place: Path) -> None:
        self.write(store, b"a", put_pages=[PageRow("order/O1", "m-1", SEEN_PAGE)], park=[parked(9)], position=9)
        before = store.head()
        again = self.open(place)
        assert again.head() == before
        assert [row.state for row in again.scan()] == [b"a"]
        assert again.page("m-1", "order/O1") == SEEN
        assert [p.offset for p in again.parked()] == [9]

    def test_a_batch_of_nothing_but_parked_records_still_moves_the_position(self, store: Any) -> None:
        self.write(store, park=[parked(0), parked(1)], position=1)
        assert store.head().entries == 0 and store.head().offset == 1

    # -- fence first -------------------------------------------------------------------------------------------------

    def test_a_dead_owner_is_fenced_before_it_writes_anything(self, store: Any, place: Path) -> None:
        self.write(store, b"a")
        living = self.open(place)
        token = living.acquire()
        before = living.head()
        with pytest.raises(Fenced), store.transaction(1, self.token):
            pytest.fail("the fence comes first: a dead owner never gets a batch into its hands")
        assert living.head() == before
        self.token = token
        self.write(living, b"b")
        assert [row.state for row in living.scan()] == [b"a", b"b"]

    def test_each_owner_has_a_later_token_than_the_last(self, store: Any, place: Path) -> None:
        tokens = [self.token, *(self.open(place).acquire() for _ in range(3)), store.acquire()]
        assert tokens == sorted(set(tokens))

    def test_two_owners_that_share_a_journal_object_fence_each_other(self, store: Any) -> None:
        self.write(store, b"a")
        living = store.acquire()
        with pytest.raises(Fenced):
            self.write(store, b"b")
        self.token = living
        self.write(store, b"c")
        assert [row.state for row in store.scan()] == [b"a", b"c"]

    def test_a_dead_owner_that_was_fenced_stays_fenced(self, store: Any, place: Path) -> None:
        self.open(place).acquire()
        for _ in range(2):
            with pytest.raises(Fenced):
                self.write(store, b"a")

    def test_an_owner_whose_store_went_back_writes_nothing_until_it_acquires_what_is_there(self, store: Any) -> None:
        self.write(store, b"a", park=[parked(1)], position=1)
        before = store.state()
        with store.transaction(1, self.token) as batch:
            source = batch.source("/lost")
            batch.append([EntryRow(batch.before + 1, "m-1", 2, b"b", bytes(32))])
            batch.finish(bytes(32), 2, 2)
        put_back(store, before)
        for _ in range(2):
            with pytest.raises(WentBack), store.transaction(1, self.token):
                pytest.fail("by its token it is still the owner, and what it remembers never was")
        assert store.head() == Head(1, before.link, 1, 1)
        self.token = store.acquire()
        with store.transaction(1, self.token) as batch:
            assert batch.source("/another") == source, "the number is free, since its source was lost"
            batch.append([EntryRow(batch.before + 1, "m-1", 2, b"b", bytes(32))])
            batch.finish(bytes(32), 2, 2)
        assert store.head().entries == 2

    def test_a_store_that_went_back_by_dead_letters_alone_is_noticed_too(self, store: Any) -> None:
        self.write(store, b"a")
        before = store.state()
        self.write(store, park=[parked(1)], position=1)
        put_back(store, before)
        with pytest.raises(WentBack):
            self.write(store, b"b", position=2)

    # -- all or nothing ----------------------------------------------------------------------------------------------

    def test_a_batch_that_breaks_leaves_nothing_and_the_next_takes_its_numbers(self, store: Any, place: Path) -> None:
        self.write(store, b"a")
        before = store.head()

        def breaks_at_its_very_end() -> None:
            with store.transaction(2, self.token) as batch:
                source = batch.source("/new")
                batch.receive([ReceiptRow(source, "id-1", "m-1", batch.before + 1)])
                batch.append([EntryRow(batch.before + 1, "m-1", 2, b"b", bytes(32))])
                batch.put_pages([PageRow("order/O1", "m-1", SEEN_PAGE)])
                batch.put_accounts([Snapshot("m-1", 2, b"state")])
                batch.put_programme(2, "version", "toml")
                batch.park([parked(5)])
                batch.finish(bytes(32), 5, 1_000)
                raise Broken

        with pytest.raises(Broken):
            breaks_at_its_very_end()
        for seen in (store, self.open(place)):
            assert seen.head() == before
            assert [row.state for row in seen.scan()] == [b"a"]
            assert seen.page("m-1", "order/O1") is None and seen.snapshot("m-1") is None
            assert seen.published() == [] and seen.parked() == []
        with store.transaction(1, self.token) as batch:
            assert batch.receive([ReceiptRow(batch.source("/new"), "id-1", "m-1", batch.before + 1)]) == {}
            batch.append([EntryRow(batch.before + 1, "m-1", 2, b"b", bytes(32))])
            batch.finish(bytes(32), 1, 1)
        assert [row.sequence for row in store.scan()] == [1, 2]

    def test_of_a_long_batch_every_row_is_written_and_where_one_is_in_the_way_none(self, store: Any) -> None:
        count, known = 150, (5, 70, 149)
        members = [f"m-{n:03}" for n in range(count)]

        def written(turn: int, page: bytes, numbers: list[int]) -> dict[int, int]:
            with store.transaction(count, self.token) as batch:
                source, places = batch.source("/shop"), range(batch.before + 1, batch.before + 1 + count)
                ids = ["1" if n in known else f"{turn}" for n in range(count)]
                repeated: dict[int, int] = batch.receive(list(map(ReceiptRow, [source] * count, ids, members, places)))
                states = [b"%d" % place for place in places]
                batch.append(list(map(EntryRow, places, members, numbers, states, [b""] * count)))
                batch.put_pages([PageRow("order/O1", member, page) for member in members])
                batch.put_accounts([Snapshot(member, turn, page) for member in members])
                batch.park([parked(1_000 * turn + n) for n in range(count)])
                batch.finish(bytes(32), turn, 1)
            return repeated

        def check(turn: int, page: bytes) -> None:
            total = turn * count
            rows = [(row.sequence, row.member, row.number, row.state) for row in store.scan()]
            assert rows == [(n + 1, members[n % count], n // count + 1, b"%d" % (n + 1)) for n in range(total)]
            assert len(list(store.receipts(total))) == total - len(known) * (turn - 1)
            assert len(store.parked()) == total
            for member in members:
                assert store.page_state(member, "order/O1") == page
                assert store.snapshot(member) == Snapshot(member, turn, page)

        assert written(1, SEEN_PAGE, [1] * count) == {}
        check(1, SEEN_PAGE)
        with pytest.raises(Exception):  # noqa: B017 - each store has its own
            written(2, OPEN_PAGE, [2] * 100 + [1] + [2] * 49)
        check(1, SEEN_PAGE)
        assert written(2, OPEN_PAGE, [2] * count) == {count + 1 + n: n + 1 for n in known}
        check(2, OPEN_PAGE)

    def test_readers_see_nothing_of_a_batch_before_it_is_committed(self, store: Any, place: Path) -> None:
        reader = self.open(place)
        with store.transaction(1, self.token) as batch:
            batch.append([EntryRow(1, "m-1", 1, b"a", bytes(32))])
            batch.put_pages([PageRow("order/O1", "m-1", SEEN_PAGE)])
            assert list(reader.scan()) == [] and reader.page("m-1", "order/O1") is None
            batch.finish(bytes(32), 0, 1)
        assert len(list(reader.scan())) == 1

    def test_a_number_of_a_member_is_given_once(self, store: Any) -> None:
        self.write(store, b"a")

        def writes_number_1_again() -> None:
            with store.transaction(1, self.token) as batch:
                batch.append([EntryRow(batch.before + 1, "m-1", 1, b"again", bytes(32))])
                batch.finish(bytes(32), 1, 1)

        with pytest.raises(Exception):  # noqa: B017 - each store has its own
            writes_number_1_again()
        assert [row.state for row in store.scan()] == [b"a"]

    def test_the_position_only_moves_forward(self, store: Any) -> None:
        self.write(store, b"a", position=5)
        for position in (5, 4, 0):
            with pytest.raises(Exception):  # noqa: B017 - each store has its own
                self.write(store, b"b", position=position)
        assert store.head().offset == 5 and store.head().entries == 1
        self.write(store, b"b", position=6)
        assert store.head().offset == 6

    # -- receipts ----------------------------------------------------------------------------------------------------

    def test_a_receipt_is_taken_once_and_names_the_first_place(self, store: Any) -> None:
        with store.transaction(3, self.token) as batch:
            shop, other = batch.source("/shop"), batch.source("/other")
            assert shop != other and batch.source("/shop") == shop
            named = [(shop, "1", "m-1", 1), (shop, "1", "m-2", 2), (other, "1", "m-1", 3)]
            taken = [ReceiptRow(*receipt) for receipt in named]
            assert batch.receive(taken) == {}, "the subject and the source are part of a fact's name"
            batch.append([EntryRow(place, member, 1 if place < 3 else 2, b"x", b"") for _, _, member, place in taken])
            batch.finish(bytes(32), 2, 1)
        with store.transaction(3, self.token) as batch:
            shop = batch.source("/shop")
            named = [(shop, "1", "m-1", 4), (shop, "2", "m-1", 5), (shop, "2", "m-1", 6)]
            again = [ReceiptRow(*receipt) for receipt in named]
            assert batch.receive(again) == {4: 1, 6: 5}, "one of an earlier batch, one of this batch"
            batch.finish(bytes(32), 5, 1)
        first = [("/other", "1", "m-1", 3), ("/shop", "1", "m-1", 1), ("/shop", "1", "m-2", 2)]
        assert sorted(store.receipts(4)) == first
        assert sorted(store.receipts(5)) == [*first, ("/shop", "2", "m-1", 5)]
        asked = [("/shop", "1", "m-2"), ("/other", "1", "m-1"), ("/shop", "1", "m-3"), ("/nobody", "1", "m-1")]
        assert {name: row.sequence for name, row in store.received(asked).items()} == {asked[0]: 2, asked[1]: 3}
        assert store.received([]) == {}

    def test_a_source_keeps_its_number(self, store: Any, place: Path) -> None:
        with store.transaction(0, self.token) as batch:
            number = batch.source("/shop")
            batch.finish(bytes(32), 0, 1)
        again = self.open(place)
        token = again.acquire()
        with again.transaction(0, token) as batch:
            assert batch.source("/another") != number
            assert batch.source("/shop") == number
            batch.finish(bytes(32), 1, 1)

    # -- entries -----------------------------------------------------------------------------------------------------

    def test_entries_are_read_in_the_order_of_the_journal_and_by_member(self, store: Any) -> None:
        self.write(store, b"a", b"b", b"c", member="m-2")
        self.write(store, b"d", b"e", member="m-10")
        assert [row.state for row in store.scan(after=1, upto=4)] == [b"b", b"c", b"d"]
        by_member = [(row.member, row.number) for row in store.scan_by_member()]
        assert by_member == [("m-10", 1), ("m-10", 2), ("m-2", 1), ("m-2", 2), ("m-2", 3)]
        assert [row.state for row in store.entries_of("m-2", after=1)] == [b"b", b"c"]
        assert [row.state for row in store.entries_of("m-2", after=1, limit=1)] == [b"b"]
        assert store.entries_of("m-2", limit=0) == [] == store.entries_of("nobody")

    @pytest.mark.parametrize("in_memory", [0, 300, 600, 900, 1 << 20])
    def test_entries_by_member_are_the_same_whatever_fits_into_memory(
        self, store: Any, in_memory: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ledger.journal.by_member.IN_MEMORY", in_memory)
        monkeypatch.setattr("ledger.journal.by_member.PASSES", 5)
        for number, member in enumerate(("m-2", "m-10", "m-1", "m-2", "m-1", "m-2", "m-3", "m-2")):
            self.write(store, b"%d" % number, member=member)
        for after in ("", "m-1", "m-2", "m-9"):
            rows = [row for rows in store.rows_by_member(7, after) for row in rows]
            assert rows == [row[:4] for row in store.scan_by_member(after, upto=7)]
        monkeypatch.setattr(type(store), "mean_size", lambda *_: -240)  # ten times too many are thought to fit
        assert [row for rows in store.rows_by_member(7) for row in rows] == [
            row[:4] for row in store.scan_by_member(upto=7)
        ]

    def test_an_owner_reads_what_earlier_batches_wrote(self, store: Any) -> None:
        self.write(
            store,
            b"a",
            b"b",
            put_pages=[PageRow("order/O1", "m-1", SEEN_PAGE)],
            put_accounts=[Snapshot("m-1", 2, b"state")],
        )
        with store.transaction(0, self.token) as batch:
            assert batch.entry_at(2) == (2, b"b") and batch.entry_at(3) is None
            assert [row.state for row in batch.entries_of("m-1", 1)] == [b"b"]
            assert batch.page("m-1", "order/O1") == SEEN and batch.page("m-2", "order/O1") is None
            assert batch.snapshot("m-1") == Snapshot("m-1", 2, b"state") and batch.snapshot("m-2") is None
            batch.finish(bytes(32), 2, 1)

    def test_of_archives_that_have_the_same_entries_the_one_with_the_most_is_named(self, store: Any) -> None:
        spans = [Span(1, 5, "2025-01", "a"), Span(1, 3, "2025-01", "b"), Span(1, 5, "2025-01", "c")]
        named = []
        for span in spans:
            with store.amending() as batch:
                batch.put_stubs(span, [])
            named.append([one.archive for one in store.pruned_spans()])
        assert named == [["a"], ["a"], ["c"]]

    def test_a_hint_of_what_will_be_asked_for_changes_no_answer(self, store: Any) -> None:
        self.write(
            store,
            b"a",
            b"b",
            b"c",
            put_pages=[PageRow("order/O1", "m-1", SEEN_PAGE)],
            put_accounts=[Snapshot("m-1", 2, b"state")],
        )
        self.write(store, b"d", member="m-2")
        with store.transaction(0, self.token) as batch:
            pages = [("order/O1", "m-1"), ("order/O2", "m-1"), ("order/O1", "m-1")]
            batch.prefetch(iter(["m-0", "m-1", "m-2"]), iter(pages))
            assert batch.snapshot("m-2") is None and [row.state for row in batch.entries_of("m-2", 0)] == [b"d"]
            assert batch.snapshot("m-1") == Snapshot("m-1", 2, b"state")
            assert [row.state for row in batch.entries_of("m-1", 2)] == [b"c"]
            assert batch.snapshot("m-0") is None and batch.entries_of("m-0", 0) == []
            assert batch.snapshot("m-9") is None and batch.entries_of("m-9", 0) == []
            assert batch.page("m-1", "order/O1") == SEEN and batch.page("m-1", "order/O2") is None
            assert batch.page("m-1", "order/O3") is None
            batch.put_pages([PageRow(f"order/O{n}", "m-1", encode_page(OrderPage(COMPLETED, n))) for n in range(1, 5)])
            batch.finish(bytes(32), 4, 1)
        assert [store.page("m-1", f"order/O{n}") for n in range(1, 5)] == [OrderPage(COMPLETED, n) for n in range(1, 5)]

    def test_members_are_told_apart_to_the_last_character(self, store: Any) -> None:
        for member in ("m-1", "M-1", "m-1 ", "会员", "m" * 128):
            self.write(store, member.encode(), member=member, put_pages=[PageRow("order/O1", member, SEEN_PAGE)])
        for member in ("m-1", "M-1", "m-1 ", "会员", "m" * 128):
            assert [row.state for row in store.entries_of(member)] == [member.encode()]

    # -- pages, snapshots, programmes, parked records ----------------------------------------------------------------

    def test_a_page_is_replaced_by_its_newer_state_and_belongs_to_its_member(self, store: Any) -> None:
        self.write(
            store,
            b"a",
            put_pages=[
                PageRow("order/O1", "m-1", OPEN_PAGE),
                PageRow("order/O1", "m-2", SEEN_PAGE),
            ],
        )
        self.write(store, b"b", put_pages=[PageRow("order/O1", "m-1", encode_page(OrderPage(COMPLETED, 17)))])
        assert store.page("m-1", "order/O1") == OrderPage(COMPLETED, 17)
        assert store.page("m-2", "order/O1") == SEEN
        assert store.page("m-1", "order/O2") is None

    def test_a_snapshot_is_replaced_by_a_newer_one(self, store: Any) -> None:
        self.write(store, b"a", put_accounts=[Snapshot("m-1", 1, b"old"), Snapshot("m-2", 9, b"other")])
        self.write(store, b"b", put_accounts=[Snapshot("m-1", 2, b"new")])
        assert store.snapshot("m-1") == Snapshot("m-1", 2, b"new") and store.snapshot("m-2") == Snapshot(
            "m-2", 9, b"other"
        )
        assert store.snapshot("m-3") is None

    def test_the_latest_of_a_member_is_the_snapshot_and_what_stands_behind_it(self, store: Any) -> None:
        self.write(store, b"a", b"b", b"c", put_accounts=[Snapshot("m-1", 2, b"two")])
        self.write(store, b"d", member="m-2")
        snapshot, rows = store.latest("m-1")
        assert snapshot == Snapshot("m-1", 2, b"two") and [(row.member, row.number, row.state) for row in rows] == [
            ("m-1", 3, b"c")
        ]
        assert rows == store.entries_of("m-1", 2)
        snapshot, rows = store.latest("m-2")
        assert snapshot is None and [row.state for row in rows] == [b"d"] and rows == store.entries_of("m-2")
        assert store.latest("m-3") == (None, [])

    def test_programmes_are_kept_in_the_order_they_were_published(self, store: Any) -> None:
        for place, toml in ((1, "first"), (2, "second")):
            with store.transaction(1, self.token) as batch:
                batch.append([EntryRow(place, "programme", place, b"x", b"")])
                batch.put_programme(place, f"v{place}", toml)
                batch.finish(bytes(32), place, 1)
        assert store.published() == [Published(1, "v1", "first"), Published(2, "v2", "second")]

    def test_parked_records_wait_until_they_are_driven_again_and_leave_a_trace(self, store: Any) -> None:
        self.write(store, park=[parked(0), parked(1, "future"), parked(2)], position=2)
        assert store.parked() == [parked(0), parked(1, "future"), parked(2)]
        store.mark_retried([1])
        assert store.parked() == [parked(0), parked(2)] and store.count_parked() == 2
        assert store.parked(retried=True)[1] == parked(1, "future")._replace(is_done=True)
        assert store.count_parked(retried=True) == 3

    def test_parked_records_are_found_by_their_positions(self, store: Any) -> None:
        self.write(store, park=[parked(0), parked(3, "future"), parked(4), parked(9)], position=9)
        assert store.parked(after=0, limit=1) == [parked(3, "future")]
        assert [p.offset for p in store.parked(after=0, upto=4)] == [3, 4]
        assert store.parked(after=4, upto=8) == [] and store.parked(after=9) == []
        assert [store.count_parked(upto) for upto in (-1, 0, 3, 8, 9)] == [0, 1, 2, 3, 4]

    def test_reasons_are_counted_of_those_that_wait_and_were_recorded_by_then(self, store: Any) -> None:
        self.write(store, park=[parked(0), parked(1, "future"), parked(2), parked(3), parked(4)], position=4)
        store.mark_retried([0])
        assert store.parked_reasons(1_003) == {"not-json": 2, "future": 1}
        assert store.parked_reasons(999) == {}

    def test_dropped_bytes_are_gone_and_a_trace_stays(self, store: Any, place: Path) -> None:
        self.write(store, park=[parked(0), parked(1)], position=1)
        store.drop_parked(0, "dropped by an operator")
        trace = parked(0)._replace(raw=b"", detail="dropped by an operator", is_done=True)
        for seen in (store, self.open(place)):
            assert seen.parked() == [parked(1)] and seen.parked(retried=True) == [trace, parked(1)]

    def test_a_members_last_number_is_known(self, store: Any) -> None:
        self.write(store, b"a", b"b")
        assert store.last_number("m-1") == 2 and store.last_number("m-2") == 0


def put_back(store: Any, state: State) -> None:
    """Put a store back to an earlier state, as a standby has it that lagged and takes over."""
    tables = {
        "stored_events": (store.entry_id, state.head),
        "parked": ("position", state.position - 1),
        "sources": ("number", 0),
    }
    for table, (column, last) in tables.items():
        store._change(f"DELETE FROM {store.schema}.{table} WHERE {column} > ?", [(last,)])
    head = (state.epoch, state.head, state.link, state.recorded, state.seal)
    store._change(f"UPDATE {store.schema}.shard SET epoch = ?, head = ?, link = ?, recorded = ?, seal = ?", [head])
    moved = f"UPDATE {store.schema}.tracking SET notification_id = ? WHERE application_name = ?"
    store._change(moved, [(state.position, STREAM)])
