"""What is a fact and what is parked: every bound of the contract at its edge, with the reason a reader will see."""

import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafkas_murmur2

from ledger.journal.open import open_or_create
from ledger.journal.partitioning import Partitioner
from ledger.journal.port import DeadLetter
from ledger.wire.fact_catalogue import OPERATOR_FACTS, REQUESTS
from ledger.wire.fact_codec import BadFact, canonical, decode, decode_canonical, json_schemas
from ledger.wire.facts import (
    FACT_TYPES,
    MAX_BYTES,
    BenefitClaimed,
    ExchangeRequested,
    HoldRequested,
    OrderCompleted,
    RedemptionRequested,
    TransferRequested,
)
from ledger.wire.murmur import murmur2
from tests.support.histories import encode, history
from tests.support.ledgers import SmallLedger, ingested
from tests.support.tampering import stamp_anew

HEAD = {"specversion": "1.0", "id": "1", "source": "/shop", "subject": "m-1", "time": "2025-11-11T00:03:12+08:00"}
LINE = {"line": "1", "quantity": 1, "paid_fen": 100}


def a_fact(type_: str = "item.shared.v1", data: Any = None, **head: Any) -> dict[str, Any]:
    data = {"share": "s", "sku": "k"} if data is None else data
    return {**HEAD, "type": type_, "data": data, **head}


def an_order(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return a_fact("order.completed.v1", {"order": "O1", "lines": list(lines) or [LINE], **more})


def a_return(**line: Any) -> dict[str, Any]:
    line = {"line": "1", "quantity": 1, "refund_fen": 0, **line}
    return a_fact("order.returned.v1", {"order": "O1", "return": "T1", "lines": [line]})


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in a_fact().items() if name != field}


def reason(raw: bytes | dict[str, Any]) -> str:
    """Why it is parked by the decoder; empty for a fact."""
    try:
        decode(raw if isinstance(raw, bytes) else encode(raw))
    except BadFact as bad:
        return bad.reason if bad.detail and "\n" not in bad.detail else "said badly"
    return ""


# -- bytes that are no fact ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not-json"),
        (b"nonsense", "not-json"),
        (b"", "not-json"),
        (b"\xef\xbb\xbf{}", "not-json"),  # a byte order mark
        (encode(a_fact()) + b" " + encode(a_fact()), "not-json"),
        (encode(a_fact())[:-1], "not-json"),
        (encode(a_fact()).replace(b'"s"', b'"\xff"'), "not-utf8"),
        (encode(a_fact()).replace(b'"s"', b'"\xed\xa0\x80"'), "not-utf8"),  # half of a surrogate pair
        (encode(a_fact()).replace(b'"s"', b"NaN"), "not-json"),
        (b"[]", "bad-fact"),
        (b"null", "bad-fact"),
        (b"17", "bad-fact"),
        (b"{}", "bad-fact"),
    ],
)
def test_bytes_that_are_no_fact_are_named(raw: bytes, why: str) -> None:
    assert reason(raw) == why


def test_a_fact_is_at_most_1_mib_long() -> None:
    room = MAX_BYTES - len(encode(a_fact(data={"share": "s", "unknown": ""})))
    fits = encode(a_fact(data={"share": "s", "unknown": "x" * room}))
    assert len(fits) == MAX_BYTES == 1_048_576
    assert reason(fits) == ""
    assert reason(fits.replace(b'"x', b'"xx', 1)) == "too-long"


@pytest.mark.parametrize(("depth", "why"), [(14, ""), (15, "too-deep"), (5_000, "too-deep")])
@pytest.mark.parametrize("brackets", ["[]", '{"a":}'])
def test_a_fact_is_at_most_16_levels_deep(depth: int, why: str, brackets: str) -> None:
    """The fact and its data are two of them."""
    inside = "[" * depth + "]" * depth if brackets == "[]" else '{"a":' * depth + "1" + "}" * depth
    raw = encode(a_fact(data={"share": "s", "unknown": 0})).replace(b'"unknown": 0', f'"unknown": {inside}'.encode())
    assert reason(raw) == why


def test_brackets_in_a_text_are_no_levels() -> None:
    assert reason(a_fact(data={"share": "[{" * 60, "sku": '\\"[[[['})) == ""


