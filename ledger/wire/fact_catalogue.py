"""The types of fact, one row each: what is asked of a type anywhere but in its decision stands here.

A new type is its class in `facts`, its row here, and in the core the function that decides it; a type whose rules
alone say what it gives (it has `fields`) needs no function.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

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
    sets: type[Rated | CreditSet] | None = None  # the change that keeps what it says of the member
    moves_tiers: bool = False  # at once, and not only when a month begins
    is_request: bool = False  # may be refused
    is_operators: bool = False  # counts only from the ledger's operators

    @property
    def on(self) -> str:
        """Its CloudEvents type without the version, as a rule book names it: ``order.completed``."""
        return str(self.fact.__struct_config__.tag).removesuffix(".v1")

    def rule_fields(self, *, of_lines: bool) -> frozenset[str]:
        """The fields that a condition may name, of the fact and (`of_lines`: a rule for each) of its line."""
        fields = self.fields or frozenset()
        return fields | LINE_FIELDS if of_lines or self.lines == "one" else fields

    def own_key(self, data: Any) -> str:
        """The key of the page that the fact's own business id takes, empty where it has none."""
        for name, page in self.names.items():
            return f"{page}/{getattr(data, name)}"
        return ""


_NO_FIELDS: Final = frozenset[str]()
_OF_ORDERS: Final = frozenset({"shop", "self_operated", "channel", "pay", "tags"})
_OF_REVIEWS: Final = frozenset({"characters", "images"})
_ORDER: Final = {"order": "order"}

# Of a line, that a rule may name: its fields, and what one piece of it was paid.
LINE_FIELDS: Final = frozenset(OrderLine.__struct_fields__) - {"line"} | {"unit_fen"}

CATALOGUE: Final[tuple[FactType, ...]] = (
    FactType(facts.OrderPaid, _ORDER),
    FactType(facts.OrderCompleted, _ORDER, fields=_OF_ORDERS, lines="each"),
    FactType(facts.OrderAmended, _ORDER),
    FactType(facts.OrderCancelled, _ORDER),
    FactType(facts.OrderReturned, {"return_": "return"} | _ORDER),
    FactType(facts.OrderRejected, _ORDER),
    FactType(facts.ReviewPosted, {"review": "review"} | _ORDER, fields=_OF_REVIEWS, lines="one"),
    FactType(facts.ReviewRemoved, {"review": "review"}),
    FactType(facts.QuestionAnswered, {"answer": "answer"}, fields=frozenset({"sku"})),
    FactType(facts.ItemShared, {"share": "share"}, fields=frozenset({"sku", "via"})),
    FactType(facts.MemberSignedIn, fields=_NO_FIELDS),
    FactType(facts.ShopVisited, fields=frozenset({"shop"})),
    FactType(facts.CampaignGranted, {"grant": "grant"}, times=("expires",)),
    FactType(facts.IdentityVerified, fields=_NO_FIELDS, moves_tiers=True),
    FactType(facts.WechatBound, fields=_NO_FIELDS, moves_tiers=True),
    FactType(facts.QqBound, fields=_NO_FIELDS, moves_tiers=True),
    FactType(facts.ProfileCompleted, fields=_NO_FIELDS),
    FactType(facts.CreditScored, sets=CreditSet),
    FactType(facts.ReputationRated, sets=Rated, moves_tiers=True),
    FactType(facts.MemberDescribed),
    FactType(facts.RedemptionRequested, {"redemption": "redemption"} | _ORDER, is_request=True),
    FactType(facts.RedemptionReversed, {"redemption": "redemption"}, {"redemption": "captured"}),
    FactType(facts.HoldRequested, {"hold": "hold"}, times=("until",), is_request=True),
    FactType(facts.HoldCaptured, {"hold": "hold"}),
    FactType(facts.HoldReleased, {"hold": "hold"}),
    FactType(facts.CardPurchased, {"card": "card"}),
    FactType(facts.CardCodeRedeemed, {"card": "card"}),
    FactType(facts.CardTrialStarted, {"card": "card"}),
    FactType(facts.CardRefunded, {"card": "card"}),
    FactType(facts.BenefitClaimed, {"claim": "claim"}, is_request=True),
    FactType(facts.BenefitReturned, {"claim": "claim"}),
    FactType(facts.PointsAdjusted, {"adjustment": "adjustment"}, is_operators=True),
    FactType(facts.AccountFrozen, is_operators=True),
    FactType(facts.AccountUnfrozen, is_operators=True),
    FactType(facts.AccountClosed, is_operators=True),
    FactType(facts.AccountReopened, is_operators=True),
    FactType(facts.LotOpened, {"lot": "opening"}, times=("earned_at", "expires_at"), is_operators=True),
    FactType(facts.ProgrammePublished, is_operators=True),
)
BUILT_IN_ATTRIBUTES: Final = frozenset(row.sets.__struct_fields__[0] for row in CATALOGUE if row.sets is not None)
BY_CLASS: Final[Mapping[type[Fact], FactType]] = {row.fact: row for row in CATALOGUE}
BY_NAME: Final[Mapping[str, FactType]] = {row.on: row for row in CATALOGUE}
REQUESTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_request)  # the only facts that can be refused
OPERATOR_FACTS: Final = frozenset(row.fact for row in CATALOGUE if row.is_operators)
assert tuple(BY_CLASS) == Fact.__args__, "the catalogue has each type of the union once, in its order"
