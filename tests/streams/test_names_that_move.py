"""Members who become one in a ledger on disk: what moves goes from partition to partition, and all of it is derived."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.runtime.ingest import ingest
from ledger.journal import partition
from ledger.journal.derived import page_keys
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.journal.port import EntryRow
from projections.audit.replay import replay
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_benefits import AT_SHOPS
from tests.core.test_worked_examples_of_benefits import BOOK as CLAIMS
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.streams.test_follow_ups import fact
from tests.support.kafka_shop import killed_and_run_again
from tests.support.ledgers import write_facts
from tests.support.shop import instant

OLD, HEAD, OTHER = "m-1", "m-2", "m-6"  # in different partitions
GUEST = "guest/17"


def story() -> list[dict[str, Any]]:
    """Two members with orders of the same name become one, and a third gives them points under the old name."""
    lot = {"kind": "beans", "points": 500, "earned_at": "2025-01-01T00:00:00Z", "expires_at": "2999-12-01T00:00:00Z"}
    facts = [fact("lot.opened", name, f"l-{name}", 0, {"lot": "L", **lot}, "/operators") for name in (OLD, HEAD, OTHER)]
    for name, fen in ((OLD, 20_00), (HEAD, 7_00)):
        facts.append(fact("order.completed", name, f"o-{name}", 1, {"order": "O", "lines": [line(paid_fen=fen)]}))
    facts.append(fact("redemption.requested", OLD, "r", 2, {"redemption": "R", "points": 120, "use": "any"}))
    facts.append(fact("member.merged", OLD, "m", 3, {"into": HEAD}, "/operators"))
    gift = {"transfer": "G", "rule": "gift", "to": OLD, "points": 100}
    facts.append(fact("transfer.requested", OTHER, "g", 4, gift))
    return facts


def later() -> list[dict[str, Any]]:
    """What comes under the old name when it has moved, and the end of it."""
    back = {"return": "T", "order": "O", "lines": [{"line": "1", "quantity": 1, "refund_fen": 20_00}]}
    return [
        fact("order.returned", OLD, "t", 5, back),
        fact("redemption.reversed", OLD, "v", 6, {"redemption": "R", "points": 20}),
    ]


def line(**fields: Any) -> dict[str, Any]:
    return {"line": "1", "quantity": 1, **fields}


def takes(ledger: Ledger, folder: Path, facts: list[dict[str, Any]]) -> None:
    with ledger.writing():
        ingest(ledger, [str(write_facts(folder / "facts.ndjson", facts))], backlog=True, jobs=1)


def spendable(ledger: Ledger, at: str = "2999-01-01") -> dict[str, int]:
    return {name: account.purse("beans").spendable() for name, account in ledger.accounts(instant(at))}


def check(ledger: Ledger) -> None:
    found = transit(ledger)
    assert not found.faults and not found.waiting and not found.in_transit
    assert replay(ledger)["difference_count"] == 0


def test_a_name_moves_between_partitions_and_back_and_every_byte_is_derived(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    assert len({ledger.partition_of(name) for name in (OLD, HEAD, OTHER)}) > 1
    takes(ledger, tmp_path, story())
    assert spendable(ledger) == {OLD: 0, HEAD: 400 + 500 + 90, OTHER: 400}
    takes(ledger, tmp_path, later())
    assert spendable(ledger) == {OLD: 0, HEAD: 420 + 487 + 90, OTHER: 400}, (
        "the head's own 7 paid first, and 13 of its lot"
    )
    check(ledger)
    takes(ledger, tmp_path, [fact("member.unmerged", HEAD, "u", 7, {"name": OLD}, "/operators")])
    assert spendable(ledger) == {OLD: 420 + 90, HEAD: 487, OTHER: 400}
    check(ledger)
    ledger.close()


def test_the_entries_of_before_are_decided_again_once_a_batch_to_find_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def counted(rows: Iterable[EntryRow], *more: Any) -> list[str]:
        known = list(rows)
        asked.append((known[0].member, known[-1].number))
        return page_keys(known, *more)

    monkeypatch.setattr(partition, "page_keys", counted)
    ledger = open_or_create(tmp_path / "ledger", CLAIMS + AT_SHOPS)
    lines = [line(paid_fen=20_00)]
    orders = [
        fact("order.completed", name, name, 1, {"order": name, "shop": "s", "lines": lines}) for name in (OLD, HEAD)
    ]
    takes(ledger, tmp_path, [*orders, fact("member.merged", OLD, "m", 2, {"into": HEAD}, "/operators")])
    assert {member for member, _ in asked} == {OLD, HEAD} and len(asked) == len(set(asked))
    check(ledger)
    ledger.close()


def test_what_a_guest_bought_is_claimed_by_the_shop_and_its_return_meets_the_member(tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger", BOOK)
    with ledger.writing():
        ledger.change_settings(msgspec.structs.replace(ledger.settings, claimers=("/shop/checkout",)))
    bought = fact("order.completed", GUEST, "o", 0, {"order": "O", "lines": [line(paid_fen=20_00)]})
    claims = [fact("member.merged", GUEST, source, 1, {"into": HEAD}, source) for source in ("/shop", "/shop/checkout")]
    claims.append(fact("member.merged", "guest/", "of-none", 1, {"into": HEAD}, "/shop/checkout"))
    takes(ledger, tmp_path, [bought, *claims])
    assert [letter.reason for p in ledger.partitions for letter in ledger.journal(p).parked()] == ["not-authorised"] * 2
    assert spendable(ledger, "2025-04-11") == {GUEST: 0, HEAD: 20}
    back = {"return": "T", "order": "O", "lines": [{"line": "1", "quantity": 1, "refund_fen": 20_00}]}
    takes(ledger, tmp_path, [fact("order.returned", HEAD, "t", 2, back)])
    assert spendable(ledger, "2025-04-11") == {GUEST: 0, HEAD: 0}
    check(ledger)
    ledger.close()


@pytest.mark.parametrize(
    "step",
    ["after-commit", *(pytest.param(s, marks=pytest.mark.campaign) for s in ("before-commit", "after-follow-ups"))],
)
@pytest.mark.parametrize(
    "count", [1, pytest.param(2, marks=pytest.mark.campaign), pytest.param(4, marks=pytest.mark.campaign)]
)
def test_killed_at_any_step_a_name_has_moved_once(tmp_path: Path, step: str, count: int) -> None:
    (tmp_path / "book.toml").write_text(BOOK)
    facts = write_facts(tmp_path / "facts.ndjson", story())
    killed_and_run_again(tmp_path / "ledger", facts, step, count, "--book", str(tmp_path / "book.toml"))
    ledger = open_ledger(str(tmp_path / "ledger"))
    assert spendable(ledger) == {OLD: 0, HEAD: 400 + 500 + 90, OTHER: 400}
    check(ledger)
    ledger.close()