def test_an_order_has_at_most_1000_lines() -> None:
    lines = [{**LINE, "line": str(number)} for number in range(1_001)]
    assert reason(an_order(*lines[:1_000])) == ""
    assert reason(an_order(*lines)) == "bad-fact"
    back = [{"line": str(number), "quantity": 1, "refund_fen": 0} for number in range(1_001)]
    assert reason(a_fact("order.returned.v1", {"order": "O1", "return": "T1", "lines": back[:1_000]})) == ""
    assert reason(a_fact("order.returned.v1", {"order": "O1", "return": "T1", "lines": back})) == "bad-fact"


# -- the head --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_nothing_of_a_facts_head_may_be_missing(field: str) -> None:
    assert reason(without(field)) == "bad-fact"


@pytest.mark.parametrize("field", ["id", "source", "subject"])
def test_ids_have_1_to_128_characters(field: str) -> None:
    assert reason(a_fact(**{field: "x" * 128})) == ""
    assert reason(a_fact(**{field: "豆" * 128})) == ""
    assert reason(a_fact(**{field: "x" * 129})) == "bad-fact"
    assert reason(a_fact(**{field: ""})) == "bad-fact"
    assert reason(a_fact(**{field: 17})) == "bad-fact"
    assert reason(a_fact(data={"share": "x" * 129})) == "bad-fact", "ids of the data too"


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("2025-11-11T00:03:12+08:00", ""),
        ("2025-11-11T00:03:12.123456Z", ""),
        ("2025-11-11t00:03:12z", ""),
        ("2025-11-11T00:03:12", "bad-fact"),  # no offset
        ("2025-11-11", "bad-fact"),
        ("yesterday", "bad-fact"),
        ("2025-02-30T00:00:00Z", "bad-fact"),
        ("2025-11-11T25:00:00Z", "bad-fact"),
        ("1969-12-31T23:59:59Z", "bad-fact"),
        ("1970-01-01T00:00:00Z", ""),
        ("2999-12-31T23:59:59Z", ""),
        ("3000-01-01T00:00:00Z", "bad-fact"),
        ("0001-01-01T00:00:00+14:00", "bad-fact"),
        ("9999-12-31T23:59:59-12:00", "bad-fact"),
        (1_762_790_592, "bad-fact"),
        (None, "bad-fact"),
    ],
)
def test_a_time_is_rfc_3339_with_an_offset(time: object, why: str) -> None:
    assert reason(a_fact(time=time)) == why


@pytest.mark.parametrize("until", ["2025-11-11T00:00:00", "1960-01-01T00:00:00Z", "3000-01-01T00:00:00Z", 5])
def test_times_within_the_data_are_as_strict(until: object) -> None:
    data = {"hold": "H1", "kind": "beans", "points": 1, "until": until}
    assert reason(a_fact("hold.requested.v1", data)) == "bad-fact"


def test_another_version_of_the_envelope_is_not_taken() -> None:
    assert reason(a_fact(specversion="0.3")) == "bad-fact"


@pytest.mark.parametrize("type_", ["order.eaten.v1", "order.completed.v2", "order.completed", "ORDER.COMPLETED.V1", ""])
def test_an_unknown_type_is_said_to_be_one(type_: str) -> None:
    assert reason(a_fact(type_)) == "unknown-type"


