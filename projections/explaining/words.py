"""Words for people: money, points, counts and times as a support agent reads them, and the names the book gives."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.core.evaluate import amount_of
from ledger.rulebook.compiled import Rule, Version
from ledger.rulebook.schema import Give
from ledger.wire.times import DAY, to_text

# What gives or takes without being an award rule of the book: text by the name that changes carry.
BUILT_IN = {
    "campaign": "points that a campaign granted, as many as the grant says",
    "adjustment": "points that an operator added or took, approved by a second one",
    "lot.opened": "an opening balance carried over from an older system",
}


def yuan(fen: int) -> str:
    """Money: 123456 fen is ¥1,234.56."""
    sign = "-" if fen < 0 else ""
    return f"{sign}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number and its noun: 1 line, 2 lines; `nouns` are several where an s does not make them."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th …"""
    last = number % 10 if number % 100 not in (11, 12, 13) else 0
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Some things in a sentence: a, b and c."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def span(microseconds: int) -> str:
    """A length of time, roughly: in days, or in hours and minutes below a day."""
    seconds = microseconds // 1_000_000
    if microseconds >= DAY:
        return count(seconds // 86_400, "day")
    if seconds >= 3_600:
        return count(seconds // 3_600, "hour")
    if seconds >= 60:
        return count(seconds // 60, "minute")
    return count(seconds, "second")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one version of a book."""

    version: Version

    def time(self, instant: int) -> str:
        """An instant in the book's zone."""
        return to_text(instant, self.version.offset)

    def points(self, number: int, kind: str) -> str:
        """Points of a kind, or of a score: 1,200 beans."""
        label = kind[:-1] if number in (1, -1) and kind.endswith("s") else kind
        return f"{number:,} {label}"

    def signed(self, number: int, kind: str) -> str:
        """Points that came or went: +1,200 beans."""
        return f"+{self.points(number, kind)}" if number > 0 else self.points(number, kind)

    def name(self, label: str) -> str:
        """The book's own name of a kind of points, a score or a membership; empty where it has none."""
        programme = self.version.programme
        for named in (programme.kinds, programme.scores, programme.memberships):
            if label in named:
                return str(named[label].name)
        return ""

    def beside(self, label: str) -> str:
        """A label with the book's name beside it: beans 京豆."""
        name = self.name(label)
        return f"{label} {name}" if name and name != label else label

    def membership(self, label: str) -> str:
        """What a membership is called in a sentence."""
        return self.name(label) or label

    def rule_name(self, rule: str) -> str:
        """The book's name of an award rule or a penalty."""
        known = self.version.rules.get(rule)
        if known is not None:
            return known.award.name
        penalty = self.version.programme.penalties.get(rule.removeprefix("penalty."))
        return penalty.name if penalty is not None else ""

    def rule_text(self, rule: str) -> str:
        """What a rule says, in the book's words."""
        known = self.version.rules.get(rule)
        if known is not None:
            return known.award.text
        penalty = self.version.programme.penalties.get(rule.removeprefix("penalty."))
        return penalty.text if penalty is not None else BUILT_IN.get(rule, "")

    def rule(self, rule: str) -> str:
        """A rule in a sentence: 购物返豆 (purchase.beans)."""
        name = self.rule_name(rule)
        return f"{name} ({rule})" if name else rule

    def use(self, use: str) -> str:
        """A redemption's use in a sentence: offset (抵现)."""
        known = self.version.programme.uses.get(use)
        return f"{use} ({known.name})" if known is not None else use


def amount_text(rule: Rule, fen: int, category: str) -> str:
    """How a rule comes from fen to points: ¥359.00 at 10 for every ¥100.00, in whole steps of ¥10.00, makes 35."""
    made = amount_of(rule.amount, fen, category)
    award, give = rule.award, rule.award.give
    if award.rates and category in award.rates:
        return f"{yuan(fen)} at {award.rates[category] / 100:g} % (the rate of {category}) makes {made:,}"
    if give.steps:
        return _step_text(give, fen, made)
    if give.per_fen is None:
        return f"{made:,} each time"
    steps = f", in whole steps of {yuan(give.floor_fen)}," if give.floor_fen > 1 else ""
    return f"{yuan(fen)} at {give.points:,} for every {yuan(give.per_fen)}{steps} makes {made:,}"


def _step_text(give: Give, fen: int, made: int) -> str:
    steps = sorted(give.steps, key=lambda step: step.at_least_fen)
    reached = [step for step in steps if step.at_least_fen <= fen]
    if not reached:
        return f"the line was paid {yuan(fen)}; the rule begins at {yuan(steps[0].at_least_fen)}"
    return f"a line paid {yuan(fen)} makes {made:,} (from {yuan(reached[-1].at_least_fen)})"
