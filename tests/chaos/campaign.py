"""A campaign: the machines and the points on them, their troubles one after the other, and what holds in the end."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import KafkaException

from ledger.journal.open import open_ledger
from tests.chaos.brokers import Cluster
from tests.chaos.checks import decided_in, faults
from tests.chaos.databases import Databases
from tests.chaos.hosts import Host, Network
from tests.chaos.processes import ROOT, Ended, Process, Supervisor
from tests.chaos.traffic import OverHttp, Told, ToTopic
from tests.chaos.troubles import GROUPS, UNCLEAN, Trouble, schedule
from tests.support.kafka_shop import contents

PARTITIONS = 8
TOPIC = "points.facts.v1"
SHOP = "shop"  # the schema of the servers' own ledger
CLIENTS = 6
READY_SECONDS, DRAIN_SECONDS = 60.0, 240.0
COMMAND_SECONDS = 300.0
LEADING_SECONDS = 120.0
KILLED, ENDED_EARLY, CANNOT_RUN = -9, -15, 4  # exit codes; the second of one that was told to end as it began
_LEFT = re.compile(r'^\{"partition": ([0-9]+), "error": .*"event": "left"', re.MULTILINE)
_GONE = re.compile(r"facts at ([0-9]+):([0-9]+) to [0-9]+:([0-9]+) were acknowledged, and are gone")
_TRACES = ("Traceback (most recent call last)", "/problems/internal")


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    seed: int
    minutes: float
    is_synchronous: bool = True
    client: str = "confluent-kafka"
    has_inbox: bool = False  # the servers have a ledger of their own, fed by its inbox
    is_unclean: bool = False  # a broker that lags is made leader, and acknowledged records are lost


@dataclass
class Result:
    """What came of it; `wrong` is empty where all is well."""

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Log:
    """Every trouble and what was seen, with its instant, as NDJSON; for several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def say(self, what: str, **more: Any) -> None:
        """Add a line."""
        with self._lock:
            line = {"at": round(time.time(), 3), "second": round(time.monotonic() - self._began, 1), "what": what}
            self._file.write(json.dumps({**line, **more}, default=str) + "\n")
            self._file.flush()


