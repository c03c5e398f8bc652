"""What the outside is answered, each document once: made by who knows it, encoded for HTTP, `--json` and the console.

The OpenAPI document is drawn from these structs, and the client decodes into them: its `points_client/answers.py` is
this very file, so it imports msgspec alone. Points and counts are integers, money is integer fen, times are RFC 3339
with an offset. A field with a default is left out where it has it.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

Figures = dict[str, int | str]
Outcome = Literal["accepted", "refused", "ignored"]
Because = Literal["value", "held", "granted"]
Audit = Literal["verify", "replay", "reconcile", "checkpoint", "transit"]


class Problem(Struct, frozen=True):
    """An error, as RFC 9457 has it. `type` is stable; `reason` is a code of `points codes` where there is one."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | UnsetType = UNSET
    figures: Figures | UnsetType = UNSET
    position: str | UnsetType = UNSET
    member: str | UnsetType = UNSET
    number: int | UnsetType = UNSET


class Taken(Struct, frozen=True):
    """A fact that is durable and will be decided: its position, ``partition:offset``."""

    position: str


class _Decided(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What is said of every decision about a fact, after its number and outcome."""

    type: str
    id: str
    source: str
    occurred: str
    recorded: str
    clock: str
    figures: Figures
    version: str
    engine: int
    data: dict[str, Any]
    changes: list[dict[str, Any]]
    link: str
    backlog: bool = False
    stamped: str = ""  # what the clock said, where `recorded` is later since another clock was once ahead


class Entry(_Decided, frozen=True, omit_defaults=True, gc=False):
    """One decision about one fact: its outcome with a reason and figures, and the changes it made."""

    number: int
    position: str
    outcome: Outcome
    reason: str


class Decision(_Decided, frozen=True, omit_defaults=True, gc=False):
    """An entry with its member. `repeated` says that the same fact was given before: this is what was decided then."""

    position: str
    outcome: Outcome
    reason: str
    member: str
    number: int
    repeated: bool = False


class PublishedDecision(Decision, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A decision on the outcomes topic; `place` numbers the journal's entries from 1 without a gap.

    A published rule book stands in every partition: all but one of its entries are a `copy`, which counts nothing.
    """

    place: int
    copy: bool = False


class DeadLettered(Struct, frozen=True, omit_defaults=True):
    """What became of a fact that is none: why it is a dead letter, and whether it was redriven or dropped since."""

    position: str
    outcome: Literal["parked"]
    reason: str
    detail: str
    retried: bool = False


Fate = Decision | DeadLettered  # what became of a record


class BulkLine(Struct, frozen=True):
    """What became of a line: its position, or why it was not taken; the outcome where that was waited for."""

    line: int
    position: str | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    figures: Figures | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class Lot(Struct, frozen=True, omit_defaults=True):
    """Points earned together: `left` of them are there until `expires_at` (None: for ever).

    `account` is left out where the `entry` is the member's own; else it names the account that it is of.
    """

    entry: int
    rule: str
    earned: int
    left: int
    earned_at: str
    expires_at: str | None
    pending: bool = False
    pending_until: str | UnsetType = UNSET
    account: str = ""


class Balance(Struct, frozen=True):
    """How many points of a kind there are."""

    spendable: int
    pending: int
    held: int
    debt: int


class Purse(Balance, frozen=True):
    """How many points of a kind there are, and in which lots."""

    lots: list[Lot]


class NextTier(Struct, frozen=True):
    """The tier above a member's: what it needs, and what is missing; `invited` where it needs a permission, too."""

    tier: str
    at_least: int
    missing: int
    invited: bool


class Score(Struct, frozen=True):
    """A score of a month, its tier and its parts.

    `held_until` is set where the tier does not fall by ageing before then, `granted_until` where it was granted.
    `because` says why the member has the tier: by the value, or the value alone would make a lower one. `until` is when
    the tier moves by time alone, and `then` what it is from then on; `next` is the tier above.
    """

    value: int
    tier: str
    month: str
    parts: dict[str, int]
    held_until: str | UnsetType = UNSET
    granted_until: str | UnsetType = UNSET
    because: Because | UnsetType = UNSET
    until: str | UnsetType = UNSET
    then: str | UnsetType = UNSET
    next: NextTier | UnsetType = UNSET


class Benefit(Struct, frozen=True):
    """What a benefit is to a member: how often it may still be claimed now (None: without a limit), and when.

    `entitled` says whether the member meets its conditions, else `why` names the first that fails, with what was found.
    `open` says whether it may be claimed at this time: until `closes_at`, or from `opens_at` on. Of a quota that is
    used up `again_at` is when it begins anew.
    """

    left: int | None
    entitled: bool
    is_open: bool = field(name="open")
    why: str | UnsetType = UNSET
    opens_at: str | UnsetType = UNSET
    closes_at: str | UnsetType = UNSET
    again_at: str | UnsetType = UNSET


class Membership(Struct, frozen=True):
    """The current or else the last term of a membership, what is left of its quotas, and the benefits it gives."""

    state: Literal["trial", "active", "grace", "ended"]
    product: str
    from_: str = field(name="from")
    until: str
    quotas: dict[str, int]
    benefits: dict[str, Benefit]


class Seat(Struct, frozen=True):
    """A member's seat in a house: the current or else the last term that it has a part in, as the member was told."""

    membership: str
    state: Literal["trial", "active", "grace", "ended"]
    product: str
    card: str
    from_: str = field(name="from")
    until: str


class _OfMember(Struct, frozen=True):
    member: str
    as_of: str


class Member(_OfMember, frozen=True):
    """A member at an instant."""

    entries: int
    frozen: bool
    points: dict[str, Purse]
    scores: dict[str, Score]
    memberships: dict[str, Membership]
    benefits: dict[str, Benefit]
    closed: bool = False
    seats: dict[str, Seat] | UnsetType = UNSET  # by house, for who has any
    alias_of: str | UnsetType = UNSET  # the member whose name this one is
    names: list[str] | UnsetType = UNSET  # other names of this member


class Balances(_OfMember, frozen=True):
    """A member's balances at an instant."""

    points: dict[str, Balance]


class Lots(_OfMember, frozen=True):
    """A member's open lots at an instant, by kind, the soonest to expire first."""

    lots: dict[str, list[Lot]]


class Scores(_OfMember, frozen=True):
    """A member's scores at an instant."""

    scores: dict[str, Score]


class Memberships(_OfMember, frozen=True):
    """A member's memberships at an instant, and seats in those of houses."""

    memberships: dict[str, Membership]
    seats: dict[str, Seat] | UnsetType = UNSET


class Entries(Struct, frozen=True):
    """A page of a member's entries, by number; `next` is the cursor of the page behind it, null at the end."""

    member: str
    entries: list[Entry]
    next: int | None


class FeedPage(Struct, frozen=True):
    """A page of the entries of all members, each journal's in order; `next` is the cursor behind it, always there.

    `more` says that entries stood behind it. A page may be empty, where a filter left out all that was looked at.
    """

    entries: list[PublishedDecision]
    next: str
    more: bool


class CardOffer(Struct, frozen=True):
    """What a card would cost a member now (None: the book names no price), and whether the member may open it.

    `why` is the first condition that the member does not meet, "" where all are met.
    """

    membership: str
    product: str
    trial: bool
    price_fen: int | None
    eligible: bool
    why: str


class Products(Struct, frozen=True):
    """Every card of the book to a member at an instant; `known` says whether the ledger knows the member."""

    member: str
    known: bool
    at: str
    version: str
    products: list[CardOffer]


class BenefitSavings(Struct, frozen=True):
    """What a benefit saved: claims that were not given back, and lines of orders that name it with their list price."""

    benefit: str
    name: str
    times: int
    lines: int
    list_fen: int
    saved_fen: int


class CardSavings(Struct, frozen=True):
    """What a card saved against its fee, which is what was paid for it less what came back."""

    membership: str
    card: str
    product: str
    from_: str = field(name="from")
    until: str
    fee_fen: int
    saved_fen: int
    benefits: list[BenefitSavings]


class BenefitWorth(Struct, frozen=True):
    """A benefit that the member has now and that saves no money by itself: worth so much for so many days."""

    membership: str
    benefit: str
    value_fen: int
    value_days: int


class MissedSavings(Struct, frozen=True):
    """What a card would have saved on orders since `from` in which the member had none, and what it costs, by product.

    A price is None where the book names none.
    """

    membership: str
    from_: str = field(name="from")
    saved_fen: int
    prices: dict[str, int | None]
    benefits: list[BenefitSavings]


class Savings(Struct, frozen=True):
    """What a member saved by the benefits of a version of the book, and what cards would have saved."""

    member: str
    as_of: str
    version: str
    saved_fen: int
    fee_fen: int
    cards: list[CardSavings]
    without_card: list[BenefitSavings]
    worth: list[BenefitWorth]
    missed: list[MissedSavings]


class QuotedLine(Struct, frozen=True):
    """What a line of a cart would earn, and what rules withheld; `line` is "" for the order as a whole."""

    line: str
    awards: list[dict[str, Any]]


class Earnings(Struct, frozen=True):
    """What a cart would earn: points by kind, score items by score, and each award by line."""

    points: dict[str, int]
    scores: dict[str, int]
    lines: list[QuotedLine]


class NoMore(Struct, frozen=True):
    """Why a larger redemption would be refused."""

    reason: str
    figures: Figures


class MostRedeemable(Struct, frozen=True):
    """The most points of a kind that may be redeemed for a use on a cart."""

    use: str
    kind: str
    most: int
    worth_fen: int
    no_more: NoMore


class Quote(Struct, frozen=True):
    """A dry run of a cart; `known` says whether the ledger knows the member."""

    member: str
    known: bool
    at: str
    version: str
    outcome: Literal["accepted", "ignored"]
    reason: str
    earn: Earnings
    settlement_fen: int
    redeem: list[MostRedeemable]


class _Summed(Struct, frozen=True):
    """A sum over all members at an instant, after so many entries a partition; the ledger has `behind` more."""

    as_of: str
    position: dict[str, int]
    behind: int
    members: int


class OnItsWay(Struct, frozen=True):
    """A follow-up that its account has not taken yet; `id` names the entry that left it.

    One for another ledger, `to` its name and the account's, is listed until it was sent, and an exchange until it was
    answered.
    """

    id: str
    to: str
    type: str
    points: int
    since: str
    sent: bool


class WaitsThere(Struct, frozen=True):
    """A fact that an account has taken and not decided: its entry `number` keeps it until the rest has come.

    It is for a name that is on its way there (`type` is that of the fact within), or a part of what moves with one.
    """

    member: str
    number: int
    type: str
    points: int
    since: str


class Transit(Struct):
    """What accounts tell each other: what was told, what of it is on its way since when, and what nobody left.

    Of each kind `in_transit` is what left accounts less what came to them. Over all kinds that is what is on its way
    and what waits where it came, less what is ahead: taken by an account whose partition was looked at later than that
    of the one it came from.
    """

    told: int = 0
    on_its_way: int = 0
    points_on_their_way: int = 0
    points_ahead: int = 0
    oldest: str = ""
    in_transit: dict[str, int] = {}
    waiting: list[OnItsWay] = []
    faults: list[str] = []
    points_waiting: int = 0
    waits_there: list[WaitsThere] = []


class BooksOfKind(Struct, frozen=True):
    """Where the points of a kind are: issued is the sum of those up to `clawed_back`, `forfeited` and `in_transit`."""

    issued: int
    spendable: int
    pending: int
    held: int
    redeemed: int
    expired: int
    clawed_back: int
    written_off: int
    debt: int
    cash_shortfall_fen: int
    forfeited: int
    in_transit: int
    balanced: bool


class Books(_Summed, frozen=True):
    """The books of all members at an instant, after so many entries a partition; the ledger has `behind` more."""

    frozen: int
    entries: dict[str, int]
    reasons: dict[str, dict[str, int]]
    parked: int
    parked_reasons: dict[str, int]
    memberships: dict[str, dict[str, int]]
    points: dict[str, BooksOfKind]
    balanced: bool


class LiabilityOfKind(Struct, frozen=True):
    """What a kind of points may still cost: those outstanding, by the local month in which they would expire."""

    outstanding: int
    spendable: int
    pending: int
    held: int
    by_month: dict[str, int]


class Liability(_Summed, frozen=True):
    """What may still be spent at an instant, over all members, after so many entries; the ledger has `behind` more."""

    points: dict[str, LiabilityOfKind]


class Partition(Struct, frozen=True):
    """Where a partition stands: entries, the chain's link, the last record decided, the inbox's last, and the lag.

    `recorded` is None where no record was taken yet.
    """

    partition: int
    entries: int
    link: str
    recorded: str | None
    position: int
    end: int
    lag: int


class Positions(Struct, frozen=True):
    """Where every partition stands."""

    partitions: list[Partition]


class ViewBuild(Struct, frozen=True, omit_defaults=True):
    """A build of a view: whether readers get it, how many entries it holds by partition, and how many it is behind."""

    view: str
    version: int
    is_live: bool
    state: Literal["whole", "being built", "cannot be read", "never built"]
    file: str | UnsetType = UNSET
    entries: int | UnsetType = UNSET
    behind: int | UnsetType = UNSET
    position: dict[str, int] | UnsetType = UNSET
    bytes: int | UnsetType = UNSET
    problem: str | UnsetType = UNSET


class Views(Struct, frozen=True):
    """Every build of every view."""

    views: list[ViewBuild]


class AuditRecord(Struct, frozen=True):
    """The last result of an audit: `at` when it ended, by which version of points, and over how many entries.

    `found` are broken places, differences in decisions or in balances; `position` is the entries read by partition;
    `note` is a file or a name that it was about.
    """

    audit: Audit
    at: str
    version: str
    good: bool
    found: int
    entries: int
    position: dict[str, int]
    seconds: float
    note: str = ""


class AuditResult(AuditRecord, frozen=True, kw_only=True):
    """The last result of an audit, and how many entries came `since`."""

    since: int


class Audits(Struct, frozen=True):
    """The last result of each audit that left one."""

    audits: list[AuditResult]


class CheckpointMark(Struct, frozen=True):
    """What was signed of a partition: entries, the chain's link, the tree's head."""

    partition: int
    entries: int
    link: str
    tree: str


class Checkpoint(Struct, frozen=True):
    """A signed checkpoint that is kept: its name here, when it was signed, by which key, over how many entries."""

    name: str
    at: str
    key: str
    entries: int
    partitions: list[CheckpointMark]


class Checkpoints(Struct, frozen=True):
    """The checkpoints that are kept, the one over most entries first."""

    checkpoints: list[Checkpoint]


class Proof(Struct, frozen=True):
    """A proof for the standalone verifier: that an entry is in a checkpoint, or that one extends another."""

    format: Literal["points-ledger.inclusion.v1", "points-ledger.consistency.v1"]


class BookDescription(Struct, frozen=True):
    """One owner's book in a version: what it holds decides from its own `from` on."""

    programme: str
    name: str
    from_: str = field(name="from")


class VersionDescription(Struct, frozen=True):
    """A version of the rule book, and from when it decides: of several `books`, the earliest of theirs."""

    version: str
    programme: str
    name: str
    from_: str = field(name="from")
    kinds: list[str]
    scores: list[str]
    memberships: list[str]
    rules: list[str]
    books: list[BookDescription]


class Programmes(Struct, frozen=True):
    """Every version of the rule book, by the day from which it decides."""

    versions: list[VersionDescription]


class DeadLetter(Struct, frozen=True, omit_defaults=True):
    """An invalid fact: why, and the bytes that are stored of it, as base64."""

    position: str
    reason: str
    detail: str
    recorded: str
    length: int
    sha256: str
    bytes: str
    retried: bool = False
    dropped: bool = False


class DeadLetters(Struct, frozen=True):
    """Dead letters by position; `next` is the cursor of the page behind them, null at the end."""

    letters: list[DeadLetter]
    next: str | None


class Retried(Struct, frozen=True):
    """A dead letter that was redriven, and what became of it where that is known."""

    position: str
    retried_as: str
    outcome: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class Hit(Struct, frozen=True):
    """An id that was found: whose it is, the first `entry` that names it, and how many `entries` do.

    Of a member both are the last entry's number, and `recorded` is when that was.
    """

    kind: str
    id: str
    member: str
    entry: int
    entries: int
    recorded: str | None = None


class Found(Struct, frozen=True):
    """What a search found, at most so many of each kind; `behind` is how many entries the index does not know yet."""

    query: str
    hits: list[Hit]
    more: bool
    behind: int


class PoolLease(Struct, frozen=True):
    """A lease of a pool: how much it has `out` of it, and how much of that is `drawn`."""

    lease: str
    out: int
    drawn: int


class Pool(Struct, frozen=True):
    """A budget (points of a `kind`) or a stock (pieces) that members share, at an instant.

    `drawn` is what was given, by the pool and its leases; `left` what is not, with what leases have free. `month` is
    the one that is counted, "" where it counts for ever.
    """

    pool: str  # campaigns.NAME or benefits.NAME
    kind: str  # "" of a stock
    month: str
    limit: int
    drawn: int
    left: int
    state: Literal["open", "frozen", "closed"]
    leases: list[PoolLease]
    as_of: str
    version: str


class Pools(Struct, frozen=True):
    """The budgets and stocks of the rule book."""

    pools: list[Pool]


class HouseSeats(Struct, frozen=True):
    """How many a house may seat in a membership by its current card, and who sits there."""

    most: int
    members: list[str]


class House(Struct, frozen=True):
    """A house at an instant: its memberships with what is left of the quotas that all who sit there share."""

    house: str
    as_of: str
    state: Literal["open", "frozen", "closed"]
    memberships: dict[str, Membership]
    seats: dict[str, HouseSeats]


class Award(Struct, frozen=True, omit_defaults=True):
    """The award that an adjustment is aimed at: that of an order's line, of a grant, or of a lot ("12.1")."""

    order: str = ""
    line: str = ""
    grant: str = ""
    lot: str = ""


class AdjustmentRequest(Struct, frozen=True, omit_defaults=True):
    """Points that an operator means to give or take; `reason` is a code of your own."""

    member: str
    points: int
    reason: str
    kind: str = "beans"
    of: Award | None = None


class Adjustment(Struct, frozen=True):
    """An adjustment: who proposed it, who decided about it, and where its fact stands once it was approved."""

    adjustment: str
    member: str
    kind: str
    points: int
    reason: str
    by: str
    proposed: str
    state: Literal["waiting", "approved", "rejected"] = "waiting"
    decided_by: str = ""
    decided: str = ""
    position: str = ""
    outcome: str = ""
    of: Award | None = None


class Adjustments(Struct, frozen=True):
    """Adjustments proposed here, the newest first."""

    adjustments: list[Adjustment]


class WebhookRequest(Struct, frozen=True, omit_defaults=True):
    """A webhook that is wanted: who is to be told, and of what; all of it where nothing is left out.

    `from_beginning` tells every entry there ever was, and not only those decided from now on.
    """

    name: str
    url: str
    types: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    from_beginning: bool = False


class Webhook(Struct, frozen=True):
    """A webhook, and how it fares: `why` it failed last or is disabled, and `behind` how many entries it is.

    `secret` is told once, to who made it, and is empty from then on.
    """

    name: str
    url: str
    types: list[str]
    outcomes: list[Outcome]
    state: Literal["active", "failing", "disabled"]
    why: str
    private: bool
    by: str
    created: str
    failing_since: str | None
    failures: int
    delivered: int
    delivered_at: str | None
    behind: int
    secret: str = ""


class Webhooks(Struct, frozen=True):
    """The webhooks of a ledger, by name."""

    webhooks: list[Webhook]


class Person(Struct, frozen=True):
    """Who may sign in to the console: who did with an issuer, or has a live key, by its id.

    `since` is the first sign-in, or when the key was made; `sessions` are those open now, `used` is their last request.
    `sessions` is null where they cannot be read.
    """

    name: str
    issuer: str | None
    subject: str | None
    key: str | None
    since: str
    blocked: str | None
    sessions: int | None
    used: str | None


class People(Struct, frozen=True):
    """Everybody who may sign in to the console, the oldest first."""

    people: list[Person]


class Place(Struct, frozen=True):
    """Where the parts of a server are: addresses of this very host."""

    version: str
    console: str
    docs: str
    openapi: str
    health: str


class MemberNames(Struct, frozen=True):
    """A page of the members with an entry, by token; `next` is the cursor of the page behind it, null at the end."""

    members: list[str]
    next: str | None


class Health(Struct, frozen=True):
    """That the server lives, or takes facts and decides them; `troubled` says why some partitions are not decided.

    `recorded_ahead` says by how many seconds partitions are recorded ahead of the clock, `gaps` how many gaps in the
    stream operators accepted in which.
    """

    status: str
    troubled: dict[int, str] = {}
    recorded_ahead: dict[int, int] = {}
    gaps: dict[int, int] = {}
