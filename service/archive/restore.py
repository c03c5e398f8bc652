"""A ledger made again from an archive: every decision is derived anew from its fact and has to be the archived one.

It is built under another name and takes its own when all of it is there; interrupted, the same import goes on.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from consumers.local.sqlite import SQLiteInbox
from ledger.journal.durable import sync
from ledger.journal.folder import SETTINGS, FolderLedger
from ledger.journal.ledger import INBOX, OPEN
from ledger.journal.partition import FactRecord, PartitionWriter
from ledger.journal.port import DeadLetter
from ledger.wire.entries import Entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import unfinished
from projections.audit.proof import Refuted
from projections.ticking import Progress
from service.archive.files import BadCopy, check_no_ledger
from service.archive.manifests import ArchivedPartition
from service.archive.reading import Archive, Archived

RECORDS = 1_000  # decided in one transaction; dead letters are up to 64 KiB each


def import_archive(archive: Archive, folder: Path, progress: Progress = lambda _: None) -> None:
    """Make a ledger from an archive in a folder that is not there yet.

    Raises `BadCopy` where it is, and `Refuted` where a decision does not follow from its fact: nothing is made then.
    """
    check_no_ledger(folder)
    making = unfinished(folder)
    ledger = _begin(archive, making)
    try:
        with ledger.writing():
            done = 0
            for part in archive.manifest.partitions:
                for entries in _restore(archive, ledger, part):
                    progress(done + entries)
                done += part.entries
            if ledger.settings.stream == INBOX:
                with closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions, create=True)) as inbox:
                    for part in archive.manifest.partitions:
                        if part.position >= 0:  # its own positions go on behind those of the archive
                            inbox.begin_behind(part.partition, part.position, part.recorded)
            ledger.close()
            making.rename(folder)
            sync(folder.absolute().parent)
    except (Refuted, BadCopy):
        shutil.rmtree(making, ignore_errors=True)
        raise


def _begin(archive: Archive, making: Path) -> FolderLedger:
    """Return the ledger in the making: begun now, or by an interrupted import of the same archive."""
    manifest = archive.manifest
    if (making / SETTINGS).exists() and FolderLedger.at(making).genesis != manifest.genesis:
        shutil.rmtree(making)
    born = manifest.born
    if born.stream == OPEN:  # nothing has fed it, and a folder's stream is its inbox
        born = replace(born, stream=INBOX)
    ledger = FolderLedger.at_or_created(making, archive.book, born)
    if (ledger.identity, ledger.genesis) != (manifest.ledger, manifest.genesis):
        shutil.rmtree(making)
        raise BadCopy(f"{archive.name}: its settings and book are not those of its ledger; take another copy")
    return ledger


def _restore(archive: Archive, ledger: FolderLedger, part: ArchivedPartition) -> Iterator[int]:
    """Decide a partition's facts again, behind where an interrupted import stopped; yield the entries so far."""
    writer = ledger.writer(part.partition)
    records = archive.records(part.partition)
    while batch := list(islice(records, RECORDS)):
        batch = [record for record in batch if record.item.offset > writer.offset]
        if batch:
            _decide(archive, writer, batch)
            yield writer.journal.head().entries
    if part.position > writer.offset:  # the stream's last records were neither facts nor dead letters
        writer.commit([], [], part.position, part.recorded)
    writer.journal.mark_retried([parked.offset for parked in archive.dead_letters(part.partition) if parked.is_done])
    head = writer.journal.head()
    if (head.entries, head.link.hex(), head.offset) != (part.entries, part.link, part.position):
        raise Refuted(f"partition {part.partition} of {archive.name} does not come out as its manifest says")


def _decide(archive: Archive, writer: PartitionWriter, batch: list[Archived]) -> None:
    facts = [_received(archive, record.item) for record in batch if isinstance(record.item, Entry)]
    parked = [record.item for record in batch if isinstance(record.item, DeadLetter)]
    last = batch[-1].item
    before = writer.journal.head().entries
    writer.commit(facts, parked, last.offset, last.recorded)
    archived = [record for record in batch if isinstance(record.item, Entry)]
    if not archived or writer.journal.head().link == archived[-1].link:
        return
    for row, record in zip(writer.journal.scan(before), archived, strict=True):
        if row.link != record.link:
            where = f"entry {row.number} of {row.member} (partition {writer.partition}, place {row.sequence})"
            raise Refuted(f"{archive.name}: {where} does not follow from the facts; nothing was restored")


def _received(archive: Archive, entry: Entry) -> FactRecord:
    try:
        fact, occurred = decode_canonical(entry.fact)
    except UNREADABLE as error:
        raise BadCopy(f"{archive.name}: entry {entry.number} of {entry.member} holds no fact: {error}") from None
    place = entry.offset, entry.recorded, entry.backlog
    return FactRecord(*place, fact, occurred, entry.fact, entry.received, entry.engine, entry.pushed)
