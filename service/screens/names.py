"""What the book calls things, next to their codes."""

from datetime import datetime

from rich.text import Text

from ledger.rulebook.compiled import Book
from projections.answers.codes import rule_names
from service.errors import plain


class Names:
    """Labels such as ``京豆 beans`` out of a book, the newest version first."""

    def __init__(self, book: Book) -> None:
        self._versions = list(reversed(book.versions))
        self._rules = rule_names(book)

    def kind(self, kind: str) -> Text:
        """A kind of points."""
        found = (v.programme.kinds[kind].name for v in self._versions if kind in v.programme.kinds)
        return label(next(found, ""), kind)

    def score(self, score: str) -> Text:
        """A score."""
        found = (v.programme.scores[score].name for v in self._versions if score in v.programme.scores)
        return label(next(found, ""), score)

    def part(self, score: str, part: str) -> Text:
        """A part of a score."""
        scores = (v.programme.scores[score] for v in self._versions if score in v.programme.scores)
        return label(next((s.parts[part] for s in scores if part in s.parts), ""), part)

    def rule(self, rule: str) -> Text:
        """A rule."""
        return label(self._rules.get(rule, ""), rule)

    def rule_alone(self, rule: str) -> Text:
        """A rule without its code, where there is no room."""
        return Text(plain(self._rules.get(rule, "") or rule))

    def membership(self, membership: str) -> Text:
        """A membership."""
        found = (
            v.programme.memberships[membership].name for v in self._versions if membership in v.programme.memberships
        )
        return label(next(found, ""), membership)

    def benefit(self, benefit: str) -> Text:
        """A benefit of a membership."""
        found = (v.benefits[benefit][1].name for v in self._versions if benefit in v.benefits)
        return label(next(found, ""), benefit)

    def fen(self, kind: str) -> int:
        """What a point of a kind is worth."""
        return next((v.programme.kinds[kind].fen for v in self._versions if kind in v.programme.kinds), 0)


def label(name: str, code: str) -> Text:
    """A name and, where it is another, its code beside it."""
    if not name or name.casefold() == code.casefold():
        return Text(plain(name or code))
    return Text.assemble(plain(name), " ", (plain(code), "dim"))


def short_time(text: str) -> str:
    """An RFC 3339 time to the minute; a midnight is its date."""
    moment = datetime.fromisoformat(text)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M}"


def yuan(fen: int) -> str:
    """Fen as money."""
    return f"{'-' if fen < 0 else ''}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def number(value: int) -> Text:
    """A number; a zero steps back."""
    return Text(f"{value:,}", style="" if value else "dim")
