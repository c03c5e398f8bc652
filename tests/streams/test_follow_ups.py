"""Follow-ups are sent from the journal: by one process and by several, and again after any crash."""

import json
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from consumers.dead_letters import BadPosition, dead_letter_at, retry
from consumers.feeding import feeding_of
from consumers.kafka.clients import client_of
from consumers.kafka.settings import load as load_settings
from consumers.local.open import open_inbox
from consumers.local.port import CannotAppend, InboxLine
from consumers.runtime.follow_ups import FollowUps, Unsent, send_again
from consumers.runtime.ingest import decide_all, ingest
from consumers.runtime.owner import PartitionOwner
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.sql import Journal
from ledger.wire.entries import ACCEPTED, Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import Arrival
from ledger.wire.follow_ups import FLOW, source_of, told_in
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.support.brokers import Broker, new_topic_name
from tests.support.kafka_shop import SECONDS, Topics, killed_and_run_again, points_in_a_process, start, until
from tests.support.ledgers import write_facts
from tests.support.shop import instant

GIVERS, EACH = 12, 5
NOW = instant("2999-01-01")
STEPS = ("after-commit", "before-follow-ups", "after-follow-ups")
CANNOT_RUN = 4  # as a command ends of which a worker was killed
MORE_STEPS = ("before-fence", "after-fence", "after-entries", "before-commit")


def fact(type_: str, subject: str, name: str, hour: int, data: dict[str, Any], source: str = "/shop") -> dict[str, Any]:
    time = f"2025-04-10T{hour:02}:00:00+08:00"
    head = {"specversion": "1.0", "id": name, "source": source, "type": f"{type_}.v1"}
    return {**head, "subject": subject, "time": time, "data": data}


