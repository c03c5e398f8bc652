"""Rule books through time: which version decides when, how two of them differ in words, gaps and overlaps in dates."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from ledger.journal.ledger import Ledger
from ledger.rulebook.checks import check_parts
from ledger.rulebook.compiled import STORED, Programme, ProgrammeVersion, Rule
from ledger.rulebook.languages import text_in
from ledger.rulebook.schema import Award, ProgrammeTables
from ledger.rulebook.union import Part
from ledger.wire.answers import BookDescription, VersionDescription
from ledger.wire.entry_codec import decode_entry, decode_head
from ledger.wire.entry_json import fact_head, position_text
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import to_text
from projections.ticking import Progress, ticking

Table = dict[str, Any]


class Publication(Struct, frozen=True):
    """How a version was published: where its fact stands, when it was recorded, from which source, and by whom."""

    position: str
    recorded: str
    source: str
    by: str


class VersionInUse(Struct, frozen=True):
    """A version with the days from which and until which it decides, and how many entries it decided."""

    version: str
    programme: str
    name: str
    from_: str = field(name="from")
    until: str | None
    rules: int
    entries: int
    published: Publication | None


def versions(ledger: Ledger, progress: Progress = lambda _: None) -> list[VersionInUse]:
    """Return every version by the day from which it decides; `progress` is called with how many entries were read."""
    found = ledger.book.whole_versions
    begins: dict[str, str] = {}
    for stage in ledger.book.versions:
        begins.setdefault(stage.name, stage.programme.from_.isoformat())
    decided = _decided(ledger, progress)
    published = dict(_published(ledger))
    return [
        VersionInUse(
            version.name,
            version.programme.programme,
            version.programme.name,
            begins[version.name],
            begins[later.name] if later else None,
            len(version.programme.award),
            decided[version.name],
            published.get(version.name),
        )
        for version, later in zip(found, [*found[1:], None], strict=True)
    ]


def describe_version(version: ProgrammeVersion, language: str = "") -> VersionDescription:
    """Return what a version of the rule book has; its names are in a language, where it has them in it."""
    programme = version.programme
    return VersionDescription(
        version.name,
        programme.programme,
        version.text_in("name", language, programme.name),
        programme.from_.isoformat(),
        list(programme.kinds),
        list(programme.scores),
        list(programme.memberships),
        [award.rule for award in programme.award],
        [
            BookDescription(
                part.tables.programme,
                text_in(part.languages, "name", language, part.tables.name),
                part.tables.from_.isoformat(),
            )
            for part in version.parts
        ],
    )


def _decided(ledger: Ledger, progress: Progress) -> Counter[str]:
    """Entries by the version that decided them; a published book's own entry counts once, as everywhere."""
    found: Counter[str] = Counter()
    home = ledger.partition_of(PROGRAMME_SUBJECT)
    rows = (
        (partition, row)
        for partition in ledger.partitions
        for row in ledger.journal(partition).scan(ledger.branch(partition).entries)
    )
    for partition, row in ticking(rows, progress):
        if row.member != PROGRAMME_SUBJECT or partition == ledger.owner_at(home, row.sequence):
            found[decode_head(row.state).version] += 1
    return found


def _published(ledger: Ledger) -> Iterator[tuple[str, Publication]]:
    """Yield how each published version came in, as its entry in the partition says where it counts."""
    journal = ledger.journal(ledger.partition_of(PROGRAMME_SUBJECT))
    for published in journal.published():
        for row in journal.scan(published.sequence - 1, published.sequence):
            entry = decode_entry(row.state)
            head = fact_head(entry)
            by = msgspec.json.decode(head.data).get("by", "")
            position = position_text(entry.partition, entry.offset)
            recorded = to_text(entry.recorded, ledger.book.offset)
            yield published.version, Publication(position, recorded, head.source, by)


# -- gaps and overlaps -------------------------------------------------------------------------------------------------


def next_version(ledger: Ledger, parts: tuple[Part, ...], where: str) -> ProgrammeVersion:
    """Return the version that books would make as a ledger's next, beside those of other owners that it has.

    Nothing is published. Raises `BadProgramme`, which names the file as `where`.
    """
    book = Programme([known.toml for known in ledger.book.by_name.values()], engine=STORED)
    parts = book.beside(parts)
    check_parts(parts)
    return book.take(ProgrammeVersion.of(parts), where)


