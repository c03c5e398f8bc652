"""The rule book's names next to their codes."""

from datetime import datetime

from rich.text import Text

from ledger.rulebook.compiled import Programme
from projections.answers.codes import rule_names
from projections.answers.plain import plain
from projections.answers.shops import without_shop
from projections.explaining.book import benefit_needs, whom_text


class Names:
    """Labels such as ``京豆 beans`` from a rule book; the newest version that has a code names it."""

    def __init__(self, book: Programme) -> None:
        programmes = [version.programme for version in book.versions]
        scores = [pair for programme in programmes for pair in programme.scores.items()]
        self._kinds = {code: kind for programme in programmes for code, kind in programme.kinds.items()}
        self._scores = {code: score.name for code, score in scores}
        self._parts = {(code, part): name for code, score in scores for part, name in score.parts.items()}
        self._memberships = {code: m.name for programme in programmes for code, m in programme.memberships.items()}
        self._benefits = {code: b.name for version in book.versions for code, (_, b) in version.benefits.items()}
        self._rules = rule_names(book)
        self._gives = {code: version for version in book.versions for code in version.benefits}
        self._sells = {code: version for version in book.versions for code in version.products}

    def kind(self, kind: str) -> Text:
        """Return the label of a kind of points."""
        base = without_shop(kind)
        return label(self._kinds[base].name if base in self._kinds else "", kind)

    def score(self, score: str) -> Text:
        """Return the label of a score."""
        return label(self._scores.get(without_shop(score), ""), score)

    def part(self, score: str, part: str) -> Text:
        """Return the label of a part of a score."""
        return label(self._parts.get((without_shop(score), part), ""), part)

    def rule(self, rule: str) -> Text:
        """Return the label of a rule."""
        return label(self._rules.get(rule, ""), rule)

    def rule_alone(self, rule: str) -> Text:
        """Return the name of a rule without its code, for narrow screens."""
        return Text(plain(self._rules.get(rule, "") or rule))

    def membership(self, membership: str) -> Text:
        """Return the label of a membership."""
        return label(self._memberships.get(membership, ""), membership)

    def benefit(self, benefit: str) -> Text:
        """Return the label of a benefit, with its shop where it is one's."""
        return label(self._benefits.get(without_shop(benefit), ""), benefit)

    def needs(self, benefit: str, language: str = "en") -> str:
        """Return what a member must be to be given a benefit; "" where it is for everybody, or is no benefit."""
        name = without_shop(benefit)
        version = self._gives.get(name)
        return "" if version is None else benefit_needs(version, version.benefits[name][1], language)

    def opened_by(self, product: str, language: str = "en") -> str:
        """Return who may open a card of a product; "" where everybody may, or it is unknown."""
        version = self._sells.get(product)
        return "" if version is None else whom_text(version, [version.products[product][1].who], language)

    def fen(self, kind: str) -> int:
        """Return what a point of a kind is worth in fen; 0 where no version has the kind."""
        base = without_shop(kind)
        return self._kinds[base].fen if base in self._kinds else 0


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


def number(value: int) -> Text:
    """Return a number with separators; a zero is dim."""
    return Text(f"{value:,}", style="" if value else "dim")
