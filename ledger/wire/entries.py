"""What the ledger decided about one fact: an outcome with a named reason, and the changes it made.

An entry says what happened with its figures; it never needs today's rules to be read. Entries of a partition form a
chain: ``leaf = SHA-256(entry)``, ``link = SHA-256(previous link + leaf)``. Instants are microseconds since 1970 UTC,
months ``year * 12 + month - 1``; a lot is named ``entry number << 16 | place in the entry``.
"""

from typing import Final

from msgspec import Struct

ENGINE: Final = 2  # decides what is new; raised by a change of decisions, and older numbers keep their branch
ENGINES: Final = range(1, ENGINE + 1)  # whose entries this version derives

ACCEPTED: Final = 0
REFUSED: Final = 1
IGNORED: Final = 2
OUTCOMES: Final = ("accepted", "refused", "ignored")

LOT_BITS: Final = 16
# Above the number of its entry a lot's key says, in an account that took others in, who opened it and whose it is.
BIRTH_BIT: Final = 44
OWNER_BIT: Final = 53

# Score items and counters stand in buckets: a month (year * 12 + month - 1), a year, and
LIFE_BUCKET: Final = 0  # for ever
DAY_BUCKETS: Final = 1 << 20  # plus days since 1970-01-01
FIRST_MONTH: Final = 10_000  # a smaller bucket is a year


def lot_key(number: int, place: int) -> int:
    """The name of the lot opened as the `place`-th (from 0) by a member's entry `number`."""
    return number << LOT_BITS | place


def lot_text(lot: int) -> str:
    """A lot's name as people read it: ``entry.place``, both counted from 1; behind ``~`` whose it is, where of another.

    That is the number of a name that the account has known, and behind a point that of the account that opened it.
    """
    text = f"{entry_of(lot)}.{(lot & (1 << LOT_BITS) - 1) + 1}"
    return f"{text}~{owner_of(lot)}.{birth_of(lot)}" if lot >> BIRTH_BIT else text


def lot_named(text: str) -> int:
    """The lot that people read as ``entry.place``. Raises ValueError where the text is no such name."""
    text, _, slots = text.partition("~")
    number, place = text.split(".")
    owner, birth = slots.split(".") if slots else ("0", "0")
    return lot_of(int(owner), int(birth), lot_key(int(number), int(place) - 1))


def lot_of(owner: int, birth: int, own: int) -> int:
    """Return a lot's key: whose it is, who opened it (numbers of names, 0: the account itself), and its key there."""
    return owner << OWNER_BIT | birth << BIRTH_BIT | own


def entry_of(lot: int) -> int:
    """Return the number of the entry that opened a lot, in the account that did."""
    return lot >> LOT_BITS & (1 << BIRTH_BIT - LOT_BITS) - 1


def owner_of(lot: int) -> int:
    """Return the number of the name that a lot is of, 0: the account's own."""
    return lot >> OWNER_BIT


def birth_of(lot: int) -> int:
    """Return the number of the name of the account that opened a lot, 0: the account itself."""
    return lot >> BIRTH_BIT & (1 << OWNER_BIT - BIRTH_BIT) - 1


class _Change(Struct, array_like=True, frozen=True, gc=False):
    pass


# -- points ----------------------------------------------------------------------------------------------------------


class Earned(_Change, tag="earned", frozen=True):
    """Points came in as a new lot: `base` is what the rule counted (fen), `uncapped` what it came to before caps."""

    kind: str
    lot: int
    points: int
    rule: str
    earned_at: int
    expires_at: int
    pending_until: int = 0  # 0: spendable at once; otherwise frozen, to lapse then
    page: str = ""  # the order, review, grant … it came from
    line: str = ""
    base: int = 0
    uncapped: int = 0
    card: str = ""  # the card whose cap it counts against
    returnable: bool = False  # a return or removal may claim it back


