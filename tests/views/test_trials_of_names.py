"""What is tried of members of several names is what is decided then: quotes, merges, and their undoing."""

import json
from pathlib import Path

import pytest

from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from projections.answers.members import UnknownMember
from projections.answers.stats import stats
from projections.what_if.backtest import backtest
from projections.what_if.merging import Moving, trial_of_merge, trial_of_unmerge
from projections.what_if.quote import quote
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.streams.test_follow_ups import fact
from tests.streams.test_names_that_move import HEAD, OLD, line, story, takes
from tests.support.shop import instant

SOURCE, AT = "/operators", instant("2025-04-10 20:00")
CART = json.dumps({"order": "N", "lines": [line(paid_fen=30_00)]}).encode()


def ledger_at(folder: Path, *, is_merged: bool) -> Ledger:
    """Two members with orders and lots, before or after they became one."""
    ledger = open_or_create(folder / "ledger", BOOK)
    facts = [one for one in story() if is_merged or one["type"] not in ("member.merged.v1", "transfer.requested.v1")]
    takes(ledger, folder, facts)
    return ledger


def spendable(ledger: Ledger) -> dict[str, int]:
    return {name: account.purse("beans").spendable() for name, account in ledger.accounts(AT)}


def test_a_quote_under_another_name_is_what_its_head_decides(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path, is_merged=True)
    quoted = quote(ledger, OLD, CART, AT)
    assert (quoted.member, quoted.outcome, quoted.reason, quoted.earn.points) == (OLD, "accepted", "", {"beans": 30})
    assert quote(ledger, OLD, CART.replace(b'"N"', b'"O"'), AT).reason == "already", "the order of this name"
    before = spendable(ledger)[HEAD]
    takes(ledger, tmp_path, [fact("order.completed", OLD, "n", 5, json.loads(CART))])
    assert spendable(ledger)[HEAD] == before + 30
    ledger.close()


def test_a_backtest_counts_a_member_once_and_every_point(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path, is_merged=True)
    report = backtest(ledger, BOOK, "draft.toml", AT)
    assert report.members == stats(ledger, AT).members == 2, "m-1 is m-2"
    assert report.points["beans"]["outstanding"].actual == sum(spendable(ledger).values())
    assert report.points["beans"]["outstanding"].difference == 0
    ledger.close()


def test_a_merge_is_tried_and_moves_what_it_said(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path, is_merged=False)
    before = spendable(ledger)
    trial = trial_of_merge(ledger, OLD, HEAD, AT, SOURCE)
    assert (trial.reason, trial.head, trial.names) == ("", HEAD, [OLD])
    assert trial.moving == [Moving("beans", 1, before[OLD], 0, 0, 0)]
    assert spendable(ledger) == before, "nothing is kept"
    takes(ledger, tmp_path, [fact("member.merged", OLD, "m", 5, {"into": HEAD}, SOURCE)])
    assert trial.balances == [("beans", before[HEAD], spendable(ledger)[HEAD])]

    assert trial_of_merge(ledger, HEAD, OLD, AT, SOURCE).reason == "merge-cycle", "the head is asked"
    assert trial_of_merge(ledger, OLD, HEAD, AT, SOURCE).reason == "alias"
    with pytest.raises(UnknownMember):
        trial_of_merge(ledger, HEAD, "nobody", AT, SOURCE)

    parting = trial_of_unmerge(ledger, HEAD, OLD, AT, SOURCE)
    assert (parting.reason, parting.names, parting.moving) == ("", [OLD], trial.moving)
    assert trial_of_unmerge(ledger, HEAD, "nobody", AT, SOURCE).reason == "unknown-alias"
    takes(ledger, tmp_path, [fact("member.unmerged", HEAD, "u", 6, {"name": OLD}, SOURCE)])
    assert parting.balances == [("beans", before[HEAD] + before[OLD], spendable(ledger)[HEAD])]
    assert spendable(ledger)[OLD] == before[OLD]
    ledger.close()