# -- the data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        (an_order({**LINE, "paid_fen": 12.5}), "bad-fact"),  # floats for money
        (an_order({**LINE, "paid_fen": 100.0}), "bad-fact"),
        (an_order({**LINE, "paid_fen": "100"}), "bad-fact"),
        (an_order({**LINE, "paid_fen": True}), "bad-fact"),
        (an_order({**LINE, "paid_fen": None}), "bad-fact"),
        (an_order({**LINE, "paid_fen": -1}), "bad-fact"),
        (an_order({**LINE, "paid_fen": 0}), ""),
        (an_order({**LINE, "paid_fen": 2**53}), ""),
        (an_order({**LINE, "paid_fen": 2**53 + 1}), "bad-fact"),
        (an_order({**LINE, "paid_fen": 10**400}), "bad-fact"),
        (an_order({**LINE, "quantity": 0}), "bad-fact"),
        (an_order({**LINE, "quantity": -1}), "bad-fact"),
        (an_order({"line": "1", "quantity": 1}), "bad-fact"),
        (an_order({"line": "1", "paid_fen": 1}), ""),  # one piece
        (a_fact("order.completed.v1", {"order": "O1", "lines": []}), "bad-fact"),
        (a_fact("order.completed.v1", {"lines": [LINE]}), "bad-fact"),
        (an_order(LINE, LINE), "bad-fact"),  # two lines of one name
        (a_return(quantity=0, refund_fen=0), "bad-fact"),
        (a_return(quantity=0, refund_fen=1), ""),  # money back without the piece
        (a_return(quantity=-1), "bad-fact"),
        (a_return(refund_fen=-1), "bad-fact"),
        (a_return(points=-1), "bad-fact"),
        (a_fact("redemption.requested.v1", {"redemption": "R", "use": "draw", "points": 0}), "bad-fact"),
        (a_fact("redemption.requested.v1", {"redemption": "R", "use": "draw", "points": -20}), "bad-fact"),
        (a_fact("redemption.reversed.v1", {"redemption": "R", "points": 0}), "bad-fact"),
        (a_fact("redemption.reversed.v1", {"redemption": "R"}), ""),
        (a_fact("campaign.granted.v1", {"grant": "G", "campaign": "c", "points": 0}), "bad-fact"),
        (a_fact("reputation.rated.v1", {"stars": 0}), "bad-fact"),
        (a_fact("reputation.rated.v1", {"stars": 6}), "bad-fact"),
        (a_fact("reputation.rated.v1", {"stars": 5}), ""),
        (a_fact("member.signed-in.v1", {"day": "2025-11-31"}), "bad-fact"),
        (a_fact("member.signed-in.v1", {"day": "20251111"}), "bad-fact"),
        (a_fact("member.signed-in.v1", {"day": "2025-11-11"}), ""),
        (a_fact("points.adjusted.v1", {"adjustment": "J", "points": 0, "reason": "r", "by": "a"}), "bad-fact"),
        (a_fact("points.adjusted.v1", {"adjustment": "J", "points": -5, "reason": "r", "by": "a"}), ""),
        (a_fact(data=[]), "bad-fact"),
        (a_fact(data={"share": "a\x00b"}), "bad-fact"),
        (a_fact(id="a\x00b"), "bad-fact"),
    ],
)
def test_the_data_of_a_fact_is_checked_field_by_field(fact: dict[str, Any], why: str) -> None:
    assert reason(fact) == why


def test_a_backslash_and_digits_are_not_the_character_they_would_spell() -> None:
    assert reason(a_fact(data={"share": "a\\u0000b"})) == ""


def test_a_float_for_money_is_told_the_way_out() -> None:
    with pytest.raises(BadFact, match=r"1250 for ¥12\.50"):
        decode(encode(an_order({**LINE, "paid_fen": 12.5})))


@pytest.mark.parametrize(
    "type_",
    [
        *("identity.verified.v1", "wechat.bound.v1", "qq.bound.v1", "profile.completed.v1"),
        *("member.signed-in.v1", "account.frozen.v1", "account.unfrozen.v1"),
    ],
)
def test_data_may_be_absent_where_the_table_has_none(type_: str) -> None:
    fact = without("data") | {"type": type_}
    assert reason(fact) == ""
    assert canonical(decode(encode(fact))[0]) == canonical(decode(encode(fact | {"data": {}}))[0])


def test_of_duplicate_keys_the_last_holds_for_the_type_too() -> None:
    raw = encode(a_fact()).replace(b'"share": "s"', b'"share": "first", "share": "last"')
    assert decode(raw)[0].data.share == "last"
    raw = encode(a_fact("order.eaten.v1"))[:-1] + b', "type": "item.shared.v1"}'
    assert type(decode(raw)[0]).__name__ == "ItemShared"
    raw = encode(an_order())[:-1] + b', "type": "order.eaten.v1"}'
    assert reason(raw) == "unknown-type"


def test_fields_unknown_here_are_dropped_and_defaults_are_left_out() -> None:
    fact = an_order({**LINE, "colour": "red", "points": 0}, pay="", extra={"a": [1]})
    kept = json.loads(canonical(decode(encode(fact | {"traceparent": "00-x"}))[0]))
    assert kept["data"] == {"order": "O1", "lines": [{"line": "1", "paid_fen": 100}]}
    assert set(kept) == {*HEAD, "type", "data"}


@pytest.mark.parametrize(
    ("short", "said"),
    [
        (an_order(), {"shop": "self"}),
        (an_order(), {"channel": "app"}),
        (a_fact("campaign.granted.v1", {"grant": "G", "campaign": "c", "points": 1}), {"kind": "beans"}),
    ],
)
def test_a_default_that_is_said_is_the_same_fact_as_one_left_out(short: dict[str, Any], said: dict[str, Any]) -> None:
    long = {**short, "data": short["data"] | said}
    assert canonical(decode(encode(long))[0]) == canonical(decode(encode(short))[0])


