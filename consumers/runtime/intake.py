"""From records to facts: records are decoded and checked, and invalid facts are dead-lettered.

The intake is the same for every stream, and reads no clock: `recorded` was set when the stream took the record.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from hashlib import sha256
from itertools import repeat
from typing import Any, NamedTuple, cast

from consumers.stream import AHEAD, OUTSIDE, UNTRUSTED_BACKLOG, Record
from ledger.journal.ledger import Settings
from ledger.journal.native import plain_intake
from ledger.journal.partition import FactRecord
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import KEPT_WHOLE, DeadLetter
from ledger.wire.entries import ENGINE
from ledger.wire.fact_catalogue import BETWEEN_LEDGERS, FOLLOW_UPS, GRANTOR_FACTS, OPERATOR_FACTS, PARTNER_FACTS
from ledger.wire.fact_codec import BadFact, canonical, decode, too_long
from ledger.wire.facts import PROGRAMME_SUBJECT, Fact, FollowUp, MemberMerged, ProgrammePublished
from ledger.wire.follow_ups import is_from_ledger, is_of_peer, source_of
from ledger.wire.times import SECOND, to_instant

MAX_AHEAD = 300 * SECOND  # how much later than recorded a fact may have occurred
GUEST = "guest/"  # how the name of an account begins that somebody has who is no member yet

_FAULTS = {
    "empty": "the record has no value (a tombstone); a fact is never deleted",
    "no-key": "the record has no key that is UTF-8; a fact's key is its subject",
    "not-stamped": "the producer made its timestamp; the topic wants message.timestamp.type=LogAppendTime",
    "untrusted-backlog": "it declares when it was recorded, which is not taken here (`takes_backlog`)",
}


class Sources(NamedTuple):
    """The sources whose word counts, as a ledger's settings name them: operators, and who may say some of it besides.

    `grantors` may grant tiers, `partners` answer to exchanges, `claimers` have a guest's account become a member's.
    `peers` are no sources: ledgers, by their names, whose accounts may tell those of this one some things.
    """

    operators: frozenset[str] = frozenset()
    grantors: frozenset[str] = frozenset()
    peers: frozenset[str] = frozenset()
    partners: frozenset[str] = frozenset()
    claimers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> "Sources":
        """Return those that the settings of a ledger name."""
        return cls(*(frozenset(getattr(settings, field)) for field in cls._fields))

    def may_say(self, fact: Fact) -> bool:
        """Return True if a fact that not everybody may give is from a source which may."""
        if type(fact) in OPERATOR_FACTS:
            return fact.source in self.operators or self.are_named_for(fact)
        return type(fact) not in PARTNER_FACTS or fact.source in self.partners

    def are_named_for(self, fact: Fact) -> bool:
        """Return True if the source of an operators' fact is none of theirs, but may give this one."""
        if isinstance(fact, MemberMerged):
            return fact.source in self.claimers and fact.subject.startswith(GUEST) and fact.subject != GUEST
        return type(fact) in GRANTOR_FACTS and fact.source in self.grantors


