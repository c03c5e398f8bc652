"""A rule book as sentences, in the reader's language: every key of the grammar has its words."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from ledger.rulebook import schema
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import shipped, shipped_names
from ledger.wire.fact_catalogue import OCCASIONS
from projections.explaining.book import LANGUAGES, BookTeller, book_phrases, sentences
from tests.cli.test_cli import points

PAGE = Path(__file__).parents[2] / "docs" / "rule-book.md"
TABLES = [
    found
    for found in vars(schema).values()
    if isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__module__ == schema.__name__
]
KEYS = {table.__name__: {field.encode_name for field in msgspec.structs.fields(table)} for table in TABLES}
KEYS = {name: keys for name, keys in KEYS.items() if keys}


def told(book: str, language: str) -> dict[str, str]:
    return {one.table: one.text for one in sentences(ProgrammeVersion(shipped(book)), language)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_of_every_table_has_a_phrase(language: str) -> None:
    phrases = book_phrases(language)
    assert {name: set(phrases[name]) for name in KEYS} == KEYS


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_and_field_that_a_rule_may_name_has_a_word(language: str) -> None:
    phrases = book_phrases(language)
    fields = {name for row in OCCASIONS.values() for name in row.fields | row.line_fields}
    assert set(OCCASIONS) == set(phrases["fact"])
    assert fields <= set(phrases["field"])
    english, chinese = (book_phrases(one) for one in ("en", "zh"))
    assert {table: set(keys) for table, keys in english.items()} == {t: set(keys) for t, keys in chinese.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_book_that_has_every_key_is_told_with_each_of_them(language: str) -> None:
    text = "\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))
    for key, other in (("late_days = ", "late_days = 3"), ("release_days = ", "release_days = 1")):
        text = text.replace(key, other)  # what is as it is when left out is not said
    text = text.replace('burn = "soonest-expiring"', 'burn = "oldest"').replace('currency = "CNY"', 'currency = "USD"')
    used = set()
    for book in re.split(r"^programme =", text, flags=re.MULTILINE)[1:]:
        teller = BookTeller(ProgrammeVersion(f"programme ={book}"), language)
        assert all(one.text for one in teller.tell())
        used |= teller.used
    missing = {(name, key) for name, keys in KEYS.items() for key in keys} - used
    assert {one for one in missing if one[0] != "Transition"} == set()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("book", shipped_names())
def test_a_shipped_book_is_told_without_a_key_of_the_file_in_it(book: str, language: str) -> None:
    found = told(book, language)
    assert not any(re.search(r"\b(at_least|not_in|per_fen|None|True|Struct)\b|[{}]", text) for text in found.values())


def test_a_rule_says_what_it_gives_and_how_much_at_most() -> None:
    assert "每消费满 ¥10 返 1 京豆，每件至多 1,000" in told("jd", "zh")["award.purchase.beans"]
    assert "1 Beans for each full ¥10, at most 1,000 a line" in told("jd", "en")["award.purchase.beans"]
    assert "for each $1 in proportion" in told("marriott", "en")["award.points.stay"]
    assert (
        "价格 ¥109 自 2020-01-08 起 限 成长值的等级为 v3、v4；¥149"
        in told("suning", "zh")["memberships.super.products.super.annual"]
    )


def test_names_are_in_the_readers_language() -> None:
    version = ProgrammeVersion(shipped("suning"))
    for language, name in (("zh", "云钻"), ("en", "Diamonds")):
        (rule,) = [one.text for one in sentences(version, language) if one.table == "award.diamonds.purchase"]
        assert f" 1 {name}" in rule


def test_points_programme_show_tells_a_shipped_book_or_a_file(tmp_path: Path) -> None:
    ran = points("--ledger", tmp_path / "none", "programme", "show", "suning", "--language", "zh")
    assert "每消费满 ¥10 返 1 云钻" in ran.out
    file = tmp_path / "mine.toml"
    file.write_text(shipped("prime"), encoding="utf-8")
    shown = json.loads(points("--ledger", tmp_path / "none", "programme", "show", file, "--json").out)
    assert shown["programme"] == "prime"
    assert shown["sentences"][0]["text"].startswith("Amazon Prime: from 2006-01-01 on")
    assert points("programme", "show", "suning", "--language", "fr").code == 2
