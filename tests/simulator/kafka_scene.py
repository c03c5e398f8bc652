"""A ledger that Kafka feeds: consumers of a group that own partitions, producers, operators, a cluster with faults."""

import json
import re
from collections import deque
from functools import partial
from typing import Any

from consumers.dead_letters import dead_letters_of, retry
from consumers.feeding import Feeding
from consumers.files.loader import Router
from consumers.kafka.appending import TopicAppender
from consumers.kafka.buffers import RECORDED
from consumers.kafka.consume import Consumer, Plan
from consumers.kafka.holes import Log
from consumers.kafka.port import StreamBroken
from consumers.kafka.produce import headers_of
from consumers.local.port import InboxLine
from consumers.publishing import publish
from consumers.runtime.events import Event, Failed
from consumers.runtime.follow_ups import send_again
from consumers.runtime.ingest import CannotDecide
from consumers.runtime.intake import MAX_AHEAD
from consumers.stream import AHEAD, BACKLOG, EMPTY, NO_KEY, NOT_STAMPED, Record
from ledger.journal.gaps import GAP, Gap
from ledger.journal.ledger import KAFKA, Ledger
from ledger.journal.partitioning import Partitioner
from ledger.wire.times import DAY, SECOND, to_datetime, to_instant
from tests.simulator.cluster import (
    MARKER,
    SETTINGS,
    Cluster,
    LogRecord,
    SimulatedAdmin,
    SimulatedReader,
    SimulatedWriter,
)
from tests.simulator.laws import Laws, PartitionTruth, oracle_of
from tests.simulator.ledgers import Files, settings_of
from tests.simulator.scene import Scene, about_of, choice_by_seed
from tests.simulator.story import Fact, bad_value, first_book, later_book, tellings
from tests.simulator.ways import Ways
from tests.simulator.world import SAID, Process, Violation, World
from tests.support.histories import encode

NOT_ACKNOWLEDGED = "not acknowledged in time"  # as it is where this world's brokers are slow
LOOKS = 0.3  # how likely an operator sees in a turn that a partition was left, while others are gone on with
ACCEPT = re.compile(r"--accept-gap (\d+):(\d+)-(\d+)")
REFUSED = re.compile(r"--accept-gap (\d+):(\d+)-(\d+): (?:nothing|what is missing .* is \d+:(\d+)-(\d+))")
NO_RECORD = re.compile(r"the stream has no record at (\d+):(\d+)")


class ConsumerProcess(Process):
    """`points consume` in a group."""

    kind = "consumer"

    def __init__(self, scene: "KafkaScene", name: str) -> None:
        super().__init__(scene.world, name)
        self._scene = scene
        self.reader: SimulatedReader | None = None
        self._consumer: Consumer | None = None

    def turn(self) -> None:
        """Begin, or go once round the consumer's loop."""
        if self._consumer is None:
            scene, cluster = self._scene, self._scene.cluster
            self.reader = SimulatedReader(cluster, self)
            plan = Plan(
                group="points",
                outcomes="outcomes",
                dead_letters="dead-letters",
                batch=self.world.order.choice((1, 2, 5, 20)),
                fenced_seconds=self.world.order.choice((0.01, 0.5)),
                accepted=tuple(scene.accepted),
                topic_id=scene.restored_id,
            )
            log = Log(lambda: SimulatedAdmin(cluster), "facts")
            ledger = scene.files.opened(self)
            topic = TopicAppender(SETTINGS, "facts", partial(SimulatedWriter, cluster, self))
            self._consumer = Consumer(
                ledger, self.reader, log, partial(SimulatedWriter, cluster, self), topic.append, plan, self._observe
            )
            self._consumer.begin()
        try:
            self._consumer.turn(0.0)
        except (StreamBroken, CannotDecide):
            if not self._consumer.left:
                raise
            self._ends_with_what_was_left()
        if self._consumer.left and self.world.order.random() < LOOKS:
            self._ends_with_what_was_left()

    def _ends_with_what_was_left(self) -> None:
        """An operator looks at the log and ends the process: the first partition that was left is told."""
        assert self._consumer is not None
        raise next(iter(self._consumer.left.values()))

    def _observe(self, event: Event) -> None:
        if isinstance(event, Failed) and SAID not in event.why and NOT_ACKNOWLEDGED not in event.why:
            raise Violation("availability", f"{self.name}: {event.stage}: {event.why}")

    def close(self) -> None:
        """Leave the group, as one that ends by itself does."""
        if self._consumer is not None:
            self._consumer.close()

    def successor(self) -> "ConsumerProcess":
        """The process that takes this one's place; this one is in the group until it is missed."""
        if self.reader is not None:
            self._scene.missed.append((self.world.turns + self.world.order.randint(0, 12), self.reader))
        return ConsumerProcess(self._scene, self.name)


