"""Where each view stands: its builds, which of them is live, and how many entries it is behind."""

from collections.abc import Iterable
from typing import Any

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from projections.views.files import Folder, opened
from projections.views.runner import Heads, entries_behind, heads_of
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


def status(ledger: Ledger, folder: Folder, views: Iterable[View]) -> list[dict[str, Any]]:
    """A row a build, the oldest first; a view that was never built has one without a file."""
    heads = heads_of(ledger)
    rows: list[dict[str, Any]] = []
    for view in views:
        live = folder.live(view.name)
        found = [
            {"view": view.name, "version": file.version, "is_live": file.path == live, **_build(file.path, view, heads)}
            for file in folder.files(view.name)
        ]
        rows.extend(found or [{"view": view.name, "version": view.version, "is_live": False, "state": "never built"}])
    return rows


def _build(path: Any, view: View, heads: Heads) -> dict[str, Any]:
    try:
        with opened(path, view) as build, build.reading() as batch:
            positions, is_whole = batch.positions(), batch.is_whole()
    except JournalError as error:
        return {"file": path.name, "state": "cannot be read", "problem": str(error)}
    return {
        "file": path.name,
        "state": "whole" if is_whole else "being built",
        "entries": sum(positions.values()),
        "behind": entries_behind(heads, positions),
        "position": {str(partition): place for partition, place in sorted(positions.items())},
        "bytes": path.stat().st_size,
    }
