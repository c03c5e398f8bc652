"""Those who send facts, whatever happens, and keep what they were told: to the topic, and over HTTP."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

import httpx
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ledger.journal.partitioning import Partitioner
from tests.support.histories import encode

MEMBERS = 60
_WEIGHTS = {"grant": 5, "order": 5, "redeem": 6, "hold": 2, "sign_in": 2, "again": 1}
PRODUCER_PAUSE, CLIENT_PAUSE = 0.02, 0.15  # seconds, at least, between two facts
ANSWER_SECONDS = 15.0
FLUSH_SECONDS = 120.0
_GIVEN_BACK = 10.0  # seconds for which a client goes on asking after the end, so that its last fact is answered

Key = tuple[str, str, str]  # source, id, member


@dataclass(frozen=True)
class Acknowledged:
    """A fact that its sender was told to be kept: where, what of its bytes, and what it was told to have come to."""

    fact: Key
    position: tuple[int, int]  # an offset of -1 is not known
    sha256: bytes
    by: str  # kafka, or http
    outcome: str = ""  # where it was told
    reason: str = ""
    number: int = 0
    is_repeated: bool = False


@dataclass
class Told:
    """All that the senders were told; for several threads."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    sent: int = 0
    unanswered: int = 0  # sent, and nobody said whether it was kept
    values: dict[Key, bytes] = field(default_factory=dict)  # of the facts that were posted
    wrong: list[str] = field(default_factory=list)  # answers that no trouble accounts for


def _to_the_end(run: Callable[[], None], told: Told) -> None:
    """Run a sender; one that falls over is told of, since nothing is proved without its facts."""
    try:
        run()
    except Exception as error:
        told.wrong.append(f"a sender fell over: {type(error).__name__}: {error}")


class Story:
    """Makes up facts of a sender: grants, orders, redemptions, holds, some of them again, a few that are none."""

    def __init__(self, seed: int, source: str) -> None:
        self.source = source
        self._chance = Random(seed)
        self._count = 0
        self._last: list[tuple[Key, bytes]] = []

    def next(self, *, with_poison: bool) -> tuple[Key, bytes]:
        """Return a fact of now, by what names it and its bytes."""
        self._count += 1
        name, chance = f"{self.source}-{self._count}", self._chance
        member = f"m-{chance.randrange(MEMBERS)}"
        if with_poison and chance.random() < 0.01:
            return ("", name, member), b'{"id":"' + name.encode()
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if kind == "again" and self._last:
            return chance.choice(self._last)
        line = {"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": chance.randrange(1, 900_000)}
        type_, data = {
            "grant": ("campaign.granted", {"grant": name, "campaign": "c", "points": chance.randrange(1, 2_000)}),
            "order": ("order.completed", {"order": name, "lines": [line]}),
            "redeem": (
                "redemption.requested",
                {"redemption": name, "points": chance.randrange(1, 900), "use": "coupon"},
            ),
            "hold": (
                "hold.requested",
                {"hold": name, "kind": "beans", "points": 5, "until": "2099-01-01T00:00:00+08:00"},
            ),
        }.get(kind, ("member.signed-in", {}))
        fact = {"specversion": "1.0", "id": name, "source": self.source, "type": f"{type_}.v1", "subject": member}
        value = encode({**fact, "time": datetime.now(UTC).isoformat(), "data": data})
        self._last = [*self._last[-30:], ((self.source, name, member), value)]
        return self._last[-1]


class Sender:
    """Sends in a thread of its own until it is ended; `_run` is what it does."""

    def __init__(self, name: str, told: Told) -> None:
        self._told = told
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=_to_the_end, args=(self._run, told), name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Send no more, and wait for what is in flight."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError


