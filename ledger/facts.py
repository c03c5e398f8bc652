"""What happened: immutable CloudEvents, decoded and checked in one pass into a closed tagged union.

A fact is named for ever by (subject, source, id). Money is integer fen, points are integers, times carry an offset.
Unknown fields are dropped. What cannot be decoded raises `BadFact` with a bare reason code and a sentence.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ledger.times import MAX_INSTANT, MIN_INSTANT, to_instant

MAX_BYTES = 1 << 20  # of one fact as received
MAX_DEPTH = 16  # of its JSON
MAX_LINES = 1_000  # of one order or return
MAX_ID = 128  # characters
MAX_INT = 1 << 53
# Defaults that are text. The encoder leaves a default out where it is the same object, which a text just read never is:
# each class with such a field puts the default's own object in its place, so that said or left out is the same fact.
SELF, APP, BEANS = "self", "app", "beans"

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Name = Annotated[str, Meta(max_length=MAX_ID)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT)]
Some = Annotated[int, Meta(ge=1, le=MAX_INT)]
Signed = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
Time = Annotated[datetime, Meta(tz=True)]
Tags = Annotated[list[Name], Meta(max_length=64)]


class BadFact(Exception):
    """A record that is no fact: `reason` is the code under which it is parked, `detail` says what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _Data(Struct, omit_defaults=True, gc=False):
    pass


class _OfKind(_Data):
    kind: Id = BEANS

    def __post_init__(self) -> None:
        if self.kind == BEANS:
            self.kind = BEANS


class Line(_Data):
    """A line of an order: `paid_fen` is the cash for the whole line after coupons and points, without freight."""

    line: Id
    paid_fen: Count
    quantity: Some = 1
    sku: Name = ""
    category: Name = ""
    points: Count = 0


class Order(_Data):
    order: Id
    lines: Annotated[list[Line], Meta(min_length=1, max_length=MAX_LINES)]
    shop: Name = SELF
    self_operated: bool = True
    channel: Name = APP
    pay: Name = ""
    tags: Tags = []

    def __post_init__(self) -> None:
        lines = self.lines
        if len(lines) > 1 and len({line.line for line in lines}) < len(lines):
            raise ValueError("two lines have the same `line`; every line of an order needs its own")
        if self.shop == SELF:
            self.shop = SELF
        if self.channel == APP:
            self.channel = APP


class OrderEnd(_Data):
    order: Id
    reason: Name = ""


class ReturnLine(_Data):
    line: Id
    quantity: Count
    refund_fen: Count
    points: Count = 0

    def __post_init__(self) -> None:
        if self.quantity == 0 and self.refund_fen == 0:
            raise ValueError("`quantity` and `refund_fen` are both 0; a returned line has pieces, money or both")


class Return(_Data):
    return_: Id = msgspec.field(name="return")
    lines: Annotated[list[ReturnLine], Meta(min_length=1, max_length=MAX_LINES)]
    order: Name = ""


class Review(_Data):
    review: Id
    order: Id
    line: Id
    characters: Count = 0
    images: Count = 0


class ReviewRemoval(_Data):
    review: Id


class Answer(_Data):
    answer: Id
    sku: Name = ""


class Share(_Data):
    share: Id
    sku: Name = ""
    via: Name = ""


class SignIn(_Data):
    day: Name = ""

    def __post_init__(self) -> None:
        if self.day:
            if len(self.day) != 10:
                raise ValueError("`day` is not a date like 2025-11-11")
            if not 1970 <= date.fromisoformat(self.day).year <= 2999:
                raise ValueError(f"`day` is {self.day}; years 1970 to 2999 are taken")


class ShopVisit(_Data):
    shop: Id


class Grant(_OfKind, kw_only=True):
    grant: Id
    campaign: Id
    points: Some
    expires: Time | None = None


class Nothing(_Data):
    pass


class CreditScore(_Data):
    score: Count


class Stars(_Data):
    stars: Annotated[int, Meta(ge=1, le=5)]


class Redemption(_OfKind, kw_only=True):
    redemption: Id
    points: Some
    use: Id
    order: Name = ""
    settlement_fen: Count = 0


class Reversal(_Data):
    redemption: Id
    points: Some | None = None


class Hold(_OfKind, kw_only=True):
    hold: Id
    points: Some
    until: Time


class Capture(_Data):
    hold: Id
    points: Some | None = None  # left out: all that is held


class Release(_Data):
    hold: Id


class Card(_Data):
    card: Id
    product: Id
    paid_fen: Count


class CodedCard(_Data):
    card: Id
    product: Id
    code: Name = ""


class CardRefund(_Data):
    card: Id
    refund_fen: Count


class Claim(_Data):
    claim: Id
    benefit: Id
    order: Name = ""
    line: Name = ""


class Adjustment(_OfKind, kw_only=True):
    adjustment: Id
    points: Signed
    reason: Id
    by: Id
    approved_by: Name = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points == 0:
            raise ValueError("`points` is 0; an adjustment moves at least one point")


class Reason(_Data):
    reason: Name = ""


class OpeningLot(_OfKind, kw_only=True):
    lot: Id
    points: Some
    earned_at: Time
    expires_at: Time


