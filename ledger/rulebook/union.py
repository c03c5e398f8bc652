"""Several rule books in one ledger: a book of each owner, which together are one version.

The texts stand behind one another, divided by a character that no TOML may hold, in the order of their `programme`. The
version is named by the hash of the texts in that order. Names are one space for all of them, and nothing is prefixed.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import structs

from ledger.rulebook.languages import FIRST, Languages
from ledger.rulebook.schema import DIVIDER, ProgrammeTables
from ledger.wire.facts import KIND_LEFT_OUT

NAMED: Final = (
    "attributes",
    "kinds",
    "scores",
    "memberships",
    "uses",
    "penalties",
    "benefits",
    "exchanges",
    "transfers",
    "campaigns",
)
_ALIKE: Final = ("utc_offset", "time_zone", "transitions", "currency", "late_days")
_RULE: Final = re.compile(r'award\[(\d+)\] \(rule "([^"]+)"\)')


class Part(NamedTuple):
    """One of the books of a version: where it was read from, its text, and what it says by itself."""

    where: str
    toml: str
    tables: ProgrammeTables
    languages: Languages


def texts_of(toml: str) -> list[str]:
    """Return the text of each book of a version."""
    return toml.split(DIVIDER)


def joined(parts: Sequence[Part]) -> str:
    """Return the text of the version that books make together."""
    return DIVIDER.join(part.toml for part in in_order(parts))


def in_order(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return books in the order of their `programme`, however they were given."""
    return tuple(sorted(parts, key=lambda part: part.tables.programme))


def clashes(parts: Sequence[Part]) -> Iterator[str]:
    """Yield what books cannot say beside one another: each names both files, the table and the key."""
    owner: dict[str, Part] = {}
    first = parts[0]
    for part in parts:
        name = part.tables.programme
        if name in owner:
            yield f'{owner[name].where} and {part.where}: programme: both are "{name}"; a book of each owner is taken'
        owner[name] = part
        for key in _ALIKE:
            ours, theirs = getattr(first.tables, key), getattr(part.tables, key)
            if ours != theirs:
                said = "differ" if key == "transitions" else f"is {ours} in the one and {theirs} in the other"
                yield f"{first.where} and {part.where}: {key}: {said}; books of one ledger have it in common"
    kinds = {part.tables.default_kind: part for part in parts if part.tables.default_kind != KIND_LEFT_OUT}
    if len(kinds) > 1:
        (one, ours), (other, theirs) = list(kinds.items())[:2]
        yield f"{ours.where} and {theirs.where}: default_kind: is {one} in the one and {other} in the other"
    taken: dict[tuple[str, str], tuple[str, Part]] = {}
    for part in parts:
        for space, name, place in _names(part.tables):
            known = taken.setdefault((space, name), (place, part))
            if known[1] is not part:
                also = "stands in both" if known[0] == place else f"is the name of {known[0]} in the first, too"
                yield (
                    f"{known[1].where} and {part.where}: {place}: {also}; names are one space for all files:"
                    f' call one of them "{part.tables.programme}.{name}"'
                )


def _names(tables: ProgrammeTables) -> Iterator[tuple[str, str, str]]:
    """Yield each name of a book with the space that it is taken in, and where it stands."""
    for table in NAMED:
        for name in getattr(tables, table):
            yield table, name, f"{table}.{name}"
    for award in tables.award:
        yield "rule", award.rule, f'award (rule "{award.rule}")'
    for label, membership in tables.memberships.items():
        for name in membership.products:
            yield "product", name, f"memberships.{label}.products.{name}"
        for name in membership.benefits:
            yield "benefits", name, f"memberships.{label}.benefits.{name}"


def merged(parts: Sequence[Part]) -> tuple[ProgrammeTables, Languages]:
    """Return the tables of books that do not clash as one book's, and its names in languages."""
    if len(parts) == 1:
        return parts[0].tables, parts[0].languages
    every = [part.tables for part in parts]
    tables: dict[str, Any] = {
        table: {name: value for one in every for name, value in getattr(one, table).items()} for table in NAMED
    }
    languages = {place: texts for part in parts for place, texts in part.languages.items() if place != "name"}
    spoken = {language for part in parts for language in part.languages.get("name", ())}
    languages["name"] = {
        language: " + ".join(part.languages.get("name", {}).get(language, part.tables.name) for part in parts)
        for language in sorted(spoken | {FIRST})
    }
    kinds = [one.default_kind for one in every if one.default_kind != KIND_LEFT_OUT]
    found = structs.replace(
        every[0],
        programme="+".join(one.programme for one in every),
        name=" + ".join(one.name for one in every),
        from_=min(one.from_ for one in every),
        award=tuple(award for one in every for award in one.award),
        default_kind=kinds[0] if kinds else KIND_LEFT_OUT,
        **tables,
    )
    return found, languages


def placed(problem: str, parts: Sequence[Part]) -> str:
    """Return what is wrong with a version with the file that it stands in before it."""
    if len(parts) == 1:
        return f"{parts[0].where}: {problem}"
    if rule := _RULE.match(problem):
        for part in parts:
            for place, award in enumerate(part.tables.award):
                if award.rule == rule[2]:
                    return f'{part.where}: award[{place}] (rule "{rule[2]}"){problem[rule.end() :]}'
    table, _, rest = problem.partition(".")
    found = [
        (len(name), part.where)
        for part in parts
        for name in (getattr(part.tables, table) if table in NAMED else ())
        if rest.startswith(name) and rest[len(name) :][:1] in ("", ".", "[", ":")
    ]
    where = max(found)[1] if found else " and ".join(part.where for part in parts)
    return f"{where}: {problem}"
