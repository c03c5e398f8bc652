"""What the rule book calls its kinds, scores, cards and rules, in the reader's language."""

from datetime import datetime

from rich.text import Text

from ledger.rulebook.compiled import Programme
from projections.answers.codes import rule_names
from projections.answers.plain import plain
from projections.answers.shops import without_shop
from projections.explaining.book import benefit_needs, whom_text
from projections.explaining.words import money, sign_of


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
            named |= {f"uses.{code}.name": use.name for code, use in tables.uses.items()}
            for code, membership in tables.memberships.items():
                named[f"memberships.{code}.name"] = membership.name
            self._names |= {place: version.text_in(place, language, name) for place, name in named.items()}
            for code, (owner, benefit) in version.benefits.items():
                place = f"memberships.{owner}.benefits.{code}.name" if owner else f"benefits.{code}.name"
                self._names[f"benefits.{code}.name"] = version.text_in(place, language, benefit.name)
        self._currency = book.versions[-1].programme.currency
        self._rules = rule_names(book, language)
        self._gives = {code: version for version in book.versions for code in version.benefits}
        self._sells = {code: version for version in book.versions for code in version.products}

    def kind(self, kind: str) -> Text:
        """Return the name of a kind of points; of one that is kept for each shop, with the shop."""
        return label(self._names.get(f"kinds.{without_shop(kind)}.name", ""), kind)

    def score(self, score: str) -> Text:
        """Return the name of a score; of one that is kept for each shop, with the shop."""
        return label(self._names.get(f"scores.{without_shop(score)}.name", ""), score)

    def part(self, score: str, part: str) -> Text:
        """Return the name of a part of a score."""
        return label(self._names.get(f"scores.{without_shop(score)}.parts.{part}", ""), part)

    def rule(self, rule: str) -> Text:
        """Return the name of a rule."""
        return label(self._rules.get(rule, ""), rule)

    def use(self, use: str) -> Text:
        """Return the name of what points are used for."""
        return label(self._names.get(f"uses.{use}.name", ""), use)

    def membership(self, membership: str) -> Text:
        """Return the name of a membership."""
        return label(self._names.get(f"memberships.{membership}.name", ""), membership)

    def benefit(self, benefit: str) -> Text:
        """Return the name of a benefit, with its shop where it is one's."""
        return label(self._names.get(f"benefits.{without_shop(benefit)}.name", ""), benefit)

    def needs(self, benefit: str, language: str = "en") -> str:
        """Return what a member must be to be given a benefit; "" where it is for everybody, or is no benefit."""
        name = without_shop(benefit)
        version = self._gives.get(name)
        return "" if version is None else benefit_needs(version, version.benefits[name][1], language)

    def opened_by(self, product: str, language: str = "en") -> str:
        """Return who may open a card of a product; "" where everybody may, or it is unknown."""
        version = self._sells.get(product)
        return "" if version is None else whom_text(version, [version.products[product][1].who], language)

    def money(self, fen: int) -> str:
        """Return an amount of the book's currency, of which `fen` are hundredths."""
        return money(fen, self._currency)

    @property
    def sign(self) -> str:
        """What stands before an amount of the book's currency."""
        return sign_of(self._currency)

    def fen(self, kind: str) -> int:
        """Return what a point of a kind is worth in fen; 0 where no version has the kind."""
        return self._fen.get(without_shop(kind), 0)


def label(name: str, code: str) -> Text:
    """Return a name, with the shop of the code behind it where it has one; the code where there is no name."""
    return Text(plain(name + code[len(without_shop(code)) :] if name else code))


def short_time(text: str) -> str:
    """Return an RFC 3339 time to the minute, such as 2025-11-11 20:00+08:00; of midnight the date alone."""
    moment = datetime.fromisoformat(text)
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(sep=" ", timespec="minutes")


def number(value: int) -> Text:
    """Return a number with separators; a zero is dim."""
    return Text(f"{value:,}", style="" if value else "dim")