def gifts() -> list[dict[str, Any]]:
    """Givers give to the next but one, each five gifts: 10, 20 … points, of which a tenth is burned."""
    lot = {"kind": "beans", "points": 500, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"}
    facts = [fact("lot.opened", f"m-{n}", f"l-{n}", 0, {"lot": "L", **lot}, "/operators") for n in range(GIVERS)]
    for at in range(EACH):
        for n in range(GIVERS):
            data = {"transfer": f"G{at}", "rule": "gift", "to": f"m-{(n + 2) % GIVERS}", "points": 10 * (at + 1)}
            facts.append(fact("transfer.requested", f"m-{n}", f"g-{n}-{at}", 1 + at, data))
    return facts


def entries_of(ledger: Ledger) -> Iterable[Entry]:
    for partition in ledger.partitions:
        for row in ledger.journal(partition).scan():
            yield decode_entry(row.state)


def check_all_arrived(ledger: Ledger) -> None:
    """Each follow-up was taken once, as it was left, and each member has what the gifts make."""
    told = {
        f"{entry.member}:{entry.number}.{one.k}": one.data for entry in entries_of(ledger) for one in told_in(entry)
    }
    taken: dict[str, str] = {}
    for entry in entries_of(ledger):
        kept, _ = decode_canonical(entry.fact)
        if isinstance(kept.data, Arrival) and entry.outcome == ACCEPTED:
            assert kept.id not in taken
            taken[kept.id] = kept.data.transfer
    assert taken.keys() == told.keys() and len(told) == GIVERS * EACH
    for member, account in ledger.accounts(NOW):
        purse = account.purse("beans")
        assert (purse.gone, purse.come, purse.redeemed) == (135, 135, 15), member
        assert purse.expired == 500 - 15, "the lots end, wherever they are"


def fed(folder: Path, jobs: int) -> Ledger:
    ledger = open_or_create(folder / "ledger", BOOK)
    with ledger.writing():
        ingest(ledger, [str(write_facts(folder / "facts.ndjson", gifts()))], backlog=True, jobs=jobs)
    return ledger


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_members_give_has_arrived_when_a_run_ends(tmp_path: Path, jobs: int) -> None:
    ledger = fed(tmp_path, jobs)
    check_all_arrived(ledger)
    arrived = [entry for entry in entries_of(ledger) if entry.fact.find(b"transfer.arrived") > 0]
    assert all(entry.backlog and entry.recorded < instant("2025-04-11") for entry in arrived), (
        "recorded as their backlog was"
    )
    ledger.close()


def agree_after_a_kill(place: Path | str, folder: Path, step: str, count: int, *more: str) -> None:
    killed_and_run_again(place, write_facts(folder / "facts.ndjson", gifts()), step, count, *more)
    ledger = open_ledger(str(place))
    check_all_arrived(ledger)
    ledger.close()


@pytest.mark.parametrize("step", [*STEPS, *(pytest.param(step, marks=pytest.mark.campaign) for step in MORE_STEPS)])
def test_killed_at_any_step_each_gift_arrives_once(tmp_path: Path, step: str) -> None:
    (tmp_path / "book.toml").write_text(BOOK)
    agree_after_a_kill(tmp_path / "ledger", tmp_path, step, 1, "--book", str(tmp_path / "book.toml"))


@pytest.mark.parametrize("step", ["after-commit", pytest.param("after-follow-ups", marks=pytest.mark.campaign)])
def test_killed_at_a_step_in_postgresql_each_gift_arrives_once(tmp_path: Path, postgres: str, step: str) -> None:
    migrate(postgres, partitions=4, book=BOOK)
    agree_after_a_kill(postgres, tmp_path, step, 1)


def test_sent_again_from_the_beginning_they_are_duplicates(tmp_path: Path) -> None:
    ledger = fed(tmp_path, 1)
    with ledger.writing():
        for partition in ledger.partitions:
            journal = ledger.journal(partition)
            assert journal.published_upto(FLOW) > 0
            with journal.transaction(0, journal.acquire()):
                pass
            journal._change(
                f"UPDATE {journal.schema}.tracking SET notification_id = 0 WHERE application_name = ?", [(FLOW,)]
            )
        ingest(ledger, [], backlog=True)
    assert sum(entry.reason == "duplicate" for entry in entries_of(ledger)) == GIVERS * EACH
    check_all_arrived(ledger)
    ledger.close()


def test_a_file_of_facts_may_not_say_what_an_account_left(tmp_path: Path) -> None:
    data = {"frm": "m-9", "transfer": "G", "rule": "gift", "kind": "beans", "points": 5}
    forged = fact(
        "transfer.arrived", "m-1", "m-9:1.0", 1, {**data, "lots": [{"points": 5, "earned_at": "2025-01-01T00:00:00Z"}]}
    )
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    with ledger.writing():
        summary = ingest(ledger, [str(write_facts(tmp_path / "f.ndjson", [forged]))], backlog=True)
    assert summary.tally.parked == 1 and summary.tally.reasons == {"not-authorised": 1}, json.dumps(forged)
    ledger.close()


@pytest.mark.parametrize("escaped", [False, True])
def test_a_file_may_not_say_it_from_the_right_source_either(tmp_path: Path, escaped: bool) -> None:
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    lots = [{"points": 5, "earned_at": "2025-01-01T00:00:00Z"}]
    data = {"frm": "m-9", "transfer": "G9", "rule": "gift", "kind": "beans", "points": 5, "lots": lots}
    forged = fact("transfer.arrived", "m-1", "m-9:1.0", 1, data, source_of(ledger.partition_of("m-9")))
    text = json.dumps(forged)
    path = tmp_path / "f.ndjson"
    path.write_text(text.replace("ledger/", "\\u006cedger\\/") if escaped else text)
    with ledger.writing():
        summary = ingest(ledger, [str(path)], backlog=not escaped)
        assert summary.tally.reasons == {"not-authorised": 1}
        letters = [dead_letter_at(ledger, f"{ledger.partition_of('m-1')}:0")]
        with closing(feeding_of(ledger)) as feeding, pytest.raises(BadPosition, match="came in a file"):
            retry(ledger, letters, feeding)
        with closing(feeding_of(ledger)) as feeding, pytest.raises(BadPosition, match="came in a file"):
            retry(ledger, letters, feeding, mended=text.encode())
    ledger.close()


def test_what_is_on_its_way_is_listed_and_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(FollowUps, "send", lambda *_: {})
        ledger = fed(tmp_path, 1)
    found = transit(ledger)
    assert (found.told, found.on_its_way, found.points_on_their_way) == (60, 60, GIVERS * 135)
    assert found.in_transit == {"beans": GIVERS * 135} and found.faults == []
    assert found.waiting[0].type == "transfer.arrived.v1" and not found.waiting[0].sent
    assert found.oldest == "2025-04-10T01:00:00+08:00"
    unsent = Unsent()
    since = [unsent.since(ledger, partition)[""] for partition in ledger.partitions]
    assert min(filter(None, since)) == instant("2025-04-10T01:00:00")
    assert since == [unsent.since(ledger, partition)[""] for partition in ledger.partitions]
    with ledger.writing(), closing(feeding_of(ledger)) as feeding:
        assert send_again(ledger, feeding.append) == 60
        decide_all(ledger)
        assert send_again(ledger, feeding.append) == 0
        for partition in ledger.partitions:
            FollowUps(ledger, partition).send(feeding.append)
        assert {unsent.since(ledger, partition)[""] for partition in ledger.partitions} == {0}
    found = transit(ledger)
    assert (found.told, found.on_its_way, found.oldest, found.in_transit) == (60, 0, "", {})
    check_all_arrived(ledger)
    ledger.close()


def test_what_was_sent_before_a_stream_failed_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(FollowUps, "send", lambda *_: {})
        ledger = fed(tmp_path, 1)
    monkeypatch.setattr("consumers.runtime.follow_ups.LOOKED_THROUGH", 5)
    monkeypatch.setattr("consumers.runtime.follow_ups.AT_ONCE", 1)
    sent: list[str] = []

    def append(lines: Sequence[InboxLine]) -> list[tuple[int, int]]:
        if len(sent) % 7 == 6:
            sent.append("failed")
            raise CannotAppend("no room")
        sent.extend(line.key for line in lines)
        return [(0, len(sent))]

    for partition in ledger.partitions:
        flow = FollowUps(ledger, partition)
        while flow.may_have_more:
            with suppress(CannotAppend):
                flow.send(append)
    again = len(sent) - sent.count("failed") - GIVERS * EACH
    assert sent.count("failed") > 5 and 0 <= again <= 5 * sent.count("failed"), "a piece at most, each time"
    ledger.close()


def test_entries_that_leave_nothing_are_not_read_again_by_who_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.runtime.follow_ups.KEPT_EVERY", 20)
    visits = [fact("member.signed-in", "m-1", f"s-{n}", n % 24, {}, "/shop") for n in range(100)]
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    home = ledger.partition_of("m-1")
    owner = PartitionOwner(ledger, home, batch=15)
    with ledger.writing(), closing(open_inbox(ledger, feeding=True)) as inbox, closing(feeding_of(ledger)) as feeding:
        for visit in visits:
            feeding.take(json.dumps(visit).encode(), is_old=True)
        read: list[int] = []
        real = Journal.stored_rows_of
        monkeypatch.setattr(
            Journal, "stored_rows_of", lambda self, after, upto: read.append(upto - after) or real(self, after, upto)
        )
        while owner.turn(inbox) is not None:
            pass
        journal = ledger.journal(home)
        assert (journal.head().entries, sum(read)) == (100, 0), "what was committed here is known"
        assert journal.published_upto(FLOW) == 90, "remembered with every second batch"
        FollowUps(ledger, home).send(feeding.append)
        assert sum(read) == 10
    ledger.close()


@pytest.mark.parametrize("seed", range(8))
def test_what_partitions_say_that_are_read_unequally_far_adds_up(tmp_path: Path, seed: int) -> None:
    ledger, random = fed(tmp_path, 1), Random(seed)
    heads = {partition: random.randint(0, head) for partition, head in ledger.heads().items()}
    found = transit(ledger, heads=heads)
    assert found.in_transit.get("beans", 0) == found.points_on_their_way - found.points_ahead
    assert found.points_on_their_way + found.points_ahead > 0 and not found.faults
    ledger.close()


def test_what_nobody_left_is_found_by_the_audit(tmp_path: Path) -> None:
    ledger = fed(tmp_path, 1)
    own = source_of(ledger.partition_of("m-9"))
    lots = [{"points": 5, "earned_at": "2025-01-01T00:00:00Z"}]
    data = {"frm": "m-9", "transfer": "G9", "rule": "gift", "kind": "beans", "points": 5, "lots": lots}
    facts = [fact("transfer.arrived", "m-1", name, 1, data, own) for name in ("m-9:2.0", "m-9:999.0", "m-9:first")]
    with ledger.writing(), closing(feeding_of(ledger)) as feeding:
        for forged in facts:  # who may write the inbox itself
            feeding.take(json.dumps(forged).encode(), is_old=True)
        decide_all(ledger)
    said = transit(ledger).faults
    assert len(said) == 3
    assert [text.rpartition("took ")[2] for text in said] == [
        "m-9:2.0, which no entry left",
        "m-9:999.0, which no entry left",
        "m-9:first, which is no name of a follow-up",
    ]
    ledger.close()
    run = points_in_a_process(tmp_path / "ledger", "audit", "transit", "--json")
    assert run.returncode == 1 and len(json.loads(run.stdout)["faults"]) == 3, run.stderr


@pytest.mark.parametrize(
    ("jobs", "step"),
    [
        (1, ""),
        (1, "after-follow-ups"),
        *(
            pytest.param(jobs, step, marks=pytest.mark.campaign)
            for jobs in (1, 2)
            for step in (*STEPS, *MORE_STEPS)
            if (jobs, step) != (1, "after-follow-ups")
        ),
    ],
)
def test_over_kafka_each_gift_arrives_once(tmp_path: Path, broker: Broker, jobs: int, step: str) -> None:
    topics = Topics(broker).make()
    topics.send(gifts())
    (tmp_path / "book.toml").write_text(BOOK)
    told = ("consume", "--until-end", "--batch", "8", "--no-publish", "--jobs", str(jobs))
    if step:
        environment = {**topics.environment, "POINTS_FAILPOINT": step}
        run = points_in_a_process(
            tmp_path / "ledger", *told, "--book", str(tmp_path / "book.toml"), environment=environment
        )
        assert run.returncode == (-signal.SIGKILL if jobs == 1 else CANNOT_RUN), run.stderr
    more = () if step else ("--book", str(tmp_path / "book.toml"))
    run = points_in_a_process(tmp_path / "ledger", *told, *more, environment=topics.environment)
    assert run.returncode == 0, run.stderr
    ledger = open_ledger(str(tmp_path / "ledger"))
    check_all_arrived(ledger)
    ledger.close()


def test_an_import_of_a_group_waits_for_what_it_told_others(postgres: str, broker: Broker) -> None:
    topics = Topics(broker, partitions=2).make()
    migrate(postgres, partitions=2, topic=topics.facts, book=BOOK)
    topics.send(gifts())
    mine = {"POINTS_KAFKA_GROUP": new_topic_name("group"), "POINTS_KAFKA_SESSION_TIMEOUT_SECONDS": "30"}
    environment = {**topics.environment, **mine}
    with patch.dict(os.environ, environment):
        settings = load_settings(None)
    with closing(client_of(settings).Reader(settings, topics.facts)) as other:
        held: set[int] = set()  # by a member of the group that decides nothing
        other.join(settings.group, lambda new: held.update(new) or {}, held.difference_update, held.difference_update)

        def holds(count: int) -> bool:
            other.poll(0.05)
            return len(held) == count

        until(lambda: holds(2))
        before = other.ends([0, 1])
        run = start(postgres, "consume", "--until-end", "--no-publish", environment=environment)
        until(lambda: holds(1), run)
        (partition,) = held
        until(lambda: holds(1) and other.end(partition) > before[partition], run)
        for _ in range(40):  # two seconds, long enough for a run that would end now
            assert holds(1) and run.poll() is None
    assert run.wait(SECONDS) == 0, run.communicate()
    with closing(open_ledger(postgres)) as ledger:
        check_all_arrived(ledger)
