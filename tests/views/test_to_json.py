"""What leaves the process as JSON: orjson and msgspec write it in turn, and nobody can tell which of them did."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.wire.answers import Balance, Balances, ViewBuild
from projections.answers.to_json import to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-(1 << 80), 1 << 80)
BALANCES = st.builds(Balance, *[INTEGERS] * 4)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS | BALANCES,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(DOCUMENTS)
def test_any_mix_of_structs_and_plain_documents_is_written_as_one(document: object) -> None:
    assert to_json(document) == msgspec.json.encode(document)


@pytest.mark.parametrize(
    "document",
    [
        {"data": msgspec.Raw(b'{"kept":  "as it is"}')},
        {1: "a key that is a number"},
        {"beyond 64 bits": 1 << 70},
        [Balances("m", "t", {"beans": Balance(1, 2, 3, 4)})],
        ViewBuild("books", 1, True, "whole"),
        {"bytes": b"\xff", "pair": (1, 2), "none": None, "float": 0.1},
    ],
)
def test_what_one_of_them_does_not_know_the_other_writes(document: object) -> None:
    assert to_json(document) == msgspec.json.encode(document)