class ToTopic(Sender):
    """Produces to the topic of facts, with all replicas acknowledging, in a thread of its own."""

    def __init__(self, seed: int, servers: str, topic: str, partitions: int, told: Told) -> None:
        self._story = Story(seed, "/shop/topic")
        self._servers = servers
        self._topic = topic
        self._partition_of = Partitioner(partitions)
        super().__init__("producer", told)
        self._flying = 0

    def _run(self) -> None:
        producer = self._new()
        while not self._is_over.is_set():
            fact, value = self._story.next(with_poison=True)
            place = self._partition_of(fact[2])
            callback = partial(self._delivered, fact, sha256(value).digest())
            try:
                producer.produce(self._topic, value, fact[2].encode(), place, callback)
                self._told.sent += 1
                self._flying += 1
            except BufferError:
                producer.poll(0.5)
                continue
            except KafkaException:  # fatal: an idempotent producer cannot tell any more what stands in the log
                producer = self._anew(producer)
            producer.poll(0)
            self._is_over.wait(PRODUCER_PAUSE)
        with suppress(KafkaException, SystemError):  # after a fatal error the library may raise either
            producer.flush(FLUSH_SECONDS)
        self._told.unanswered += self._flying

    def _anew(self, producer: Producer) -> Producer:
        producer.purge()
        producer.poll(0)
        return self._new()

    def _new(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._servers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": 0,
                "socket.timeout.ms": 4_000,
                "topic.metadata.refresh.interval.ms": 1_000,
                "metadata.max.age.ms": 3_000,
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": 20_000,
                "log_level": 0,
            }
        )

    def _delivered(self, fact: Key, digest: bytes, error: KafkaError | None, message: Message) -> None:
        self._flying -= 1
        if error is not None:
            self._told.unanswered += 1
            return
        partition, offset = message.partition(), message.offset()  # None where the brokers had it already
        position = (-1 if partition is None else partition, -1 if offset is None else offset)
        self._told.acknowledged.append(Acknowledged(fact, position, digest, "kafka"))


class OverHttp(Sender):
    """Posts facts to whichever server answers, each until it is told that it is kept, in a thread of its own."""

    def __init__(self, seed: int, number: int, urls: Sequence[str], key: str, told: Told) -> None:
        self._story = Story(seed, f"/shop/http-{number}")
        self._urls = list(urls)
        self._key = key
        super().__init__(f"client-{number}", told)
        self._at = number  # of the server that is asked

    def _run(self) -> None:
        with self._client() as client:
            while not self._is_over.wait(CLIENT_PAUSE):
                fact, value = self._story.next(with_poison=False)
                self._told.sent += 1
                self._told.values[fact] = value
                if not self._post(client, fact, value):
                    self._told.unanswered += 1

    def again(self, facts: Sequence[Key]) -> None:
        """Post facts again that were posted before, as senders do with what they were told is gone."""
        with self._client() as client:
            for fact in facts:
                if not self._post(client, fact, self._told.values[fact]):
                    self._told.unanswered += 1

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        return httpx.Client(headers=headers, timeout=ANSWER_SECONDS, trust_env=False)

    def _post(self, client: httpx.Client, fact: Key, value: bytes) -> bool:
        """Post until it is answered; False where it was not, to the end."""
        over_at = 0.0
        address = "/v1/redemptions" if b"redemption.requested" in value else "/v1/facts"
        while not over_at or time.monotonic() < over_at:
            if self._is_over.is_set() and not over_at:
                over_at = time.monotonic() + _GIVEN_BACK
            try:
                answer = client.post(self._urls[self._at % len(self._urls)] + address, content=value)
            except httpx.TransportError:
                self._at += 1
                time.sleep(0.2)
                continue
            if answer.status_code in (429, 503):
                self._at += 1
                time.sleep(0.5)
                continue
            return self._take(fact, value, answer)
        return False

    def _take(self, fact: Key, value: bytes, answer: httpx.Response) -> bool:
        document: dict[str, Any] = {}
        with suppress(json.JSONDecodeError):
            document = answer.json()
        is_refused = answer.status_code == 409 and document.get("type") == "/problems/refused"
        if answer.status_code not in (200, 202) and not is_refused:
            self._told.wrong.append(f"{fact[1]}: {answer.status_code} {answer.text[:300]}")
            return True
        text = document.get("position") or answer.headers["Location"].rpartition("/")[2]
        partition, _, offset = text.partition(":")
        outcome = "refused" if is_refused else document.get("outcome", "")
        self._told.acknowledged.append(
            Acknowledged(
                fact,
                (int(partition), int(offset)),
                sha256(value).digest(),
                "http",
                outcome if answer.status_code != 202 else "",
                document.get("reason") or "",
                int(document.get("number") or 0),
                bool(document.get("repeated")),
            )
        )
        return True
