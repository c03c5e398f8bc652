"""Shipped books against the histories that were handed with them: facts in, points, tiers, cards and quotas out."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.rulebook.schema import shipped
from tests.support.shop import Shop, instant

HANDED = Path(__file__).parents[1] / "data" / "programmes"
CASES = json.loads((HANDED / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_a_handed_history_comes_to_what_is_expected(case: dict[str, Any]) -> None:
    shop = Shop(shipped(Path(case["book"]).stem))
    facts = [json.loads(line) for line in (HANDED / case["facts"]).read_text(encoding="utf-8").splitlines()]
    outcomes = {fact["id"]: shop.hears(fact) for fact in facts}
    for fact, (outcome, reason) in case["outcomes"].items():
        assert outcomes[fact] == (f"{outcome}: {reason}" if reason else outcome)
    for ask in case["ask"]:
        at = ask["as_of"]
        then = Shop(shipped(Path(case["book"]).stem))
        for fact in facts:
            if instant(fact["time"]) <= instant(at):
                then.hears(fact)
        shown = then.on(at).shown
        points = {kind: shown["points"].get(kind, {}).get("spendable", 0) for kind in ask.get("points", {})}
        assert points == ask.get("points", {}), at
        scores = {name: [shown["scores"][name][key] for key in ("value", "tier")] for name in ask.get("scores", {})}
        assert scores == ask.get("scores", {}), at
        cards = {
            name: [shown["memberships"][name][key] for key in ("state", "product", "until")]
            for name in ask.get("memberships", {})
        }
        assert cards == ask.get("memberships", {}), at
        left = {name: one["left"] for name, one in shown.get("benefits", {}).items()}
        for card in shown["memberships"].values():
            left |= card["quotas"]
        assert {name: left[name] for name in ask.get("quotas", {})} == ask.get("quotas", {}), at
