"""A follow-up fact counts from an account of the ledger itself, however late it is; from anybody else it does not."""

import json
from typing import Any

import msgspec
import pytest

from consumers.runtime.intake import Intake, Sources
from consumers.stream import AHEAD, BACKLOG, UNTRUSTED_BACKLOG, Record
from ledger.core.account import Account
from ledger.core.decide import decide
from ledger.core.draft import Draft
from ledger.core.pages import PagesInMemory
from ledger.journal.partitioning import Partitioner
from ledger.wire import facts
from ledger.wire.entries import ACCEPTED, Entry, Told
from ledger.wire.entry_json import change_to_dict
from ledger.wire.fact_codec import BadFact, decode
from ledger.wire.follow_ups import fact_of, name_of, source_of
from ledger.wire.times import DAY, SECOND
from tests.support.shop import jd_book

PARTITIONS = Partitioner(4)
NOW = 20_000 * DAY
SOURCES = Sources(
    operators=frozenset({"/operators"}),
    peers=frozenset({"mall"}),
    partners=frozenset({"/partners/airline"}),
    claimers=frozenset({"/shop/checkout"}),
)


def asked(**more: Any) -> dict[str, Any]:
    head = {"specversion": "1.0", "id": "m:1.0", "type": "pool.asked.v1", "subject": "pool/x"}
    data = {"frm": "m", "ask": "A", "n": 5}
    return {**head, "source": source_of(PARTITIONS("m")), "time": "2024-10-04T00:00:00Z", "data": data, **more}


def taken(fact: dict[str, Any], **more: Any) -> str:
    """Empty if the intake takes a fact, else the reason under which it is dead-lettered."""
    key = fact["subject"]
    intake = Intake(PARTITIONS(key), PARTITIONS, SOURCES)
    record = Record(7, NOW, more.pop("backlog", 0), key, json.dumps(fact).encode(), **more)
    try:
        intake.check(record, {})
    except BadFact as bad:
        return bad.reason
    return ""


def test_an_account_of_the_ledger_may_tell_another_whatever_the_time() -> None:
    assert taken(asked()) == ""
    assert taken(asked(time="2999-01-01T00:00:00Z")) == "", "it is never turned away as from the future"
    assert taken(asked(), backlog=BACKLOG | AHEAD) == ""
    assert taken(asked(), fault=UNTRUSTED_BACKLOG) == "", "it counts as live where a backlog is not taken"
    assert taken(asked(id=f"m:{'1' * 156}.0")) == ""
    assert taken(asked(id=f"m:{'1' * 157}.0")) == "bad-fact"


@pytest.mark.parametrize("source", ["/shop", "/operators", "ledger/9", "ledger/x/0", source_of(PARTITIONS("m") ^ 1)])
def test_from_any_other_source_it_is_dead_lettered(source: str) -> None:
    assert taken(asked(source=source)) == "not-authorised"


def of_ledger(source: str, type_: str = "exchange.asked.v1") -> str:
    data = {"frm": "m", "request": "X", "kind": "beans", "points": 5}
    data = data if type_ == "exchange.asked.v1" else {"frm": "m", "ask": "A", "n": 5}
    return taken(asked(type=type_, subject="m", source=source, data=data))


def test_an_account_of_a_peer_may_ask_for_an_exchange_and_nothing_else() -> None:
    assert of_ledger("ledger/mall/3") == ""
    for source in (
        "ledger/other/3",
        "ledger/mall",
        "ledger/mall/x",
        "ledger/3",
        "ledger//3",
        "mall/3",
        "/ledger/mall/3",
    ):
        assert of_ledger(source) == "not-authorised", source
    assert of_ledger("ledger/mall/3", "pool.asked.v1") == "not-authorised"


def test_a_partner_answers_to_exchanges_and_nobody_else() -> None:
    answer = {"type": "exchange.confirmed.v1", "subject": "m", "data": {"request": "X"}}
    assert taken(asked(source="/partners/airline", **answer)) == ""
    assert taken(asked(source="/operators", **answer)) == "not-authorised"
    assert taken(asked(source="ledger/mall/3", **answer)) == "not-authorised"


