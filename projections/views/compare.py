"""Two builds of a view, row by row at the same position: what a rebuild says otherwise than the view that was kept."""

from contextlib import ExitStack
from typing import Any

import msgspec

from ledger.journal.ledger import Ledger
from ledger.journal.port import JournalError
from projections.side_by_side import side_by_side
from projections.ticking import Progress, ticking
from projections.views.port import Build, BuildName, ViewStore
from projections.views.runner import follow
from projections.views.sql import Batch, plain_rows
from projections.views.timed import present, refresh_due
from projections.views.view import View

MAX_LISTED = 1_000  # differences; all are counted


class NothingBeside(JournalError):
    """A view that has no build beside the live one."""


def beside(store: ViewStore, view: View) -> BuildName:
    """The whole build beside the live one. Raises `NothingBeside`."""
    found = store.beside(view.name)
    if found is None:
        raise NothingBeside(
            f"the view {view.name} has no build beside the live one: `points views rebuild {view.name}`"
        )
    if not store.is_whole(found, view):
        raise NothingBeside(f"{found.place} is not built whole yet: `points views rebuild {view.name}` goes on with it")
    return found


def compare(ledger: Ledger, store: ViewStore, view: View, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Compare the live build with the one beside it: `rows`, `differences` (at most 1,000 listed), `difference_count`.

    Both are brought to where the journals stand; a live build of another version stays where it is, and so must the
    other. Raises `JournalError` where they do not stand at the same position.
    """
    rebuilt = beside(store, view)
    with ExitStack() as stack:
        live = stack.enter_context(store.open_live(view))
        other = stack.enter_context(store.opened(rebuilt, view))
        if live.version == other.version == view.version:
            ledger.forget_book()
            follow(ledger, [live, other], ledger.heads())
        if view.counts:
            now = present()
            for build in (live, other):
                refresh_due(ledger, build, now)
        ours, theirs = stack.enter_context(live.reading()), stack.enter_context(other.reading())
        positions = ours.positions()
        if positions != theirs.positions():
            raise JournalError(
                f"{live.name} and {rebuilt.name} do not stand at the same position:"
                f" remove {rebuilt.name} and run `points views rebuild {view.name}` again"
            )
        rows, count, listed = _compare(view, ours, theirs, progress)
    return {
        "view": view.name,
        "live": _named(live),
        "rebuilt": _named(other),
        "position": {str(partition): place for partition, place in positions.items()},
        "rows": rows,
        "differences": listed,
        "difference_count": count,
    }


def _named(build: Build) -> dict[str, Any]:
    return {"file": build.name, "version": build.version}


def _compare(view: View, ours: Batch, theirs: Batch, progress: Progress) -> tuple[int, int, list[dict[str, Any]]]:
    rows = count = 0
    listed: list[dict[str, Any]] = []
    order = {name: place for place, name in enumerate([*(table.name for table in view.tables), "members"])}
    both = side_by_side(plain_rows(ours, view), plain_rows(theirs, view), lambda row: (order[row[0]], row[1]))
    for one, other in ticking(both, progress):
        rows += 1
        kept, rebuilt = one and one[2], other and other[2]
        if kept != rebuilt:
            count += 1
            row = one or other
            if len(listed) < MAX_LISTED and row is not None:
                table, key, _ = row
                listed.append({"table": table, "key": list(key), "kept": _plain(kept), "rebuilt": _plain(rebuilt)})
    return rows, count, listed


def _plain(values: Any) -> Any:
    """Values for JSON: a member's state as it is stored."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(values), strict=False)


def switch(ledger: Ledger, store: ViewStore, view: View) -> BuildName:
    """Bring the build beside the live one up to date and let readers have it from now on, in one step."""
    rebuilt = beside(store, view)
    if rebuilt.version != view.version:
        raise JournalError(
            f"{rebuilt.name} is of version {rebuilt.version}, the view here of {view.version}: `points views rebuild"
            f" {view.name}`"
        )
    ledger.forget_book()
    with store.opened(rebuilt, view) as build:
        follow(ledger, [build], ledger.heads())
    store.switch(view, rebuilt)
    return rebuilt