class Intake(NamedTuple):
    """What the checks of a partition's records go by."""

    partition: int
    partitioner: Partitioner
    sources: Sources
    born_in: Partitioner | None = None  # the partition that an account was born in, where that may be another one
    read_plain: Callable[[Sequence[Record]], Sequence[FactRecord | None]] | None = None  # the native engine's

    def with_native(self, module: Any) -> "Intake":
        """Return the same, with the native engine's module reading the facts that are plain."""
        partitions = self.partitioner.partitions
        read = plain_intake(module, self.partition, partitions, self.sources.operators, self.sources.grantors)
        return self._replace(read_plain=read)

    def take(
        self, records: Sequence[Record], decoded: dict[int, tuple[bytes, Fact]]
    ) -> tuple[list[FactRecord], list[DeadLetter]]:
        """Return the facts of records, and a dead letter for each that is none; `decoded` as `check` has it."""
        facts: list[FactRecord] = []
        parked: list[DeadLetter] = []
        read: Iterable[FactRecord | None] = repeat(None)
        if self.read_plain is not None:
            read = found = self.read_plain(records)
            if not decoded and None not in found:
                return cast(list[FactRecord], found), parked
        for record, fact in zip(records, read, strict=False):
            if fact is not None:
                decoded.pop(record.offset, None)
                facts.append(fact)
                continue
            try:
                facts.append(self.check(record, decoded))
            except BadFact as bad:
                parked.append(dead_lettered(record, bad))
        return facts, parked

    def check(self, record: Record, decoded: dict[int, tuple[bytes, Fact]]) -> FactRecord:
        """Return the fact of a record, decoded unless `decoded` has it by its offset. Raises `BadFact`."""
        if record.fault and record.fault != UNTRUSTED_BACKLOG:
            raise BadFact(record.fault, record.detail or _FAULTS[record.fault])
        if record.whole_length:
            raise too_long(record.whole_length)
        value = record.value
        raw, fact = decoded.pop(record.offset, _NOTHING) if decoded else _NOTHING
        if fact is not None and raw == value:
            occurred = to_instant(fact.time)
        else:
            fact, occurred = decode(value)
        if record.fault and type(fact) not in FOLLOW_UPS:
            raise BadFact(record.fault, _FAULTS[record.fault])
        is_ahead = record.backlog & AHEAD != 0
        stamped = record.recorded - record.pushed
        told_by = (self.born_in or self.partitioner) if not record.backlog & OUTSIDE else None
        check_admissible(
            fact,
            occurred,
            stamped,
            self.sources,
            is_ahead=is_ahead,
            told_by=told_by,
        )
        subject = fact.subject
        if record.key != subject:
            raise BadFact("wrong-key", f'the record\'s key is not its subject "{subject}"')
        if self.partitioner(subject) != self.partition and type(fact) is not ProgrammePublished:
            raise BadFact("wrong-partition", f'"{subject}" belongs to partition {self.partitioner(subject)}')
        digest = sha256(value).digest()
        kept, is_backlog = canonical(fact), record.backlog != 0
        return FactRecord(
            record.offset, record.recorded, is_backlog, fact, occurred, kept, digest, ENGINE, record.pushed
        )


_NOTHING: tuple[bytes, None] = (b"", None)


def check_admissible(
    fact: Fact,
    occurred: int,
    recorded: int,
    sources: Sources,
    *,
    is_ahead: bool = False,
    told_by: Callable[[str], int] | None = None,
) -> None:
    """Raise `BadFact` for a fact from the future, of a source that may not give it, or under the programme's subject.

    `is_ahead` says that its importer saw it to be from the future. `told_by` is the partition of an account, where
    accounts of the ledger may tell each other things, and those of its peers may tell them some.
    """
    if is_from_ledger(fact) or type(fact) in FOLLOW_UPS:
        _check_follow_up(fact, told_by, sources.peers)
        return
    if is_ahead or occurred > recorded + MAX_AHEAD:
        raise BadFact(
            "future", f"`time` is {fact.time.isoformat()}, more than five minutes ahead of when it was recorded"
        )
    if (type(fact) is ProgrammePublished) != (fact.subject == PROGRAMME_SUBJECT):
        raise BadFact("bad-fact", f'the subject "{PROGRAMME_SUBJECT}" belongs to programme.published.v1 alone')
    if not sources.may_say(fact):
        if type(fact) in PARTNER_FACTS:
            raise BadFact("not-authorised", f'"{fact.source}" is not one of the ledger\'s partners')
        raise BadFact("not-authorised", f'"{fact.source}" is not one of the ledger\'s operators')


def _check_follow_up(fact: Fact, told_by: Callable[[str], int] | None, peers: Container[str]) -> None:
    """Raise `BadFact` for a source of the ledger's own accounts that is none, or that may not say this."""
    if not isinstance(fact.data, FollowUp):
        raise BadFact("not-authorised", f'"{fact.source}" is the source of what accounts of a ledger tell each other')
    if type(fact) in BETWEEN_LEDGERS:
        may_say = told_by is not None and is_of_peer(fact.source, peers)
    else:
        teller = fact.id.rpartition(":")[0]  # whoever left it, perhaps under another name: `frm`
        may_say = told_by is not None and fact.source == source_of(told_by(teller))
    if not may_say or fact.subject == PROGRAMME_SUBJECT:
        raise BadFact(
            "not-authorised",
            f"\"{fact.source}\" is no source of this ledger's own accounts, or of a peer's, that says this",
        )


def dead_lettered(record: Record, bad: BadFact) -> DeadLetter:
    """Return the dead letter of a record: of long bytes the beginning, with the whole length and hash."""
    value = record.value
    length = record.whole_length or len(value)
    digest = record.whole_sha256 or sha256(value).digest()
    return DeadLetter(record.offset, record.recorded, bad.reason, bad.detail[:1000], length, digest, value[:KEPT_WHOLE])
