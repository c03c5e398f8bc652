"""A copy of an embedded ledger while it is written, and a ledger from such a copy.

Each file is copied from one consistent state by SQLite's backup interface. Journals come before the inbox: a
journal is a prefix of the inbox, and the inbox only grows, so each copied journal is a prefix of the copied inbox.

What stands beside the ledger is copied where it does no harm to be earlier or later than that. How far webhooks were
told comes before the journals, and is never ahead of them. What operators did comes behind the inbox: an approval whose
fact is not in it is given again. Its drafts' texts come behind that, and keys last. Sessions are not kept: people sign
in again. Views are made again from the journals.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from consumers.local.sqlite import SQLiteInbox
from ledger.journal.durable import sync
from ledger.journal.folder import BOOK, INBOX, SETTINGS, FolderLedger
from ledger.journal.ledger import Ledger
from ledger.journal.opening import reading_of
from projections.answers.output import output_folder
from projections.answers.sidecar import AUDITS, CHECKPOINTS
from projections.ticking import Progress
from service.archive.files import (
    BadCopy,
    File,
    Manifest,
    check_files,
    check_new,
    check_no_ledger,
    file_at,
    read_manifest,
    write_manifest,
)
from service.drafts.store import FILE as DRAFTS
from service.http.operator_lines import FILE as OPERATORS
from service.http.operator_lines import HEAD as OPERATORS_HEAD
from service.keys import FILE as KEYS
from service.webhooks.store import FILE as WEBHOOKS

FORMAT = "points-ledger.backup.v1"
MANIFEST = "backup.json"
# Beside a ledger, for its owner's eyes only.
_PRIVATE = frozenset((WEBHOOKS, KEYS, DRAFTS, OPERATORS, OPERATORS_HEAD))
PAGES = 2_048  # of SQLite, between two reports of progress


class Backup(Manifest, frozen=True, forbid_unknown_fields=True):
    """What a backup holds: of which ledger, how many entries, and its files."""

    entries: int
    files: list[File]


def back_up(ledger: Ledger, folder: Path, progress: Progress = lambda _: None) -> Backup:
    """Copy a ledger, which may be written meanwhile, into a folder that is not there yet.

    Raises `BadCopy` where it is, or where the ledger keeps its journals elsewhere.
    """
    names = [f"partition-{partition}.db" for partition in ledger.partitions]
    if not isinstance(ledger, FolderLedger):
        raise BadCopy(
            f"{ledger.name} is in a database: back it up with PostgreSQL's own tools (pg_basebackup, pg_dump)"
        )
    check_new(folder)
    with output_folder(folder) as making:
        done = 0
        making.chmod(0o700)
        beside = [WEBHOOKS] if _copy_beside(ledger.folder, making, WEBHOOKS) else []
        for name in names:
            done = _copy(ledger.folder / name, making / name, done, progress)
        # There is none where the facts come from Kafka. The journals, copied before, cannot be ahead of one made since.
        if ledger.is_inbox_made:
            names.append(INBOX)
            _copy(ledger.inbox, making / INBOX, done, progress)
        for name in (SETTINGS, BOOK):
            _copy_file(ledger.folder / name, making / name)
        beside += _copy_operators(ledger.folder, making)
        beside += [name for name in (DRAFTS, KEYS) if _copy_beside(ledger.folder, making, name)]
        beside += _copy_checkpoints(ledger.folder, making)
        entries = _entries(making)
        files = [file_at(making, name) for name in (SETTINGS, BOOK, *names, *beside)]
        backup = Backup(FORMAT, ledger.identity, entries, files)
        write_manifest(making / MANIFEST, backup)
    return backup


def restore(folder: Path, target: Path, progress: Progress = lambda _: None) -> Backup:
    """Make a ledger from a backup in a folder that is not there yet.

    Raises `BadCopy` where it is, or where a file of the backup is not as it was written: nothing is made then.
    """
    backup = read_manifest(folder / MANIFEST, Backup, FORMAT, "points backup")
    check_no_ledger(target)
    with output_folder(target) as making:
        for file in backup.files:
            (making / file.file).parent.mkdir(parents=True, exist_ok=True)
            _copy_file(folder / file.file, making / file.file)
            if file.file in _PRIVATE:
                (making / file.file).chmod(0o600)
        check_files(making, backup.files, progress, folder)
        _check_whole(backup, making, folder / MANIFEST)
    return backup


def _check_whole(backup: Backup, making: Path, manifest: Path) -> None:
    """Raise `BadCopy` unless each file of the ledger is listed, once: a journal that is missing would begin anew."""
    beside = {INBOX, *_PRIVATE}
    names = sorted(one.file for one in backup.files if one.file not in beside and not one.file.startswith(AUDITS))
    is_whole = {SETTINGS, BOOK} <= set(names)
    if is_whole:
        with closing(FolderLedger.at(making)) as ledger:
            wanted = [SETTINGS, BOOK, *(f"partition-{partition}.db" for partition in ledger.partitions)]
            is_whole = ledger.identity == backup.ledger and names == sorted(wanted)
    if not is_whole:
        raise BadCopy(f"{manifest}: does not list each file of its ledger once; take another copy of the backup")


def _copy_beside(source: Path, making: Path, name: str) -> bool:
    """Copy a database that stands beside a ledger, for its owner's eyes; return False where there is none."""
    if not (source / name).is_file():
        return False
    (making / name).touch(0o600)
    _copy(source / name, making / name, 0, lambda _: None)
    return True


def _copy_operators(source: Path, making: Path) -> list[str]:
    """Copy what operators did, as far as its lines are whole, behind the head that says how many there were."""
    found = []
    for name in (OPERATORS_HEAD, OPERATORS):
        if (source / name).is_file():
            data = (source / name).read_bytes()
            (making / name).touch(0o600)
            (making / name).write_bytes(data[: data.rfind(b"\n") + 1])
            sync(making / name)
            found.append(name)
    return found


def _copy_checkpoints(source: Path, making: Path) -> list[str]:
    """Copy the checkpoints that were handed in: nobody can sign them again as of then."""
    place = Path(AUDITS) / CHECKPOINTS
    found = sorted(path.name for path in (source / place).glob("[A-Za-z0-9]*") if path.is_file())
    if found:
        (making / place).mkdir(parents=True)
    for name in found:
        _copy_file(source / place / name, making / place / name)
    return [str(place / name) for name in found]


def _copy(source: Path, target: Path, before: int, progress: Progress) -> int:
    """Copy a database as it is now, while others write it; return the bytes done, with those `before`."""
    with reading_of(source) as connection, closing(sqlite3.connect(target)) as copy:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # reads, and so holds the state it sees
        connection.backup(
            copy, pages=PAGES, progress=lambda _, left, of: progress(before + (of - left) * size), sleep=0
        )
    sync(target)
    return before + target.stat().st_size


def _entries(folder: Path) -> int:
    """Return how many entries the ledger in a folder has. Raises `BadCopy` where a journal is ahead of its inbox."""
    with closing(FolderLedger.at(folder)) as ledger:
        heads = {partition: ledger.journal(partition).head() for partition in ledger.partitions}
    if (folder / INBOX).is_file():
        with closing(SQLiteInbox(ledger.inbox, ledger.settings.partitions)) as inbox:
            ahead = [partition for partition, head in heads.items() if head.offset > inbox.end(partition)]
        if ahead:
            raise BadCopy(f"{folder}: partition {ahead[0]} is ahead of the inbox; take another backup")
    return sum(head.entries for head in heads.values())


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise BadCopy(f"{source}: is missing; take another copy of the backup") from None
    sync(target)
