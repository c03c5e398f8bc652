"""Which views there are: built in, of installed packages, and of the files or modules that are named."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ledger.errors import Unusable
from projections.views.builtin.activity import Activity
from projections.views.builtin.attributes import Attributes
from projections.views.builtin.balances import Balances
from projections.views.builtin.books import Books
from projections.views.builtin.campaigns import Campaigns
from projections.views.builtin.finding import Finding
from projections.views.builtin.liability import Liability
from projections.views.builtin.memberships import Memberships
from projections.views.builtin.overview import Overview
from projections.views.builtin.present import Present
from projections.views.builtin.savings import Savings
from projections.views.builtin.scores import Scores
from projections.views.builtin.statement import Statement
from projections.views.view import Query, View

BUILT_IN: tuple[View, ...] = (
    Balances(),
    Scores(),
    Memberships(),
    Statement(),
    Books(),
    Liability(),
    Campaigns(),
    Activity(),
    Savings(),
    Attributes(),
    Overview(),
    Finding(),
)
FOR_SQL = Present()  # kept only where others read it
GROUP = "points_ledger.views"  # of entry points, each a subclass of `View`
_NAME = re.compile(r"^[a-z][a-z0-9-]{0,63}$")
_COLUMN = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_TAKEN = {"build", "building", "chain", "counted", "members", "tracking"}


class BadView(Unusable):
    """A view that cannot be used: what is wrong with it, and where it came from."""


def all_views(named: Sequence[str] | None = None) -> dict[str, View]:
    """Every view by its name: built in, installed, and of the files or modules that are named. Raises `BadView`."""
    found: dict[str, View] = {}
    for where, view in [*(("built in", view) for view in (*BUILT_IN, FOR_SQL)), *_installed(), *_named(named or ())]:
        _check(where, view)
        if view.name in found:
            raise BadView(f"{where}: there is a view {view.name} already; give this one another name")
        for query in view.queries:
            if (taken := find_query(found, query.name)) is not None:
                raise BadView(f"{where}: the view {taken[0].name} has a query {query.name} already")
        found[view.name] = view
    return found


def find_query(views: dict[str, View], name: str) -> tuple[View, Query] | None:
    """The view that answers a question, and the question."""
    for view in views.values():
        for query in view.queries:
            if query.name == name:
                return view, query
    return None


def _installed() -> Iterable[tuple[str, View]]:
    for point in entry_points(group=GROUP):
        where = f"entry point {point.name} ({point.value})"
        try:
            yield where, _made(where, point.load())
        except (ImportError, AttributeError, SyntaxError) as error:
            raise BadView(f"{where}: {error}") from error


def _named(names: Sequence[str]) -> Iterable[tuple[str, View]]:
    for name in names:
        try:
            module = _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        except (ImportError, OSError, SyntaxError) as error:
            raise BadView(
                f"--views {name}: {error}; give a file (views.py) or a module that can be imported"
            ) from error
        declared = getattr(module, "VIEWS", None)
        if not declared:
            raise BadView(f"--views {name}: it has no VIEWS, a tuple of the classes of its views")
        for cls in declared:
            view = _made(f"--views {name}", cls)
            if name.endswith(".py"):
                view.made_by = (_view_of_file, (Path(name).resolve(), cls.__name__))
            yield f"--views {name}", view


def _view_of_file(path: Path, name: str) -> View:
    """A view of a file, for another process."""
    return next(_made(str(path), cls) for cls in _from_file(path).VIEWS if cls.__name__ == name)


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"points_views_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def _made(where: str, cls: Any) -> View:
    if not (isinstance(cls, type) and issubclass(cls, View)):
        raise BadView(f"{where}: {cls!r} is no subclass of projections.views.view.View")
    return cls()


def _check(where: str, view: View) -> None:
    """That a view says what the runner and its tables need."""
    for attribute in ("name", "about", "queries"):
        if not hasattr(view, attribute):
            raise BadView(f"{where}: {type(view).__name__} has no `{attribute}`")
    if not _NAME.match(view.name):
        raise BadView(f'{where}: "{view.name}" is no name of a view: small letters, digits and -, a letter first')
    names = [table.name for table in view.tables]
    for table in view.tables:
        columns = [*(column.name for column in table.key), *table.amounts]
        bad = [name for name in (table.name, *columns) if not _COLUMN.match(name)]
        if bad or len(set(columns)) < len(columns) or not table.key or not table.amounts:
            raise BadView(
                f"{where}: table {table.name}: needs a key and amounts, each name once, of small letters, digits and _"
            )
        if table.name in _TAKEN or names.count(table.name) > 1:
            raise BadView(f"{where}: the name {table.name} of a table is taken")