class Publication(_Data):
    toml: Annotated[str, Meta(min_length=1, max_length=MAX_BYTES)]
    by: Name = ""


class _Fact(Struct, tag_field="type", omit_defaults=True, gc=False):
    specversion: Literal["1.0"]
    id: Id
    source: Id
    subject: Id
    time: Time


class OrderPaid(_Fact, tag="order.paid.v1"):
    data: Order


class OrderCompleted(_Fact, tag="order.completed.v1"):
    data: Order


class OrderCancelled(_Fact, tag="order.cancelled.v1"):
    data: OrderEnd


class OrderReturned(_Fact, tag="order.returned.v1"):
    data: Return


class OrderRejected(_Fact, tag="order.rejected.v1"):
    data: OrderEnd


class ReviewPosted(_Fact, tag="review.posted.v1"):
    data: Review


class ReviewRemoved(_Fact, tag="review.removed.v1"):
    data: ReviewRemoval


class QuestionAnswered(_Fact, tag="question.answered.v1"):
    data: Answer


class ItemShared(_Fact, tag="item.shared.v1"):
    data: Share


class MemberSignedIn(_Fact, tag="member.signed-in.v1"):
    data: SignIn = msgspec.field(default_factory=SignIn)


class ShopVisited(_Fact, tag="shop.visited.v1"):
    data: ShopVisit


class CampaignGranted(_Fact, tag="campaign.granted.v1"):
    data: Grant


