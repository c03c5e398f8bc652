"""Rule books on a screen: the versions of a ledger, one that was checked, and what differs between two."""

from typing import Any

from rich.console import Console

from projections.answers.programmes import VersionInUse
from projections.explaining.words import count
from service.errors import plain


def print_versions(_console: Console, versions: list[VersionInUse]) -> None:
    """Print each version: from when it decides, how it came in, how many entries it decided."""
    for one in versions:
        how = one.published
        came = f"published {how.recorded} by {how.by or how.source}" if how else "from birth"
        until = f"until {one.until}" if one.until else "on"
        decided = count(one.entries, "entry", "entries")
        print(plain(f"{one.version}  from {one.from_} {until}: {decided}; {came}"))


def print_checked(_console: Console, found: dict[str, Any]) -> None:
    """Print what a rule book that was checked is, and its warnings."""
    print(
        f"{found['file']}: good: {found['name']} {found['programme']}, version {found['version']} from {found['from']},"
        f" {len(found['rules'])} rules"
    )
    for warning in found["warnings"]:
        print(plain(f"{found['file']}: warning: {warning}"))


def print_differences(_console: Console, found: dict[str, Any]) -> None:
    """Print what differs between two rule books, a line each."""
    differences = found["differences"]
    for one in differences:
        print(plain(one["text"]))
    is_same = found["old"]["version"] == found["new"]["version"]
    same = "the same" if is_same else "the same rules, in other words or another layout"
    print(f"{len(differences):,} difference{'' if len(differences) == 1 else 's'}" if differences else same)
