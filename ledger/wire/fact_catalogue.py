"""The types of fact, one row each: what is asked of a type anywhere but in its decision stands here.

A new type is its class in `facts`, its row here, and in the core the function that decides it; a type whose rules
alone say what it gives (it has `fields`) needs no function.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

from ledger.wire import facts
from ledger.wire.entries import CreditSet, Rated
from ledger.wire.facts import Fact, OrderLine


class FactType(Struct, frozen=True, eq=False):
    """One type of fact."""

    fact: type[Fact]
    names: Mapping[str, str] = field(default_factory=dict)  # field of its data -> the page it names; its own id first
    also: Mapping[str, str] = field(default_factory=dict)  # field -> another page that it may name
    times: tuple[str, ...] = ()  # fields of its data that are times, and are kept in UTC like the fact's own
    fields: frozenset[str] | None = None  # of its data, that a rule may name; None: no rule may stand on it
    lines: Literal["", "each", "one"] = ""  # it has lines, for each of which a rule may give; it is about one line
    fen: str = ""  # of its data, what is counted `per_fen` where it has no line
    count: str = ""  # and `per_count`
    asks: bool = False  # its own decision asks the rules; those of other types are asked behind it
    keeps: bool = False  # what rules give for the whole of it stands on its page, to be taken back
    sets: type[Rated | CreditSet] | None = None  # the change that keeps what it says of the member
    moves_tiers: bool = False  # at once, and not only when a month begins
    is_request: bool = False  # may be refused
    is_operators: bool = False  # counts only from the ledger's operators
    is_grantors: bool = False  # and from the sources that its settings name as grantors
    is_follow_up: bool = False  # is left by another account of the ledger, and never turned away
    is_partners: bool = False  # counts only from the sources that its settings name as partners
    is_between_ledgers: bool = False  # a follow-up for an account of another ledger, or from one
    on: str = ""  # its CloudEvents type without the version, as a rule book names it: ``order.completed``

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "on", str(self.fact.__struct_config__.tag).removesuffix(".v1"))

    def own_key(self, data: Any) -> str:
        """The key of the page that the fact's own business id takes, empty where it has none."""
        for name, page in self.names.items():
            return f"{page}/{getattr(data, name)}"
        return ""


_NO_FIELDS: Final = frozenset[str]()
_OF_ORDERS: Final = frozenset({"shop", "self_operated", "channel", "pay", "tags"})
_OF_REVIEWS: Final = frozenset({"characters", "images"})
_OF_ACTIVITIES: Final = frozenset({"activity", "count", "amount_fen", "shop", "sku", "channel", "tags"})
_REASON: Final = frozenset({"reason"})
_ORDER: Final = {"order": "order"}
_DONE: Final = {"done": "activity"}

# Of a line, that a rule may name: its fields, and what one piece of it was paid. Its tags are asked with the order's.
LINE_FIELDS: Final = frozenset(OrderLine.__struct_fields__) - {"line", "list_fen", "saved_by", "tags"} | {"unit_fen"}

