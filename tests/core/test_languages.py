"""Names in languages: one text stands in the tables, the others beside it by their place."""

import pytest

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import BadProgramme, shipped, shipped_names

BOOK = """
programme = "corner"
name = { en = "Corner", zh = "街角" }
from = 2024-01-01
utc_offset = "+08:00"

[kinds.name]
name = { en = "Stars" }
expiry = [{ from = 2024-01-01, days = 365 }]

[scores.level]
name = "等级"
parts = { purchase = { zh = "消费", en = "Purchases" }, other = "其他" }

[[award]]
rule = "level.purchase"
name = { zh = "消费", en = "Purchases" }
text = { zh = "每元一分", en = "A point for each yuan" }
on = "order.completed"
each = "line"
score = "level"
part = "purchase"
give = { points = 1, per_fen = 100 }
"""


def test_a_text_stands_in_the_language_that_is_asked_for() -> None:
    version = ProgrammeVersion(BOOK)
    programme = version.programme
    assert (programme.name, programme.kinds["name"].name) == ("街角", "Stars")
    assert programme.scores["level"].parts == {"purchase": "消费", "other": "其他"}
    assert version.text_in("name", "en", programme.name) == "Corner"
    assert version.text_in("kinds.name.name", "zh", "Stars") == "Stars"
    assert version.text_in("scores.level.parts.purchase", "en", "消费") == "Purchases"
    assert version.text_in("award.level.purchase.text", "en", "") == "A point for each yuan"
    assert version.text_in("scores.level.name", "en", "等级") == "等级"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ('{ zh = "", en = "Stars" }', "kinds.name.name.zh"),
        ("{ zh = 3 }", "kinds.name.name.zh"),
        ('{ chinese = "星" }', "kinds.name.name"),
        ("{}", "kinds.name.name"),
    ],
)
def test_a_bad_table_of_texts_is_told_by_its_place(name: str, said: str) -> None:
    with pytest.raises(BadProgramme) as told:
        ProgrammeVersion(BOOK.replace('{ en = "Stars" }', name), "corner.toml")
    assert str(told.value).startswith(f"corner.toml: {said}")


@pytest.mark.parametrize("book", shipped_names())
def test_every_name_of_a_shipped_book_is_chinese_and_english(book: str) -> None:
    version = ProgrammeVersion(shipped(book))
    for place, texts in version.languages.items():
        assert {"zh", "en"} <= set(texts), place
    tables = version.programme
    named = {f"kinds.{name}.name": kind.name for name, kind in tables.kinds.items()}
    named |= {f"scores.{name}.name": score.name for name, score in tables.scores.items()}
    named |= {f"memberships.{name}.name": membership.name for name, membership in tables.memberships.items()}
    named |= {f"award.{award.rule}.name": award.name for award in tables.award}
    named |= {f"uses.{name}.name": use.name for name, use in tables.uses.items()}
    named |= {f"benefits.{name}.name": benefit.name for name, benefit in tables.benefits.items()}
    for place, name in named.items():
        english = version.text_in(place, "en", name)
        assert not any("一" <= letter <= "鿿" for letter in english), f"{place} has no English name"
