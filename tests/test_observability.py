"""The dashboard and the rules of deploy/observability: they load, and what they ask for is there to be asked."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from service.http import metrics
from service.metrics import Metrics

ROOM = Path(__file__).resolve().parents[1] / "deploy" / "observability"
NAME = re.compile(r"\bpoints_\w+")


def known() -> set[str]:
    """Every series that a server or a consumer has."""
    standing = metrics.Standing(True, {0: metrics.Place(0, 0, 0, {"": 0})}, {0: "why"}, {0: 1})
    found = set()
    for family in [*Metrics().registry.collect(), *REGISTRY.collect(), *standing.collect()]:
        ends = {
            "counter": ["_total"],
            "histogram": ["_bucket", "_sum", "_count"],
            "info": ["_info"],
        }
        found |= {family.name + end for end in ends.get(family.type, [""])}
    return found


def expressions() -> list[str]:
    """Every query of the dashboard and the rules."""
    dashboard: dict[str, Any] = json.loads((ROOM / "dashboard.json").read_text())
    rules: dict[str, Any] = yaml.safe_load((ROOM / "alerts.yml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions())
def test_a_query_names_metrics_that_exist(expression: str) -> None:
    names = set(NAME.findall(expression))
    assert names and names <= known()
    assert expression.count("(") == expression.count(")")


def test_how_long_follow_ups_wait_is_told_by_partition_and_peer() -> None:
    places = {0: metrics.Place(0, 0, 0, {"": 0, "hotel": 700})}
    told = metrics.text(metrics.Standing(True, places, {}, {})).decode()
    assert 'points_follow_ups_unsent_seconds{partition="0",peer="hotel"} 700.0' in told
    assert 'points_follow_ups_unsent_seconds{partition="0",peer=""} 0.0' in told


def test_every_rule_says_what_happened_in_both_languages() -> None:
    rules: dict[str, Any] = yaml.safe_load((ROOM / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["annotations"]["summary"] and re.search("[一-鿿]", rule["annotations"]["summary_zh"])


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((ROOM / "dashboard.json").read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})
