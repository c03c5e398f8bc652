"""Words for people: money, points, counts and times as a support agent reads them, and the names the book gives."""

import tomllib
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any, Final

from ledger.core.evaluate import amount_of
from ledger.rulebook.compiled import ProgrammeVersion, Rule
from ledger.rulebook.schema import AT_SHOP
from ledger.wire.entry_json import bucket_text
from ledger.wire.name_keys import named
from ledger.wire.times import MAX_INSTANT, month_text, to_instant, to_text
from projections.explaining.speech import speech_of

SIGNS: Final = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def money(fen: int, currency: str) -> str:
    """Money of a currency, of which `fen` are hundredths: 123456 of CNY is ¥1,234.56, of CHF it is CHF 1,234.56."""
    return f"{'-' if fen < 0 else ''}{sign_of(currency)}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def sign_of(currency: str) -> str:
    """What stands before an amount of a currency: its sign, or its name and a space."""
    return SIGNS.get(currency, f"{currency} ")


_SHOWN: dict[str, Callable[[Any], str]] = {
    "month": month_text,
    "list": lambda text: str(text).replace(",", ", "),
    "g": lambda number: f"{number:g}",
    "plain": str,
}


@cache
def phrases(language: str) -> dict[str, str]:
    """Every phrase of a language by its code, such as ``reason.duplicate``; `language` names its file."""
    found: dict[str, str] = {}
    file = resources.files(__package__) / f"{language}.toml"
    for group, phrase in tomllib.loads(file.read_text("utf-8")).items():
        of_group = {"": phrase} if isinstance(phrase, str) else phrase
        found |= {f"{group}.{code}".rstrip("."): text for code, text in of_group.items()}
    return found


@cache
def _parsed(template: str) -> tuple[tuple[str, str, str, str], ...]:
    """A phrase in parts: a text, the name of the value behind it ("": none), how to show that, and what that takes."""
    parts = ((text, name or "", *(spec or "").partition(" ")) for text, name, spec, _ in Formatter().parse(template))
    return tuple((text, name, how, rest) for text, name, how, _, rest in parts)