class Refrozen(_Change, tag="refrozen", frozen=True):
    """What is left of points that a card had released from a trial waits for another card, to lapse otherwise."""

    kind: str
    lot: int
    points: int
    pending_until: int


class Waiting(_Change, tag="waiting", frozen=True):
    """A lot that has just come in is pending for another reason than a trial: `waits` 1 its time, 2 a claim."""

    kind: str
    lot: int
    waits: int


class Multiplied(_Change, tag="multiplied", frozen=True):
    """What a rule gives next was multiplied by `by`, such as "3/2", and rounded once; for the reader only."""

    rule: str
    line: str
    by: str


class Confirmed(_Change, tag="confirmed", frozen=True):
    """A pending lot became spendable."""

    kind: str
    lot: int
    points: int


class Spent(_Change, tag="spent", frozen=True):
    """A redemption took points of a lot."""

    kind: str
    lot: int
    points: int
    redemption: str


class Restored(_Change, tag="restored", frozen=True):
    """Points that were spent came back to their own lot, which is opened again where it was gone."""

    kind: str
    lot: int
    points: int
    redemption: str
    rule: str
    earned: int
    earned_at: int
    expires_at: int
    returnable: bool


class Expired(_Change, tag="expired", frozen=True):
    """Points of a lot (pending ones too) ended at `due_at`."""

    kind: str
    lot: int
    points: int
    due_at: int


class ClawedBack(_Change, tag="clawed-back", frozen=True):
    """Points were taken from a lot; `origin` is the rule or cause whose award is taken back."""

    kind: str
    lot: int
    points: int
    origin: str
    line: str = ""


class GivenBack(_Change, tag="given-back", frozen=True):
    """Points that a penalty had taken came back to their own lot, which is opened again where it was gone."""

    kind: str
    lot: int
    points: int
    origin: str
    rule: str
    earned: int
    earned_at: int
    expires_at: int
    returnable: bool


class Forgiven(_Change, tag="forgiven", frozen=True):
    """Debt that a penalty had made is owed no more."""

    kind: str
    points: int
    origin: str


class DebtIncurred(_Change, tag="indebted", frozen=True):
    """A claim that no spendable point could meet became debt."""

    kind: str
    points: int
    origin: str
    line: str = ""


class Repaid(_Change, tag="repaid", frozen=True):
    """Points of a lot that had become spendable paid for debt."""

    kind: str
    lot: int
    points: int


class PaidInCash(_Change, tag="paid-in-cash", frozen=True):
    """A claim that no spendable point could meet is to reduce the refund by `fen`."""

    kind: str
    points: int
    fen: int
    origin: str
    line: str = ""


class WrittenOff(_Change, tag="written-off", frozen=True):
    """A claim that no spendable point could meet was given up (policy clamp)."""

    kind: str
    points: int
    origin: str
    line: str = ""


class Held(_Change, tag="held", frozen=True):
    """A hold took points of a lot, to end by itself at `until_at`."""

    kind: str
    lot: int
    points: int
    hold: str
    until_at: int


class Captured(_Change, tag="captured", frozen=True):
    """Held points of a lot were taken for good."""

    kind: str
    lot: int
    points: int
    hold: str


class Released(_Change, tag="released", frozen=True):
    """Held points went back to their lot; `due_at` is 0 unless the hold ended by itself."""

    kind: str
    lot: int
    points: int
    hold: str
    due_at: int = 0


class Forfeited(_Change, tag="forfeited", frozen=True):
    """Points of a lot (pending ones too) were lost, as the account is closed."""

    kind: str
    lot: int
    points: int


class Sent(_Change, tag="sent", frozen=True):
    """Points of a lot left the account for another, by a gift."""

    kind: str
    lot: int
    points: int
    transfer: str


class Received(_Change, tag="received", frozen=True):
    """Points that `frm` gave came in as a new lot, with the rule, the instant and the end that they had there."""

    kind: str
    lot: int
    points: int
    rule: str
    earned_at: int
    expires_at: int
    frm: str
    transfer: str