CATALOGUE: Final[tuple[FactType, ...]] = (
    FactType(facts.OrderPaid, _ORDER, fields=_OF_ORDERS, lines="each", asks=True, keeps=True),
    FactType(facts.OrderCompleted, _ORDER, fields=_OF_ORDERS, lines="each", asks=True),
    FactType(facts.OrderAmended, _ORDER),
    FactType(facts.OrderCancelled, _ORDER, fields=_REASON),
    FactType(facts.OrderReturned, {"return_": "return"} | _ORDER, fields=_NO_FIELDS),
    FactType(facts.OrderRejected, _ORDER, fields=_REASON),
    FactType(facts.ReviewPosted, {"review": "review"} | _ORDER, fields=_OF_REVIEWS, lines="one", asks=True, keeps=True),
    FactType(facts.ReviewRemoved, {"review": "review"}, fields=_NO_FIELDS),
    FactType(facts.QuestionAnswered, {"answer": "answer"}, fields=frozenset({"sku"}), asks=True),
    FactType(facts.ItemShared, {"share": "share"}, fields=frozenset({"sku", "via"}), asks=True),
    FactType(facts.MemberSignedIn, fields=_NO_FIELDS, asks=True),
    FactType(facts.ShopVisited, fields=frozenset({"shop"}), asks=True),
    FactType(
        facts.CampaignGranted,
        {"grant": "grant"},
        times=("expires",),
        fields=frozenset({"campaign", "kind", "points"}),
    ),
    FactType(facts.IdentityVerified, fields=_NO_FIELDS, asks=True, moves_tiers=True),
    FactType(facts.WechatBound, fields=_NO_FIELDS, asks=True, moves_tiers=True),
    FactType(facts.QqBound, fields=_NO_FIELDS, asks=True, moves_tiers=True),
    FactType(facts.ProfileCompleted, fields=_NO_FIELDS, asks=True),
    FactType(facts.CreditScored, fields=frozenset({"score"}), sets=CreditSet),
    FactType(facts.ReputationRated, fields=frozenset({"stars"}), sets=Rated, moves_tiers=True),
    FactType(facts.MemberDescribed, fields=_NO_FIELDS),
    FactType(facts.MemberJoined, {"shop": "joined"}, fields=frozenset({"shop"}), asks=True),
    FactType(facts.ActivityDone, _DONE, fields=_OF_ACTIVITIES, fen="amount_fen", count="count", asks=True, keeps=True),
    FactType(facts.ActivityUndone, _DONE, fields=_NO_FIELDS),
    FactType(
        facts.RedemptionRequested,
        {"redemption": "redemption"} | _ORDER,
        fields=frozenset({"kind", "points", "use", "settlement_fen"}),
        is_request=True,
    ),
    FactType(facts.RedemptionReversed, {"redemption": "redemption"}, {"redemption": "captured"}, fields=_NO_FIELDS),
    FactType(
        facts.HoldRequested,
        {"hold": "hold"},
        times=("until",),
        fields=frozenset({"kind", "points"}),
        is_request=True,
    ),
    FactType(facts.HoldCaptured, {"hold": "hold"}, fields=_NO_FIELDS),
    FactType(facts.HoldReleased, {"hold": "hold"}, fields=_NO_FIELDS),
    FactType(facts.PointsClaimed, fields=_NO_FIELDS),
    FactType(
        facts.ExchangeRequested,
        {"request": "exchange"},
        fields=frozenset({"exchange", "points"}),
        is_request=True,
    ),
    FactType(facts.ExchangeReversed, {"request": "exchange"}, {"request": "exchanged"}, fields=_NO_FIELDS),
    FactType(facts.ExchangeConfirmed, {"request": "exchange"}, {"request": "exchanged"}, is_partners=True),
    FactType(facts.ExchangeFailed, {"request": "exchange"}, is_partners=True),
    FactType(facts.TransferRequested, {"transfer": "transfer"}, is_request=True),
    FactType(facts.TransferReversed, {"transfer": "transfer"}, is_operators=True),
    FactType(facts.CardPurchased, {"card": "card"}, fields=frozenset({"product", "paid_fen"}), fen="paid_fen"),
    FactType(facts.CardCodeRedeemed, {"card": "card"}, fields=frozenset({"product", "code"})),
    FactType(facts.CardTrialStarted, {"card": "card"}, fields=frozenset({"product", "code"})),
    FactType(facts.CardRefunded, {"card": "card"}, fields=frozenset({"refund_fen"})),
    FactType(
        facts.BenefitClaimed,
        {"claim": "claim"} | _ORDER,
        fields=frozenset({"benefit", "shop"}),
        asks=True,
        keeps=True,
        is_request=True,
    ),
    FactType(facts.BenefitReturned, {"claim": "claim"}, {"claim": "claim-price"}, fields=_NO_FIELDS),
    FactType(facts.HouseJoined),
    FactType(facts.HouseLeft),
    FactType(facts.TransferArrived, is_follow_up=True),
    FactType(facts.TransferReturned, {"transfer": "transfer"}, is_follow_up=True),
    FactType(facts.TransferRecalled, is_follow_up=True),
    FactType(facts.PoolAsked, is_follow_up=True),
    FactType(facts.PoolAnswered, {"ask": "ask"}, is_follow_up=True),
    FactType(facts.PoolReturned, is_follow_up=True),
    FactType(facts.LeaseAsked, is_follow_up=True),
    FactType(facts.LeaseAnswered, is_follow_up=True),
    FactType(facts.LeaseRecalled, is_follow_up=True),
    FactType(facts.LeaseReturned, is_follow_up=True),
    FactType(facts.SeatChanged, is_follow_up=True),
    FactType(facts.CardTakenBack, is_follow_up=True),
    FactType(facts.ExchangeAsked, times=("expires",), is_follow_up=True, is_between_ledgers=True),
    FactType(facts.ExchangeAnswered, {"request": "exchange"}, is_follow_up=True, is_between_ledgers=True),
    FactType(facts.ExchangeRecalled, is_follow_up=True, is_between_ledgers=True),
    FactType(facts.MergeAsked, is_follow_up=True),
    FactType(facts.MergeAnswered, is_follow_up=True),
    FactType(facts.MergePieceTaken, is_follow_up=True),
    FactType(facts.MemberPages, is_follow_up=True),
    FactType(facts.MemberMoved, is_follow_up=True),
    FactType(facts.MemberForwarded, is_follow_up=True),
    FactType(facts.LotReturned, is_follow_up=True),
    FactType(facts.MemberMerged, is_operators=True),
    FactType(facts.MemberUnmerged, is_operators=True),
    FactType(facts.PointsAdjusted, {"adjustment": "adjustment"}, is_operators=True),
    FactType(facts.AccountFrozen, is_operators=True),
    FactType(facts.AccountUnfrozen, is_operators=True),
    FactType(facts.AccountClosed, is_operators=True),
    FactType(facts.AccountReopened, is_operators=True),
    FactType(facts.TierGranted, {"grant": "tier-grant"}, times=("until",), is_operators=True, is_grantors=True),
    FactType(facts.TierWithdrawn, {"grant": "tier-grant"}, is_operators=True, is_grantors=True),
    FactType(facts.LotOpened, {"lot": "opening"}, times=("earned_at", "expires_at"), is_operators=True),
    FactType(facts.ProgrammePublished, is_operators=True),
)
BUILT_IN_ATTRIBUTES: Final = frozenset(row.sets.__struct_fields__[0] for row in CATALOGUE if row.sets is not None)
BY_CLASS: Final[Mapping[type[Fact], FactType]] = {row.fact: row for row in CATALOGUE}
REQUESTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_request)  # the only facts that can be refused
KEPT: Final = frozenset(row.on for row in CATALOGUE if row.keeps)
OWN_PAGES: Final = {row.on: next(iter(row.names.values())) for row in CATALOGUE if row.names}  # what own ids name
GRANTOR_FACTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_grantors)
PARTNER_FACTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_partners)
BETWEEN_LEDGERS: Final = frozenset(row.fact for row in CATALOGUE if row.is_between_ledgers)
FOLLOW_UPS: Final = frozenset(row.fact for row in CATALOGUE if row.is_follow_up)
OPERATOR_FACTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_operators)
assert tuple(BY_CLASS) == Fact.__args__, "the catalogue has each type of the union once, in its order"