class Words:
    """The words of one version of a book for a reader, in Chinese or else in English.

    Its names are in the reader's language where the book has them in it.
    """

    def __init__(self, version: ProgrammeVersion, reader: str = "") -> None:
        self.version = version
        self.speech = speech_of(reader)
        self._reader = reader
        self._phrases = phrases(self.speech.phrases)

    def say(self, code: str, *sources: object, **values: Any) -> str:
        """The phrase of a code, or of its group, filled in from `values` and the fields of the `sources`."""
        phrase = self._phrases.get(code)
        while phrase is None:
            code = code[: code.rindex(".")]
            phrase = self._phrases.get(code)
        return self._fill(phrase, sources, values) if "{" in phrase else phrase

    def _fill(self, template: str, sources: tuple[object, ...], values: dict[str, Any]) -> str:
        made = ""
        for text, name, how, rest in _parsed(template):
            made += text
            if name:
                value = values[name] if name in values else self._value(name, sources)
                if how == "if" or how == "not":
                    if bool(value) == (how == "if"):
                        made += self._fill(rest, sources, values)
                elif how:
                    made += self._shown(value, how, rest)
                else:
                    made += value if type(value) is str else f"{value:,}" if isinstance(value, int) else str(value)
        return made

    def _value(self, name: str, sources: tuple[Any, ...]) -> Any:
        """A value that is not given: a field of the first source that has it; "" where none has.

        `amount` and `signed` are the points of the first source with their kind.
        """
        for source in sources:
            found = source.get(name) if type(source) is dict else getattr(source, name, None)
            if found is not None:
                return self._of_name(found) if type(found) is str else found
        if name == "amount" or name == "signed":
            return (self.points if name == "amount" else self.signed)(sources[0].points, sources[0].kind)
        return ""

    def _of_name(self, text: str) -> str:
        """A text; of what the account keeps under another of its names, what it is called there and that name."""
        name, own = named(text)
        return self.say("of-name", name=name, own=own) if name else text

    def _shown(self, value: Any, how: str, noun: str) -> str:
        if how == "time":
            return self.time(to_instant(value) if isinstance(value, datetime) else value)
        if how == "until":
            until, without = self.speech.until
            return f"{until}{self.time(value)}" if value < MAX_INSTANT else without
        if how == "end":
            return self.end(value)
        if how == "money":
            return self.money(value)
        if how in _SHOWN:
            return _SHOWN[how](value)
        if how in ("rule", "use", "membership", "benefit", "beside", "bucket"):
            return str(getattr(self, how)(value))
        if how in ("nth", "span", "age", "failing"):
            return str(getattr(self.speech, how)(value))
        if how == "word":
            return self.say(f"word.{value}", word=value)
        if how in ("and", "or"):
            return self.speech.joined(list(value), how)
        return self.speech.count(value, noun)

    def money(self, fen: int) -> str:
        """An amount of the book's currency."""
        return money(fen, self.version.programme.currency)

    def time(self, instant: int) -> str:
        """An instant in the book's zone."""
        return to_text(instant, self.version.offset)

    def end(self, instant: int) -> str:
        """The end of points: an instant in the book's zone, or that they do not expire."""
        return self.time(instant) if instant < MAX_INSTANT else self.say("expiry.never")

    def points(self, number: int, kind: str) -> str:
        """Points of a kind, or of a score: 1,200 beans."""
        return self.speech.points(number, kind, self._named(kind))

    def unit(self, kind: str) -> str:
        """What several points of a kind, or of a score, are called in a sentence."""
        return self.points(2, kind).partition(" ")[2]

    def signed(self, number: int, kind: str) -> str:
        """Points that came or went: +1,200 beans."""
        return f"+{self.points(number, kind)}" if number > 0 else self.points(number, kind)

    def name(self, label: str) -> str:
        """The book's own name of a kind of points, a score or a membership; empty where it has none."""
        programme = self.version.programme
        for table in ("kinds", "scores", "memberships"):
            named = getattr(programme, table)
            if label in named:
                return self.text(f"{table}.{label}.name", named[label].name)
        return ""

    def text(self, place: str, otherwise: str) -> str:
        """A text of the book in the reader's language, or the book's own where it has none in it."""
        return self.version.text_in(place, self._reader, otherwise)

    def part_name(self, score: str, part: str) -> str:
        """The book's name of a part of a score; empty where it has none."""
        base = score.partition(AT_SHOP)[0]
        known = self.version.programme.scores.get(base)
        name = known.parts.get(part, "") if known is not None else ""
        return self.text(f"scores.{base}.parts.{part}", name)

    def benefit_name(self, label: str) -> str:
        """The book's name of a benefit; empty where it has none."""
        owner, benefit = self.version.benefits.get(label, ("", None))
        place = f"memberships.{owner}.benefits.{label}.name" if owner else f"benefits.{label}.name"
        return self.text(place, benefit.name) if benefit is not None else ""

    def membership(self, label: str) -> str:
        """What a membership is called in a sentence."""
        return self.name(label) or label

    def beside(self, label: str) -> str:
        """A label as a sentence has it: with the book's name beside it, or that alone."""
        return self.speech.beside(label, self._named(label))

    def _named(self, label: str) -> str:
        """The book's name of a kind or score; of one that is kept for each shop, with the shop."""
        base, at, shop = label.partition(AT_SHOP)
        name = self.name(base)
        return f"{name}{at}{shop}" if name else ""

    def benefit(self, label: str) -> str:
        """What a benefit is called in a sentence."""
        return self.benefit_name(label) or label

    def rule_name(self, rule: str) -> str:
        """The book's name of an award rule or a penalty."""
        return self._of_rule(rule)[0]

    def about_rule(self, rule: str) -> dict[str, str]:
        """What a view has of a rule: its code, and the book's name and words of it."""
        name, text = self._of_rule(rule)
        return {"rule": rule, "rule_name": name, "rule_text": text}

    def _of_rule(self, rule: str) -> tuple[str, str]:
        known = self.version.rules.get(rule)
        if known is not None:
            return self._texts(f"award.{rule}", known.award.name, known.award.text)
        exchange = self.version.programme.exchanges.get(rule.removeprefix("exchange."))
        if exchange is not None:
            return self._texts(f"exchanges.{rule.removeprefix('exchange.')}", exchange.name, "")
        benefit = self.version.perks.get(rule.removeprefix("benefit.")) if rule.startswith("benefit.") else None
        if benefit is not None:
            return self.benefit_name(benefit.name), benefit.benefit.text
        penalty = self.version.programme.penalties.get(rule.removeprefix("penalty."))
        if penalty is None:
            return "", self.say(f"built-in.{rule}")
        return self._texts(f"penalties.{rule.removeprefix('penalty.')}", penalty.name, penalty.text)

    def _texts(self, place: str, name: str, text: str) -> tuple[str, str]:
        return self.text(f"{place}.name", name), self.text(f"{place}.text", text)

    def rule(self, rule: str) -> str:
        """A rule in a sentence: 购物返豆 (purchase.beans)."""
        name = self.rule_name(rule)
        return name + self.speech.aside.format(rule) if name else rule

    def use(self, use: str) -> str:
        """A redemption's use in a sentence: offset (抵现)."""
        known = self.version.programme.uses.get(use)
        return self.say("use", use=use, name=self.text(f"uses.{use}.name", known.name)) if known is not None else use

    def calculation(self, rule: Rule, fen: int, category: str) -> str:
        """How a rule comes from fen to points: ¥359.00 at 10 for every ¥100.00, in whole steps of ¥10.00, makes 35."""
        made, award, give = amount_of(rule.amount, fen, category), rule.award, rule.award.give
        if category in award.rates:
            rate = award.rates[category] / 100
            return self.say("given.category-rate", fen=fen, rate=rate, category=category, made=made)
        if give.steps:
            steps = sorted(give.steps, key=lambda step: step.at_least_fen)
            reached = [step for step in steps if step.at_least_fen <= fen]
            code, step = ("given.steps", reached[-1]) if reached else ("given.no-step", steps[0])
            return self.say(code, step, fen=fen, made=made)
        if give.per_fen is None:
            return self.say("given.each", points=made)
        return self.say("given.per-fen", give, fen=fen, made=made, steps=give.floor_fen > 1)

    def bucket(self, bucket: int) -> str:
        """What a counter counts by: a month, a year, or all time."""
        if not bucket:
            return self.say("all-time")
        return bucket_text(bucket)