def test_another_type_of_fact_may_not_come_from_there() -> None:
    signed = asked(type="member.signed-in.v1", subject="m", data={})
    assert taken(signed) == "not-authorised"
    assert taken(signed | {"source": "/shop"}) == ""
    other = taken(signed | {"source": "/shop"}, fault=UNTRUSTED_BACKLOG)
    assert other == "untrusted-backlog", "only a follow-up is taken from a backlog that is not trusted"


def test_it_is_decided_however_old_and_whatever_the_account_is() -> None:
    fact, occurred = decode(json.dumps(asked(time="1970-01-02T00:00:00Z")).encode())
    account = Account(clock=NOW, closed=True, frozen=True)
    decision = decide(account, PagesInMemory(), fact, occurred, jd_book(), recorded=NOW)
    assert (decision.outcome, decision.reason) == (ACCEPTED, "pool-closed")
    assert decision.clock == NOW


def test_the_clock_goes_to_the_instant_at_which_points_were_let_go() -> None:
    data = {"frm": "m", "ask": "A", "n": 5, "at": "2024-10-05T00:00:00Z"}
    fact, occurred = decode(json.dumps(asked(data=data)).encode())
    decision = decide(Account(), PagesInMemory(), fact, occurred, jd_book(), recorded=NOW)
    assert decision.clock == occurred + DAY


def test_a_follow_up_is_made_of_the_stored_change_alone() -> None:
    draft = Draft(Account(), PagesInMemory(), jd_book(), jd_book().versions[0], 12, NOW, NOW + SECOND)
    draft.tell("pool/x", facts.PoolAsked, facts.PoolAsk(frm="m", ask="A", n=5))
    draft.tell("pool/y", facts.PoolReturned, facts.PoolReturn(frm="m", ask="A", n=2), at=NOW + SECOND)
    first, second = (change for change in draft.changes if isinstance(change, Told))
    empty = (0, 0, NOW, NOW, NOW, False, "v", 2, 0, "", {})
    entry = Entry("m", 12, *empty, [first, second], b"", b"")
    assert [name_of(entry, told) for told in (first, second)] == ["m:12.0", "m:12.1"]
    fact, occurred = decode(fact_of(entry, second, 3))
    assert isinstance(fact, facts.PoolReturned) and occurred == NOW
    assert (fact.source, fact.subject, fact.data.n) == ("ledger/3", "pool/y", 2)
    told = change_to_dict(first, 0)
    assert told == {
        "change": "told", "k": 0, "to": "pool/x", "fact": "pool.asked.v1", "time": "2024-10-04T00:00:00+00:00",
        "data": {"frm": "m", "ask": "A", "n": 5},
    }  # fmt: skip
    assert msgspec.json.encode(told["data"]).decode() == first.data


@pytest.mark.parametrize(
    ("type_", "source", "subject", "reason"),
    [
        ("member.merged", "/shop/checkout", "guest/17", ""),
        ("member.merged", "/operators", "guest/17", ""),
        ("member.merged", "/operators", "m-17", ""),
        ("member.merged", "/shop/checkout", "m-17", "not-authorised"),
        ("member.merged", "/shop/checkout", "guest", "not-authorised"),
        ("member.merged", "/shop", "guest/17", "not-authorised"),
        ("member.unmerged", "/shop/checkout", "guest/17", "not-authorised"),
        ("account.closed", "/shop/checkout", "guest/17", "not-authorised"),
    ],
)
def test_a_claimer_may_have_guests_merged_and_nothing_else(type_: str, source: str, subject: str, reason: str) -> None:
    data = {"member.merged": {"into": "m-1"}, "member.unmerged": {"name": "m-1"}}.get(type_, {"reason": "x"})
    assert taken(asked(type=f"{type_}.v1", source=source, subject=subject, data=data)) == reason