class Occasion(Struct, frozen=True, eq=False):
    """What a rule may stand on: a type of fact, or a tier that was reached."""

    on: str
    fields: frozenset[str]  # that a condition may name
    line_fields: frozenset[str]  # and those of its lines, or of the line that it is about
    numbers: frozenset[str]  # of all these, those that have bounds
    lines: Literal["", "each", "one"] = ""
    fen: str = ""
    count: str = ""

    def rule_fields(self, *, of_lines: bool) -> frozenset[str]:
        """The fields that a condition may name, of the fact and (`of_lines`: a rule for each) of its line."""
        return self.fields | self.line_fields if of_lines or self.lines == "one" else self.fields


REACHED: Final = "tier.reached"


def _numbers_of(data: type[Struct]) -> frozenset[str]:
    found = msgspec.inspect.type_info(data)
    assert isinstance(found, msgspec.inspect.StructType)
    return frozenset(one.name for one in found.fields if isinstance(one.type, msgspec.inspect.IntType))


def _occasion_of(row: FactType) -> Occasion:
    data = next(one.type for one in msgspec.structs.fields(row.fact) if one.name == "data")
    fields = row.fields or frozenset()
    lines = LINE_FIELDS if row.lines else frozenset[str]()
    numbers = _numbers_of(data) & fields | ((_numbers_of(OrderLine) | {"unit_fen"}) & lines)
    return Occasion(row.on, fields, lines, numbers, row.lines, row.fen, row.count)


# By name, what a rule may stand on: facts about a member, and a tier that was reached.
OCCASIONS: Final[Mapping[str, Occasion]] = {
    **{row.on: _occasion_of(row) for row in CATALOGUE if row.fields is not None},
    REACHED: Occasion(REACHED, frozenset({"score", "tier", "before"}), frozenset(), frozenset()),
}
# What rules could stand on before engine 2: books of then name amounts that these have not, which are 0.
OLDER_OCCASIONS: Final = frozenset(
    {
        "order.completed",
        "review.posted",
        "question.answered",
        "item.shared",
        "member.signed-in",
        "shop.visited",
        "identity.verified",
        "wechat.bound",
        "qq.bound",
        "profile.completed",
    }
)
