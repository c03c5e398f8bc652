"""A ledger made again from an archive: every decision is derived anew from its fact and has to be the archived one.

It is built under another name and takes its own when all of it is there; interrupted, the same import goes on.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path

from msgspec.structs import replace

from consumers.local.sqlite import SQLiteInbox
from consumers.runtime.split import split
from ledger.journal.durable import sync
from ledger.journal.folder import SETTINGS, FolderLedger
from ledger.journal.ledger import INBOX, OPEN
from ledger.journal.partition import FactRecord, PartitionWriter
from ledger.journal.port import DeadLetter
from ledger.journal.sql import Journal
from ledger.wire.entries import Entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import unfinished
from projections.audit.proof import Refuted
from projections.ticking import Progress
from service.archive.files import BadCopy, check_no_ledger
from service.archive.manifests import ArchivedPartition, Split, splits_behind
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
        for one in splits_behind(ledger.settings, archive.manifest.born):
            ledger = _split(archive, ledger, one, progress)
        with ledger.writing():
            _restore_all(archive, ledger, archive.manifest.partitions, progress)
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
    """Return the ledger in the making: begun now as it was born, or by an interrupted import of the same archive."""
    manifest = archive.manifest
    if (making / SETTINGS).exists():
        begun = FolderLedger.at(making)
        if (
            begun.genesis == manifest.genesis
            and begun.settings.grown == manifest.born.grown[: len(begun.settings.grown)]
        ):
            if begun.has_split_to_end():
                split(begun, 2)
            return begun
        begun.close()
        shutil.rmtree(making)
    born = replace(manifest.born, partitions=manifest.born.born_partitions, grown=())
    if born.stream == OPEN:  # nothing has fed it, and a folder's stream is its inbox
        born = replace(born, stream=INBOX)
    ledger = FolderLedger.at_or_created(making, archive.book, born)
    if (ledger.identity, ledger.genesis) != (manifest.ledger, manifest.genesis):
        shutil.rmtree(making)
        raise BadCopy(f"{archive.name}: its settings and book are not those of its ledger; take another copy")
    return ledger


def _split(archive: Archive, ledger: FolderLedger, one: Split, progress: Progress) -> FolderLedger:
    """Decide again what was decided up to a split, and split the ledger as it was; return it, opened anew."""
    parts = [
        ArchivedPartition(number, end.entries, end.link, end.offset, end.recorded, 0)
        for number, end in enumerate(one.before.ends)
    ]
    with ledger.writing():
        _restore_all(archive, ledger, parts, progress)
    split(ledger, one.partitions // one.before.partitions)
    ledger.close()
    ledger = FolderLedger.at(ledger.folder)
    if ledger.settings.grown[-1] != one.before:
        raise Refuted(f"{archive.name}: its partitions do not branch off where it says that they do")
    return ledger


def _restore_all(
    archive: Archive, ledger: FolderLedger, parts: Sequence[ArchivedPartition], progress: Progress
) -> None:
    done = 0
    for part in parts:
        begins = ledger.branch(part.partition).entries
        for entries in _restore(archive, ledger, part):
            progress(done + entries - begins)
        done += part.entries - begins


def _restore(archive: Archive, ledger: FolderLedger, part: ArchivedPartition) -> Iterator[int]:
    """Decide a partition's facts again, behind where an interrupted import stopped; yield the entries so far."""
    journal = ledger.journal(part.partition)
    if not _has(journal, part):  # one that is closed for a split has
        yield from _decide_all(archive, ledger.writer(part.partition), part)
    letters = archive.dead_letters(part.partition)
    journal.mark_retried([one.offset for one in letters if one.is_done and one.offset <= part.position])
    if not _has(journal, part):
        raise Refuted(f"partition {part.partition} of {archive.name} does not come out as its manifest says")


def _has(journal: Journal, part: ArchivedPartition) -> bool:
    head = journal.head()
    return (head.entries, head.link.hex(), head.offset) == (part.entries, part.link, part.position)


def _decide_all(archive: Archive, writer: PartitionWriter, part: ArchivedPartition) -> Iterator[int]:
    records = takewhile(lambda record: record.item.offset <= part.position, archive.records(part.partition))
    while batch := list(islice(records, RECORDS)):
        batch = [record for record in batch if record.item.offset > writer.offset]
        if batch:
            _decide(archive, writer, batch)
            yield writer.journal.head().entries
    if part.position > writer.offset:  # the stream's last records were neither facts nor dead letters
        writer.commit([], [], part.position, part.recorded)


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
