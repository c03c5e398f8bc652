"""The rule book's names next to their codes."""

from datetime import datetime

from rich.text import Text

from ledger.rulebook.compiled import Book
from projections.answers.codes import rule_names
from service.errors import plain


class Names:
    """Labels such as ``京豆 beans`` from a rule book; the newest version that has a code names it."""

    def __init__(self, book: Book) -> None:
        self._versions = list(reversed(book.versions))
        self._rules = rule_names(book)

    def kind(self, kind: str) -> Text:
        """Return the label of a kind of points."""
        found = (v.programme.kinds[kind].name for v in self._versions if kind in v.programme.kinds)
        return label(next(found, ""), kind)

    def score(self, score: str) -> Text:
        """Return the label of a score."""
        found = (v.programme.scores[score].name for v in self._versions if score in v.programme.scores)
        return label(next(found, ""), score)

    def part(self, score: str, part: str) -> Text:
        """Return the label of a part of a score."""
        scores = (v.programme.scores[score] for v in self._versions if score in v.programme.scores)
        return label(next((s.parts[part] for s in scores if part in s.parts), ""), part)

    def rule(self, rule: str) -> Text:
        """Return the label of a rule."""
        return label(self._rules.get(rule, ""), rule)

    def rule_alone(self, rule: str) -> Text:
        """Return the name of a rule without its code, for narrow screens."""
        return Text(plain(self._rules.get(rule, "") or rule))

    def membership(self, membership: str) -> Text:
        """Return the label of a membership."""
        found = (
            v.programme.memberships[membership].name for v in self._versions if membership in v.programme.memberships
        )
        return label(next(found, ""), membership)

    def benefit(self, benefit: str) -> Text:
        """Return the label of a benefit of a membership."""
        found = (v.benefits[benefit][1].name for v in self._versions if benefit in v.benefits)
        return label(next(found, ""), benefit)

    def fen(self, kind: str) -> int:
        """Return what a point of a kind is worth in fen; 0 where no version has the kind."""
        return next((v.programme.kinds[kind].fen for v in self._versions if kind in v.programme.kinds), 0)


def label(name: str, code: str) -> Text:
    """Return a name and, where they differ, its code beside it."""
    if not name or name.casefold() == code.casefold():
        return Text(plain(name or code))
    return Text.assemble(plain(name), " ", (plain(code), "dim"))


def short_time(text: str) -> str:
    """Return an RFC 3339 time to the minute; of midnight the date alone."""
    moment = datetime.fromisoformat(text)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M}"


def yuan(fen: int) -> str:
    """Return fen as yuan, such as ¥12.50."""
    return f"{'-' if fen < 0 else ''}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def number(value: int) -> Text:
    """Return a number with separators; a zero is dim."""
    return Text(f"{value:,}", style="" if value else "dim")