class SentBack(_Change, tag="sent-back", frozen=True):
    """Points of a gift came back to the very lot that they had left, which is opened again where it was gone."""

    kind: str
    lot: int
    points: int
    transfer: str
    rule: str
    earned: int
    earned_at: int
    expires_at: int
    returnable: bool


class Recalled(_Change, tag="recalled", frozen=True):
    """Points of a lot that `frm` had given went back there."""

    kind: str
    lot: int
    points: int
    frm: str
    transfer: str


class IdleMoved(_Change, tag="idle-moved", frozen=True):
    """A kind whose points end when it is idle was used: what there is of it ends at `until_at`, if not used again."""

    kind: str
    until_at: int


class IdleEnded(_Change, tag="idle-ended", frozen=True):
    """A kind was not used for as long as its points last: all lots ended, and what comes back to them is gone."""

    kind: str
    at: int


# -- score -----------------------------------------------------------------------------------------------------------


class Scored(_Change, tag="scored", frozen=True):
    """A score item moved in the bucket it belongs to; negative when it is taken back."""

    score: str
    part: str
    rule: str
    month: int
    points: int
    page: str = ""
    line: str = ""
    base: int = 0
    uncapped: int = 0


class ScoredOnce(_Change, tag="scored-once", frozen=True):
    """A score item that does not age."""

    score: str
    part: str
    rule: str
    points: int
    at: int


class Rated(_Change, tag="rated", frozen=True):
    """The reputation of the member changed, to one star up to five."""

    stars: int


class CreditSet(_Change, tag="credit-set", frozen=True):
    """The credit score of the member changed."""

    credit: int


class Joined(_Change, tag="joined", frozen=True):
    """The member joined a shop; for the reader only, a page of its own keeps it."""

    shop: str


class AttributeTold(_Change, tag="attribute-told", frozen=True):
    """What is known of a member from an instant on: a text or number; an empty text: it is no longer known."""

    attribute: str
    value: str | int
    since_at: int


class Resettled(_Change, tag="resettled", frozen=True):
    """A late fact or a return moved the settled scores of the months `first` to `last`."""

    score: str
    first_month: int
    last_month: int


class TierHeld(_Change, tag="tier-held", frozen=True):
    """A tier was reached, or is held on, and does not fall by ageing before `until_at`.

    `value` is what the score came to, of buckets from `first` on; what is taken back of them below `needs` ends it.
    """

    score: str
    tier: str
    at: int
    until_at: int
    value: int
    first: int
    needs: int


class TierHoldEnded(_Change, tag="tier-hold-ended", frozen=True):
    """A tier is held no longer: it is over, pierced by what was taken back, or another is held instead."""

    score: str
    tier: str
    at: int
    why: str


class TierGranted(_Change, tag="tier-granted", frozen=True):
    """A tier was granted until an instant: a floor, or of an invited tier the permission."""

    grant: str
    score: str
    tier: str
    until_at: int


class TierGrantEnded(_Change, tag="tier-grant-ended", frozen=True):
    """A granted tier ended: its time is `over`, or it was `withdrawn`."""

    grant: str
    score: str
    tier: str
    at: int
    why: str


class TierMoved(_Change, tag="tier-moved", frozen=True):
    """A score has another tier from an instant on; the empty name is below the first."""

    score: str
    before: str
    after: str
    at: int


# -- what caps and firsts are counted by -----------------------------------------------------------------------------


class CounterAdded(_Change, tag="counted", frozen=True):
    """A rule's counter of a bucket grew: a month (year * 12 + month - 1), a year, or 0 for ever."""

    rule: str
    bucket: int
    by: int


class FirstSeen(_Change, tag="marked", frozen=True):
    """Something was met for the first time (a category; in a month's bucket, a day as YYYY-MM-DD)."""

    rule: str
    bucket: int
    mark: str


