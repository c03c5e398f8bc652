"""How a language counts, joins and ends its sentences: what a phrase cannot say by itself. English, and Chinese."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final


class Speech:
    """English; another language is a subclass. `phrases` names the file of its phrases."""

    language: ClassVar[str] = "en"
    phrases: ClassVar[str] = "english"
    stop: ClassVar[str] = ". "  # between sentences
    comma: ClassVar[str] = ", "
    semicolon: ClassVar[str] = "; "
    colon: ClassVar[str] = ": "
    aside: ClassVar[str] = " ({})"  # in brackets
    units: ClassVar[tuple[str, ...]] = ("day", "hour", "minute", "second")
    until: ClassVar[tuple[str, str]] = ("until ", "without an end of its own")

    def count(self, number: int, noun: str, nouns: str = "") -> str:
        """A number and its noun: 1 line, 2 lines; `nouns` are several where an s does not make them."""
        return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"

    def nth(self, number: int) -> str:
        """1st, 2nd, 3rd, 4th …"""
        last = number % 10 if number % 100 not in (11, 12, 13) else 0
        return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"

    def joined(self, parts: Sequence[str], last: str = "and") -> str:
        """Some things in a sentence: a, b and c; `last` is "and" or "or"."""
        if len(parts) < 2:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {last} {parts[-1]}"

    def span(self, microseconds: int) -> str:
        """A length of time in its largest whole unit, rounded down: 3 days, 5 hours, 2 minutes."""
        seconds = microseconds // 1_000_000
        for length, unit in zip((86_400, 3_600, 60), self.units, strict=False):
            if seconds >= length:
                return self.count(seconds // length, unit)
        return self.count(seconds, self.units[-1])

    def age(self, seconds: int) -> str:
        """How old a request is: whole days, else days or hours with one decimal place, or seconds below an hour."""
        if seconds % 86_400 == 0 and seconds:
            return self.count(seconds // 86_400, self.units[0])
        if seconds >= 172_800:
            return f"{seconds / 86_400:,.1f} {self._several(self.units[0])}"
        if seconds >= 3_600:
            return f"{seconds / 3_600:,.1f} {self._several(self.units[1])}"
        return f"{seconds:,} {self._several(self.units[3])}"

    def sentence(self, text: str) -> str:
        """A text with a capital letter and a full stop."""
        return self.ended(text[:1].upper() + text[1:])

    def ended(self, text: str) -> str:
        """A text with a full stop."""
        return f"{text.rstrip('.')}."

    def inner(self, text: str) -> str:
        """A sentence as a part of another: without its capital letter and its full stop."""
        return text[:1].lower() + text[1:].rstrip(".")

    def points(self, number: int, kind: str, name: str) -> str:
        """Points of a kind, or of a score: 1,200 beans. `name` is what the book calls it, "" where it does not."""
        label = kind[:-1] if number in (1, -1) and kind.endswith("s") else kind
        return f"{number:,} {label}"

    def beside(self, label: str, name: str) -> str:
        """A label with the book's name beside it: beans 京豆."""
        return f"{label} {name}" if name and name != label else label

    def failing(self, who: str) -> str:
        """The condition on a member that failed, as an entry has it: tier.taoqi, is ordinary."""
        return who

    def _several(self, noun: str) -> str:
        return f"{noun}s"


class Chinese(Speech):
    """Chinese: no plurals and no capital letters, and what the book calls a thing stands for its label."""

    language: ClassVar[str] = "zh"
    phrases: ClassVar[str] = "chinese"
    stop: ClassVar[str] = "。"
    comma: ClassVar[str] = "，"
    semicolon: ClassVar[str] = "；"
    colon: ClassVar[str] = "："
    aside: ClassVar[str] = "（{}）"
    units: ClassVar[tuple[str, ...]] = ("天", "小时", "分钟", "秒")
    until: ClassVar[tuple[str, str]] = ("至 ", "没有自己的期限")

    def count(self, number: int, noun: str, nouns: str = "") -> str:
        """A number and its measure: 2 行."""
        return f"{number:,} {noun}"

    def nth(self, number: int) -> str:
        """第 3."""
        return f"第 {number:,}"

    def joined(self, parts: Sequence[str], last: str = "and") -> str:
        """Some things in a sentence: a、b、c, or a、b 或 c."""
        if last == "and" or len(parts) < 2:
            return "、".join(parts)
        return f"{'、'.join(parts[:-1])} 或 {parts[-1]}"

    def sentence(self, text: str) -> str:
        """A text with a full stop."""
        return self.ended(text)

    def ended(self, text: str) -> str:
        """A text with a full stop."""
        return f"{text.rstrip('.。')}。"

    def inner(self, text: str) -> str:
        """A sentence as a part of another: without its full stop."""
        return text.rstrip(".。")

    def points(self, number: int, kind: str, name: str) -> str:
        """Points of a kind, or of a score: 1,200 京豆."""
        return f"{number:,} {name or kind}"

    def beside(self, label: str, name: str) -> str:
        """What the book calls a label, or the label: 京豆."""
        return name or label

    def failing(self, who: str) -> str:
        """The condition on a member that failed: tier.taoqi 为 ordinary."""
        told = who.replace("none of: ", "以下都不符合：").replace("shop, is not named", "没有注明店铺")
        return _FOUND.sub(lambda found: f" 为{_VALUES.get(found[1], f' {found[1]}')}", told)

    def _several(self, noun: str) -> str:
        return noun


_FOUND: Final = re.compile(r", is ([^;]*)")
_VALUES: Final = {"unknown": "未知", "not held": "未持有", "none": "无"}


ENGLISH: Final = Speech()
_SPEECHES: Final = {"zh": Chinese()}


def speech_of(language: str) -> Speech:
    """Return the speech of a reader's language, by two letters; English where there is none of it."""
    return _SPEECHES.get(language, ENGLISH)
