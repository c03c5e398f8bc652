"""Imports run one way, and the core knows no clock, no I/O, no database, no Kafka: read off the imports themselves."""

import ast
import sys
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE_ROOMS = ("wire", "rulebook", "core")
CORE = sorted(path for room in PURE_ROOMS for path in (ROOT / "ledger" / room).rglob("*.py"))
OURS = {"ledger", "consumers", "projections", "service", "tests", "benchmarks"}

# What the core may import, and nothing else: adding to this list is a decision.
PURE = {
    "bisect",
    "collections.abc",
    "dataclasses",
    "datetime",
    "fractions",
    "functools",
    "heapq",
    "hashlib",
    "json",
    "msgspec",
    "re",
    "tomllib",
    "typing",
}
# The one way out: `schema.shipped` reads the rule books that come with the package.
EXCEPTIONS = {("schema.py", "importlib")}
# Calls that would look at a clock, the disk or chance without an import of their own.
IMPURE_NAMES = {"open", "print", "input", "eval", "exec", "__import__"}
IMPURE_ATTRIBUTES = {"now", "today", "utcnow", "time_ns", "monotonic", "environ", "open", "write_bytes", "read_bytes"}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def crossings(package: str, forbidden: set[str]) -> list[str]:
    """Imports of a package that go where they must not."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(package)
        for name in imports_of(path)
        if name.split(".")[0] in forbidden or any(name.startswith(f"{place}.") or name == place for place in forbidden)
    ]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_imports_only_what_computes(path: Path) -> None:
    for name in imports_of(path):
        if name.split(".")[0] == "ledger":
            assert not name.startswith("ledger.journal"), f"{path.name} imports {name}: the shell imports the core"
        else:
            assert name in PURE or (path.name, name) in EXCEPTIONS, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_looks_at_no_clock_and_no_file(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            assert node.id not in IMPURE_NAMES, f"{path.name}:{node.lineno} uses {node.id}"
        elif isinstance(node, ast.Attribute):
            assert node.attr not in IMPURE_ATTRIBUTES, f"{path.name}:{node.lineno} uses .{node.attr}"


def test_the_one_exception_reads_shipped_books_and_nothing_else() -> None:
    text = (ROOT / "ledger" / "rulebook" / "schema.py").read_text(encoding="utf-8")
    assert text.count("resources.") == 1 and 'resources.files("ledger").joinpath("programmes"' in text


def test_within_the_ledger_imports_run_from_the_journal_down_to_the_wire() -> None:
    assert crossings("ledger/wire", {"ledger.rulebook", "ledger.core", "ledger.journal"}) == []
    assert crossings("ledger/rulebook", {"ledger.core", "ledger.journal"}) == []
    assert crossings("ledger/core", {"ledger.journal"}) == []


def test_imports_run_one_way() -> None:
    assert crossings("ledger", {"consumers", "projections", "service", "tests", "benchmarks"}) == []
    assert crossings("consumers", {"projections", "service", "tests", "benchmarks"}) == []
    assert crossings("projections", {"consumers", "service", "tests", "benchmarks"}) == []
    assert crossings("service", {"tests", "benchmarks"}) == []


def test_within_the_ledger_only_the_journal_knows_the_library_and_the_database() -> None:
    for path in files_of("ledger"):
        if {"eventsourcing", "sqlite3", "psycopg", "psycopg_pool"} & {name.split(".")[0] for name in imports_of(path)}:
            assert path.parent.name == "journal"


def test_only_a_home_knows_which_store_it_is() -> None:
    knowing = {
        str(path.relative_to(ROOT))
        for package in ("ledger", "consumers", "projections", "service")
        for path in files_of(package)
        if "ledger.journal.sqlite" in imports_of(path)
    }
    assert knowing == {"ledger/journal/folder.py"}


def test_the_core_is_there_and_its_list_of_imports_is_no_longer_than_it_must_be() -> None:
    assert {"facts.py", "entries.py", "account.py", "decide.py", "compiled.py"} <= {path.name for path in CORE}
    used = {name for path in CORE for name in imports_of(path)}
    assert used >= PURE, f"nobody imports {PURE - used} any more"
    assert PURE - {"msgspec"} <= {name for name in PURE if name.split(".")[0] in sys.stdlib_module_names}


# An extra that may be absent, or a library so large that only the code that needs it is to wait for it.
LATE = {"confluent_kafka", "kafka", "psycopg", "psycopg_pool", "pyarrow", "pyiceberg", "pyspark"}
PRODUCT = ("ledger", "consumers", "projections", "service", "client")


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name."""
    found = [path for package in PRODUCT for path in files_of(package)]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def named(node: ast.AST, known: Container[str] = ()) -> list[str]:
    """The modules that an import statement names; `from package import module` names the module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in known else node.module or "" for name in inner]
    return []


def hidden_imports(path: Path, known: Container[str]) -> Iterator[str]:
    """The modules that functions of a file import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for node in {inner for function in functions for inner in ast.walk(function)}:
        yield from set(named(node, known))


@cache
def graph() -> dict[str, set[str]]:
    """What each module of ours imports at its top, for types alone too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inner = {node for function in functions for node in ast.walk(function)}
        found[name] = {other for node in ast.walk(tree) if node not in inner for other in named(node, known)}
    return found


def test_no_import_hides_in_a_function() -> None:
    tops = graph()
    waits = {name for name, tops_of in tops.items() if {top.split(".")[0] for top in tops_of} & LATE}
    while more := {name for name, tops_of in tops.items() if tops_of & waits} - waits:
        waits |= more
    found = {
        str(path.relative_to(ROOT)): [
            name for name in hidden_imports(path, tops) if name not in waits and name.split(".")[0] not in LATE
        ]
        for path in modules().values()
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_no_circle_of_imports_between_files() -> None:
    known = modules()
    left = {name: tops & known.keys() for name, tops in graph().items()}
    while free := {name for name, tops in left.items() if not tops & left.keys() - {name}}:
        left = {name: tops for name, tops in left.items() if name not in free}
    assert left == {}, "these import each other"
