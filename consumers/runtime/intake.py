"""From records to entries: records are decoded and checked, invalid facts are dead-lettered, the rest is decided.

The intake is the same for every stream, and reads no clock: `recorded` was set when the stream took the record.
"""

from collections.abc import Container, Sequence
from hashlib import sha256

from consumers.runtime.outcomes import DecidedRecord
from consumers.stream import AHEAD, Record, Stream
from ledger.journal.partition import FactRecord, PartitionWriter, Tally, Undecidable
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import Parked
from ledger.wire.fact_catalogue import GRANTOR_FACTS, OPERATOR_FACTS
from ledger.wire.fact_codec import BadFact, canonical, decode, too_long
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact, ProgrammePublished
from ledger.wire.times import SECOND, to_instant

MAX_AHEAD = 300 * SECOND  # how much later than recorded a fact may have occurred
BATCH = 8_000  # records, and
BATCH_BYTES = 8 << 20  # of them, in one transaction at most
KEPT_WHOLE = 64 * 1024  # bytes of a dead letter that are kept
UNDECIDABLE = "undecidable"

_FAULTS = {
    fault.reason: fault
    for fault in (
        BadFact("empty", "the record has no value (a tombstone); a fact is never deleted"),
        BadFact("no-key", "the record has no key that is UTF-8; a fact's key is its subject"),
        BadFact("not-stamped", "the producer made its timestamp; the topic wants message.timestamp.type=LogAppendTime"),
        BadFact("untrusted-backlog", "it declares when it was recorded, which is not taken here (`takes_backlog`)"),
    )
}


class Intake:
    """Checks a partition's records and has its writer decide them, a batch at a time.

    `decoded` holds facts by offset, with their bytes, that were decoded before they were appended: they are not decoded
    again. `wanted` holds offsets; what is decided at one of them is put into `decided`.
    """

    def __init__(
        self,
        stream: Stream,
        writer: PartitionWriter,
        operators: Sequence[str],
        partitioner: Partitioner,
        *,
        grantors: Sequence[str] = (),
        batch: int = BATCH,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._operators = frozenset(operators)
        self._grantors = frozenset(grantors)
        self._partitioner = partitioner
        self._batch = batch
        self._batch_bytes = batch_bytes
        self.decoded: dict[int, tuple[bytes, Fact]] = {}
        self.wanted: Container[int] = ()
        self.decided: list[DecidedRecord] = []
        writer.on_entries = self._keep_wanted

    @property
    def position(self) -> int:
        """The offset of the last record decided."""
        return self._writer.offset

    def read(self) -> Sequence[Record]:
        """The records that stand next, a batch at most."""
        writer = self._writer
        return self._stream.read(writer.partition, writer.offset, self._batch, self._batch_bytes)

    def step(self) -> Tally | None:
        """Decide the next batch of records; None where nothing waits."""
        records = self.read()
        return self.take(records) if records else None

    def take(self, records: Sequence[Record]) -> Tally:
        """Decide records that stand next in the partition."""
        facts: list[FactRecord] = []
        parked: list[Parked] = []
        for record in records:
            try:
                facts.append(self._check(record))
            except BadFact as bad:
                parked.append(_park(record, bad))
        last = records[-1]
        tally = Tally()
        while True:
            try:
                tally.add(self._writer.commit(facts, parked, last.offset, last.recorded))
            except Undecidable as bug:
                tally.add(bug.tally)
                record = next(record for record in records if record.offset == bug.offset)
                self._want_parked(parked, self.position)
                parked.append(_park(record, BadFact(UNDECIDABLE, f"{bug}; report it, and retry once that is mended")))
                done = self.position
                facts = [fact for fact in facts if fact.offset > done and fact.offset != bug.offset]
                parked = sorted((letter for letter in parked if letter.offset > done), key=lambda letter: letter.offset)
            else:
                self._want_parked(parked, last.offset)
                return tally

    def _check(self, record: Record) -> FactRecord:
        if record.fault:
            fault = _FAULTS[record.fault]
            raise BadFact(fault.reason, fault.detail)
        if record.whole_length:
            raise too_long(record.whole_length)
        value = record.value
        raw, fact = self.decoded.pop(record.offset, _NOTHING) if self.decoded else _NOTHING
        if fact is not None and raw == value:
            occurred = to_instant(fact.time)
        else:
            fact, occurred = decode(value)
        check_admissible(
            fact,
            occurred,
            record.recorded,
            self._operators,
            grantors=self._grantors,
            is_ahead=record.backlog & AHEAD != 0,
        )
        subject = fact.subject
        if record.key != subject:
            raise BadFact("wrong-key", f'the record\'s key is not its subject "{subject}"')
        if self._partitioner(subject) != self._writer.partition and type(fact) is not ProgrammePublished:
            raise BadFact("wrong-partition", f'"{subject}" belongs to partition {self._partitioner(subject)}')
        received = sha256(value).digest()
        return FactRecord(
            record.offset, record.recorded, record.backlog != 0, fact, occurred, canonical(fact), received
        )

    def _keep_wanted(self, facts: Sequence[FactRecord], states: Sequence[bytes], links: Sequence[bytes]) -> None:
        if self.wanted:
            for fact, state, link in zip(facts, states, links, strict=True):
                if fact.offset in self.wanted:
                    self.decided.append(DecidedRecord(fact.offset, state, link))

    def _want_parked(self, parked: Sequence[Parked], upto: int) -> None:
        """Keep the wanted ones of those that were committed by now."""
        if self.wanted:
            self.decided.extend(
                DecidedRecord(letter.offset, letter, b"")
                for letter in parked
                if letter.offset <= upto and letter.offset in self.wanted
            )


_NOTHING: tuple[bytes, None] = (b"", None)


def check_admissible(
    fact: Fact,
    occurred: int,
    recorded: int,
    operators: Container[str],
    *,
    grantors: Container[str] = (),
    is_ahead: bool = False,
) -> None:
    """Raise `BadFact` for a fact from the future, of an operator who is none, or under the programme's subject.

    `grantors` are the sources that may grant tiers besides the operators. `is_ahead` says that its importer
    saw it to be from the future.
    """
    if is_ahead or occurred > recorded + MAX_AHEAD:
        raise BadFact(
            "future", f"`time` is {fact.time.isoformat()}, more than five minutes ahead of when it was recorded"
        )
    if (type(fact) is ProgrammePublished) != (fact.subject == PROGRAMME_SUBJECT):
        raise BadFact("bad-fact", f'the subject "{PROGRAMME_SUBJECT}" belongs to programme.published.v1 alone')
    may_grant = type(fact) in GRANTOR_FACTS and fact.source in grantors
    if type(fact) in OPERATOR_FACTS and fact.source not in operators and not may_grant:
        raise BadFact("not-authorised", f'"{fact.source}" is not one of the ledger\'s operators')


def _park(record: Record, bad: BadFact) -> Parked:
    value = record.value
    length = record.whole_length or len(value)
    digest = record.whole_sha256 or sha256(value).digest()
    return Parked(record.offset, record.recorded, bad.reason, bad.detail[:1000], length, digest, value[:KEPT_WHOLE])
