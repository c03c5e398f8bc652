"""A rule book as sentences, in the reader's language: what it gives, to whom, how much at most, and until when.

The phrases of a language are a file, `book-zh.toml` or `book-en.toml`: one for each key of each table of the book. A
sentence says its keys in the order in which the phrases of its table stand there.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec
from msgspec import Struct

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import AT_SHOP, Award, Benefit, Cap, Condition, Give, Tier, UseCap, Who
from projections.explaining.words import money

LANGUAGES: Final = ("zh", "en")
_TABLES: Final = (
    "attributes",
    "kinds",
    "scores",
    "memberships",
    "campaigns",
    "award",
    "benefits",
    "uses",
    "exchanges",
    "transfers",
    "penalties",
)
_NAMED: Final = {
    "kind": "kinds",
    "default_kind": "kinds",
    "takes": "kinds",
    "gives": "kinds",
    "score": "scores",
    "campaign": "campaigns",
}
_ALWAYS: Final = frozenset({"fen"})  # said even where it is as it is when left out
_CARDS: Final = frozenset({"member", "membership"})
_SAID_WITH_ANOTHER: Final = frozenset({"name", "part", "score", "kind"})  # of a rule: with what it gives


class Sentence(Struct, frozen=True):
    """What a table of a book says: the table by its name in the file, and the sentence."""

    table: str
    text: str


@cache
def book_phrases(language: str) -> Mapping[str, Mapping[str, str]]:
    """Every phrase about books of a language, by table and key."""
    file = resources.files(__package__) / f"book-{language}.toml"
    found: Mapping[str, Mapping[str, str]] = tomllib.loads(file.read_text("utf-8"))
    return found


def sentences(version: ProgrammeVersion, language: str) -> list[Sentence]:
    """What a version of a rule book says, a sentence for each table, in one of `LANGUAGES`."""
    return list(BookTeller(version, language).tell())


class BookTeller:
    """Tells one version of a book in one language. `used` are the phrases that it has taken, by table and key."""

    def __init__(self, version: ProgrammeVersion, language: str) -> None:
        self._version = version
        self._language = language
        self._phrases = book_phrases(language)
        self._shape = self._phrases["shape"]
        self.used: set[tuple[str, str]] = set()

    def tell(self) -> Iterator[Sentence]:
        """Yield a sentence for each table of the book, the book's own first."""
        book = self._version.programme
        yield Sentence("", self._sentence(self._text("name", book.name), self._clauses(book, "", _TABLES)))
        for table in _TABLES:
            found = getattr(book, table)
            named = [(one.rule, one) for one in found] if table == "award" else list(found.items())
            if named:
                self.used.add(("ProgrammeTables", table))
            for name, one in named:
                place = f"{table}.{name}"
                title = self._text(f"{place}.name", one.name)
                yield Sentence(place, self._sentence(title, self._clauses(one, place, ("products", "benefits"))))
                for inner in ("products", "benefits") if table == "memberships" else ():
                    for label, card in getattr(one, inner).items():
                        self.used.add(("Membership", inner))
                        at = f"{place}.{inner}.{label}"
                        title = self._text(f"{at}.name", card.name) if inner == "benefits" else label
                        yield Sentence(at, self._sentence(title, self._clauses(card, at)))

    def who(self, who: Who) -> str:
        """Return whom a condition on the member is for."""
        return self._shape["with"].join(self._inner(who, ""))

    # -- tables --------------------------------------------------------------------------------------------------------

    def _sentence(self, title: str, clauses: list[str]) -> str:
        said = self._shape["comma"].join(clauses) or self._shape["nothing"]
        return self._shape["sentence"].format(title=title, said=said)

    def _clauses(self, table: Struct, at: str, elsewhere: tuple[str, ...] = ()) -> list[str]:
        """What the keys of a table say that are not as they are when left out, in the order of the phrases."""
        kind = type(table).__name__
        fields = {field.encode_name: field for field in msgspec.structs.fields(type(table))}
        said = []
        for key, phrase in self._phrases[kind].items():
            field = fields[key]
            value = getattr(table, field.name)
            is_left_out = (value == field.default and key not in _ALWAYS) or value in (None, (), {}, "")
            if is_left_out or key in elsewhere:
                continue
            self.used.add((kind, key))
            if key in ("name", "programme", "rule") or (type(table) is Award and key in _SAID_WITH_ANOTHER):
                continue
            if type(table) is Award and key == "give":
                said.append(self._given(table, value))
            elif key == "text":
                told = self._text(f"{at}.text", "")  # one text for all languages says nothing that is not said here
                said += [phrase.format(v=told)] if told else []
            else:
                said.append(phrase.format(v=self._shown(kind, key, value, at)))
        return said

    def _text(self, place: str, otherwise: str) -> str:
        return self._version.text_in(place, self._language, otherwise)

    # -- values --------------------------------------------------------------------------------------------------------

    def _shown(self, table: str, key: str, value: Any, at: str = "") -> str:
        """A value of a key in words."""
        if isinstance(value, Mapping):
            return self._shape["semicolon"].join(self._entry(table, key, name, one, at) for name, one in value.items())
        if isinstance(value, tuple):
            if table == "Use" and key == "kinds":
                value = tuple(self._name("kinds", one) for one in value)
            is_range, are_tables = key == "days_of_month", isinstance(value[0], Struct) and table != "Kind"
            between = self._shape["to" if is_range else "or" if key == "any" else "semicolon" if are_tables else "list"]
            return between.join(self._shown(table, key, one, at) for one in value)
        if isinstance(value, Struct):
            return self._shape["with"].join(self._inner(value, at))
        if isinstance(value, bool):
            words, word = self._phrases["word"], "yes" if value else "no"
            return words.get(f"{key}.{word}", words[word])
        if isinstance(value, int):
            return self._money(value) if key.endswith("fen") and key != "per_count" else f"{value:,}"
        if table in ("Award", "Penalty") and key == "on":
            return self._phrases["fact"][value]
        if key in _NAMED and not (table == "Benefit" and key == "gives"):
            return self._name(_NAMED[key], str(value))
        if key in _CARDS:
            return self._name("memberships", str(value))
        return self._phrases["word"].get(f"{key}.{value}", str(value))

    def _inner(self, table: Struct, at: str) -> list[str]:
        """What a table within a table says."""
        between = self._shape[
            "cap" if isinstance(table, Cap | UseCap) else "with" if isinstance(table, Who) else "space"
        ]
        return [between.join([*self._head(table), *self._clauses(table, at)])]

    def _head(self, table: Struct) -> list[str]:
        return [str(table.name)] if isinstance(table, Tier) else []

    def _entry(self, table: str, key: str, name: str, value: Any, at: str) -> str:
        """One entry of a table of names: a condition, a rate, a quota, a part, what is deducted."""
        if isinstance(value, Condition):
            return self._shape["with"].join(self._condition(self._subject(table, key, name), key, name, value))
        if isinstance(value, Struct):  # of who.card
            title = self._name("memberships", name) if key == "card" else name
            return self._shape["space"].join([title, *self._clauses(value, at)])
        if isinstance(value, tuple):
            return f"{name}: {len(value):,}"
        if key == "parts":
            return self._text(f"{at}.parts.{name}", value)
        return f"{name} {value / 100:g}%" if key == "rates" else f"{name} {self._shown(table, key, value)}"

    def _subject(self, table: str, key: str, name: str) -> str:
        """What a condition is on: a field of the fact, a score, the tier of one, an attribute."""
        if table != "Who":
            return self._phrases["field"].get(name, name)
        if key == "attribute":
            known = self._phrases["field"].get(name, name)
            attribute = self._version.programme.attributes.get(name)
            return self._text(f"attributes.{name}.name", attribute.name) if attribute else known
        return self._shape[f"{key}_of"].format(name=self._name("scores", name))

    def _condition(self, subject: str, key: str, name: str, condition: Condition) -> list[str]:
        said = []
        for op, phrase in self._phrases["Condition"].items():
            value = getattr(condition, "in_" if op == "in" else op)
            if value is None:
                continue
            self.used.add(("Condition", op))
            shown = self._shown("", name if key == "when" else op, value)
            said.append(phrase.format(subject=subject, v=shown))
        return said

    def _name(self, table: str, name: str) -> str:
        """The name of a kind, score or membership in the reader's language."""
        base, _, shop = name.partition(AT_SHOP)
        found = getattr(self._version.programme, table).get(base)
        text = self._text(f"{table}.{base}.name", found.name) if found else base
        return f"{text}{AT_SHOP}{shop}" if shop else text

    def _money(self, fen: int) -> str:
        return money(fen, self._version.programme.currency).removesuffix(".00")

    def _given(self, award: Award, give: Give) -> str:
        """What a rule gives: so many of a kind, or of a score's part, for an amount, a count, or as they stand."""
        unit = self._name("kinds", award.kind) if award.kind else self._name("scores", award.score or "")
        if award.score:
            part = self._version.programme.scores[award.score].parts[award.part or ""]
            part = self._text(f"scores.{award.score}.parts.{award.part}", part)
            unit = self._shape["part_of"].format(score=unit, part=part)
        phrases = self._phrases["Give"]
        for field in msgspec.structs.fields(Give):
            if getattr(give, field.name) != field.default:
                self.used.add(("Give", field.name))
        if give.steps:
            return phrases["steps"].format(v=self._shown("Give", "steps", give.steps), unit=unit)
        points, per = give.points or 0, give.per_fen
        if give.per_count is not None:
            return phrases["per_count"].format(points=f"{points:,}", v=f"{give.per_count:,}", unit=unit)
        if per is None:
            return phrases["points"].format(points=f"{points:,}", unit=unit)
        if give.floor_fen > 1 and points * give.floor_fen % per == 0:
            points, per = points * give.floor_fen // per, give.floor_fen
        elif give.floor_fen > 1:
            said = phrases["floor_fen"]
            money = self._money(give.floor_fen)
            return said.format(points=f"{points:,}", v=self._money(per), floor=money, unit=unit)
        is_whole = points == 1 or give.floor_fen > 1
        said = phrases["per_fen"] if is_whole else self._shape["in_proportion"]
        return said.format(points=f"{points:,}", v=self._money(per), unit=unit)


def whom_text(version: ProgrammeVersion, conditions: Iterable[Who | None], language: str) -> str:
    """Return for whom conditions on the member are, of which one is enough, in one of `LANGUAGES`; "" for everybody."""
    teller, told = BookTeller(version, language), list(conditions)
    return "" if None in told else book_phrases(language)["shape"]["or"].join(teller.who(who) for who in told if who)


def benefit_needs(version: ProgrammeVersion, benefit: Benefit, language: str) -> str:
    """Return what a member must be to be given a benefit: its conditions, and those of its quotas and prices."""
    quotas = benefit.quota if isinstance(benefit.quota, tuple) else ()
    needs = [whom_text(version, [benefit.who], language)]
    needs += [whom_text(version, [one.who for one in entries], language) for entries in (quotas, benefit.price)]
    return book_phrases(language)["shape"]["with"].join(dict.fromkeys(said for said in needs if said))
