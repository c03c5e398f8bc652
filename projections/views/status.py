"""Where each view stands: its builds, which of them is live, and how many entries it is behind."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from ledger.wire.answers import ViewBuild
from projections.views.port import Build, BuildName, ViewStore
from projections.views.runner import Heads, OfAnotherLedger, check_origin, entries_behind, stale
from projections.views.sql import Ends
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


def status(ledger: Ledger, store: ViewStore, views: Iterable[View]) -> list[ViewBuild]:
    """Return every build of every view, the oldest first; a view that was never built has one without a file.

    Those that are not kept in the store have none.
    """
    heads = ledger.heads()
    builds: list[ViewBuild] = []
    for view in views:
        live = store.live(view.name)
        found = [
            _build(ledger, ViewBuild(view.name, name.version, name == live, "cannot be read"), store, name, view, heads)
            for name in store.builds(view.name)
        ]
        if not found and store.keeps(view):
            found = [ViewBuild(view.name, view.version, False, "never built")]
        builds.extend(found)
    return builds


def _build(ledger: Ledger, build: ViewBuild, store: ViewStore, name: BuildName, view: View, heads: Heads) -> ViewBuild:
    try:
        with store.opened(name, view) as opened:
            with opened.reading() as batch:
                ends, is_whole = batch.ends(), batch.is_whole()
            if build.is_live:
                build = replace(build, problem=_refusal(ledger, opened, ends, name.version))
    except JournalError as error:
        return replace(build, file=name.name, problem=str(error))
    positions = {partition: place for partition, (place, _) in sorted(ends.items())}
    return replace(
        build,
        file=name.name,
        state="whole" if is_whole else "being built",
        entries=sum(positions.values()),
        behind=entries_behind(heads, positions),
        position={str(partition): place for partition, place in positions.items()},
        bytes=store.size(name),
    )


def _refusal(ledger: Ledger, build: Build, ends: Ends, version: int) -> str | UnsetType:
    """Return why a live build is not followed; nothing where it is."""
    if version != build.view.version:
        return str(stale(build.view, version))
    try:
        check_origin(ledger, build, ends)
    except OfAnotherLedger as error:
        return str(error)
    return UNSET