class HistoryPruned(_Change, tag="forgot", frozen=True):
    """Sums, counters and ended terms before `month` (which begins `at`) were dropped; no fact may come that late."""

    month: int
    at: int


class Withheld(_Change, tag="withheld", frozen=True):
    """A rule that applied gave nothing, and why; for the reader only."""

    rule: str
    why: str
    line: str = ""
    would: int = 0


# -- membership ------------------------------------------------------------------------------------------------------


class TermOpened(_Change, tag="term-opened", frozen=True):
    """A card's term was laid."""

    membership: str
    card: str
    product: str
    from_at: int
    until_at: int
    trial: bool
    bought_at: int = 0  # the card's own instant, before which its term never begins; 0: that of the term


class TermMoved(_Change, tag="term-moved", frozen=True):
    """A term was cut short, moved up, or taken out. A trial's frozen points then wait until `pending_until`."""

    membership: str
    card: str
    from_at: int
    until_at: int
    why: str
    pending_until: int = 0


class TermAnchored(_Change, tag="term-anchored", frozen=True):
    """A term just laid is one of `months` by the calendar; its end has the local day and time of `anchor_at`."""

    membership: str
    card: str
    months: int
    anchor_at: int


class TermEnded(_Change, tag="term-ended", frozen=True):
    """A term came to its end."""

    membership: str
    card: str
    at: int


class TrialConverted(_Change, tag="trial-converted", frozen=True):
    """A card was bought for a trial's frozen points."""

    membership: str
    card: str


class TrialReverted(_Change, tag="trial-reverted", frozen=True):
    """The card that was bought for a trial's frozen points was refunded whole: they wait for another one."""

    membership: str
    card: str


class BenefitUsed(_Change, tag="benefit-used", frozen=True):
    """A benefit of a card was given; `bucket` is the month or year its quota counts by, 0: the term."""

    membership: str
    card: str
    benefit: str
    bucket: int


class BenefitCounted(_Change, tag="benefit-counted", frozen=True):
    """A benefit was given that no card counts: the account does in a `bucket`, or a `shop`, or a `line` of an order.

    `membership` and `card` are those that gave a line its right.
    """

    benefit: str
    bucket: int
    membership: str = ""
    card: str = ""
    shop: str = ""
    order: str = ""
    line: str = ""


class BenefitGivenBack(_Change, tag="benefit-given-back", frozen=True):
    """A claim of a benefit was given back in the `bucket` where it was counted; with no `card` no card counted it."""

    membership: str
    card: str
    benefit: str
    bucket: int
    claim: str
    shop: str = ""
    order: str = ""
    line: str = ""


class RightGiven(_Change, tag="right-given", frozen=True):
    """A line that completed has the right to a benefit until an instant; the `card` of a membership may give it."""

    benefit: str
    order: str
    line: str
    until_at: int
    membership: str = ""
    card: str = ""


class RightEnded(_Change, tag="right-ended", frozen=True):
    """All pieces of a line came back, and with them went its right to a benefit."""

    benefit: str
    line: str
    membership: str = ""
    card: str = ""


# -- the account itself ----------------------------------------------------------------------------------------------


class Frozen(_Change, tag="frozen", frozen=True):
    """The account refuses requests from now on."""

    reason: str


class Unfrozen(_Change, tag="unfrozen", frozen=True):
    """The account takes requests again."""

    reason: str


class Closed(_Change, tag="closed", frozen=True):
    """The account was closed: requests are refused, and of facts only returns count."""

    reason: str


class Reopened(_Change, tag="reopened", frozen=True):
    """The closed account goes on, with no points."""

    reason: str


# -- pools -----------------------------------------------------------------------------------------------------------


