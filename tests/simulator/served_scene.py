"""A ledger that servers share: facts come in over HTTP, wait in the inbox, and are decided by who has claimed them.

A server is the product's appender, owners, assignment and pending facts; its threads are tasks that have turns, and its
event loop goes round once in a turn. `points ingest` decides beside them.
"""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec

from consumers.clock import MOST_SECONDS, TOLERANCE
from consumers.dead_letters import dead_letters_of
from consumers.runtime import ingest
from consumers.stream import Record
from ledger.journal.ledger import INBOX
from ledger.journal.port import Claims, JournalError, Unavailable
from ledger.wire.answers import DeadLettered, Fate
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.times import DAY, to_datetime
from service.http import appender as appender_module
from service.http import assignment as assignment_module
from service.http import owners as owners_module
from service.http.appender import FactAppender
from service.http.assignment import DatabaseAssignment
from service.http.owners import Owners
from service.http.pending import Busy, Pending, PendingFacts
from service.http.repeated import decided_before
from service.http.streams import InboxStream
from tests.simulator.laws import Laws, PartitionTruth, oracle_of
from tests.simulator.ledgers import Files, SimulatedLedger, settings_of
from tests.simulator.scene import Scene, about_of, choice_by_seed
from tests.simulator.story import bad_value, first_book, later_book, tellings
from tests.simulator.ways import Ways
from tests.simulator.world import SAID, Process, Violation, World
from tests.support.histories import encode

LOOK_SECONDS = 0.5
MOST_ASKED, MOST_OF_A_CROWD = 8, 30  # requests that clients wait for together
AT_EASE, CROWDED = (
    (1, 1, 2, 1, 1, 1),
    (2, 1, 1, 1, 1, 6),
)  # how often a server does what it does, and with a crowd before it


@dataclass(eq=False)
class Request:
    """A fact that a client posts until it knows that it is durable."""

    raw: bytes
    server: "ServerProcess | None" = None
    pending: Pending | None = None
    is_durable: bool = False
    is_answered: bool = False

    def asks_again(self) -> None:
        """Forget what was tried."""
        self.server = self.pending = None


class Advice:
    """The database's advisory locks by which processes claim partitions, and what they notify each other of."""

    def __init__(self, partitions: range) -> None:
        self.holders: dict[int, Session | None] = dict.fromkeys(partitions)
        self.sessions: list[Session] = []

    def notify(self, text: str) -> None:
        for session in self.sessions:
            session.heard.append(text)


class Session(Claims):
    """A process's connection that holds its claims, until it is lost or its process ends."""

    def __init__(self, advice: Advice, process: Process) -> None:
        self._advice = advice
        self._process = process
        self.heard: deque[str] = deque()
        self.is_lost = False
        advice.sessions.append(self)

    def lost(self) -> None:
        """Whatever it held is free; its process finds out when it next asks."""
        self.is_lost = True
        if self in self._advice.sessions:
            self._advice.sessions.remove(self)
        for partition, holder in self._advice.holders.items():
            if holder is self:
                self._advice.holders[partition] = None

    def _reaches(self) -> None:
        self._process.check()
        if not self.is_lost and self._process.strikes("session-lost"):
            self.lost()
        if self.is_lost:
            raise Unavailable(f"the connection is gone {SAID}")

    def take(self, partitions: Sequence[int]) -> set[int]:
        self._reaches()
        for partition in partitions:
            self._advice.holders[partition] = self._advice.holders[partition] or self
        return {partition for partition in partitions if self._advice.holders[partition] is self}

    def release(self, partitions: Sequence[int]) -> None:
        self._reaches()
        for partition in partitions:
            if self._advice.holders[partition] is self:
                self._advice.holders[partition] = None

    def notifications(self, _seconds: float) -> list[str]:
        self._reaches()
        heard = list(self.heard)
        self.heard.clear()
        return heard

    def close(self) -> None:
        self.lost()


class SharedLedger(SimulatedLedger):
    """A ledger that several processes decide, each what it has claimed."""

    def __init__(self, files: Files, process: Process, advice: Advice) -> None:
        super().__init__(files, process)
        self._advice = advice

    def claims(self) -> Session:
        return Session(self._advice, self.process)

    def notify(self, text: str) -> None:
        self._advice.notify(text)


class _Tasks:
    """An executor of one thread: what it is given waits for a turn."""

    def __init__(self, *_: object) -> None:
        self.waiting: deque[Callable[[], Any]] = deque()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.waiting.append(partial(function, *arguments))


class _NoThread:
    """A thread that never begins: its work is done in turns."""

    def __init__(self, **_: object) -> None:
        """Take what a thread takes."""

    def start(self) -> None:
        """Do nothing."""

    def is_alive(self) -> bool:
        return False


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that goes by the world's clock."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__()

    def time(self) -> float:
        return self._world.monotonic


