"""Rule books through time: listed, compared in words, warned of, published; what was decided stays."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger.rulebook.compiled import Programme, ProgrammeVersion
from ledger.rulebook.schema import shipped, shipped_names
from projections.answers.programmes import differences, warnings
from tests.cli.test_cli import order, points, shop, write

__all__ = ["shop"]  # the fixture

JD = shipped("jd")
GENESIS = ProgrammeVersion(JD).name


def changed(*changes: tuple[str, str], toml: str = JD) -> str:
    """A book with some of its text replaced; each must be there once."""
    for old, new in changes:
        assert toml.count(old) == 1, old
        toml = toml.replace(old, new)
    return toml


def from_(day: str, toml: str = JD) -> str:
    return re.sub(r"^from = \S+", f"from = {day}", toml, count=1, flags=re.MULTILINE)


def saved(path: Path, toml: str) -> Path:
    path.write_text(toml, encoding="utf-8")
    return path


def told(old: str, new: str) -> list[str]:
    return [one.text for one in differences(ProgrammeVersion(old).programme, ProgrammeVersion(new).programme)]


# -- differences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "per_fen = 10_000, floor_fen = 1_000",
            "per_fen = 5_000",
            "rule purchase.beans: give: 10 points per 10,000 fen, in steps of 1,000 fen → 10 points per 5,000 fen",
        ),
        (
            'per = "line", points = 1_000',
            'per = "line", points = 800',
            "rule purchase.beans: cap: at most 1,000 a line → at most 800 a line",
        ),
        (
            "paid_fen = { at_least = 5_000 }",
            "paid_fen = { at_least = 9_900 }",
            "rule purchase.beans: when paid_fen: at least 5,000 → at least 9,900",
        ),
        ("days = 180 }", "days = 90 }", "kinds beans: expiry: from 2026-01-01: 180 days → from 2026-01-01: 90 days"),
        ("at_least = 5001,", "at_least = 6001,", "scores jd-value: tiers: 5001 from 5,001 → 5001 from 6,001"),
        ('"plus.annual" = 60, ', "", "memberships plus benefits shipping: quota plus.annual: 60 → none"),
        ("cap = 50_000", "cap = 40_000", "memberships plus products plus.annual: cap: 50,000 → 40,000"),
        ("returns = false ", "returns = true ", "rule purchase.new-category: returns: no → yes"),
        ('share = "1/2" ', 'share = "1/3" ', "uses offset: share: 1/2 → 1/3"),
        ("multiple = 1_000", "multiple = 500", "uses offset: multiple: 1,000 → 500"),
        ('zh = "签到"', 'zh = "每日签到"', 'rule sign-in: name: "签到" → "每日签到"'),
        ("late_days = 400", "late_days = 500", "the book: late_days: 400 → 500"),
        ("# rates = ", "rates = ", "rule purchase.plus: rates phone: none → 0.5 %"),
        (
            "{ at_least_fen = 10_000, points = 20 }",
            "{ at_least_fen = 10_000, points = 25 }",
            "rule review.beans: give: 10 from 2,000 fen, 20 from 10,000 fen → 10 from 2,000 fen, 25 from 10,000 fen",
        ),
    ],
)
def test_a_difference_is_said_in_words(old: str, new: str, text: str) -> None:
    assert told(JD, changed((old, new))) == [text]


def test_rules_and_tables_that_are_new_gone_or_moved_are_named() -> None:
    start = JD.index('[[award]]\nrule = "sign-in"')
    end = JD.index('[[award]]\nrule = "shop-visit"')
    sign_in = JD[start:end]
    without = JD[:start] + JD[end:]
    assert told(JD, without) == ["rule sign-in: gone (was 签到: 1 bean a day for signing in)"]
    assert told(without, JD) == ["rule sign-in: new: 签到: 1 bean a day for signing in"]
    first = JD.index("[[award]]")
    (moved,) = told(JD, without[:first] + sign_in + without[first:])
    assert moved.startswith("rules: order: purchase.plus, purchase.beans, ")
    assert told(JD, JD + '\n[uses.gift]\nname = "转赠"\nkinds = ["beans"]\n') == [
        "uses gift: new: 转赠, kinds beans, multiple 1"
    ]


def test_comments_and_layout_are_no_difference() -> None:
    assert told(JD, JD + "\n# the same\n") == []


def test_books_are_named_by_file_version_or_as_shipped(shop: Path) -> None:
    saved(shop / "new.toml", changed(("late_days = 400", "late_days = 500")))
    assert points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog").code == 0
    for old in ("jd", GENESIS, GENESIS[:6]):
        found = points("programme", "diff", old, shop / "new.toml", "--json").json
        assert found["old"]["version"] == GENESIS
        assert [one["text"] for one in found["differences"]] == ["the book: late_days: 400 → 500"]
    assert points("programme", "diff", "jd", GENESIS).out == "the same\n"
    saved(shop / "same.toml", JD + "\n#\n")
    assert (
        points("programme", "diff", "jd", shop / "same.toml").out
        == "the same rules, in other words or another layout\n"
    )
    assert points("programme", "diff", "jd", "none.toml").code == 3
    saved(shop / "bad.toml", "programme = ")
    assert points("programme", "diff", "jd", shop / "bad.toml").code == 3


# -- gaps and overlaps -------------------------------------------------------------------------------------------------


def seasonal(*dates: tuple[str, str]) -> str:
    """The book with a rule that stands several times, from and until some dates."""
    start = JD.index('[[award]]\nrule = "sign-in"')
    end = JD.index('[[award]]\nrule = "shop-visit"')
    rules = ""
    for number, (since, until) in enumerate(dates):
        lines = JD[start:end].strip().replace('"sign-in"', f'"sign-in.{number}"')
        lines += (f"\nfrom = {since}" if since else "") + (f"\nuntil = {until}" if until else "")
        rules += lines + "\n\n"
    return JD[:start] + rules + JD[end:]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (JD, []),
        (seasonal(("", "2026-01-01"), ("2026-01-01", "")), []),
        (
            seasonal(("", "2026-01-01"), ("2026-02-01", "")),
            ['rules "sign-in.0" and "sign-in.1": gap: neither gives from 2026-01-01 to 2026-02-01'],
        ),
        (
            seasonal(("2026-02-01", ""), ("2025-01-01", "2026-03-01")),
            ['rules "sign-in.1" and "sign-in.0": overlap: both give from 2026-02-01 on'],
        ),
        (
            seasonal(("", ""), ("2026-02-01", "2026-02-01")),
            ['rule "sign-in.1": ends on 2026-02-01, before it begins on 2026-02-01: it never holds'],
        ),
        (
            changed(("{ from = 2017-09-14, end", "{ from = 2018-01-01, end")),
            [
                "kinds.beans.expiry: gap: begins on 2018-01-01, the book on 2017-09-14;"
                " what is earned before expires by the first period"
            ],
        ),
        (
            changed(("{ from = 2026-01-01, days", "{ from = 2017-09-14, days")),
            ["kinds.beans.expiry: overlap: two periods begin on 2017-09-14; the one listed later holds"],
        ),
    ],
)
def test_gaps_and_overlaps_in_the_dates_of_a_book_are_said(toml: str, said: list[str]) -> None:
    assert warnings(ProgrammeVersion(toml)) == said


def test_gaps_and_overlaps_among_versions_are_said() -> None:
    second = from_("2026-01-01")
    book = Programme([JD, second])
    latest = ProgrammeVersion(second).name
    assert warnings(ProgrammeVersion(from_("2026-06-01")), book) == []
    assert warnings(ProgrammeVersion(second), book) == [
        f"version {latest} is in the ledger already: publishing it again changes nothing"
    ]
    assert warnings(ProgrammeVersion(from_("2026-01-01", JD + "#")), book) == [
        f"overlap: version {latest} begins on 2026-01-01 too; this one would decide in its place"
    ]
    assert warnings(ProgrammeVersion(from_("2025-06-01")), book) == [
        f"decides until 2026-01-01 only, where version {latest} takes over"
    ]
    (early,) = warnings(ProgrammeVersion(from_("2017-10-01")), Programme([from_("2018-01-01")]))
    assert early.startswith("begins on 2017-10-01, before the ledger's first version")


def test_a_card_that_a_version_leaves_out_is_warned_of() -> None:
    quarter = '"plus.quarter" = { days = 90, cap = 12_000, on_refund = "claw-back" }\n'
    without = changed((quarter, ""), ('"plus.quarter" = 15, ', ""), ('"plus.quarter" = 1, ', ""))
    assert warnings(ProgrammeVersion(from_("2026-06-01", without)), Programme([JD])) == [
        "memberships.plus.products.plus.quarter: is gone: from 2026-06-01 on its cards have no cap and no quota by"
        " product, and their refund takes nothing back; leave it in"
    ]


def test_check_warns_by_itself_and_of_the_ledgers_versions(shop: Path) -> None:
    path = saved(shop / "new.toml", JD + "\n# another\n")
    assert points("programme", "check", path, "--json").json["warnings"] == []
    assert points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog").code == 0
    ran = points("programme", "check", path)
    assert ran.code == 0 and f"warning: overlap: version {GENESIS} begins on 2017-09-14 too" in ran.out
    saved(path, changed(('utc_offset = "+08:00"', 'utc_offset = "+09:00"')))
    assert points("programme", "check", path).code == 3, "it cannot be this ledger's next version"


# -- published ---------------------------------------------------------------------------------------------------------


def earned(member: str) -> list[int]:
    entries: list[Any] = points("entries", member, "--json").json
    return [sum(c["points"] for c in entry["changes"] if c["change"] == "earned") for entry in entries]


def test_a_published_book_decides_what_occurs_from_its_date_and_changes_no_entry_before(shop: Path) -> None:
    early = [order(f"A{n}", 100_000, "2025-11-01T10:00:00+08:00", f"m-{n}") for n in range(8)]
    assert points("ingest", write(shop / "early.ndjson", *early), "--backlog").code == 0
    before = points("export", "entries", "--format", "ndjson").out
    new = saved(
        shop / "new.toml",
        from_("2025-12-01", changed(("give = { points = 10, per_fen", "give = { points = 20, per_fen"))),
    )
    ran = points("programme", "publish", new, "--by", "li.wei", "--json")
    assert ran.code == 0 and ran.json["published"] and ran.json["by"] == "li.wei"
    assert points("export", "entries", "--format", "ndjson").out == before
    late = [order(f"B{n}", 100_000, "2025-12-05T10:00:00+08:00", f"m-{n}") for n in range(8)]
    late += [order(f"C{n}", 100_000, "2025-11-05T10:00:00+08:00", f"m-{n}") for n in range(8)]
    assert points("ingest", write(shop / "late.ndjson", *late), "--backlog").code == 0
    for number in range(8):
        assert earned(f"m-{number}") == [100, 200, 100], "in every partition"
    found = points("programme", "list", "--json").json
    assert [(one["version"], one["from"], one["until"], one["entries"]) for one in found] == [
        (GENESIS, "2017-09-14", "2025-12-01", 16),
        (ran.json["version"], "2025-12-01", None, 9),
    ]
    assert found[0]["published"] is None
    how = found[1]["published"]
    assert (how["source"], how["by"], how["position"]) == ("/operators", "li.wei", ran.json["position"])
    for command in (["verify"], ["replay"], ["replay", "--from-topic"]):
        assert points(*command).code == 0


def test_the_same_book_is_published_once(shop: Path) -> None:
    assert points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog").code == 0
    assert points("programme", "list").out == f"{GENESIS} from 2017-09-14 on: 1 entry; from birth\n"
    new = saved(shop / "new.toml", from_("2026-06-01"))
    assert points("programme", "publish", new, "--by", "a").code == 0
    entries = points("verify", "--json").json
    again = points("programme", "publish", new, "--by", "b", "--json")
    assert again.code == 0 and not again.json["published"] and "is in the ledger already" in again.err
    assert points("verify", "--json").json == entries


def test_what_cannot_be_published_is_said_and_nothing_is_written(shop: Path) -> None:
    new = saved(shop / "new.toml", from_("2026-06-01"))
    assert points("programme", "publish", new, "--by", "a").code == 3, "no ledger"
    assert points("ingest", write(shop / "facts.ndjson", order("O1")), "--backlog").code == 0
    before = points("verify", "--json").json
    assert points("programme", "publish", new).code == 2
    assert points("programme", "publish", new, "--by", "").code == 2
    assert points("programme", "publish", new, "--by", "x" * 129).code == 2
    assert points("programme", "publish", shop / "none.toml", "--by", "a").code == 3
    for bad in ("x", "programme = 1", changed(('utc_offset = "+08:00"', 'utc_offset = "+09:00"'))):
        assert points("programme", "publish", saved(shop / "bad.toml", bad), "--by", "a").code == 3
    long = saved(shop / "long.toml", from_("2026-06-01") + "#" * (1 << 20))
    ran = points("programme", "publish", long, "--by", "a")
    assert ran.code == 3 and "bytes as a fact" in ran.err
    assert points("verify", "--json").json == before and points("dead-letters", "list", "--json").json == []


def test_benefits_exchanges_and_attributes_differ_too() -> None:
    old = shipped("marriott")
    changes = [
        ("take = 3", "take = 4"),
        ("idle_days = 730", "idle_days = 700"),
        ('zh = "赠送银卡"', 'zh = "送友银卡"'),
    ]
    said = told(old, changed(*changes, toml=old))
    assert any("exchanges miles: rate" in one for one in said)
    assert any("730 days without a movement" in one for one in said)
    assert 'benefits gift-silver: name: "赠送银卡" → "送友银卡"' in said
    every = [told(shipped(one), shipped(other)) for one in shipped_names() for other in shipped_names()]
    assert not any("None" in text for texts in every for text in texts)


# -- shipped books -----------------------------------------------------------------------------------------------------


def test_the_shipped_books_are_listed_and_a_ledger_is_born_with_one_of_them(tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    listed = json.loads(points("--ledger", ledger, "programme", "list", "--shipped", "--json").out)
    assert [one["book"] for one in listed] == shipped_names()
    assert len(listed) == 12
    (suning,) = [one for one in listed if one["book"] == "suning"]
    made = json.loads(points("--ledger", ledger, "init", "--book", "suning", "--json").out)
    assert made["version"] == suning["version"]
    (version,) = json.loads(points("--ledger", ledger, "programme", "list", "--json").out)
    assert (version["version"], version["entries"]) == (suning["version"], 0)
    assert points("--ledger", ledger, "init", "--book", "suning").code == 2
    assert "or one of enterprise-shop" in points("--ledger", ledger + "2", "init", "--book", "tesco").err
    assert not (tmp_path / "ledger2").exists()