class IdentityVerified(_Fact, tag="identity.verified.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class WechatBound(_Fact, tag="wechat.bound.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class QqBound(_Fact, tag="qq.bound.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class ProfileCompleted(_Fact, tag="profile.completed.v1"):
    data: Nothing = msgspec.field(default_factory=Nothing)


class CreditScored(_Fact, tag="credit.scored.v1"):
    data: CreditScore


class ReputationRated(_Fact, tag="reputation.rated.v1"):
    data: Stars


class RedemptionRequested(_Fact, tag="redemption.requested.v1"):
    data: Redemption


class RedemptionReversed(_Fact, tag="redemption.reversed.v1"):
    data: Reversal


class HoldRequested(_Fact, tag="hold.requested.v1"):
    data: Hold


class HoldCaptured(_Fact, tag="hold.captured.v1"):
    data: Capture


class HoldReleased(_Fact, tag="hold.released.v1"):
    data: Release


class CardPurchased(_Fact, tag="card.purchased.v1"):
    data: Card


class CardCodeRedeemed(_Fact, tag="card.code-redeemed.v1"):
    data: CodedCard


class CardTrialStarted(_Fact, tag="card.trial-started.v1"):
    data: CodedCard


class CardRefunded(_Fact, tag="card.refunded.v1"):
    data: CardRefund


class BenefitClaimed(_Fact, tag="benefit.claimed.v1"):
    data: Claim


class PointsAdjusted(_Fact, tag="points.adjusted.v1"):
    data: Adjustment


class AccountFrozen(_Fact, tag="account.frozen.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class AccountUnfrozen(_Fact, tag="account.unfrozen.v1"):
    data: Reason = msgspec.field(default_factory=Reason)


class LotOpened(_Fact, tag="lot.opened.v1"):
    data: OpeningLot


class ProgrammePublished(_Fact, tag="programme.published.v1"):
    data: Publication


Fact = (
    OrderPaid
    | OrderCompleted
    | OrderCancelled
    | OrderReturned
    | OrderRejected
    | ReviewPosted
    | ReviewRemoved
    | QuestionAnswered
    | ItemShared
    | MemberSignedIn
    | ShopVisited
    | CampaignGranted
    | IdentityVerified
    | WechatBound
    | QqBound
    | ProfileCompleted
    | CreditScored
    | ReputationRated
    | RedemptionRequested
    | RedemptionReversed
    | HoldRequested
    | HoldCaptured
    | HoldReleased
    | CardPurchased
    | CardCodeRedeemed
    | CardTrialStarted
    | CardRefunded
    | BenefitClaimed
    | PointsAdjusted
    | AccountFrozen
    | AccountUnfrozen
    | LotOpened
    | ProgrammePublished
)
FACT_TYPES: tuple[type[_Fact], ...] = Fact.__args__
REQUESTS = frozenset({RedemptionRequested, HoldRequested, BenefitClaimed})  # the only facts that can be refused
OPERATOR_FACTS = frozenset({PointsAdjusted, AccountFrozen, AccountUnfrozen, LotOpened, ProgrammePublished})
PROGRAMME_SUBJECT = "programme"  # of a published rule book, which belongs to no member

_decoder = msgspec.json.Decoder(Fact)
_encoder = msgspec.json.Encoder()
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
# Facts with times inside their data, which are kept in UTC like the fact's own.
_INNER_TIMES: Mapping[type, tuple[str, ...]] = {
    CampaignGranted: ("expires",),
    HoldRequested: ("until",),
    LotOpened: ("earned_at", "expires_at"),
}
_TIMES = frozenset({"time"}.union(*_INNER_TIMES.values()))
_FINER = re.compile(rb"\.\d{7}")  # than microseconds
_FINER_TEXT = re.compile(r"(\.\d{6})\d+")


def fact_type(fact: Fact) -> str:
    """The CloudEvents type of a fact, such as ``order.completed.v1``."""
    return str(fact.__struct_config__.tag)


def decode(raw: bytes) -> tuple[Fact, int]:
    """A fact and the instant it occurred, from the bytes received; its times are set to UTC. Raises `BadFact`."""
    if len(raw) > MAX_BYTES:
        raise too_long(len(raw))
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise BadFact("not-utf8", f"byte {error.start} is not UTF-8; facts are UTF-8 JSON") from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_too_deep(raw):
        raise BadFact("too-deep", f"nested more than {MAX_DEPTH} levels")
    if raw.count(b'"type"') > 1:
        raw = _last_of_duplicate_keys(raw)
    if b"." in raw and _FINER.search(raw):
        raw = _in_microseconds(raw)
    try:
        fact = _decoder.decode(raw)
        fact.time = time = fact.time.astimezone(UTC)
        occurred = to_instant(time)
        if type(fact) in _INNER_TIMES:
            _normalise(fact.data, _INNER_TIMES[type(fact)])
    except msgspec.ValidationError as error:
        if _has_duplicate_keys(raw):
            return decode(_last_of_duplicate_keys(raw))
        raise _bad_fact(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFact("not-json", f"{error}") from None
    except (OverflowError, ValueError) as error:
        raise BadFact("bad-fact", f"a time is out of range: {error}") from None
    if not MIN_INSTANT <= occurred < MAX_INSTANT:
        raise BadFact("bad-fact", f"`time` is {fact.time.isoformat()}; years 1970 to 2999 are taken")
    if b"\\" in raw and b"\\u0000" in raw and _has_nul(json.loads(canonical(fact))):
        raise BadFact("bad-fact", "a string holds the character U+0000, which no store keeps")
    return fact, occurred


def too_long(length: int) -> BadFact:
    """What is wrong with a record of more bytes than a fact may have."""
    return BadFact("too-long", f"{length:,} bytes; a fact has at most {MAX_BYTES:,}")


def canonical(fact: Fact) -> bytes:
    """The deterministic encoding of a decoded fact: defaults omitted, times in UTC. Facts are compared by it."""
    return _encoder.encode(fact)


def decode_canonical(kept: bytes) -> tuple[Fact, int]:
    """A fact from its canonical bytes as the journal keeps them (already checked once)."""
    fact: Fact = _decoder.decode(kept)
    return fact, to_instant(fact.time)


def json_schemas() -> dict[str, Any]:
    """JSON Schema 2020-12 of the facts, one definition a type."""
    schemas, components = msgspec.json.schema_components([Fact], ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schemas[0], "$defs": components}


def _normalise(data: Any, names: tuple[str, ...]) -> None:
    for name in names:
        moment = getattr(data, name)
        if moment is not None:
            moment = moment.astimezone(UTC)
            if not MIN_INSTANT <= to_instant(moment) < MAX_INSTANT:
                raise ValueError(f"`{name}` is {moment.isoformat()}; years 1970 to 2999 are taken")
            setattr(data, name, moment)


def _is_too_deep(raw: bytes) -> bool:
    brackets = raw.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return False
    depth = 0  # something is left: deep, or brackets inside strings; now look at each token
    for token in _TOKENS.finditer(raw):
        if token[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token[0] in b"]}":
            depth -= 1
    return False


def _last_of_duplicate_keys(raw: bytes) -> bytes:
    """Of duplicate keys the last holds, for the tag too (which the decoder reads from its first place)."""
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadFact("not-json", f"{error}") from None


def _has_duplicate_keys(raw: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        found |= len({key for key, _ in pairs}) < len(pairs)
        return {}

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False
    return found


def _in_microseconds(raw: bytes) -> bytes:
    """Times with more digits of a second cut off behind the microseconds; the decoder would round them, also up."""
    try:
        read = json.loads(raw)
        for where in (read, read.get("data")) if isinstance(read, dict) else ():
            if not isinstance(where, dict):
                continue
            for name in _TIMES.intersection(where):
                if isinstance(where[name], str):
                    where[name] = _FINER_TEXT.sub(r"\1", where[name])
        return json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, or half a surrogate pair
        return raw  # the decoder says what is wrong


def _bad_fact(error: msgspec.ValidationError) -> BadFact:
    text = str(error)
    if text.endswith("`$.type`") and text.startswith("Invalid value"):
        return BadFact("unknown-type", f"{text.split(' - ')[0]}; `points schema` lists the types")
    if "Invalid UTF-8" in text:
        return BadFact("not-utf8", text)
    if "Expected `int`, got `float`" in text:
        text += " (money is an integer of fen: 1250 for ¥12.50; points are integers)"
    return BadFact("bad-fact", text)


def _has_nul(value: Any) -> bool:
    """Whether a string anywhere in a JSON document holds the character U+0000."""
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(_has_nul(item) for item in value)
        case dict():
            return any(_has_nul(item) for item in value.values())
        case _:
            return False
