"""The notebook of the examples is run as a reader runs it: its own checks compare it with the books."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from service.cli import run
from tests.support.served import ROOT

NOTEBOOK = ROOT / "examples" / "analysis.ipynb"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the notebook's cells made, by name."""
    facts, ledger = tmp_path / "year.ndjson", tmp_path / "ledger"
    for words in (
        ["traffic", "--facts", "1500", "--members", "40", "-o", str(facts)],
        ["ingest", "--backlog", str(facts)],
    ):
        assert run(["--ledger", str(ledger), *words]) == 0
    monkeypatch.setenv("POINTS_LEDGER", str(ledger))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    made: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, (
                "the notebook is kept without what it printed"
            )
            exec("".join(cell["source"]), made)
    return made


def test_the_notebook_answers_finance_and_marketing_with_the_figures_of_the_books(ran: dict[str, Any]) -> None:
    rolled, vintages, rules, spending = (ran[name] for name in ("rolled", "vintages", "rules", "spending"))
    assert len(rolled) >= 12 and (rolled["opening"].iloc[1:].tolist() == rolled["closing"].iloc[:-1].tolist())
    assert rolled["closing"].iloc[-1] == ran["owed"] > 0
    for shares in (vintages["redeemed_share"], rules["redeemed_share"]):
        assert shares.between(0, 1).all() and shares.max() > 0
    assert "purchase.beans" in set(rules["rule"])
    assert isinstance(spending, pd.DataFrame) and spending["members"].min() > 0 and spending["yuan"].min() > 0
