"""Entries that an archive has are dropped from the journal: what stays of each is its stub (`ledger.journal.pruned`).

An entry is dropped only where its bytes are those that the archive holds, in a file with the hash that a manifest says.
What deciding may want, or what somebody who reads entries in their order has not read yet, stays. Where a member's
account would need the entry, a snapshot is stored in the same transaction.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.evolve import evolve_entry
from ledger.journal.failpoints import failpoint
from ledger.journal.growth import parts_of
from ledger.journal.ledger import Ledger
from ledger.journal.port import Snapshot
from ledger.journal.pruned import Span, is_stub, leaf_in, stub_of
from ledger.journal.sql import Batch, Journal
from ledger.wire.entries import entry_of
from ledger.wire.entry_codec import decode_entry, leaf_of
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.follow_ups import flow_to, leaves_any, peer_of, told_in
from projections.audit.proof import Refuted
from projections.ticking import Progress
from projections.views.port import ViewStore
from service.archive.files import BadCopy
from service.archive.manifests import Month
from service.archive.reading import Archive
from service.state_store import sharing
from service.webhooks.store import are_in, webhooks_in

ROWS = 500  # of a transaction
_BY_OFFSET = "dead-letters"  # the flow that counts no entries
_COLUMNS = ("place", "member", "number", "entry", "link")

# Why an entry stays.
UNREAD = "not read yet"  # by a view, a webhook, or who is sent outcomes
UNSENT = "tells another account something that is not sent yet"
RULE_BOOK = "about the rule book"
FIRST = "a member's first"
LAST = "a partition's last"
OPEN_LOT = "opened a lot that is open"
HUGE = "of an account too large for a snapshot"

Row = tuple[int, str, int, bytes, bytes]  # sequence, member, number, bytes, link


class Reader(NamedTuple):
    """Who reads entries in their order, by name, and how many of each partition it has read."""

    name: str
    upto: dict[int, int]


class PrunedMonth(Struct, frozen=True):
    """What became of a partition's file of a month: entries pruned now and before, the bytes saved, what stays and why.

    Of a file of a partition that it branched off they are the copies that it took.

    `waits_for` is who has not read all of it.
    """

    partition: int
    month: str
    entries: int
    pruned: int
    before: int
    bytes: int
    kept: dict[str, int]
    waits_for: list[str]


def readers_of(ledger: Ledger, folder: Path | None, store: ViewStore, views: Iterable[str]) -> list[Reader]:
    """Return the views and webhooks of a ledger that read its entries. Raises `JournalError`."""
    builds = [build for view in views for build in store.builds(view)]
    found = [Reader(build.name, ledger.positions(store.positions(build))) for build in builds]
    with sharing(ledger.place) as state:
        if state is None and (folder is None or not are_in(folder)):
            return found
        with webhooks_in(state, folder) as webhooks:
            for one in webhooks.all():
                upto = {partition: told.sequence for partition, told in webhooks.told(one.name).items()}
                found.append(Reader(f"webhook {one.name}", ledger.positions(upto)))
    return found


def prune(
    ledger: Ledger,
    archive: Archive,
    before: str,
    readers: Sequence[Reader],
    progress: Progress = lambda _: None,
    *,
    is_trial: bool = False,
) -> list[PrunedMonth]:
    """Drop what an archive has of the months before one (YYYY-MM); say of each file what became of it.

    `progress` gets the entries that were looked at. A trial changes nothing. Raises `BadCopy` where the archive is not
    whole or another ledger's, and `Refuted` where it holds other entries than the journal.
    """
    manifest = archive.manifest
    if (manifest.ledger, manifest.genesis) != (ledger.identity, ledger.genesis):
        raise BadCopy(f"{archive.name}: an archive of another ledger, {manifest.ledger}; name this one's")
    found, done = [], 0
    for partition in ledger.partitions:
        pruning = _Pruning(ledger, archive, partition, readers, is_trial)
        for owner, after, upto in parts_of(ledger.settings.grown, partition):
            for month in archive.months(owner):
                if month_named(month) < before and month.first <= upto:
                    found.append(pruning.of_month(month, after, min(month.last, upto)))
                    done += found[-1].entries if owner == partition else 0
                    progress(done)
    return found


def month_named(month: Month) -> str:
    """Return the text of a file's month: YYYY-MM."""
    return month.file.rpartition("/")[2][:7]


class _Need(NamedTuple):
    """What an account needs of its entries.

    They are those behind a number, and those that opened its open lots; `snapshot` is to be stored with what is pruned.
    """

    upto: int
    opened: frozenset[int]
    snapshot: Snapshot | None

    def why_of(self, number: int) -> str:
        """Return why an entry is needed, "" where it is not."""
        return HUGE if number > self.upto else OPEN_LOT if number in self.opened else ""


_NONE = _Need(1 << 62, frozenset(), None)  # of who is at home in another partition now, which has copies