class OperatorProcess(Process):
    """Somebody at the command line: publishes rule books and redrives dead letters."""

    kind = "operator"

    def __init__(self, scene: "KafkaScene", name: str) -> None:
        super().__init__(scene.world, name)
        self._scene = scene

    def turn(self) -> None:
        """Do something, now and then."""
        scene, world = self._scene, self.world
        if scene.trouble:
            return  # nothing is sent to a topic that is not the ledger's
        ledger = scene.files.opened(self)
        if world.strikes("publish-book"):
            day = to_datetime(world.now + scene.chance.randint(-40, 60) * DAY)
            scene.books += 1
            publish(ledger, later_book(scene.chance, scene.files.book, day), "ops", scene.feeding(ledger))
        elif world.strikes("retry-letter"):
            waiting = [letter for letter in dead_letters_of(ledger) if letter.reason != GAP and letter.is_whole]
            if waiting:
                letter = scene.chance.choice(waiting)
                if letter.raw:
                    retry(ledger, [letter], scene.feeding(ledger))
        elif scene.ways.on_their_way and (world.strikes("resend-told") or scene.has_lost_what_was_told()):
            send_again(ledger, scene.append_lines)

    def close(self) -> None:
        """Nothing is held."""

    def successor(self) -> "OperatorProcess":
        return OperatorProcess(self._scene, self.name)