class Drawn(_Change, tag="drawn", frozen=True):
    """Of a pool, or of a lease of one: `n` points or pieces of a `bucket` were given to an ask of the account `frm`."""

    frm: str
    ask: str
    n: int
    bucket: int = 0


class PutBack(_Change, tag="put-back", frozen=True):
    """Of a pool, or of a lease of one: so much of what an ask was given came back."""

    frm: str
    ask: str
    n: int
    bucket: int = 0


class Leased(_Change, tag="leased", frozen=True):
    """A pool gave a lease of it a block of `n`, or (below 0) took some of it back; both write it down."""

    lease: str
    n: int
    bucket: int = 0


# -- houses ----------------------------------------------------------------------------------------------------------


class Seated(_Change, tag="seated", frozen=True):
    """Of a house: a member took a seat in a membership of it, through a card."""

    who: str
    membership: str
    card: str


class Unseated(_Change, tag="unseated", frozen=True):
    """Of a house: a member left."""

    who: str
    membership: str


class SeatMoved(_Change, tag="seat-moved", frozen=True):
    """Of a member: by entry `n` of a house, the seat there has this term, beside others of the same `n`.

    It has none left where `from_at` is `until_at`.
    """

    house: str
    n: int
    membership: str
    card: str
    product: str
    from_at: int
    until_at: int


# -- what another account is told ------------------------------------------------------------------------------------


class Told(_Change, tag="told", frozen=True):
    """A follow-up fact left for the account `to`: all of it but its name, which is made of this entry's.

    `k` counts the follow-ups of the entry from 0; `time` is that of the fact which began it, `at` the clock of this
    entry where points go with it, else 0; `data` is the JSON of its data.
    """

    k: int
    to: str
    fact: str  # its CloudEvents type
    time: int
    at: int
    data: str


# -- members who became one ------------------------------------------------------------------------------------------


class Under(_Change, tag="under", frozen=True):
    """What follows in this entry is done under a name that the account took in; empty: under its own."""

    name: str


class NameKnown(_Change, tag="name-known", frozen=True):
    """The account knows one name more, by which it numbers lots: the first is 1."""

    name: str


class Merging(_Change, tag="merging", frozen=True):
    """The account is `asking` another to take its names in, `moving` there, or moving some `back`; empty: neither.

    `era` is the entry that began it, `names` are one to a line, `i` counts the pieces that were sent.
    """

    state: str
    to: str = ""
    era: int = 0
    names: str = ""
    i: int = 0


class Awaited(_Change, tag="awaited", frozen=True):
    """The account said yes to taking a name in, which `frm` asked for; empty: it is awaited no more."""

    name: str
    frm: str


class NameCame(_Change, tag="name-came", frozen=True):
    """A name is part of the account from now on, with what is counted under it; empty: the account's own came back.

    `era` is the entry of its account that began it, `through` the name with which it came, if it came with another.
    """

    name: str
    era: int
    through: str
    share: str


class NameLeft(_Change, tag="name-left", frozen=True):
    """A name, with all that is counted under it, left for the account `to`; empty: the account's own."""

    name: str
    to: str


class Aliased(_Change, tag="aliased", frozen=True):
    """The account is another name of the account `head` from now on; empty: it lives again."""

    head: str
    era: int = 0
    names: str = ""


class MovedOut(_Change, tag="moved-out", frozen=True):
    """A lot left for the account `to` with its name: `points` that were free, and `held` that are on hold."""

    kind: str
    lot: int
    points: int
    held: int
    to: str


class MovedIn(_Change, tag="moved-in", frozen=True):
    """A lot came from the account `frm`, or points came back to one, as it was there."""

    kind: str
    lot: int
    points: int
    held: int
    rule: str
    earned: int
    earned_at: int
    expires_at: int
    pending_until: int
    returnable: bool
    waits: int
    frm: str


class HoldLeft(_Change, tag="hold-left", frozen=True):
    """A hold left with its name."""

    hold: str


