"""The console's words: every one that a page asks for is there in both languages, and no other."""

import re
import string

import pytest

from ledger.wire.entries import OUTCOMES
from ledger.wire.facts import FACT_TYPES
from projections.audit.results import AUDITS
from service.console.language import chosen_language, translations
from service.console.pages import MENU
from service.http.problems import TYPES
from tests.support.served import ROOT

ZH, EN = translations("zh"), translations("en")
CONSOLE = ROOT / "service" / "console"
# Names that a page puts together, by what they begin with.
MADE = (
    "menu.",
    "home.by-",
    "range.",
    "outcome.",
    "state.",
    "fact.",
    "problem.",
    "letter.",
    "sign-in.",
    "difference.",
    "audits.",
    "audit.",
    "age.",
    "find.kind.",
    "acts.kind.",
    "acts.aim.",
    "adjustments.",
    "drafts.do.",
    "drafts.run.",
    "drafts.state.",
    "drafts.step.",
)


def figures(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_each_word_has_both_languages_with_the_same_figures() -> None:
    assert list(ZH) == list(EN)
    for name, chinese in ZH.items():
        english = EN[name]
        assert chinese.strip() and english.strip(), name
        assert figures(chinese) == figures(english), name


def test_each_word_that_a_page_asks_for_is_there_and_each_that_is_there_is_asked_for() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(CONSOLE.rglob("*.html")))
    text += "".join(p.read_text(encoding="utf-8") for p in sorted(CONSOLE.glob("*.py")))
    asked = set(re.findall(r'\bt\("([\w.-]+)"[,)]', text))
    assert asked <= set(ZH)
    named = set(re.findall(r'"([\w.-]+)"', text))
    unused = {name for name in ZH if name not in asked | named and not name.startswith(MADE)}
    assert not unused


def test_each_type_of_fact_outcome_and_page_has_its_words() -> None:
    types = {fact.__struct_config__.tag for fact in FACT_TYPES}
    assert {name.removeprefix("fact.") + ".v1" for name in ZH if name.startswith("fact.")} == types
    assert {f"outcome.{name}" for name in OUTCOMES} <= set(ZH)
    assert {f"audit.{name}" for name in AUDITS} == {name for name in ZH if name.startswith("audit.")}
    assert {f"menu.{name}" for name, _, _ in MENU} == {name for name in ZH if name.startswith("menu.")}
    assert {name.removeprefix("problem.") for name in ZH if name.startswith("problem.")} <= set(TYPES)


@pytest.mark.parametrize(
    ("remembered", "accepted", "language"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr, en;q=0.8, zh;q=0.9", "zh"),
        (None, "zh;q=0, en", "en"),
        (None, "fr;q=what", "en"),
        (None, "", "en"),
        ("zh", "en-US", "zh"),
        ("klingon", "zh", "zh"),
    ],
)
def test_the_language_is_the_remembered_one_else_the_first_accepted(
    remembered: str | None, accepted: str, language: str
) -> None:
    assert chosen_language(remembered, accepted) == language
