"""The books against finance's list: what differs is named, and why, from the entries."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.cli.test_cli import Ran, draw, lines_of, order, points, shop, write

__all__ = ["shop"]  # the fixture

AS_OF = ("--as-of", "2025-12-01")


@pytest.fixture
def books(shop: Path) -> Path:
    """Three members: m-1 stands at 100, then 500, then 480 beans; m-2 at 300; m-3 at nothing."""
    facts = [
        order("A1", 100_000, "2025-11-01T10:00:00+08:00", "m-1"),
        order("A2", 400_000, "2025-11-05T10:00:00+08:00", "m-1"),
        draw("R1", "2025-11-09T10:00:00+08:00", "m-1"),
        order("B1", 300_000, "2025-11-02T10:00:00+08:00", "m-2"),
        order("C1", 3_000, "2025-11-02T10:00:00+08:00", "m-3"),
    ]
    assert points("ingest", write(shop / "facts.ndjson", *facts), "--backlog").code == 0
    return shop


def reconciled(folder: Path, text: str, *options: object, code: int = 1) -> Any:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    ran = points("reconcile", folder / "list.csv", "--json", *(options or AS_OF))
    assert ran.code == code, ran.err
    return ran.json


def test_a_list_that_agrees_is_good_in_any_order(books: Path) -> None:
    found = reconciled(books, "member,kind,balance\nm-2,beans,300\nm-1,beans,480\n", code=0)
    assert (found["compared"], found["agree"], found["difference_count"]) == (2, 2, 0)
    assert points("reconcile", books / "list.csv", *AS_OF).out == (
        "2 balances compared: 2 agree, 0 differ, 0 only in the list, 0 only in the ledger\n"
    )


def test_a_list_from_before_is_explained_by_the_entries_since(books: Path) -> None:
    (one,) = reconciled(books, "member,kind,balance\nm-1,beans,100\nm-2,beans,300\n")["differences"]
    assert (one["ledger"], one["list"], one["difference"], one["in"]) == (480, 100, 380, "both")
    assert one["agreed_after"] == {"number": 1, "occurred": "2025-11-01T10:00:00+08:00"}
    assert [(step["number"], step["id"], step["points"]) for step in one["since"]] == [
        (2, "A2-done", 400),
        (3, "R1", -20),
    ]
    assert one["text"] == (
        "as the ledger stood after entry 1 (2025-11-01T10:00:00+08:00); since then:"
        " entry 2 (order.completed.v1 A2-done) +400, entry 3 (redemption.requested.v1 R1) -20"
    )


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        (80, "as if entry 2 (order.completed.v1 A2-done, +400) were left out"),
        (580, "as if entry 1 (order.completed.v1 A1-done, +100) were counted twice"),
        (460, "as if entry 3 (redemption.requested.v1 R1, -20) were counted twice"),
        (481, "the ledger never stood there, and no entry alone makes up the difference"),
    ],
)
def test_an_entry_that_makes_up_the_difference_is_named(books: Path, balance: int, text: str) -> None:
    (one,) = reconciled(books, f"member,kind,balance\nm-1,beans,{balance}\nm-2,beans,300\n")["differences"]
    assert one["text"] == text and one["agreed_after"] is None


def test_what_expired_without_an_entry_is_named(books: Path) -> None:
    text = "member,kind,balance\nm-1,beans,480\nm-2,beans,300\n"
    found = reconciled(books, text, "--as-of", "2027-01-01")
    assert [one["fallen_due"] for one in found["differences"]] == [-480, -300]
    assert found["differences"][0]["text"].endswith("since then: fell due since -480")
    reconciled(books, text, "--as-of", "2026-12-31", code=0)


def test_members_in_one_of_both_are_named_unless_they_have_nothing(books: Path) -> None:
    text = "member,kind,balance\nm-1,beans,480\nm-3,beans,0\nm-9,beans,7\nm-8,beans,0\n"
    found = reconciled(books, text)
    told = [(one["member"], one["in"], one["ledger"], one["list"]) for one in found["differences"]]
    assert told == [("m-2", "ledger", 300, None), ("m-9", "list", None, 7)]
    assert (found["only_in_list"], found["only_in_ledger"], found["differ"]) == (1, 1, 0)
    assert found["total"] == {"beans": 293}


def test_each_row_may_have_an_instant_of_its_own(books: Path) -> None:
    text = (
        "member,kind,balance,as_of\nm-1,beans,100,2025-11-02\nm-2,beans,300,2025-11-03T00:00:00+08:00\n"
        "m-3,beans,0,2025-11-01\n"
    )
    reconciled(books, text, code=0)
    found = reconciled(books, text.replace("100", "480"))
    assert [(one["as_of"], one["ledger"]) for one in found["differences"]] == [("2025-11-02T00:00:00+08:00", 100)]


def test_parquet_is_read_and_every_difference_can_go_to_a_file(books: Path) -> None:
    table = pyarrow.table({"member": ["m-2", "m-1"], "balance": [1, 480], "more": ["x", "y"]})
    pyarrow.parquet.write_table(table, books / "list.parquet")
    ran = points("reconcile", books / "list.parquet", *AS_OF, "-o", books / "out.ndjson")
    assert ran.code == 1 and "m-2 beans: ledger 300, list 1, +299" in ran.out
    assert [one["member"] for one in lines_of(books / "out.ndjson")] == ["m-2"]


def test_what_a_balance_is_can_be_said(books: Path) -> None:
    hold = write(
        books / "hold.ndjson",
        b'{"specversion":"1.0","id":"h","source":"/s","type":"hold.requested.v1","subject":"m-2",'
        b'"time":"2025-11-10T00:00:00+08:00",'
        b'"data":{"hold":"H","kind":"beans","points":100,"until":"2026-06-01T00:00:00+08:00"}}',
    )
    assert points("ingest", hold, "--backlog").code == 0
    text = "member,kind,balance\nm-1,beans,480\nm-2,beans,300\n"
    assert reconciled(books, text)["differences"][0]["ledger"] == 200
    reconciled(books, text, *AS_OF, "--balance", "total", code=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column member and none balance"),
        ("member,kind\nm-1,beans\n", "has no column balance"),
        ("member,kind,balance\nm-1,beans,1.5\n", 'list.csv:2: balance is "1.5"'),
        ("member,kind,balance\nm-1,beans,\n", 'list.csv:2: balance is ""'),
        ("member,kind,balance\nm-1,beans\n", 'list.csv:2: balance is "None"'),
        (f"member,kind,balance\nm-1,beans,{10**30}\n", "list.csv:2: balance is"),
        ("member,kind,balance\nm-1,gold,1\n", 'list.csv:2: kind is "gold"; the book has beans'),
        ("member,kind,balance\n,beans,1\n", "list.csv:2: no member"),
        ("member,kind,balance,as_of\nm-1,beans,1,soon\n", 'list.csv:2: as_of "soon"'),
        ("member,kind,balance\nm-1,beans,1\nm-1,beans,1\n", 'list.csv:3: beans of "m-1" stand in the list twice'),
        ('member,kind,balance\n"m-1,beans,1\n', "unexpected end of data"),
    ],
)
def test_a_list_that_cannot_be_used_is_said_with_its_row(books: Path, text: str, said: str) -> None:
    (books / "list.csv").write_text(text, encoding="utf-8")
    ran = points("reconcile", books / "list.csv", "--json")
    assert ran.code == 3 and said in ran.err and ran.out == ""


def test_what_is_no_list_is_said(books: Path) -> None:
    def refused(name: str, content: bytes | None) -> Ran:
        if content is not None:
            (books / name).write_bytes(content)
        return points("reconcile", books / name)

    assert refused("none.csv", None).code == refused("none.parquet", None).code == 3
    assert refused("bytes.csv", b"member,balance\n\xff\xfe,1\n").code == 3
    assert refused("cut.parquet", b"PAR1").code == 3
    assert points("reconcile", books / "bytes.csv", "--balance", "guess").code == 2


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_what_export_balances_wrote_is_read_as_it_is(books: Path, name: str) -> None:
    assert points("export", "balances", "-o", books / name, *AS_OF).code == 0
    for balance in ("spendable", "net", "total"):
        ran = points("reconcile", books / name, "--balance", balance, "--json", *AS_OF)
        assert ran.code == 0 and ran.json["agree"] == ran.json["compared"] >= 3, ran
    later = points("reconcile", books / name, "--json", "--as-of", "2025-11-08")
    assert later.code == 1 and [one["difference"] for one in later.json["differences"]] == [20]


def test_a_list_without_the_columns_of_a_balance_names_them(books: Path) -> None:
    (books / "list.csv").write_text("member,kind,spendable\nm-1,beans,480\n", "utf-8")
    assert points("reconcile", books / "list.csv", *AS_OF, "--json").json["differences"][0]["member"] == "m-2"
    ran = points("reconcile", books / "list.csv", "--balance", "net")
    assert ran.code == 3 and "has no column balance" in ran.err and "points export balances" in ran.err
    (books / "list.csv").write_text("member,kind,spendable\nm-1,beans,x\n", "utf-8")
    assert 'list.csv:2: spendable is "x"' in points("reconcile", books / "list.csv").err
