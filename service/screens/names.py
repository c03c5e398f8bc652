"""What the rule book calls its kinds, scores, cards and rules, in the reader's language."""

from datetime import datetime

from rich.text import Text

from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import AT_SHOP
from projections.answers.codes import rule_names
from projections.answers.plain import plain


class Names:
    """Names from a rule book in a language; the newest version that has a code names it.

    Where no language is asked for (""), or the book has no name in it, the book's first one stands.
    """

    def __init__(self, book: Programme, language: str = "") -> None:
        self._fen = {code: kind.fen for version in book.versions for code, kind in version.programme.kinds.items()}
        self._names: dict[str, str] = {}
        for version in book.versions:
            tables = version.programme
            named = {f"kinds.{code}.name": kind.name for code, kind in tables.kinds.items()}
            for code, score in tables.scores.items():
                named[f"scores.{code}.name"] = score.name
                named |= {f"scores.{code}.parts.{part}": name for part, name in score.parts.items()}
            for code, membership in tables.memberships.items():
                named[f"memberships.{code}.name"] = membership.name
            self._names |= {place: version.text_in(place, language, name) for place, name in named.items()}
            for code, (owner, benefit) in version.benefits.items():
                place = f"memberships.{owner}.benefits.{code}.name" if owner else f"benefits.{code}.name"
                self._names[f"benefits.{code}.name"] = version.text_in(place, language, benefit.name)
        self._rules = rule_names(book, language)

    def kind(self, kind: str) -> Text:
        """Return the name of a kind of points; of one that is kept for each shop, with the shop."""
        base, at, shop = kind.partition(AT_SHOP)
        return label(self._names.get(f"kinds.{base}.name", ""), kind, f"{at}{shop}")

    def score(self, score: str) -> Text:
        """Return the name of a score; of one that is kept for each shop, with the shop."""
        base, at, shop = score.partition(AT_SHOP)
        return label(self._names.get(f"scores.{base}.name", ""), score, f"{at}{shop}")

    def part(self, score: str, part: str) -> Text:
        """Return the name of a part of a score."""
        return label(self._names.get(f"scores.{score.partition(AT_SHOP)[0]}.parts.{part}", ""), part)

    def rule(self, rule: str) -> Text:
        """Return the name of a rule."""
        return label(self._rules.get(rule, ""), rule)

    def membership(self, membership: str) -> Text:
        """Return the name of a membership."""
        return label(self._names.get(f"memberships.{membership}.name", ""), membership)

    def benefit(self, benefit: str) -> Text:
        """Return the name of a benefit."""
        return label(self._names.get(f"benefits.{benefit}.name", ""), benefit)

    def fen(self, kind: str) -> int:
        """Return what a point of a kind is worth in fen; 0 where no version has the kind."""
        return self._fen.get(kind.partition(AT_SHOP)[0], 0)


def label(name: str, code: str, shop: str = "") -> Text:
    """Return a name, with the shop behind it where there is one; the code where there is no name."""
    return Text(plain(f"{name}{shop}" if name else code))


def short_time(text: str) -> str:
    """Return an RFC 3339 time to the minute; of midnight the date alone."""
    moment = datetime.fromisoformat(text)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M}"


def number(value: int) -> Text:
    """Return a number with separators; a zero is dim."""
    return Text(f"{value:,}", style="" if value else "dim")