class KafkaScene(Scene):
    """See the module."""

    def __init__(self, world: World) -> None:
        self.chance = choice_by_seed(world.seed, "story")
        about = about_of(world.seed)
        book = first_book(self.chance, is_together=bool(about))
        partitions = self.chance.choice((1, 2, 3))
        told = tellings(self.chance, world.plan.kept, about)
        self.waiting = deque(told)
        self.facts = len(told)
        self.books = 0
        world.leap(told[0].due if told else 0)
        settings = settings_of(partitions, id="5" * 32, stream=KAFKA, topic="facts")
        super().__init__(world, Files(settings, book))
        self.files.born(self.auditor)
        self.cluster = Cluster(world, partitions)
        self.cluster.is_seen_late = about == "merges"
        self._partitioner = Partitioner(partitions)
        self._is_backlog = self.chance.random() < 0.2
        self.accepted: list[tuple[int, Gap]] = []
        self.restored_id = ""
        self.trouble = ""
        self.missed: list[tuple[int, SimulatedReader]] = []
        self._mended_at = 0
        self._told = dict.fromkeys(range(partitions), 0)  # outcomes that were looked at,
        self._heard = dict.fromkeys(range(partitions), 0)  # and the highest place among them
        self._letters: dict[int, set[str]] = {partition: set() for partition in range(partitions)}
        self._letters_read = dict.fromkeys(range(partitions), 0)
        self.truths = {
            p: PartitionTruth(p, self.ledger, partial(self._record, p), oracle_of(book, partitions, about))
            for p in range(partitions)
        }
        self.laws = Laws(self.files, self.ledger, self.truths)
        self.ways = Ways(self.truths, self.ledger, book, self._values)
        self.processes = [ConsumerProcess(self, f"consumer-{n}") for n in range(self.chance.choice((1, 2, 3)))]
        self.processes.append(OperatorProcess(self, "operator"))

    # -- the stream --------------------------------------------------------------------------------------------------

    def _record(self, partition: int, at: int, recorded: int) -> Record | None:
        """The record at an offset of the genuine topic as the intake is to see it, by the contract."""
        records = self.cluster.genuine.logs[partition].records
        if at >= len(records):
            raise Violation("law 5", f"partition {partition}: position {at} is behind the end of its stream")
        found = records[at]
        if not isinstance(found, LogRecord):
            return None
        backlog, fault, stamped = 0, "", found.timestamp * 1000
        if found.declared is not None:
            is_ahead = found.declared > stamped + MAX_AHEAD
            backlog = BACKLOG | AHEAD if is_ahead else BACKLOG
            stamped = 0 if is_ahead else found.declared
        if not found.is_stamped:
            stamped, backlog, fault = 0, 0, NOT_STAMPED
        key = ""
        try:
            if found.key is None:
                fault = NO_KEY
            else:
                key = found.key.decode()
        except UnicodeDecodeError:
            fault = NO_KEY
        if found.value is None:
            fault = EMPTY
        by = recorded - stamped
        pushed = by if found.is_stamped and not backlog and by >= SECOND else 0
        return Record(at, max(recorded, stamped), backlog, key, found.value or b"", fault=fault, pushed=pushed)

    def _values(self, partition: int, after: int) -> list[bytes]:
        """What was ever appended to a partition behind an offset, b"" for what is no record."""
        records = self.cluster.genuine.logs[partition].records[after + 1 :]
        return [record.value or b"" if isinstance(record, LogRecord) else b"" for record in records]

    def _append(self, value: bytes | None, key: bytes | None, partition: int, occurred: int = 0) -> None:
        headers = ((RECORDED, b"%d" % occurred),) if self._is_backlog and occurred else ()
        ahead = self.world.order.choice((3_600_000, 3 * 86_400_000)) if self.world.strikes("clock-ahead") else 0
        stamp = self.world.now // 1000 + ahead
        self.cluster.genuine.logs[partition].records.append(LogRecord(stamp, key, value, headers))

    def feeding(self, ledger: Ledger) -> Feeding:
        """Return what an operator appends with: what is redriven is not declared as old."""
        router = Router(ledger.settings.partitions, ledger.settings.operators, backlog=False)
        return Feeding(self.append_lines, router, router, lambda: None)

    def append_lines(self, lines: list[InboxLine]) -> list[tuple[int, int]]:
        """Append what an operator sends, a record after the other."""
        places = []
        for line in lines:
            record = LogRecord(self.world.now // 1000, line.key.encode(), line.value, headers_of(line))
            self.cluster.genuine.logs[line.partition].records.append(record)
            places.append((line.partition, len(self.cluster.genuine.logs[line.partition].records) - 1))
        return places

    def _produce(self) -> None:
        world, chance = self.world, self.chance
        telling = self.tells_next() if self.waiting else None
        if telling is None:
            return
        delay = 0 if chance.random() < 0.9 else chance.choice((1, 3_600, 86_401, 3 * 86_400))
        world.leap(telling.due + delay * 1_000_000)
        self.send(telling.fact)
        if world.strikes("resend"):
            self.send(telling.fact)
        if world.strikes("marker"):
            world.order.choice(self.cluster.genuine.logs).records.append(MARKER)
        if world.strikes("bad-record"):
            self._produce_what_is_no_fact(telling.fact)

    def send(self, fact: Fact) -> None:
        """A producer sends a fact."""
        partition = self._partitioner(fact["subject"])
        occurred = to_instant(to_datetime(0).fromisoformat(fact["time"]))
        self._append(encode(fact), fact["subject"].encode(), partition, occurred)

    def _produce_what_is_no_fact(self, fact: Fact) -> None:
        chance = self.chance
        partition = chance.randrange(len(self.truths))
        key: bytes | None = fact["subject"].encode()
        match chance.randrange(7):
            case 0:
                self._append(None, key, partition)
            case 1:
                self._append(encode(fact | {"id": "no-key"}), None, partition)
            case 2:
                self._append(encode(fact | {"id": "other-key"}), b"somebody", self._partitioner(fact["subject"]))
            case 3:
                self._append(encode(fact | {"id": "other-partition"}), key, partition)
            case 4:
                record = LogRecord(0, key, encode(fact | {"id": "unstamped"}), (), False)
                self.cluster.genuine.logs[partition].records.append(record)
            case _:
                self._append(bad_value(chance, fact), key, partition)

    # -- what happens ------------------------------------------------------------------------------------------------

    def happens(self) -> None:
        world = self.world
        for _ in range(world.order.choice((0, 0, 1, 2))):
            self._produce()
        self.cluster.late_copies_arrive()
        for due, reader in list(self.missed):
            if due <= world.turns:
                self.missed.remove((due, reader))
                self.cluster.group.leave(reader)
        if world.strikes("rebalance"):
            self.cluster.group.share_out()
        if self.trouble:
            if world.turns >= self._mended_at:
                self._mend()
            return
        if self._is_bound and world.strikes("recreate"):
            self._is_made_anew()
        elif world.strikes("cut-tail"):
            self._loses_its_tail()
        elif world.strikes("retention"):
            self._loses_its_beginning()
        elif world.strikes("compact"):
            self._loses_a_record()

    @property
    def _is_bound(self) -> bool:
        """Return True if every journal has the topic's id: until then nobody can tell one topic from another."""
        return all(self.ledger.journal(partition).state().stream for partition in self.truths)

    def leaves(self, process: Any) -> None:
        super().leaves(process)
        reader = getattr(process, "reader", None)
        if reader is not None and self.world.order.random() < 0.7:  # it is missed before it comes back
            self.missed.append((self.world.turns + self.world.order.randint(0, 6), reader))

    def others_have_a_turn(self) -> None:
        reader = self.world.running and getattr(self.world.running[-1], "reader", None)
        if reader and self.world.order.random() < 0.2:
            self.cluster.group.leave(reader)  # a zombie: it goes on, and knows nothing
        super().others_have_a_turn()

    def _breaks(self, trouble: str) -> None:
        self.trouble = trouble
        self._mended_at = self.world.turns + self.world.order.randint(5, 40)

    def _is_made_anew(self) -> None:
        """Somebody deletes the topic and makes it anew, with other records behind the ledger's positions."""
        self._breaks("made anew")
        alien = self.cluster.new_topic()
        for log, genuine in zip(alien.logs, self.cluster.genuine.logs, strict=True):
            for _ in range(len(genuine.records) + self.world.order.randint(0, 5)):
                value = encode(
                    {
                        "specversion": "1.0",
                        "id": f"alien-{len(log.records)}",
                        "source": "/x",
                        "subject": "m-0",
                        "type": "member.signed-in.v1",
                        "time": to_datetime(self.world.now).isoformat(),
                    }
                )
                log.records.append(LogRecord(self.world.now // 1000, b"m-0", value))
        self.cluster.topics["facts"] = alien

    def _loses_its_tail(self) -> None:
        """The log is put back from an older copy: what the ledger took last is not in it."""
        self._breaks("tail cut")
        for log in self.cluster.genuine.logs:
            log.cut = max(log.begin, len(log.records) - self.world.order.randint(0, 6))

    def _mend(self) -> None:
        """The topic is restored, perhaps under a new id, as an operator says."""
        if self.trouble == "made anew":
            if self.world.order.random() < 0.5:
                self.cluster._ids += 1
                self.cluster.genuine.id = f"topic-{self.cluster._ids}"
                self.restored_id = self.cluster.genuine.id
            self.cluster.topics["facts"] = self.cluster.genuine
        for log in self.cluster.genuine.logs:
            log.cut = None
        self.trouble = ""

    def _loses_its_beginning(self) -> None:
        log = self.world.order.choice(self.cluster.genuine.logs)
        if log.records:
            log.begin = max(log.begin, self.world.order.randrange(len(log.records)))

    def _loses_a_record(self) -> None:
        log = self.world.order.choice(self.cluster.genuine.logs)
        if log.records:
            at = self.world.order.randrange(max(0, len(log.records) - 8), len(log.records))
            if log.records[at] != MARKER:
                log.lost.add(at)

    def gave_up(self, process: Any, error: Exception) -> None:
        if isinstance(error, StreamBroken):
            logs = self.cluster.genuine.logs
            if not (self.trouble or self._mended_at or any(log.lost or log.begin for log in logs)):
                raise Violation("availability", f"{process.name} ends, and nothing is wrong: {error}")
            if refused := REFUSED.match(str(error)):
                self._takes_back(*map(int, refused.groups()[:3]))
                if refused[4]:  # more was lost meanwhile
                    self._accept(int(refused[1]), int(refused[4]), int(refused[5]))
            elif asked := ACCEPT.search(str(error)):
                self._accept(*map(int, asked.groups()))
            elif (gone := NO_RECORD.search(str(error))) and not self.trouble:
                logs[int(gone[1])].lost.discard(int(gone[2]))  # it is restored: it was taken before it was lost
            process.close()
            self.ended(process)
            return
        super().gave_up(process, error)

    def _accept(self, partition: int, first: int, last: int) -> None:
        """An operator looks, and accepts what is lost where the ledger stands before it."""
        log, truth = self.cluster.genuine.logs[partition], self.truths[partition]
        gone = [at for at in range(first, last + 1) if at in log.lost or at < log.begin]
        between = log.records[self.ledger.journal(partition).head().offset + 1 : first]
        if self.trouble or first <= truth.offset or any(record != MARKER for record in between):
            return
        there = [at for at in range(first, last + 1) if at not in gone and log.records[at] != MARKER]
        if not gone or there:
            raise Violation("law 5", f"{partition}:{first}-{last} are said to be missing, and {there} are there")
        truth.accepted.add((first, last))
        self.accepted.append((partition, Gap(first, last, "ops", "2026-01-01T00:00:00Z", "lost")))

    def _takes_back(self, partition: int, first: int, last: int) -> None:
        """An operator no longer accepts a gap that is none, or has grown."""
        if not any(letter.offset == last for letter in self.ledger.journal(partition).parked(retried=True)):
            self.accepted = [
                (p, gap) for p, gap in self.accepted if (p, gap.first, gap.last) != (partition, first, last)
            ]

    # -- laws --------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        changed = self.laws.check()
        self.ways.check(self.laws.law)
        for partition, truth in self.truths.items():
            grown = len(self.cluster.topics["outcomes"].logs[partition].records) > self._told[partition]
            if grown or partition in changed:
                self._check_outcomes(partition, truth)
                self._check_letters(partition, truth)

    def _check_outcomes(self, partition: int, truth: PartitionTruth) -> None:
        records = self.cluster.topics["outcomes"].logs[partition].records
        for record in records[self._told[partition] :]:
            told = json.loads(record.value)
            place = told["place"]
            self.laws.law(
                "outcomes", place <= self._heard[partition] + 1, f"partition {partition}: a gap before {place}"
            )
            there = place <= len(truth.entries) and truth.entries[place - 1].link.hex() == told["link"]
            self.laws.law("outcomes", there, f"partition {partition}: outcome {place} of no entry")
            self._heard[partition] = max(self._heard[partition], place)
        self._told[partition] = len(records)
        remembered = self.ledger.journal(partition).published_upto("outcomes")
        self.laws.law(
            "outcomes", remembered <= self._heard[partition], f"partition {partition}: {remembered} was not sent"
        )

    def _check_letters(self, partition: int, truth: PartitionTruth) -> None:
        records = self.cluster.topics["dead-letters"].logs[partition].records
        letters = self._letters[partition]
        letters.update(json.loads(record.value)["position"] for record in records[self._letters_read[partition] :])
        self._letters_read[partition] = len(records)
        remembered = self.ledger.journal(partition).published_upto("dead-letters")
        for at in truth.letters:
            if at < remembered:
                self.laws.law(
                    "outcomes", f"{partition}:{at}" in letters, f"the dead letter {partition}:{at} was not sent"
                )

    def is_quiet(self) -> bool:
        for partition, truth in self.truths.items():
            left = self.cluster.genuine.logs[partition].records[truth.offset + 1 :]
            if any(record != MARKER for record in left) or self._heard[partition] < len(truth.entries):
                return False
            wanted = {f"{partition}:{at}" for at in truth.letters}
            if not wanted <= self._letters[partition]:
                return False
        return not self.waiting and not self.ways.on_their_way

    def close_the_day(self) -> None:
        """All is healed; a last fact comes to every partition, so that what is lost before it is noticed."""
        self._mend()
        for partition in self.truths:
            member = next(f"last-{n}" for n in range(10_000) if self._partitioner(f"last-{n}") == partition)
            self.send(
                {
                    "specversion": "1.0",
                    "id": "last",
                    "source": "/shop",
                    "subject": member,
                    "type": "member.signed-in.v1",
                    "time": to_datetime(self.world.now).isoformat(),
                }
            )

    def is_whole(self) -> bool:
        """Return True if nothing of the topic was lost."""
        return not any(log.lost or log.begin for log in self.cluster.genuine.logs)

    def has_lost_what_was_told(self) -> bool:
        """Return True if what is on its way was lost with the topic: only sent again it arrives."""
        return self.world.is_healed and not self.is_whole() and self.is_decided

    @property
    def is_decided(self) -> bool:
        logs = self.cluster.genuine.logs
        return all(
            record == MARKER for p, truth in self.truths.items() for record in logs[p].records[truth.offset + 1 :]
        )

    def tells_all_again(self) -> None:
        """Producers send everything once more."""
        for log in self.cluster.genuine.logs:
            stamp = self.world.now // 1000
            again = [record._replace(timestamp=stamp) for record in log.records if isinstance(record, LogRecord)]
            log.records.extend(again)