def _needs(batch: Batch, members: Sequence[str]) -> Iterator[tuple[str, _Need]]:
    """Yield of each member what the account needs of its entries."""
    batch.prefetch(members, ())
    for member, (state, behind) in zip(members, batch.accounts(members), strict=True):
        account = decode_account(state) if state is not None else Account()
        upto, snapshot = account.number, None
        for entry in map(decode_entry, behind):
            evolve_entry(account, entry)
        if behind:
            with suppress(OverflowError):
                snapshot = Snapshot(member, account.number, encode_account(account))
                upto = account.number
        opened = frozenset(entry_of(lot) for purse in account.purses.values() for lot in purse.lots)
        yield member, _Need(upto, opened, snapshot)


class _Pruning:
    """A partition that is pruned."""

    def __init__(
        self, ledger: Ledger, archive: Archive, partition: int, readers: Sequence[Reader], is_trial: bool
    ) -> None:
        self._archive = archive
        self._partition = partition
        self._is_home = partial(ledger.is_home, partition)
        self._is_trial = is_trial
        self._journal: Journal = ledger.journal(partition)
        self._head = self._journal.head().entries
        self._took = ledger.took_copies(partition)
        peers = ("", *ledger.settings.peers)
        upto = self._journal.published_upto
        self._sent = {peer: upto(flow_to(peer)) for peer in peers}
        chain_of = [ledger.journal(owner) for owner, _, _ in parts_of(ledger.settings.grown, partition)]
        flows = {name for journal in chain_of for name in journal.flows()} - {_BY_OFFSET, *map(flow_to, peers)}
        self._read_by = {name: upto(name) for name in flows}
        self._read_by |= {reader.name: reader.upto.get(partition, 0) for reader in readers}

    def of_month(self, month: Month, after: int, upto: int) -> PrunedMonth:
        """Drop what may be dropped of a file's entries behind a sequence up to another."""
        span = Span(month.first, upto, month_named(month), self._archive.name)
        why: Counter[str] = Counter()
        entries = pruned = before = saved = 0
        pairs = self._compared(month, after, upto)
        while some := list(islice(pairs, ROWS)):
            free = []
            entries += len(some)
            for row in some:
                if is_stub(row[3]):
                    before += 1
                elif reason := self._wanted(row):
                    why[reason] += 1
                else:
                    free.append(row)
            if free:
                stubs = self._drop(span, free, why)
                pruned += len(stubs)
                saved += sum(len(row[3]) - len(stubs[row[0]]) for row in free if row[0] in stubs)
        late = [name for name, read in self._read_by.items() if read <= upto]
        return PrunedMonth(self._partition, span.month, entries, pruned, before, saved, dict(sorted(why.items())), late)

    def _compared(self, month: Month, after: int, upto: int) -> Iterator[Row]:
        """Yield a file's entries as the journal has them. Raises `Refuted` where the archive has others.

        Of another partition's file they are those of which the journal took copies.
        """
        stored = chain.from_iterable(self._journal.own_rows_of(max(month.first - 1, after), upto))
        for there in self._archive.rows(month, _COLUMNS):
            if not after < there[0] <= upto or (month.partition != self._partition and not self._took(there[1])):
                continue
            here = next(stored, None)
            if here is None or (*here[:3], leaf_in(here[3]), here[4]) != (*there[:3], leaf_of(there[3]), there[4]):
                raise Refuted(
                    f"{self._archive.place.at(month.file)}: entry {there[0]:,} of partition {self._partition}"
                    " is not the journal's; run `points verify`, and with --from-archive"
                )
            yield here

    def _wanted(self, row: Row) -> str:
        """Return why an entry stays whatever the account says, "" where it may go."""
        sequence, member, number, state, _ = row
        if any(upto <= sequence for upto in self._read_by.values()):
            return UNREAD
        if member == PROGRAMME_SUBJECT:
            return RULE_BOOK
        if number == 1 and self._is_home(member):
            return FIRST
        if sequence >= self._head:  # whoever consumes compares it with the topic
            return LAST
        if leaves_any(state):
            peers = {peer_of(told) for told in told_in(decode_entry(state))}
            if any(self._sent.get(peer, 0) < sequence for peer in peers):
                return UNSENT
        return ""

    def _drop(self, span: Span, rows: list[Row], why: Counter[str]) -> dict[int, bytes]:
        """Let stubs stand in place of those that no account needs; return them by sequence."""
        with self._journal.amending() as batch:
            needs = dict(_needs(batch, sorted(filter(self._is_home, {row[1] for row in rows}))))
            stubs = {}
            for sequence, member, number, state, _ in rows:
                if reason := needs.get(member, _NONE).why_of(number):
                    why[reason] += 1
                else:
                    stubs[sequence] = stub_of(state)
            if not self._is_trial and stubs:
                batch.put_accounts([need.snapshot for need in needs.values() if need.snapshot is not None])
                batch.put_stubs(span, [(stub, sequence) for sequence, stub in stubs.items()])
                failpoint("prune-rows")
        if not self._is_trial:
            failpoint("pruned-rows")
        return stubs