@pytest.mark.parametrize(
    "times",
    [
        ("2025-11-11T00:03:12+08:00", "2025-11-10T16:03:12Z", "2025-11-10T11:03:12-05:00", "2025-11-10T16:03:12.000Z"),
        ("2025-11-11T00:00:00.5+08:00", "2025-11-10T16:00:00.500000Z"),
    ],
)
def test_equal_instants_in_different_offsets_have_equal_canonical_bytes(times: tuple[str, ...]) -> None:
    def grant(time: str) -> bytes:
        return canonical(decode(encode(a_fact("campaign.granted.v1", granted | {"expires": time}, time=time)))[0])

    granted = {"grant": "G", "campaign": "c", "points": 1}
    assert len({grant(time) for time in times}) == 1


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 32))
def test_a_fact_reads_the_same_from_its_canonical_bytes(seed: int) -> None:
    from random import Random

    for fact in history(Random(seed), 40):
        decoded, occurred = decode(encode(fact))
        kept = canonical(decoded)
        again, instant = decode_canonical(kept)
        assert (again, instant) == (decoded, occurred) and canonical(again) == kept
        assert canonical(decode(kept)[0]) == kept


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_a_fact_or_parked_and_never_a_crash(raw: bytes) -> None:
    reason(raw)
    reason(encode(a_fact()).replace(b'"s"', raw))


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    deep = b"[" * (MAX_BYTES - 10)
    assert reason(deep) in ("too-deep", "not-json")
    assert sys.getrecursionlimit() < len(deep)


def test_types_have_names_of_their_own_and_few_of_them_are_requests() -> None:
    tags = [str(cls.__struct_config__.tag) for cls in FACT_TYPES]
    assert len(tags) == len(set(tags)) >= 33 and all(tag.endswith(".v1") for tag in tags)
    assert set(REQUESTS) == {RedemptionRequested, HoldRequested, BenefitClaimed, ExchangeRequested, TransferRequested}
    schema = json.dumps(json_schemas())
    assert all(f'"{tag}"' in schema for tag in tags)


# -- where a fact stands ---------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> SmallLedger:
    return SmallLedger(tmp_path / "ledger")


def parked_of(ledger: SmallLedger) -> list[DeadLetter]:
    return [parked for partition in ledger.ledger.partitions for parked in ledger.ledger.journal(partition).parked()]


def test_the_key_of_a_record_is_its_subject_and_its_partition_the_subjects(ledger: SmallLedger) -> None:
    home = ledger.ledger.partition_of("m-1")
    ledger.stream.append(a_fact(), key="m-2")
    ledger.stream.append(a_fact(), partition=(home + 1) % 4)
    ledger.stream.append(a_fact())
    tally = ledger.decides()
    assert sorted(parked.reason for parked in parked_of(ledger)) == ["wrong-key", "wrong-partition"]
    assert (tally.accepted, tally.parked) == (1, 2), "everything behind them goes on"