def warnings(version: ProgrammeVersion, book: Programme | None = None) -> list[str]:
    """Return what the dates of a book leave open or say twice, by itself and among the versions of a ledger's book."""
    kinds = (warning for part in version.parts for warning in _kind_warnings(part.tables))
    found = [*kinds, *_award_warnings(version), *_opening_warnings(version)]
    return found if book is None else [*found, *_version_warnings(version, book)]


def _kind_warnings(programme: ProgrammeTables) -> Iterator[str]:
    for name, kind in programme.kinds.items():
        first = kind.expiry[0].from_
        if first > programme.from_:
            yield (
                f"kinds.{name}.expiry: gap: begins on {first}, the book on {programme.from_}; what is earned before"
                " expires by the first period"
            )
        for before, after in pairwise(kind.expiry):
            if before.from_ == after.from_:
                yield f"kinds.{name}.expiry: overlap: two periods begin on {after.from_}; the one listed later holds"


def _opening_warnings(version: ProgrammeVersion) -> Iterator[str]:
    """Gifts of a month that a member has twice by telling another month."""
    for name, perk in version.perks.items():
        if perk.month_of and perk.per not in ("year", "ever"):
            table = f"memberships.{perk.membership}.benefits" if perk.membership else "benefits"
            yield (
                f'{table}.{name}.per: is "{perk.per}"; a member who has another {perk.month_of} told claims it again,'
                ' per = "year" gives one a year'
            )


def _award_warnings(version: ProgrammeVersion) -> Iterator[str]:
    alike: dict[bytes, list[Rule]] = {}
    for rule in version.rules.values():
        award = rule.award
        if rule.until <= rule.since:
            yield f'rule "{award.rule}": ends on {award.until}, before it begins on {award.from_}: it never holds'
        else:
            alike.setdefault(msgspec.json.encode([award.name, *_what_it_is(award)]), []).append(rule)
    for rules in alike.values():
        in_order = sorted(rules, key=lambda rule: rule.since or version.since)
        for before, after in pairwise(in_order):
            since, begins = after.since or version.since, after.award.from_ or version.programme.from_
            if before.until > since:
                yield f'rules "{before.name}" and "{after.name}": overlap: both give from {begins} on'
            elif before.until < since:
                ends = before.award.until
                yield f'rules "{before.name}" and "{after.name}": gap: neither gives from {ends} to {begins}'


def _what_it_is(award: Award) -> list[Any]:
    """Return what makes two rules the same rule at different times."""
    return [award.on, award.each, award.kind, award.score, award.part, award.member, award.when, award.first]


def _version_warnings(version: ProgrammeVersion, book: Programme) -> Iterator[str]:
    if version.name in book.by_name:
        yield f"version {version.name} is in the ledger already: publishing it again changes nothing"
        return
    stage = book.stages_of(version, STORED)[0]
    begins = stage.programme.from_
    first, last = book.versions[0], book.versions[-1]
    same = [other for other in book.versions if other.since == stage.since]
    if same:
        yield f"overlap: version {same[-1].name} begins on {begins} too; this one would decide in its place"
    if stage.since < first.since:
        yield f"begins on {begins}, before the ledger's first version ({first.name}, {first.programme.from_})"
    elif stage.since < last.since:
        later = next(other for other in book.versions if other.since > stage.since)
        yield f"decides until {later.programme.from_} only, where version {later.name} takes over"
    before = book.nearest(stage.since)
    for name, ranking in version.rankings.items():
        had = before.rankings.get(name)
        if had is not None and ranking.span > had.span and ranking.window == had.window:
            what = f"scores.{name}: its window grows from {had.span} {had.window} to {ranking.span}"
            yield f"{what}: what was dropped before is not in it, until as many {had.window} have passed"
    for name, (membership, _) in before.products.items():
        if name not in version.products:
            what = f"memberships.{membership}.products.{name}: is gone: from {begins} on its cards have no cap"
            yield f"{what} and no quota by product, and their refund takes nothing back; leave it in"


# -- differences -------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """A key of a table that is not the same: `was` and `now` in words, "" where there is none."""

    where: str
    key: str
    was: str
    now: str

    @property
    def text(self) -> str:
        """As a sentence."""
        at = f"{self.where}: {self.key}" if self.key else self.where
        if not self.was:
            return f"{at}: new: {self.now}"
        return f"{at}: {self.was} → {self.now}" if self.now else f"{at}: gone (was {self.was})"


