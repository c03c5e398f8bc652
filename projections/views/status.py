"""Where each view stands: its builds, which of them is live, and how many entries it is behind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import ViewBuild
from projections.views.files import Folder, opened
from projections.views.runner import Heads, entries_behind
from projections.views.view import View


def catalogue(views: Iterable[View]) -> list[dict[str, Any]]:
    """Every view with its queries and the columns of its tables."""
    return [
        {
            "view": view.name,
            "version": view.version,
            "about": view.about,
            "readings": [{"name": query.name, "about": query.about} for query in view.queries],
            "tables": {t.name: [*(column.name for column in t.key), *t.amounts] for t in view.tables},
        }
        for view in views
    ]


def status(ledger: Ledger, folder: Folder, views: Iterable[View]) -> list[ViewBuild]:
    """Return every build of every view, the oldest first; a view that was never built has one without a file."""
    heads = ledger.heads()
    builds: list[ViewBuild] = []
    for view in views:
        live = folder.live(view.name)
        found = [
            _build(ViewBuild(view.name, file.version, file == live, "cannot be read"), file.path, view, heads)
            for file in folder.files(view.name)
        ]
        builds.extend(found or [ViewBuild(view.name, view.version, False, "never built")])
    return builds


def _build(build: ViewBuild, path: Path, view: View, heads: Heads) -> ViewBuild:
    try:
        with opened(path, view) as file, file.reading() as batch:
            positions, is_whole = batch.positions(), batch.is_whole()
    except JournalError as error:
        return replace(build, file=path.name, problem=str(error))
    return replace(
        build,
        file=path.name,
        state="whole" if is_whole else "being built",
        entries=sum(positions.values()),
        behind=entries_behind(heads, positions),
        position={str(partition): place for partition, place in sorted(positions.items())},
        bytes=path.stat().st_size,
    )