def test_more_than_five_minutes_ahead_of_its_record_is_the_future(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    near = a_fact(id="near", time=(now + timedelta(seconds=280)).isoformat())
    far = a_fact(id="far", time=(now + timedelta(seconds=400)).isoformat())
    opened = ingested(tmp_path, [near, far, a_fact()], backlog=False)
    partition = opened.journal(opened.partition_of("m-1"))
    assert [parked.reason for parked in partition.parked()] == ["future"]
    assert partition.head().entries == 2
    opened.close()


def test_more_than_five_minutes_ahead_of_now_is_the_future_in_a_backlog_too(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    facts = [a_fact(id=str(ahead), time=(now + timedelta(seconds=ahead)).isoformat()) for ahead in (280, 400)]
    opened = ingested(tmp_path, facts)
    assert [parked.reason for parked in opened.journal(opened.partition_of("m-1")).parked()] == ["future"]
    opened.close()


OPERATORS_DATA: dict[str, dict[str, Any]] = {
    "points.adjusted.v1": {"adjustment": "J", "points": 5, "reason": "r", "by": "a", "approved_by": "b"},
    "account.frozen.v1": {"reason": "r"},
    "account.unfrozen.v1": {"reason": "r"},
    "tier.granted.v1": {"grant": "T", "score": "jd-value", "tier": "201", "until": "2099-01-01T00:00:00Z"},
    "tier.withdrawn.v1": {"grant": "T"},
    "member.merged.v1": {"into": "m-2"},
    "member.unmerged.v1": {"name": "m-2"},
    "lot.opened.v1": {"lot": "L", "kind": "beans", "points": 5, "earned_at": HEAD["time"], "expires_at": HEAD["time"]},
    "programme.published.v1": {"toml": "x = 1"},
}


@pytest.mark.parametrize("type_", OPERATORS_DATA)
def test_operator_facts_count_only_from_operators(type_: str, ledger: SmallLedger) -> None:
    subject = "programme" if type_.startswith("programme") else "m-1"
    for number, source in enumerate(("/shop", "/Operators", "/operators/2", "/operators")):
        ledger.stream.append(a_fact(type_, OPERATORS_DATA[type_], source=source, subject=subject, id=str(number)))
    tally = ledger.decides()
    assert [parked.reason for parked in parked_of(ledger)] == ["not-authorised"] * 3
    assert tally.accepted + tally.ignored <= 1 and tally.parked == 3
    assert type_ in {str(cls.__struct_config__.tag) for cls in OPERATOR_FACTS} and len(OPERATOR_FACTS) == 12


@pytest.mark.parametrize("type_", OPERATORS_DATA)
def test_grantors_may_grant_tiers_and_nothing_else(type_: str, tmp_path: Path) -> None:
    ledger = open_or_create(tmp_path / "ledger")
    settings = tmp_path / "ledger" / "ledger.json"
    ledger.close()
    settings.write_text(settings.read_text("utf-8").replace('"grantors": []', '"grantors": ["/partner"]'), "utf-8")
    stamp_anew(tmp_path / "ledger")
    subject = "programme" if type_.startswith("programme") else "m-1"
    fact = a_fact(type_, OPERATORS_DATA[type_], source="/partner", subject=subject)
    opened = ingested(tmp_path, [fact, fact | {"id": "2", "source": "/partner/2"}])
    parked = [letter.reason for partition in opened.partitions for letter in opened.journal(partition).parked()]
    may = type_.startswith("tier.")
    assert set(parked) == {"not-authorised"} and len(parked) == (1 if may else 2)
    opened.close()


def test_the_subject_programme_belongs_to_published_books_alone(ledger: SmallLedger) -> None:
    ledger.stream.append(a_fact(subject="programme"))
    ledger.stream.append(a_fact("programme.published.v1", {"toml": "x"}, source="/operators"))
    ledger.decides()
    assert [parked.reason for parked in parked_of(ledger)] == ["bad-fact", "bad-fact"]


def test_a_parked_line_keeps_its_position_reason_bytes_length_and_hash(tmp_path: Path) -> None:
    small, middling, long = b"{nonsense", b"x" * 65_537, b"y" * (MAX_BYTES + 1)
    opened = ingested(tmp_path, [small, middling, long, a_fact()])
    parked = [p for partition in opened.partitions for p in opened.journal(partition).parked()]
    assert [(p.reason, p.length) for p in parked] == [
        ("not-json", len(small)),
        ("not-json", len(middling)),
        ("too-long", len(long)),
    ]
    assert [p.raw for p in parked] == [small, middling[:65_536], long[:65_536]]
    assert [p.sha256 for p in parked] == [sha256(raw).digest() for raw in (small, middling, long)]
    opened.close()


def test_what_an_entry_keeps_is_the_canonical_fact_and_the_hash_of_what_was_received(ledger: SmallLedger) -> None:
    from ledger.wire.entry_codec import decode_entry

    raw = encode(a_fact(data={"share": "s", "unknown": 1}))
    ledger.stream.append(raw)
    ledger.decides()
    entry = decode_entry(next(row[3] for rows in ledger.journal for row in rows))
    assert entry.fact == canonical(decode(raw)[0]) and entry.received == sha256(raw).digest()


# -- partitions ------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=130))
def test_murmur2_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == kafkas_murmur2(key) & 0xFFFFFFFF


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=128), st.sampled_from((1, 4, 12, 64)))
def test_a_member_stands_in_the_partition_that_every_kafka_client_gives_her(member: str, partitions: int) -> None:
    member = member.encode("utf-8", "replace").decode()
    expected = (kafkas_murmur2(member.encode()) & 0x7FFFFFFF) % partitions
    assert Partitioner(partitions)(member) == expected


def test_an_order_is_decoded_into_its_own_type() -> None:
    fact, occurred = decode(encode(an_order()))
    assert isinstance(fact, OrderCompleted)
    assert occurred == 1_762_790_592_000_000