class ServerProcess(Process):
    """`points serve`."""

    kind = "server"

    def __init__(self, scene: "ServedScene", name: str) -> None:
        super().__init__(scene.world, name)
        self._scene = scene
        self.asked: deque[Request] = deque()
        self._ledger: SharedLedger | None = None
        self._loop: _Loop | None = None
        self._session: Session | None = None
        self._claim_at = 0.0

    def turn(self) -> None:
        """Begin, or let some of its threads go on."""
        if self._loop is None:
            self._begins()
        works = (self._loops, self._appends, self._decides, self._assigns, self._looks, self._takes)
        for work in self.world.order.choices(works, CROWDED if self._scene.is_crowded else AT_EASE, k=4):
            work()

    def _begins(self) -> None:
        ledger = SharedLedger(self._scene.files, self, self._scene.advice)
        self._loop = _Loop(self.world)
        self._loop.set_exception_handler(self._has_failed)
        with patch.object(owners_module, "ThreadPoolExecutor", _Tasks), patch.object(threading, "Thread", _NoThread):
            self._assignment = DatabaseAssignment(ledger, ledger.partitions)
            self._owners = Owners(ledger, ledger.partitions, self._assignment)
            self._in_the_loop(self._opens(ledger))
            self._owners.start(self.appender.notify)
        self._ledger = ledger

    async def _opens(self, ledger: SharedLedger) -> None:
        async def read(question: Callable[[Any], Any]) -> Any:
            return question(ledger)

        self.pending = PendingFacts(
            ledger, read, LOOK_SECONDS, lambda late: self._owners.expect(self.appender.notify, late, {})
        )
        self.appender = FactAppender(ledger, self._owners, self.pending, InboxStream(ledger))

    def _in_the_loop(self, work: Any) -> None:
        assert self._loop is not None
        self.world.writing += 1  # nobody else has a turn meanwhile: a thread runs one loop
        try:
            self._loop.run_until_complete(work)
        finally:
            self.world.writing -= 1

    def _has_failed(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.alive and error is not None:
            self._scene.violated = Violation("availability", f"{self.name}, in its loop: {error!r}")

    # -- what its threads do -----------------------------------------------------------------------------------------

    def _loops(self) -> None:
        self._in_the_loop(asyncio.sleep(0))
        self.check()

    def _appends(self) -> None:
        if self.appender._single or self.appender._bulk:
            try:
                self.appender._append(self.appender._take())
            except Exception as error:
                what = f"{self.name}: its appending thread ends: {type(error).__name__}: {error}"
                raise Violation("availability", what) from error

    def _decides(self) -> None:
        threads = [thread for thread in self._owners._threads if thread.waiting]
        if threads:
            self.world.order.choice(threads).waiting.popleft()()

    def _looks(self) -> None:
        self._owners.look(self._scene.truths)

    def _assigns(self) -> None:
        """As the assignment's own thread does, once round."""
        assignment = self._assignment
        try:
            if self._session is None:
                assert self._ledger is not None
                self._session = self._ledger.claims()
                assignment.programmes += 1
            heard = self._session.notifications(0)
            if assignment._receive(heard) or self.world.monotonic >= self._claim_at:
                assignment._claim(self._session, self.world.monotonic)
                self._claim_at = self.world.monotonic + assignment_module.CLAIM_SECONDS
        except JournalError as error:
            self._session = None
            assignment._held = frozenset()
            assignment.last_error = str(error)
            self._owners.look(self._scene.truths)

    def _takes(self) -> None:
        """A request arrives: what was decided before is answered at once, the rest is appended."""
        assert self._ledger is not None
        if not self.asked:
            return
        request = self.asked.popleft()
        try:
            fact = decode(request.raw)[0]
        except BadFact:
            request.is_durable = request.is_answered = True  # 400
            return
        try:
            if before := decided_before(self._ledger, [fact]):
                self._scene.hears(request, before[0])
                return
            request.pending = self.appender.submit([request.raw], [fact])
        except (Busy, JournalError):
            request.asks_again()

    def close(self) -> None:
        """Let go of the claims, as a process that ends does."""
        if self._session is not None:
            self._session.lost()
        if self._loop is not None:
            self._loop.close()

    def successor(self) -> "ServerProcess":
        self.close()
        return ServerProcess(self._scene, self.name)


class ClientProcess(Process):
    """Shops and members: they post facts until they know that they are durable."""

    kind = "client"

    def __init__(self, scene: "ServedScene", name: str) -> None:
        super().__init__(scene.world, name)
        self._scene = scene

    def turn(self) -> None:
        """Look at what came of the requests, and post some."""
        scene = self._scene
        for request in list(scene.requests):
            scene.looks_at(request)
        servers = [process for process in scene.processes if isinstance(process, ServerProcess)]
        for request in scene.requests:
            if request.server is None or (not request.server.alive and not request.is_durable):
                request.asks_again()
                request.server = self.world.order.choice(servers)
                request.server.asked.append(request)

    def close(self) -> None:
        """Nothing is held."""

    def successor(self) -> "ClientProcess":
        return ClientProcess(self._scene, self.name)


class IngestProcess(Process):
    """`points ingest` without files: it decides what waits and is not claimed."""

    kind = "ingest"

    def __init__(self, scene: "ServedScene", name: str) -> None:
        super().__init__(scene.world, name)
        self._scene = scene
        self._here: Any = None

    def turn(self) -> None:
        """Decide some batches, and end now and then."""
        if self._here is None:
            ledger = SharedLedger(self._scene.files, self, self._scene.advice)
            self._here = ingest._InProcess(ledger, ledger.partitions)
        for _ in islice(self._here.messages(), self.world.order.randint(1, 3)):
            pass
        if self.world.order.random() < 0.3:
            self.close()

    def close(self) -> None:
        """Leave the claims."""
        if self._here is not None:
            self._here.close()
        self._here = None

    def successor(self) -> "IngestProcess":
        if self._here is not None:
            self._here._claims.lost()
        return IngestProcess(self._scene, self.name)


class ServedScene(Scene):
    """See the module."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.chance = choice_by_seed(world.seed, "story")
        about = about_of(world.seed)
        book = first_book(self.chance, is_together=bool(about))
        partitions = self.chance.choice((1, 2, 3))
        told = tellings(self.chance, world.plan.kept, about)
        self.waiting = deque(told)
        self.facts = len(told)
        world.leap(told[0].due if told else 0)
        settings = settings_of(partitions, id="6" * 32, stream=INBOX)
        super().__init__(world, Files(settings, book))
        self.files.born(self.auditor)
        stack.enter_context(self._opened_inboxes())
        self.advice = Advice(range(partitions))
        self.requests: list[Request] = []
        self.is_crowded = choice_by_seed(world.seed, "crowd").random() < 0.5
        self.violated: Violation | None = None
        self._durable: dict[tuple[int, int], bytes] = {}
        self._fates: list[Fate] = []
        self._records: dict[int, list[Record]] = {partition: [] for partition in range(partitions)}
        self._inbox = self.ledger.inbox_of(create=True)
        self.truths = {
            p: PartitionTruth(p, self.ledger, partial(self._record, p), oracle_of(book, partitions, about))
            for p in range(partitions)
        }
        self.laws = Laws(self.files, self.ledger, self.truths)
        self.ways = Ways(self.truths, self.ledger, book, self._values)
        self.processes = [ServerProcess(self, f"server-{n}") for n in range(self.chance.choice((1, 2, 2)))]
        self.processes.append(ClientProcess(self, "client"))
        if self.chance.random() < 0.4:
            self.processes.append(IngestProcess(self, "ingest"))

    @contextmanager
    def _opened_inboxes(self) -> Iterator[None]:
        """Inboxes are the simulated ones; what a server says and prints is heard."""
        with (
            patch("consumers.local.open._open", lambda ledger, *, create=False: ledger.inbox_of(create=create)),
            patch.object(owners_module, "say", self._says),
            patch.object(appender_module, "say", self._says),
            patch.dict(os.environ, {TOLERANCE: str(MOST_SECONDS)}),  # this world's time leaps
            patch.object(owners_module, "traceback", SimpleNamespace(print_exc=self._falls_over)),
        ):
            yield

    def _says(self, text: str) -> None:
        expected = (SAID, "is left to another process", "recorded-ahead")
        if not any(part in text for part in expected):
            raise Violation("availability", text)

    def _falls_over(self) -> None:
        error = sys.exc_info()[1]
        raise Violation("availability", f"an owner falls over: {type(error).__name__}: {error}") from error

    # -- the stream --------------------------------------------------------------------------------------------------

    def _record(self, partition: int, at: int, recorded: int) -> Record | None:
        found = self._records[partition]
        if at >= len(found):
            found.extend(self._inbox.read(partition, len(found) - 1, 1 << 20))
        if at >= len(found) or found[at].offset != at:
            raise Violation("law 5", f"partition {partition}: position {at} is behind the end of its inbox")
        if found[at].recorded < recorded:
            raise Violation("law 5", f"partition {partition}: `recorded` runs back at {at}")
        return found[at]

    def _values(self, partition: int, after: int) -> list[bytes]:
        return [record.value for record in self._inbox.read(partition, after, 1 << 20)]

    # -- clients -----------------------------------------------------------------------------------------------------

    def happens(self) -> None:
        world = self.world
        most = MOST_OF_A_CROWD if self.is_crowded else MOST_ASKED
        for _ in range(world.order.choice((0, 0, 1, 4))):
            if self.waiting and len(self.requests) < most:
                self._asks()
        if world.strikes("publish-book"):
            self._publishes()
        if world.strikes("retry-letter"):
            for letter in dead_letters_of(self.ledger)[:1]:
                self.requests.append(Request(letter.raw))

    def _asks(self) -> None:
        world, chance = self.world, self.chance
        telling = self.tells_next()
        if telling is None:
            return
        delay = 0 if chance.random() < 0.9 else chance.choice((1, 3_600, 86_401, 3 * 86_400))
        world.leap(telling.due + delay * 1_000_000)
        raw = encode(telling.fact)
        self.requests.append(Request(raw))
        if world.strikes("repost"):
            self.requests.append(Request(raw))
        if world.strikes("bad-record"):
            self.requests.append(Request(bad_value(chance, telling.fact)))

    def _publishes(self) -> None:
        day = to_datetime(self.world.now + self.chance.randint(-40, 60) * DAY)
        toml = later_book(self.chance, self.files.book, day)
        fact = {
            **{"specversion": "1.0", "id": f"book-{self.chance.randrange(4)}", "source": "/operators"},
            **{"type": "programme.published.v1", "subject": "programme"},
            **{"time": to_datetime(self.world.now).isoformat(), "data": {"toml": toml, "by": "ops"}},
        }
        self.requests.append(Request(msgspec.json.encode(fact)))

    def looks_at(self, request: Request) -> None:
        """See what came of a request."""
        pending = request.pending
        if pending is not None and not request.is_durable and pending.places.done():
            if pending.places.exception() is not None:  # turned away
                request.asks_again()
                return
            self._is_durable(pending.places.result()[0], request)
        if pending is not None and pending.outcomes is not None and pending.outcomes.done() and request.is_durable:
            request.is_answered = True
            for fate in pending.outcomes.result() or ():
                self._fates.append(fate)
        is_over = request.is_durable and (request.is_answered or request.server is None or not request.server.alive)
        if is_over:
            self.requests.remove(request)

    def _is_durable(self, place: tuple[int, int], request: Request) -> None:
        request.is_durable = True
        self._durable[place] = request.raw
        self._is_there(place)

    def _is_there(self, place: tuple[int, int]) -> None:
        partition, offset = place
        found = self._inbox.read(partition, offset - 1, 1)
        is_there = bool(found) and found[0].offset == offset and found[0].value == self._durable[place]
        self.laws.law("durable", is_there, f"what was answered as durable at {partition}:{offset} is not there")

    def hears(self, request: Request, fate: Fate) -> None:
        """A client is told a decision that was made before."""
        request.is_durable = request.is_answered = True
        self._fates.append(fate)

    # -- laws --------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        if self.violated is not None:
            raise self.violated
        self.laws.check()
        self.ways.check(self.laws.law)
        fates, self._fates = self._fates, []
        for fate in fates:
            partition, offset = map(int, fate.position.split(":"))
            truth = self.truths[partition]
            self.laws.law("outcomes", offset <= truth.offset, f"{fate.position} is told, and not decided")
            if isinstance(fate, DeadLettered):
                self.laws.law("outcomes", offset in truth.letters, f"{fate.position} is told as a dead letter")
                continue
            said = {told.offset: told.link.hex() for told in truth.entries}.get(offset)
            self.laws.law("outcomes", said == fate.link, f"{fate.position}: another decision is told than was made")

    def gave_up(self, process: Any, error: Exception) -> None:
        is_busy = isinstance(process, IngestProcess) and (
            "owns this partition now" in str(error) or "claimed" in str(error)
        )
        if SAID not in str(error) and not is_busy:
            raise Violation("availability", f"{process.name} ends: {error}")
        process.close()
        self.ended(process)

    def is_quiet(self) -> bool:
        return not (self.waiting or self.requests or self.ways.on_their_way) and self.is_decided

    @property
    def is_decided(self) -> bool:
        return all(self._inbox.end(partition) == truth.offset for partition, truth in self.truths.items())

    def close_the_day(self) -> None:
        """What was answered as durable is there, whatever happened since."""
        for place in self._durable:
            self._is_there(place)

    def is_whole(self) -> bool:
        """Return True: nothing of an inbox is lost."""
        return True

    def tells_all_again(self) -> None:
        """Clients post everything once more."""
        for records in self._records.values():
            self.requests.extend(Request(record.value) for record in records)
