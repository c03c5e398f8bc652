"""The index of ids: what it finds is what the entries name, and nobody sees more than they may."""

import json
from pathlib import Path

import pytest

from consumers.runtime.ingest import ingest
from ledger.journal.open import open_or_create
from ledger.wire.entry_codec import decode_entry
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.views.builtin.finding import Finding, find, is_member, latest_members
from projections.views.runner import run
from projections.views.snapshot import snapshot
from tests.core.test_worked_examples_of_gifts import BOOK
from tests.support.ledgers import SmallLedger, scratch, write_facts
from tests.views.test_views import VIEWS, kept, views_of

FIELDS = {
    **{kind: (kind,) for kind in ("order", "card", "claim", "campaign", "transfer", "house")},
    "redemption": ("redemption", "hold"),
    "exchange": ("request",),
}


@pytest.mark.parametrize("seed", range(2))
def test_every_id_of_every_entry_is_found_with_its_member(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch) as small:
        ledger = small.ledger
        named: dict[tuple[str, str, str], list[int]] = {}
        recorded: dict[str, tuple[int, str]] = {}
        for partition in ledger.partitions:
            for row in ledger.journal(partition).scan():
                if row.member == PROGRAMME_SUBJECT:
                    continue
                entry = decode_entry(row.state)
                data = json.loads(entry.fact).get("data", {})
                for kind, fields in FIELDS.items():
                    for field in fields:
                        if id := data.get(field):
                            named.setdefault((kind, id, row.member), []).append(row.number)
                if kind_of := (data.get("of") or {}).get("order"):
                    named.setdefault(("order", kind_of, row.member), []).append(row.number)
                recorded[row.member] = entry.recorded, row.member
        assert {kind for kind, _, _ in named} >= {"order", "redemption", "card", "campaign"}
        with snapshot(ledger, views_of(ledger), VIEWS["finding"], None) as taken:
            for (kind, id, member), numbers in named.items():
                hits = find(taken, id, (kind,), limit=200).hits  # type: ignore[arg-type]
                assert hits[0].id == id
                (hit,) = [hit for hit in hits if (hit.id, hit.member) == (id, member)]
                assert (hit.entry, hit.entries) == (numbers[0], len(numbers)), (kind, id)
            latest = [member for member, _ in latest_members(taken, 100)]
        assert latest == [member for _, member in sorted(recorded.values(), reverse=True)]


def test_the_beginning_of_an_id_finds_it_and_some_members_only_their_own() -> None:
    with scratch() as folder:
        small = of_two_members(folder)
        with snapshot(small.ledger, views_of(small.ledger), Finding(), None) as taken:

            def ids(text: str, *members: str) -> list[tuple[str, str, str]]:
                found = find(taken, text, members=members or None)
                return [(hit.kind, hit.id, hit.member) for hit in found.hits]

            assert ids("m-") == [("member", "m-1", "m-1"), ("member", "m-2", "m-2")]
            assert ids("ORD-1") == [("order", "ORD-1", "m-1"), ("order", "ORD-12", "m-2")]
            assert ids("ORD-1", "m-2") == []  # of some members, only by the whole id
            assert ids("ORD-12", "m-2") == [("order", "ORD-12", "m-2")]
            assert ids("ORD-12", "m-1") == []
            assert ids("m-1", "m-2") == [] and ids("m-1", "m-1") == [("member", "m-1", "m-1")]
            assert ids("spring") == [("campaign", "spring", "m-1"), ("campaign", "spring", "m-2")]
            assert ids("%") == ids("_") == ids("ord-1") == []
            assert find(taken, "spring", limit=1).more and not find(taken, "spring", limit=2).more
        assert is_member(small.ledger, "m-1") and not is_member(small.ledger, "m-")
        assert not is_member(small.ledger, PROGRAMME_SUBJECT)
        small.close()


def test_what_takes_two_accounts_is_found_at_both() -> None:
    seat = {"house": "lin", "card": "C1", "member": "m-1"}
    life = {"earned_at": "2025-11-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"}
    opened = {"lot": "L", "kind": "beans", "points": 50, **life}
    facts = [
        {**fact("lot.opened", "m-1", "f1", opened), "source": "/operators"},
        fact("transfer.requested", "m-1", "f2", {"transfer": "GIFT-1", "rule": "gift", "to": "m-2", "points": 10}),
        fact("exchange.requested", "m-2", "f3", {"request": "X-1", "exchange": "nights", "points": 5}),
        fact("house.joined", "house/lin", "f4", seat),
        fact("card.purchased", "house/lin", "f5", {"card": "C1", "product": "plus.year", "paid_fen": 1}),
    ]
    with scratch() as folder:
        ledger = open_or_create(folder / "ledger", BOOK)
        with ledger.writing():
            ingest(ledger, [str(write_facts(folder / "facts.ndjson", facts))], backlog=True)
        run(ledger, views_of(ledger), [Finding()])
        with snapshot(ledger, views_of(ledger), Finding(), None) as taken:
            found = {
                text: [(hit.kind, hit.id, hit.member, hit.entries) for hit in find(taken, text).hits]
                for text in ("GIFT", "X-1", "lin", "C1")
            }
        ledger.close()
    assert found == {
        "GIFT": [("transfer", "GIFT-1", "m-1", 1), ("transfer", "GIFT-1", "m-2", 1)],
        "X-1": [("exchange", "X-1", "m-2", 1)],
        "lin": [("house", "lin", "house/lin", 2)],
        "C1": [("card", "C1", "house/lin", 2)],
    }


def test_an_index_that_lags_says_so() -> None:
    with scratch() as folder:
        small = of_two_members(folder)
        small.hears([grant("m-3", "G3")])
        small.decides()
        with snapshot(small.ledger, views_of(small.ledger), Finding(), None) as taken:
            found = find(taken, "m-3")
        assert (found.hits, found.behind) == ([], 1)
        small.close()


def grant(member: str, name: str) -> dict[str, object]:
    return fact("campaign.granted", member, name, {"grant": name, "campaign": "spring", "points": 5})


def fact(kind: str, member: str, name: str, data: dict[str, object]) -> dict[str, object]:
    head = {"specversion": "1.0", "id": name, "source": "/shop/a", "type": f"{kind}.v1", "subject": member}
    return {**head, "time": "2025-11-11T10:00:00+08:00", "data": data}


def of_two_members(folder: Path) -> SmallLedger:
    """A small ledger, whose index was built."""
    small = SmallLedger(folder / "ledger")
    lines = [{"line": "1", "paid_fen": 100}]
    for member, order in (("m-1", "ORD-1"), ("m-2", "ORD-12")):
        small.hears(
            [fact("order.completed", member, order, {"order": order, "lines": lines}), grant(member, f"G{member}")]
        )
    small.decides()
    run(small.ledger, views_of(small.ledger), [Finding()])
    return small
