"""A ledger whose partitions are split: nothing that was decided changes, and all that was said of it holds on."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from consumers.local.port import CannotAppend, InboxLine
from consumers.local.sqlite import SQLiteInbox
from consumers.runtime.split import split
from ledger.errors import WrongUse
from ledger.journal.ledger import Ledger, LedgerLocked, Settings
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import BeingSplit, Fenced, JournalError
from projections.answers.feed import Filter, page_of
from projections.audit.replay import replay
from projections.audit.transit import transit
from projections.audit.verify import verify
from service.webhooks import deliver
from service.webhooks.store import Webhooks
from tests.cli.test_cli import HERE, Ran, in_a_process, points
from tests.support.contents import contents
from tests.support.histories import LONG_AGO
from tests.support.histories_of_members import book_of_members, facts_of_members
from tests.support.ledgers import histories_of, merged, scratch, write_facts
from tests.support.receivers import receiving
from verifier import points_verify as verifier

BORN, TIMES = 2, 3


class Shop:
    """A ledger that is split between its first facts and its later ones, beside one that never is.

    Its members give to each other and share budgets, unless each is alone.
    """

    cursor = ""  # of the feed, as it was before
    told = 0

    def __init__(self, folder: Path, *, is_alone: bool = False) -> None:
        self.folder = folder
        self.grown, self.plain = folder / "grown", folder / "plain"
        random = Random(11)
        histories = [histories_of(random, members=9, length=30, start=LONG_AGO)]
        histories += [] if is_alone else [_renamed(random, about) for about in 2 * ("gifts", "pools", "houses")]
        lines: list[Any] = merged(random, histories)
        lines[70:70] = [b"{", b"\xff"]
        half = len(lines) // 2
        self.first = write_facts(folder / "first.ndjson", lines[:half])
        self.later = write_facts(folder / "later.ndjson", lines[half - 20 :])  # some of them again
        for place in (self.grown, self.plain):
            open_or_create(place, None if is_alone else book_of_members(Random(1)), Settings(BORN, id="5" * 32)).close()
            self.points("ingest", "--backlog", self.first, at=place)

    def points(self, *arguments: object, at: Path | None = None) -> Ran:
        return points("--ledger", at or self.grown, *arguments)

    def splits(self, times: int = TIMES) -> dict[str, Any]:
        ran = self.points("split", "--times", times, "--json")
        assert ran.code == 0, ran.err
        found: dict[str, Any] = json.loads(ran.out)
        return found

    def exported(self, what: str, at: Path) -> list[dict[str, Any]]:
        """What is exported as of a day, but for what says where and when an entry was recorded."""
        rows = self.points("export", what, "--format", "ndjson", "--as-of", "2019-06-01", at=at).out.splitlines()
        assert rows
        left_out = ("position", "link", "recorded")
        return [{key: value for key, value in json.loads(row).items() if key not in left_out} for row in rows]


_NAMES = iter(range(1_000))


def _renamed(random: Random, about: str) -> list[dict[str, Any]]:
    """The facts of some members who have names of their own, and so lie anywhere."""
    mark = f"s{next(_NAMES)}-"
    text = (
        json.dumps(facts_of_members(random, about)).replace('"m-', f'"{mark}m-').replace('"id": "t', f'"id": "{mark}t')
    )
    found: list[dict[str, Any]] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """A ledger that was split, and then took more facts; its views and a checkpoint are of before."""
    with scratch() as folder:
        made = Shop(folder)
        made.points("signing-key", "new", "-o", folder / "key.pem")
        made.points("checkpoint", "--key", folder / "key.pem", "-o", folder / "before")
        made.points("prove", "m-1", 1, "--checkpoint", folder / "before", "-o", folder / "of-before")
        assert made.points("views", "run").code == 0
        with closing(open_ledger(made.grown)) as ledger:
            page = page_of(ledger, "", 50)
            made.cursor, made.told = page.cursor, len(page.told)
            with closing(Webhooks.at(made.grown)) as webhooks:
                webhooks.add(ledger, "shop", "https://shop.example/hook", "test", from_beginning=True)
        more = write_facts(folder / "more.ndjson", histories_of(Random(2), members=12, length=6))
        assert made.points("ingest", "--backlog", more).code == 0  # which views and feed have not read yet
        assert made.points("ingest", "--backlog", more, at=made.plain).code == 0
        told = made.splits()
        assert (told["before"], told["after"]) == (BORN, BORN * TIMES)
        for place in (made.grown, made.plain):
            assert made.points("ingest", "--backlog", made.later, at=place).code == 0
        yield made


def test_chains_copies_and_decisions_are_found_whole(shop: Shop) -> None:
    with closing(open_ledger(shop.grown)) as ledger:
        found = verify(ledger)
        assert found["broken"] == []
        assert sum(part["entries"] for part in found["partitions"]) == ledger.count()
        assert {part["partition"] for part in found["partitions"] if part["entries"]} == set(range(BORN * TIMES))
        assert replay(ledger, from_topic=True)["differences"] == []
        assert replay(ledger, by="python")["entries"] == ledger.count()
        between = transit(ledger)
        assert between.told > 100 and between.on_its_way == 0 and between.faults == []


def test_an_entry_keeps_its_position_and_the_chain_goes_on_from_its_parents_last_link(shop: Shop) -> None:
    with closing(open_ledger(shop.grown)) as ledger, closing(open_ledger(shop.plain)) as plain:
        for partition in ledger.partitions[BORN:]:
            branch = ledger.branch(partition)
            journal, parent = ledger.journal(partition), plain.journal(partition % BORN)
            before = [tuple(row) for row in parent.scan(0, branch.entries)]
            assert [tuple(row) for row in journal.scan(0, branch.entries)] == before
            assert before[-1][4].hex() == branch.link
            assert journal.head().entries > branch.entries


def test_proofs_of_before_hold_and_new_checkpoints_extend_old_ones(shop: Shop) -> None:
    folder, key = shop.folder, shop.folder / "key.pem"
    before, after, public = folder / "before", folder / "after", verifier.read_key(str(folder / "key.pub.pem"))
    signed = shop.points("checkpoint", "--key", key, "-o", after)
    with closing(open_ledger(shop.grown)) as ledger:
        assert signed.code == 0 and f"{ledger.count():,} entries signed" in signed.err
    assert shop.points("verify", "--checkpoint", before, "--checkpoint", after).code == 0
    proofs = {
        "old": ("m-1", 1, "--checkpoint", after),
        "last": ("m-1", 30, "--checkpoint", after),
        "then": ("m-1", 2, "--checkpoint", before),
        "extends": ("--consistency", before, after),
    }
    for name, arguments in proofs.items():
        ran = shop.points("prove", *arguments, "-o", folder / name)
        assert ran.code == 0, ran.err
    for name in ("of-before", *proofs):
        verifier.verify((folder / name).read_bytes(), public)
    assert shop.points("prove", "--consistency", after, before, "-o", folder / "wrong").code == 3
    again = folder / "again"
    assert shop.points("checkpoint", "--key", key, "--after", before, "-o", again).code == 0
    assert json.loads(after.read_bytes())["payload"][-400:] == json.loads(again.read_bytes())["payload"][-400:]


def test_a_copy_that_was_changed_is_found(shop: Shop, tmp_path: Path) -> None:
    with closing(open_ledger(shop.grown)) as ledger:
        partition = next(p for p in ledger.partitions[BORN:] if ledger.branch(p).entries)
    ran = shop.points("backup", tmp_path / "copy")
    assert ran.code == 0, ran.err
    assert points("--ledger", tmp_path / "changed", "restore", tmp_path / "copy").code == 0
    with closing(sqlite3.connect(tmp_path / "changed" / f"partition-{partition}.db")) as file:
        file.execute(
            "UPDATE stored_events SET state = cast(state || x'00' AS BLOB)"
            " WHERE rowid = (SELECT min(rowid) FROM stored_events)"
        )
        file.commit()
    with closing(open_ledger(tmp_path / "changed")) as ledger:
        (broken,) = verify(ledger)["broken"]
    assert broken["partition"] == partition and "copy" in broken["problem"]


def test_views_feeds_and_positions_go_on(shop: Shop) -> None:
    ran = shop.points("views", "run")
    assert ran.code == 0, ran.err
    for view in ("balances", "statement", "liability"):
        for step in ("rebuild", "compare", "switch"):
            ran = shop.points("views", step, view)
            assert ran.code == 0, ran.err + ran.out
    with closing(open_ledger(shop.grown)) as ledger:
        cursor, told = shop.cursor, list[Any]()
        while (page := page_of(ledger, cursor, 50)).told:
            told += page.told
            cursor = page.cursor
        assert len(told) == ledger.count() - shop.told


def test_a_feed_tells_the_entries_of_a_member_in_order_also_where_the_member_was_before(shop: Shop) -> None:
    with closing(open_ledger(shop.grown)) as ledger:
        for member in (None, *(f"m-{number}" for number in range(9))):
            cursor, numbers = "", dict[str, list[int]]()
            for _ in range(ledger.count()):
                page = page_of(ledger, cursor, 3, Filter(member or ""))
                for one in page.told:
                    numbers.setdefault(one.entry.member, []).append(one.entry.number)
                if not page.has_more:
                    break
                cursor = page.cursor
            assert numbers and all(found == list(range(1, len(found) + 1)) for found in numbers.values()), member
            assert member is None or len(numbers[member]) == len(
                ledger.journal(ledger.partition_of(member)).entries_of(member)
            )


def test_a_webhook_is_told_of_each_entry_once(shop: Shop) -> None:
    with closing(open_ledger(shop.grown)) as ledger, closing(Webhooks.at(shop.grown)) as webhooks:
        assert {told.sequence for told in webhooks.told("shop").values()} == {0}
        webhooks.grow(ledger, "shop")
        told = webhooks.told("shop")
        begins = {partition: ledger.branch(partition) for partition in ledger.partitions}
        assert {p: one.sequence for p, one in told.items()} == {p: end.entries for p, end in begins.items()}
        waiting = sum(head - told[partition].sequence for partition, head in ledger.heads().items())
        assert waiting == ledger.count()


def test_split_twice_it_says_of_every_member_what_a_ledger_says_that_never_was(tmp_path: Path) -> None:
    made = Shop(tmp_path, is_alone=True)
    made.splits()
    made.points("ingest", "--backlog", made.later)
    made.splits(2)
    made.points("ingest", "--backlog", made.first)
    for path in (made.later, made.first):
        made.points("ingest", "--backlog", path, at=made.plain)
    for what in ("balances", "lots", "scores", "memberships", "entries"):
        assert made.exported(what, made.grown) == made.exported(what, made.plain)
    with closing(open_ledger(made.grown)) as ledger, closing(open_ledger(made.plain)) as plain:
        assert len(ledger.partitions) == BORN * TIMES * 2 and ledger.count() == plain.count()
        assert verify(ledger)["broken"] == replay(ledger, from_topic=True)["differences"] == []


def test_a_webhook_is_told_of_a_member_in_order(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "MOST_ENTRIES", 7)  # of a message, so that a parent takes several

    async def tell(ledger: Ledger, webhooks: Webhooks) -> None:
        async with asyncio.timeout(60):
            telling = asyncio.create_task(deliver.deliver(ledger, webhooks, lambda: None))
            while len(receiver.entries()) < ledger.count():
                await asyncio.sleep(0.05)
            telling.cancel()

    with (
        receiving() as receiver,
        closing(open_ledger(shop.grown)) as ledger,
        TemporaryDirectory() as folder,
        closing(Webhooks.at(Path(folder))) as webhooks,
    ):
        webhooks.add(ledger, "crm", receiver.url, "ann", is_private=True, from_beginning=True)
        asyncio.run(tell(ledger, webhooks))
        numbers = dict[str, list[int]]()
        for entry in receiver.entries():
            numbers.setdefault(entry["member"], []).append(entry["number"])
        assert sum(map(len, numbers.values())) == ledger.count()
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


# -- killed, and stood in its way --------------------------------------------------------------------------------------

# In the order in which they are come to: each run of the command is killed at the next one.
KILLED = (
    *("split-entries:2", "split-pages:1", "split-closed:1", "split-copied:1", "split-stamped:2"),
    *("split-moved:2", "split-switched:1", "split-reopened:1"),
)


def test_killed_at_each_step_and_run_again_it_comes_to_the_same(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    shutil.copytree(made.grown, tmp_path / "undisturbed")
    command = ("--ledger", made.grown, "split", "--times", TIMES, "--json")
    for failpoint in KILLED:
        ran = in_a_process(*command, env={**HERE, "POINTS_FAILPOINT": failpoint})
        assert ran.returncode == -9, failpoint + ran.stderr
        with closing(open_ledger(made.grown)) as ledger:
            assert len(ledger.partitions) in (BORN, BORN * TIMES)
            assert len(dict(ledger.accounts(1 << 51))) > 9, failpoint
    ran = in_a_process(*command)
    assert ran.returncode == 0 and json.loads(ran.stdout)["went_on"], ran.stderr
    assert not (made.grown / "splitting").exists()
    undisturbed = tmp_path / "undisturbed"
    assert points("--ledger", undisturbed, "split", "--times", TIMES).code == 0
    found = []
    for place in (made.grown, undisturbed):
        assert points("--ledger", place, "ingest", "--backlog", made.later).code == 0
        with closing(open_ledger(place)) as ledger:
            found.append({name: rows for name, rows in contents(ledger).items() if "position" not in name})
    assert found[0] == found[1]


def test_what_came_since_it_was_copied_is_copied_too(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    shutil.copytree(made.grown, tmp_path / "at-once")
    with closing(open_ledger(made.grown)) as ledger, ledger.writing():
        ran = made.points("split", "--times", TIMES)
    assert ran.code == 4 and "is being written by" in ran.err
    found = []
    for place in (made.grown, tmp_path / "at-once"):
        assert points("--ledger", place, "ingest", "--backlog", made.later).code == 0
        assert points("--ledger", place, "split", "--times", TIMES).code == 0
        with closing(open_ledger(place)) as ledger:
            assert verify(ledger)["broken"] == replay(ledger)["differences"] == []
            found.append({name: rows for name, rows in contents(ledger).items() if "position" not in name})
    assert found[0] == found[1]


def test_who_has_the_ledger_open_from_before_writes_nothing_more(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    with closing(open_ledger(made.grown)) as before:
        writer = before.writer(0)
        inbox = SQLiteInbox(made.grown / "inbox.db", BORN)
        made.splits()
        with pytest.raises(Fenced):
            writer.commit([], [], writer.offset + 1, 1)
        with pytest.raises(JournalError, match="was split from 2 into 6 partitions: start again"):
            before.writer(0)
        with pytest.raises(CannotAppend, match="it was split"):
            inbox.append([InboxLine(0, 1, 0, "m-1", b"{}")])
        inbox.close()


def test_while_it_is_split_nobody_decides_and_readers_read(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    ran = in_a_process(
        *("--ledger", made.grown, "split", "--times", 2), env={**HERE, "POINTS_FAILPOINT": "split-closed:2"}
    )
    assert ran.returncode == -9
    with closing(open_ledger(made.grown)) as ledger, pytest.raises(BeingSplit, match="run again, is done"):
        ledger.writer(1)
    for command in (("ingest", "--backlog", made.later), ("store", "settings", "--operator", "/other")):
        refused = made.points(*command)
        assert refused.code in (3, 4) and "points split" in refused.err
    assert made.points("show", "m-1").code == 0
    made.splits(2)
    assert made.points("ingest", "--backlog", made.later).code == 0


def test_split_twice_with_nothing_in_between_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "grown"
    open_or_create(place, None, Settings(BORN)).close()
    facts = write_facts(tmp_path / "facts.ndjson", histories_of(Random(5), members=9, length=4))
    assert points("--ledger", place, "ingest", "--backlog", facts).code == 0
    for times in (2, 2, 3):
        assert points("--ledger", place, "split", "--times", times).code == 0
        with closing(open_ledger(place)) as ledger:
            assert verify(ledger)["broken"] == [] and replay(ledger)["differences"] == []


def test_what_others_change_of_the_ledger_while_it_is_split_stays(tmp_path: Path) -> None:
    place = tmp_path / "grown"
    open_or_create(place, None, Settings(BORN)).close()
    facts = write_facts(tmp_path / "facts.ndjson", histories_of(Random(5), members=9, length=4))
    assert points("--ledger", place, "ingest", "--backlog", facts).code == 0
    changed: list[int] = []

    def change(_: int) -> None:
        if not changed:
            changed.append(points("--ledger", place, "store", "settings", "--operator", "/back-office").code)

    with closing(open_ledger(place)) as ledger, closing(open_ledger(place)) as late:
        assert late.count() == ledger.count()  # its journals are open
        split(ledger, 2, change)
        with pytest.raises(LedgerLocked, match="was split meanwhile"):
            split(late, 2)
    with closing(open_ledger(place)) as ledger:
        assert changed == [0] and ledger.settings.operators == ("/back-office",)
        assert len(ledger.partitions) == 2 * BORN and verify(ledger)["broken"] == []


def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    told = json.loads(made.points("split", "--times", 2, "--dry-run", "--json").out)
    with closing(open_ledger(made.grown)) as ledger:
        assert told["entries"] == ledger.count() and len(ledger.partitions) == BORN
        with pytest.raises(WrongUse, match="no more than 1024"):
            split(ledger, 1_000)
    assert made.points("split", "--times", 2, "--of", 64).code == 2