class HoldCame(_Change, tag="hold-came", frozen=True):
    """Points of a lot are held by a hold that came with its name."""

    kind: str
    lot: int
    points: int
    hold: str
    until_at: int


class HoldShifted(_Change, tag="hold-shifted", frozen=True):
    """Points that a name's hold keeps of another's lot are the hold's own name's from now on, in a lot `to_lot`."""

    kind: str
    lot: int
    to_lot: int
    points: int
    hold: str


class DebtMoved(_Change, tag="debt-moved", frozen=True):
    """Debt came with a name, or (below 0) left with it."""

    kind: str
    points: int


class TermCame(_Change, tag="term-came", frozen=True):
    """A card's term came with a name; `term` is all that was known of it, as JSON."""

    membership: str
    card: str
    term: str


class TermLeft(_Change, tag="term-left", frozen=True):
    """A card's term left with its name."""

    membership: str
    card: str


class Delayed(_Change, tag="delayed", frozen=True):
    """The fact of this entry waits for a name that is on its way."""

    number: int


class DecidedLate(_Change, tag="decided-late", frozen=True):
    """The fact of an earlier entry, which waited for a name, is decided here: what came of it."""

    number: int
    outcome: str
    reason: str


TakenChange = Spent | Expired | ClawedBack | Repaid | Captured | Forfeited
LotChange = Earned | Refrozen | Waiting | Confirmed | TakenChange | Restored | Held | Released
ClaimChange = DebtIncurred | PaidInCash | WrittenOff | GivenBack | Forgiven
TransitChange = Sent | Received | SentBack | Recalled
IdleChange = IdleMoved | IdleEnded
ScoreChange = Scored | ScoredOnce | Rated | CreditSet | AttributeTold | Joined | Resettled | TierMoved
TierChange = TierHeld | TierHoldEnded | TierGranted | TierGrantEnded
CountChange = CounterAdded | FirstSeen | HistoryPruned | Withheld | Multiplied
CardChange = TermOpened | TermAnchored | TermMoved | TermEnded | TrialConverted | TrialReverted
BenefitChange = BenefitUsed | BenefitGivenBack | BenefitCounted | RightGiven | RightEnded
TermChange = CardChange | BenefitChange
OwnChange = Frozen | Unfrozen | Closed | Reopened | Told
PoolChange = Drawn | PutBack | Leased
HouseChange = Seated | Unseated | SeatMoved
NameChange = Under | NameKnown | Merging | Awaited | NameCame | NameLeft | Aliased | Delayed | DecidedLate
MoveChange = MovedOut | MovedIn | HoldLeft | HoldCame | HoldShifted | DebtMoved | TermCame | TermLeft
PointsChange = LotChange | TransitChange | ClaimChange | IdleChange
OtherChange = TermChange | OwnChange | PoolChange | HouseChange | NameChange | MoveChange
Change = PointsChange | ScoreChange | TierChange | CountChange | OtherChange
CHANGE_TYPES: tuple[type[Change], ...] = Change.__args__


class Deciding(Struct, array_like=True, frozen=True, gc=False):
    """What an entry says before its figures: of whom, where and when, who decided, and what came of it."""

    member: str
    number: int  # 1, 2, 3 … per member
    partition: int
    offset: int
    occurred: int
    recorded: int
    clock: int
    backlog: bool  # recorded as declared by an importer: requests have no age limit
    version: str  # of the rule book that decided
    engine: int
    outcome: int
    reason: str


class Entry(Deciding, array_like=True, frozen=True, gc=False):
    """One decision about one fact. `fact` is its canonical bytes, `received` the SHA-256 of what was received.

    `pushed` is by how many microseconds `recorded` is later than the clock said: it never runs back, and a record
    before was stamped by a clock that was ahead. A request's age is reckoned without it.
    """

    figures: dict[str, int | str]
    changes: list[Change]
    fact: bytes
    received: bytes
    pushed: int = 0