class Campaign:
    """The machines of one run. `memory` is a folder for what is stored, `logs` one for what is to be read later."""

    def __init__(self, plan: Plan, programs: Path, memory: Path, logs: Path) -> None:
        self.plan = plan
        self.log = Log(logs / "troubles.ndjson")
        self.network = Network()
        self._logs = logs
        self._memory = memory
        self.hosts = {name: self.network.host(name) for name in _names()}
        brokers = [self.hosts[f"broker-{n}"] for n in range(GROUPS["broker"])]
        self.cluster = Cluster(self.hosts["controller"], brokers, memory, logs)
        (memory / "postgres").mkdir()
        stores = [self.hosts[f"database-{n}"] for n in range(GROUPS["database"])]
        synchronous = plan.is_synchronous
        self.databases = Databases(programs, stores, memory / "postgres", logs, is_synchronous=synchronous)
        self.told = Told()
        self.figures: dict[str, Any] = {}
        self.acknowledged: dict[str, int] = {}
        self.troubles: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.named: list[str] = []
        self._wrong: list[str] = []
        self._points: list[Process] = []
        self.went_back = 0  # entries that a database which lagged had not got

    def run(self) -> Result:
        """Play all of it; everything that was started has ended then."""
        with ExitStack() as stack:
            stack.callback(self.network.close)
            stack.callback(self._kill_all)
            supervisor = self._begin()
            senders = self._senders()
            for sender in senders:
                sender.start()
            plan, can_cut = self.plan, self.network.can_cut
            self._play(schedule(plan.seed, 60 * plan.minutes, can_cut=can_cut, is_unclean=plan.is_unclean))
            self.log.say("healed")
            for sender in senders:
                sender.end()
            self.acknowledged = dict(Counter(each.by for each in self.told.acknowledged))
            self.log.say("sent", facts=self.told.sent, acknowledged=len(self.told.acknowledged))
            drained = self._drain()
            if drained and self.plan.has_inbox:
                self._post_again(senders)
            supervisor.let_go()
            self._end_points()
            if drained:
                self._check()
            return Result(self._wrong + self.told.wrong, self._figures(supervisor))

    # -- the beginning -----------------------------------------------------------------------------------------------

    def _begin(self) -> Supervisor:
        """Start everything, and wait until it serves."""
        self.cluster.start()
        self.databases.make()
        self._point("topics", "create", "--partitions", str(PARTITIONS))
        if self.plan.is_unclean:
            self.cluster.allow_unclean_leaders(TOPIC)
        self._point("store", "migrate", "--partitions", str(PARTITIONS), "--topic", TOPIC)
        if self.plan.has_inbox:
            self._point(
                "store", "migrate", "--partitions", str(PARTITIONS), environment={"POINTS_LEDGER": self._served}
            )
        self._urls, folders = [], []
        for number in range(GROUPS["server"]):
            host = self.hosts[f"server-{number}"]
            folder, port = self._memory / host.name, host.port(8080)
            folder.mkdir()
            folders.append(folder)
            self._urls.append(f"http://{host.address}:{port}")
            options = ["--folder", str(folder), "--host", host.address, "--port", str(port), "--no-views"]
            self._points.append(self._process(host, "serve", *options))
        own = {"POINTS_LEDGER": self._served}
        asked = ["keys", "new", "shop", "--scope", "facts:write", "--folder", str(folders[0])]
        key = self._point(*asked, environment=own)
        self._key = json.loads(key)["key"]
        consumers = [self.hosts[f"consumer-{n}"] for n in range(GROUPS["consumer"])]
        self._points += [self._process(host, "consume") for host in consumers]
        supervisor = Supervisor(self._points, self._on_end)
        supervisor.start()
        self._wait("all to be ready", READY_SECONDS, self._is_ready)
        self.log.say("ready", brokers=self.cluster.addresses, ledger=self.databases.address)
        return supervisor

    @property
    def _served(self) -> str:
        """The address of the ledger that the servers serve."""
        return self.databases.address + (f"&points_schema={SHOP}" if self.plan.has_inbox else "")

    def _is_ready(self) -> bool:
        if not self.databases.wait_until_followed():
            return False
        with suppress(psycopg.Error):
            return all(row[0] > 1 for row in self.databases.of_each("SELECT epoch FROM points_{}.shard", PARTITIONS))
        return False

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTS_")}
        own = {
            "PYTHONPATH": str(ROOT),
            "POINTS_LEDGER": self.databases.address,
            "POINTS_KAFKA_BOOTSTRAP_SERVERS": self.cluster.addresses,
            "POINTS_KAFKA_CLIENT": self.plan.client,
            "POINTS_KAFKA_TIMEOUT_SECONDS": "10",
        }
        return {**kept, **own}

    def _process(self, host: Host, *arguments: str) -> Process:
        command = [sys.executable, "-m", "service.cli", *arguments]
        environment = self._environment()
        if arguments[0] == "serve":
            environment["POINTS_LEDGER"] = self._served
        return Process(host, host.name, command, self._logs / f"{host.name}.log", environment)

    def _point(self, *arguments: str, code: int = 0, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of `points` to its end; returns what it printed as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments, "--json"],
            cwd=ROOT,
            env={**self._environment(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode != code:
            raise RuntimeError(
                f"points {' '.join(arguments)}: exit {done.returncode}: {done.stderr}{done.stdout[-500:]}"
            )
        return done.stdout

    def _senders(self) -> Sequence[ToTopic | OverHttp]:
        seed = self.plan.seed
        clients = [OverHttp(seed + n, n, self._urls, self._key, self.told) for n in range(CLIENTS)]
        return [ToTopic(seed, self.cluster.addresses, TOPIC, PARTITIONS, self.told), *clients]

    def _on_end(self, ended: Ended) -> None:
        """Keep how a consumer or a server ended by itself: killed, or with an error that names why."""
        self.ended[f"{ended.name.partition('-')[0]} exit {ended.code}"] += 1
        last = ended.said.strip().rpartition("\n")[2]
        self.log.say("ended", name=ended.name, code=ended.code, said="" if ended.code == KILLED else last)
        if ended.code != KILLED:
            self.named.append(f"{ended.name}: exit {ended.code}: {last}")
        if ended.code not in (KILLED, CANNOT_RUN) or any(trace in ended.said for trace in _TRACES):
            self._wrong.append(f"{ended.name} fell over: {ended.said[-1_500:]}")

    # -- troubles ----------------------------------------------------------------------------------------------------

    def _play(self, troubles: Sequence[Trouble]) -> None:
        """Let each group have its troubles, those of different groups at once; at the end all is healed."""
        began = time.monotonic()
        threads = [
            threading.Thread(
                target=self._play_group, args=(began, [t for t in troubles if t.group == group]), name=group
            )
            for group in GROUPS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(max(0.0, began + 60 * self.plan.minutes - time.monotonic()))

    def _play_group(self, began: float, troubles: Sequence[Trouble]) -> None:
        for trouble in troubles:
            late = time.monotonic() - began - trouble.at  # healing took longer than was planned
            time.sleep(max(0.0, -late))
            name = f"{trouble.group} {trouble.kind}"
            try:
                begins, heals = self._doing(trouble)
                self.log.say(name, target=trouble.target, seconds=trouble.seconds)
                begins()
                time.sleep(trouble.seconds)
                heals()
                self.log.say(f"{name}: over", target=trouble.target)
                self.troubles[name] += 1
            except _NotNow as why:
                self.log.say(f"{name}: left out", why=why)
            except Exception as error:
                self._wrong.append(f"the campaign itself: {name}: {type(error).__name__}: {error}")
                self.log.say(f"{name}: failed", error=error)

    def _doing(self, trouble: Trouble) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what begins a trouble, and what heals it."""
        if trouble.group == "database":
            return self._doing_to_database(trouble)
        host = self.hosts[f"{trouble.group}-{trouble.target}"]
        if trouble.group == "broker":
            process = self.cluster.brokers[trouble.target]
            if trouble.kind == UNCLEAN:
                self._wait("each replica to be in sync", READY_SECONDS, lambda: self.cluster.is_whole(TOPIC), every=1.0)
                return process.kill, lambda: self._lead_uncleanly(process)
            if trouble.kind == "kill-controller":
                process = self.cluster.controller
            if trouble.kind.startswith("kill"):
                return process.kill, process.start
        else:
            process = next(p for p in self._points if p.host is host)
            if trouble.kind.startswith("kill"):  # the supervisor starts it again
                return lambda: process.kill(only_first=trouble.kind == "kill-first"), _nothing
        if trouble.kind == "stop":
            return process.stop, process.wake
        return lambda: self._cut(host, trouble), lambda: self.network.heal(host)

    def _lead_uncleanly(self, lagging: Process) -> None:
        """The brokers that have all die, and the one that has not leads; then they come back, and follow it."""
        others = [broker for broker in self.cluster.brokers if broker is not lagging]
        for broker in others:
            broker.kill()
        lagging.start()
        number = self.cluster.brokers.index(lagging) + 1

        def leads() -> bool:
            with suppress(KafkaException):
                return all(self.cluster.leader(TOPIC, partition) == number for partition in range(PARTITIONS))
            return False

        try:
            self._wait("the broker that lags to lead", LEADING_SECONDS, leads, every=1.0)
            self.log.say("leads uncleanly", broker=lagging.name)
        finally:
            for broker in others:
                broker.start()

    def _cut(self, host: Host, trouble: Trouble) -> None:
        """Cut a host off, from others of a group or from all; in one direction where the kind says so."""
        wanted = trouble.kind.removeprefix("cut-from-").rstrip("s")
        others = [other for other in self.hosts.values() if other is not host and _is_of(other, wanted)]
        if trouble.kind == "cut-one-way":
            self.network.cut(host, others, ["INPUT" if int(trouble.seconds * 10) % 2 else "OUTPUT"])
        else:
            self.network.cut(host, others)

    def _doing_to_database(self, trouble: Trouble) -> tuple[Callable[[], None], Callable[[], None]]:
        stores = self.databases
        primary, standby = stores.primary, stores.standby
        match trouble.kind:
            case "kill":
                return primary.kill, lambda: stores.start(primary)
            case "kill-standby":
                return standby.kill, lambda: stores.start(standby)
            case "stop":
                return primary.stop, primary.wake
            case "stop-standby":
                return standby.stop, standby.wake
            case "fail-over":
                if not stores.wait_until_followed():
                    raise _NotNow("the standby does not follow")
                return self._fail_over, stores.follow
            case "cut-standby" if not stores.is_synchronous:  # it lags, and takes over all the same
                return lambda: self._cut(standby.host, trouble), self._fail_over_to_one_that_lags
            case "cut-standby":
                return lambda: self._cut(standby.host, trouble), lambda: self.network.heal(standby.host)
            case _:
                return lambda: self._cut(primary.host, trouble), lambda: self.network.heal(primary.host)

    def _fail_over(self) -> None:
        """The primary dies, and the standby is the primary from here on."""
        before = self._entries()
        self.databases.primary.kill()
        self.databases.fail_over()
        after = self.databases.entries(PARTITIONS)
        back = max(0, before - after)
        self.went_back += back
        self.log.say("failed over", primary=self.databases.primary.name, entries=after, at_least_back=back)

    def _entries(self) -> int:
        with suppress(psycopg.Error):
            return self.databases.entries(PARTITIONS)
        return 0

    def _fail_over_to_one_that_lags(self) -> None:
        self._fail_over()
        self.network.heal(self.databases.primary.host)
        self.databases.follow()

    # -- the end -----------------------------------------------------------------------------------------------------

    def _drain(self) -> bool:
        """Wait until all that stands in the topic is decided; say what is not."""

        def is_drained() -> bool:
            with suppress(psycopg.Error, KafkaException):
                ends = self.cluster.ends(TOPIC, PARTITIONS)
                offsets = self.databases.offsets(PARTITIONS)
                self.log.say("draining", ends=ends, offsets=offsets)
                named = self._named_partitions()
                whole = [p for p in range(PARTITIONS) if p not in named]
                # One that is decided further than its log goes has to be left, by name, before all is done.
                return all(offsets[p] == ends[p] for p in whole) and self._is_inbox_decided()
            return False

        try:
            self._wait("all to be decided", DRAIN_SECONDS, is_drained, every=1.0)
        except TimeoutError as error:
            self._wrong.append(str(error))
            return False
        return True

    def _is_inbox_decided(self) -> bool:
        if not self.plan.has_inbox:
            return True
        ends = self.databases.of_each(f"SELECT position FROM {SHOP}_{{}}.inbox_end", PARTITIONS)
        return self.databases.offsets(PARTITIONS, SHOP) == [end for (end,) in ends]

    def _post_again(self, senders: "Sequence[ToTopic | OverHttp]") -> None:
        """Look what an inbox lost that it had acknowledged, whether that was said, and have it sent again."""
        with closing(open_ledger(self._served)) as ledger:
            decided = {row.fact for row in decided_in(ledger).values()}
        lost = [told for told in self.told.acknowledged if told.by == "http" and told.fact not in decided]
        gone = self._gone()
        unsaid = [told for told in lost if not any(told.position in positions for positions in gone)]
        self.figures["acknowledged by the inbox, and lost"] = len(lost)
        self.figures["… of which no server said so"] = len(unsaid)
        self.log.say("lost", said=len(lost) - len(unsaid), unsaid=[(told.fact, told.position) for told in unsaid])
        if lost and self.plan.is_synchronous:
            self._wrong += [f"{told.fact} at {told.position} is lost, with a synchronous standby" for told in lost[:20]]
        self.told.acknowledged = [told for told in self.told.acknowledged if told.by != "http" or told.fact in decided]
        client = next(sender for sender in senders if isinstance(sender, OverHttp))
        client.again(sorted({told.fact for told in lost}))
        self._wait("what was sent again to be decided", DRAIN_SECONDS, self._is_inbox_decided)

    def _gone(self) -> list[set[tuple[int, int]]]:
        """Return the positions of which servers said that what they had acknowledged is gone."""
        found = []
        for process in self._points:
            for partition, first, last in _GONE.findall(process.log.read_text(errors="replace")):
                found.append({(int(partition), offset) for offset in range(int(first), int(last) + 1)})
        return found

    def _end_points(self) -> None:
        for process in self._points:
            code = process.end()
            self.log.say("ended at last", name=process.name, code=code)
            is_named = code == CANNOT_RUN and self._named_partitions()
            if code not in (0, ENDED_EARLY) and not is_named:
                self._wrong.append(f"{process.name} ended with exit {code} at last: {process.said[-1_000:]}")

    def _check(self) -> None:
        """Compare what was acknowledged with what is decided, and that with an undisturbed ledger of the same topic."""
        place, other = self.databases.address, self._memory / "undisturbed"
        named = self._named_partitions()
        for audit in (["verify"], ["replay"], *([] if named else [["replay", "--from-topic"]])):
            with self._noting(" ".join(audit)):
                self._point(*audit)
        with closing(open_ledger(place)) as ledger:
            decided = decided_in(ledger)
        if self.plan.has_inbox:
            self._check_inbox()
            self.told.acknowledged = [told for told in self.told.acknowledged if told.by == "kafka"]
        whole = [told for told in self.told.acknowledged if told.position[0] not in named]
        lines = faults(whole, decided, is_same_stream=not self.plan.is_unclean)
        if self.plan.is_unclean:  # what brokers lost before anybody had read it only `topics check` warns of
            with self._noting("topics check"):
                self._point("topics", "check", code=1)
            lost_unread = [line for line in lines if line.endswith("is lost")]
            self.figures["lost by the brokers before anybody read it"] = len(lost_unread)
            lines = [line for line in lines if line not in set(lost_unread)]
        self._wrong += lines[:50]
        out_of_place = [told for told in self.told.acknowledged if told.position[0] in named]
        lost = len([line for line in faults(out_of_place, decided, is_same_stream=False) if "is lost" in line])
        self.figures["partitions that were left, by name"] = sorted(named)
        self.figures["acknowledged in these, and not decided"] = lost
        self.figures["decided"] = self.figures.get("decided", 0) + len(decided)
        with self._noting("the undisturbed ledger"):
            alone = {"POINTS_LEDGER": str(other)}
            self._point("consume", "--until-end", "--no-publish", environment=alone)
            mine, undisturbed = contents(place), contents(other)
            for name, rows in undisturbed.items():
                is_left = any(name.endswith(f" {partition}") for partition in named) or (named and name == "accounts")
                if mine[name] != rows and not is_left:
                    self._wrong.append(f"{name} is not as in an undisturbed ledger")

    def _named_partitions(self) -> set[int]:
        """Return the partitions of which a consumer said that it cannot go on, and why."""
        found: set[int] = set()
        for process in self._points:
            if process.name.startswith("consumer"):
                found.update(int(number) for number in _LEFT.findall(process.log.read_text(errors="replace")))
        return found

    def _check_inbox(self) -> None:
        """Check the servers' own ledger: positions say nothing where a standby that lagged took over."""
        own = {"POINTS_LEDGER": self._served}
        for audit in (["verify"], ["replay"], ["replay", "--from-topic"]):
            with self._noting(f"{' '.join(audit)} of the servers' ledger"):
                self._point(*audit, environment=own)
        with closing(open_ledger(self._served)) as ledger:
            decided = decided_in(ledger)
        gone = set().union(*self._gone())  # what was told of these holds no more
        told = [
            replace(each, outcome="") if each.position in gone else each
            for each in self.told.acknowledged
            if each.by == "http"
        ]
        self._wrong += faults(told, decided, is_same_stream=self.plan.is_synchronous)[:50]
        self.figures["decided"] = len(decided)

    def _noting(self, what: str) -> "_Noting":
        return _Noting(what, self._wrong)

    def _figures(self, supervisor: Supervisor) -> dict[str, Any]:
        return {
            "seed": self.plan.seed,
            "minutes": self.plan.minutes,
            "replication": "synchronous" if self.plan.is_synchronous else "asynchronous",
            "client": self.plan.client,
            "sent": self.told.sent,
            "acknowledged": self.acknowledged,
            "unanswered": self.told.unanswered,
            "troubles": dict(sorted(self.troubles.items())),
            "restarts": supervisor.restarts,
            "ended": dict(sorted(self.ended.items())),
            "entries that went back": self.went_back,
            "named": self.named[:20],
            **self.figures,
        }

    def _kill_all(self) -> None:
        for process in (*self._points, *self.cluster.brokers, self.cluster.controller, *self.databases.processes):
            process.kill()

    def _wait(self, for_what: str, seconds: float, happened: Callable[[], bool], every: float = 0.2) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} seconds for {for_what}")
            time.sleep(every)


class _NotNow(Exception):
    """A trouble that does not fit the moment."""


class _Noting:
    """Notes what raises as wrong, and goes on."""

    def __init__(self, what: str, wrong: list[str]) -> None:
        self._what = what
        self._wrong = wrong

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, Exception):
            self._wrong.append(f"{self._what}: {type(error).__name__}: {error}")
            return True
        return False


def _names() -> list[str]:
    return ["controller", *(f"{group}-{n}" for group, count in GROUPS.items() for n in range(count))]


def _is_of(host: Host, wanted: str) -> bool:
    return wanted not in GROUPS or host.name.startswith(wanted)


def _nothing() -> None:
    pass
