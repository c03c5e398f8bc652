"""What archives and backups share: a manifest that lists files with their lengths and hashes."""

from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ledger.errors import Unusable
from ledger.wire.unreadable import UNREADABLE
from projections.answers.output import output_file
from projections.ticking import Progress

MOST_BYTES = 64 << 20  # of a manifest

Count = Annotated[int, Meta(ge=0, le=1 << 62)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_NAMES = (
    r"ledger\.json|book\.toml|inbox\.db|partition-[0-9]{1,4}\.db"
    r"|parked/partition-[0-9]{1,4}(\.[0-9]{6,12}-[0-9a-f]{16})?\.parquet"
    r"|entries/partition-[0-9]{1,4}/[0-9]{4}-[0-9]{2}(\.[0-9]{12,19}(-[0-9]{6,12})?-[0-9a-f]{16})?\.parquet"
    r"|keys\.db|webhooks\.db|drafts\.db|operators\.(ndjson|head)|audits/checkpoints/[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
)
Name = Annotated[str, Meta(pattern=f"^({_NAMES})$")]  # below the folder, and nowhere else


class BadCopy(Unusable):
    """An archive or backup that is not whole, or cannot be made or used: which file, and the way out."""


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What every manifest says first."""

    format: str
    ledger: str


M = TypeVar("M", bound=Manifest)


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that a manifest lists."""

    file: Name
    bytes: Count
    sha256: Hash


def file_at(folder: Path, name: str) -> File:
    """Return a file of a folder as it is now. Raises `OSError`."""
    return file_of(folder / name, name)


def file_of(path: Path, name: str) -> File:
    """Return a file as it is now, to be listed under a name. Raises `OSError`."""
    with path.open("rb") as file:
        return File(name, path.stat().st_size, file_digest(file, "sha256").hexdigest())


def check_files(folder: Path, files: Sequence[File], progress: Progress, named: Path | None = None) -> None:
    """Raise `BadCopy` unless each file of a folder is as a manifest lists it; `named` is the folder that is blamed."""
    done = 0
    for file in files:
        check_file(folder / file.file, file, str((named or folder) / file.file))
        done += file.bytes
        progress(done)


def check_file(path: Path, file: File, named: str) -> None:
    """Raise `BadCopy` unless a file is as a manifest lists it; `named` is what is blamed."""
    try:
        found = file_of(path, file.file)
    except OSError as error:
        raise BadCopy(f"{named}: {error.strerror}; take another copy of it") from None
    if found != file:
        what = f"has {found.bytes:,} bytes of {file.bytes:,}" if found.bytes != file.bytes else "was changed"
        raise BadCopy(f"{named}: {what} after it was made; take another copy of it")


def write_manifest(path: Path, manifest: Struct) -> None:
    """Write a manifest as JSON laid out for people."""
    with output_file(path) as out:
        out.write(manifest_text(manifest))


def check_new(folder: Path) -> None:
    """Raise `BadCopy` where a folder to be made is there already."""
    if folder.exists():
        raise BadCopy(f"{folder} is there already; name a folder that is to be made")


def check_no_ledger(folder: Path) -> None:
    """Raise `BadCopy` where something is in a folder in which a ledger is to be made."""
    if folder.exists() and any(folder.iterdir()):
        raise BadCopy(f"{folder} is there already; name a ledger that is to be made: --ledger DIR")


def read_manifest(path: Path, kind: type[M], wanted: str, made_by: str) -> M:
    """Return the manifest of a format. Raises `BadCopy` where it is missing, damaged or of another format."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise BadCopy(f"{path}: {error.strerror}; give a folder that `{made_by}` made") from None
    return decode_manifest(str(path), content, kind, (wanted,))


def decode_manifest(named: str, content: bytes, kind: type[M], wanted: Sequence[str]) -> M:
    """Return the manifest of one of some formats. Raises `BadCopy` where it is damaged or of another format."""
    try:
        manifest = msgspec.json.decode(content, type=kind)
    except UNREADABLE as error:
        raise BadCopy(f"{named}: damaged, or no manifest ({error}); take another copy of it") from None
    if manifest.format not in wanted:
        raise BadCopy(f'{named}: format "{manifest.format[:100]}"; this version of points reads {" and ".join(wanted)}')
    return manifest


def manifest_text(manifest: Struct) -> bytes:
    """Return a manifest as JSON laid out for people."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