def differences(old: ProgrammeTables, new: ProgrammeTables) -> list[Difference]:
    """Return how a book differs from an older one, table by table; comments and layout are no difference."""
    before, after = (msgspec.json.decode(msgspec.json.encode(book)) for book in (old, new))
    found = list(_keys("the book", _scalars(before), _scalars(after)))
    for table in ("attributes", "kinds", "scores", "memberships"):
        found.extend(_named(table, before[table], after[table]))
    rules = [{award["rule"]: award for award in book["award"]} for book in (before, after)]
    found.extend(_named("rule", *rules))
    kept = [[rule for rule in book if rule in rules[0] and rule in rules[1]] for book in rules]
    if kept[0] != kept[1]:
        found.append(Difference("rules", "order", ", ".join(kept[0]), ", ".join(kept[1])))
    for table in ("uses", "benefits", "exchanges", "campaigns", "penalties"):
        found.extend(_named(table, before[table], after[table]))
    return found


def _scalars(book: Table) -> Table:
    return {key: value for key, value in book.items() if not isinstance(value, dict | list)}


def _named(table: str, before: Table, after: Table) -> Iterator[Difference]:
    """Tables that have names: new ones, those that are gone, and what differs in the others."""
    for name in dict.fromkeys([*before, *after]):
        where = f"{table} {name}"
        if name not in after:
            yield Difference(where, "", _whole(before[name]), "")
        elif name not in before:
            yield Difference(where, "", "", _whole(after[name]))
        else:
            yield from _keys(where, before[name], after[name])


def _keys(where: str, before: Table, after: Table) -> Iterator[Difference]:
    for key in dict.fromkeys([*before, *after]):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        if key in ("products", "benefits"):
            yield from _named(f"{where} {key}", was or {}, now or {})
        elif key in ("parts", "when", "rates", "quota") and isinstance(was, dict) and isinstance(now, dict):
            for name in dict.fromkeys([*was, *now]):
                if was.get(name) != now.get(name):
                    yield Difference(where, f"{key} {name}", _words(key, was.get(name)), _words(key, now.get(name)))
        elif isinstance(was, list) and isinstance(now, list) and sorted(map(str, was)) != sorted(map(str, now)):
            gone, new = [item for item in was if item not in now], [item for item in now if item not in was]
            yield Difference(where, key, _words(key, gone) if gone else "", _words(key, new) if new else "")
        else:
            yield Difference(where, key, _words(key, was), _words(key, now))


def _whole(table: Table) -> str:
    """Return a table that is new or gone, in a few words."""
    said = [table["name"]] if "name" in table else []
    if table.get("text"):
        return ": ".join([*said, table["text"]])
    keys = {key: value for key, value in table.items() if key not in ("name", "rule", "text")}
    said += [
        f"{key} {_words(key, value)}" for key, value in keys.items() if value not in (None, False, 0, "", [], {}, ())
    ]
    return ", ".join(said)


def _words(key: str, value: Any) -> str:
    """Return a value in words."""
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "rates" and isinstance(value, int):
        return f"{value / 100:g} %"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_words(key, item) for item in value)
    if isinstance(value, dict):
        return _table_words(key, value)
    return f'"{value}"' if key in ("name", "text") else str(value)


def _period_words(table: Table) -> str:
    """Return how points end, by the one key of a period that says it."""
    if table["end_of_year_after"] is not None:
        return f"end of the year + {table['end_of_year_after']}"
    if table["end_of_month_after"] is not None:
        return f"end of the month + {table['end_of_month_after']}"
    if table["never"]:
        return "never"
    if table["idle_days"] is not None:
        return f"{table['idle_days']:,} days without a movement"
    return f"{table['days']:,} days" if table["days"] else f"{table['months']:,} months"


def _table_words(key: str, table: Table) -> str:
    match key:
        case "give" if table["steps"]:
            steps = sorted(table["steps"], key=lambda step: step["at_least_fen"])
            return ", ".join(f"{step['points']:,} from {step['at_least_fen']:,} fen" for step in steps)
        case "give":
            per = f" per {table['per_fen']:,} fen" if table["per_fen"] else ""
            steps_of = f", in steps of {table['floor_fen']:,} fen" if table["floor_fen"] > 1 else ""
            return f"{table['points']:,} points{per}{steps_of}"
        case "cap":
            return f"at most {table['points']:,} a {table['per']}"
        case "expiry":
            return f"from {table['from']}: {_period_words(table)}"
        case "tiers":
            return f"{table['name']} from {table['at_least']:,}"
    return ", ".join(
        f"{name.replace('_', ' ')} {_words(name, item)}" for name, item in table.items() if item is not None
    )
