"""What is kept of each order, review, redemption, hold and card, so that a return reverses exactly what was given.

A page has a key of its own within a member (``order/O1``) and is loaded only for a fact that names it. Pages are kept
for ever: a return years later still finds its order.
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from msgspec import Struct, field

from ledger.core.account import Term
from ledger.wire.entries import Change, Earned

OPEN: Final = 0  # known only by a redemption for it
PAID: Final = 1
COMPLETED: Final = 2
CANCELLED: Final = 3
REJECTED: Final = 4
NOT_PAYABLE: Final = {CANCELLED: "cancelled", REJECTED: "rejected"}  # what an order that takes no claim on it is


class GrownLot(Struct, array_like=True, gc=False):
    """A later lot of an award, which an amendment of its order opened; `held` is what returns have left of it."""

    lot: int
    held: int
    expires_at: int


class Award(Struct, array_like=True, gc=False):
    """What a rule gave for a line or a review: points of a kind in a lot, or a score item of a month."""

    rule: str
    given: int
    held: int  # what returns have left of it
    kind: str = ""
    lot: int = 0
    expires_at: int = 0
    score: str = ""
    part: str = ""
    month: int = 0
    less: int = 0  # taken by adjustments that were aimed at it: returns reckon with `counted`
    grown: tuple[GrownLot, ...] = ()  # the newest last; the first lot holds what is left of `held`
    card: str = ""  # that it counts against
    ordinary: int = 0  # what the rule that it stands in for would have given
    is_ordinary: bool = False  # its card was refunded whole: it counts as `ordinary`

    @property
    def counted(self) -> int:
        """The A of the contract's formula: what was given, less what adjustments took of it."""
        return self.given - self.less


class Right(Struct, array_like=True, gc=False):
    """A line's right to a benefit until an instant, and the card that gave it, if one did."""

    benefit: str
    until: int
    membership: str = ""
    card: str = ""
    product: str = ""
    is_ended: bool = False  # with the last piece of the line


class PageLine(Struct, array_like=True, gc=False):
    """A line of an order: pieces and fen bought, pieces and fen returned so far, and its awards.

    What most lines have not is None or an empty tuple, which costs nothing to make.
    """

    line: str
    quantity: int
    paid_fen: int
    category: str = ""
    returned: int = 0
    refunded_fen: int = 0
    reviewed: bool = False
    awards: list[Award] = field(default_factory=list)
    completion: int = 0  # its place among the order's completions
    is_gone: bool = False  # an amendment left it out: it counts as returned whole, and does not come back
    times: dict[str, str] | None = None  # rule -> its multiplier, where it is not 1
    sku: str = ""
    points: int = 0  # tendered on it
    rights: tuple[Right, ...] = ()
    claimed: dict[str, int] | None = None  # benefit -> claims of the line's right to it

    @property
    def unit_fen(self) -> int:
        """What one piece was paid, in whole fen (rounded down)."""
        return self.paid_fen // self.quantity


def kept_of(line: PageLine, given: int) -> int:
    """Return what a line keeps of an award by what came back of it so far.

    Source: the contract's formula: K = 0 once all pieces are back, otherwise floor(A * (P - min(F, P)) / P).
    """
    if line.returned >= line.quantity:
        return 0
    paid = line.paid_fen
    return given * (paid - min(line.refunded_fen, paid)) // paid if paid else given


class SaidOfOrder(Struct, array_like=True, gc=False):
    """What an order's fact said besides its lines, and the tags of those lines that have some of their own."""

    shop: str
    self_operated: bool
    channel: str
    pay: str
    tags: list[str]
    of_lines: dict[str, list[str]] | None = None  # line -> its tags


class Completion(Struct, array_like=True, gc=False):
    """Lines of an order completed together: when, by which version, and the card of each membership that held."""

    at: int
    version: str
    cards: dict[str, str] | None = None
    said: SaidOfOrder | None = None  # kept where a benefit of the version asks it when a line's right is claimed


class EarlyReturn(Struct, array_like=True, gc=False):
    """A return that came before its lines completed: (line, pieces, refund in fen) each.

    `points` are those that it asked for and that were not burned yet.
    """

    return_: str
    refund_fen: int
    lines: list[tuple[str, int, int]]
    points: int = 0


class OrderPage(Struct, array_like=True, gc=False, tag="order"):
    """An order: how far it has come, its lines, what was redeemed for it, and returns from before it completed."""

    status: int = OPEN
    ended_at: int = 0
    redeemed: int = 0  # points granted to this order's redemptions
    lines: list[PageLine] = field(default_factory=list)
    redemptions: list[str] = field(default_factory=list)
    early: list[EarlyReturn] = field(default_factory=list)
    more: bool = False  # more lines of it are to complete
    completions: list[Completion] = field(default_factory=list)  # none of an order that engine 1 completed
    given: dict[str, int] | None = None  # rule -> points that its cap of the order counted
    tendered: int = 0  # points that its lines said so far
    claims: tuple[str, ...] = ()  # of benefits that come back with it
    paid: tuple[PageLine, ...] = ()  # lines as they were paid, with what the payment gave; "": all
    redeemed_fen: int = 0  # what `redeemed` is worth; 0 on a page that engine 1 left

    def line(self, name: str) -> PageLine | None:
        """The line of that name."""
        for line in self.lines:
            if line.line == name:
                return line
        return None

    def completed_at(self, line: PageLine) -> int:
        """The instant at which a line of it completed."""
        return self.completions[line.completion].at if self.completions else self.ended_at


class ReviewPage(Struct, array_like=True, gc=False, tag="review"):
    """A review: the line it is about, and what it was given."""

    order: str
    line: str
    removed: bool = False
    awards: list[Award] = field(default_factory=list)


class Part(Struct, array_like=True, gc=False):
    """Points that a redemption took from a lot, with all that is needed to open that lot again."""

    lot: int
    points: int
    rule: str
    earned: int
    earned_at: int
    expires_at: int
    returnable: bool
    restored: int = 0
    kind: str = ""  # where the redemption took several kinds


class RedemptionPage(Struct, array_like=True, gc=False, tag="redemption"):
    """A redemption: what it took, by lot; `kind` is empty where each part has its own."""

    kind: str
    order: str
    parts: list[Part]


class HoldPage(Struct, array_like=True, gc=False, tag="hold"):
    """A hold that was granted once."""

    ended: str = ""  # how


class CardPage(Struct, array_like=True, gc=False, tag="card"):
    """A card that was laid once."""

    membership: str
    refunded: bool = False
    paid_fen: int = -1  # its price, 0 for a card that was not bought; of engine 1 it is not known
    orders: list[str] = field(default_factory=list)  # that earned at its rate: the last ones
    full: int = 0  # pages of 1,000 orders before those
    released: list[tuple[str, int]] = field(default_factory=list)  # (kind, lot) of a trial's points
    trial: str = ""  # the card of that trial
    is_taken_back: bool = False  # it was refunded whole, and with it what it gave
    taken_out: Term | None = None  # its term, where a refund from before that took it out: what it gave stands


class CardOrdersPage(Struct, array_like=True, gc=False, tag="card-orders"):
    """Orders that earned at a card's rate, as many as a page takes."""

    orders: list[str]


class LotPage(Struct, array_like=True, gc=False, tag="lot"):
    """What of a lot is gone: expired or forfeited, how much of that a claim has met already, and what was adjusted.

    `taken` counts for a lot whose award stands on no other page: points that adjustments aimed at it took.
    """

    expired: int = 0
    met: int = 0
    claimed: bool = False  # points that waited for a claim
    forfeited: int = 0
    taken: int = 0


class DayPage(Struct, array_like=True, gc=False, tag="day"):
    """What a rule gave on a day, and for what (the shops visited); what a use granted on a day, or for an order."""

    given: int = 0
    marks: list[str] = field(default_factory=list)


class ExchangePage(Struct, array_like=True, gc=False, tag="exchange"):
    """An exchange: which one, the kind that it gave, and what it put into which lot."""

    exchange: str
    gives: str
    lots: list[tuple[int, int]]  # key and points
    is_reversed: bool = False


class OutsidePage(Struct, array_like=True, gc=False, tag="outside"):
    """An exchange with another ledger: what it takes here, out of which lots, and gives there; `state` as there.

    `debt` is what an answer that came late found nobody to pay for.
    """

    exchange: str
    ledger: str
    kind: str
    gives: str
    given: int
    is_partner: bool
    parts: list[Part]
    state: int = 0
    debt: int = 0


class GivenPage(Struct, array_like=True, gc=False, tag="given"):
    """What was given for an exchange of another ledger: points in a lot, 0 where nothing was; `state` as there."""

    kind: str
    lot: int
    points: int
    is_undone: bool = False


class TransferPage(Struct, array_like=True, gc=False, tag="transfer"):
    """A gift at its sender: what went by lot, in burn order, with what of it came back; and the fee that was burned."""

    to: str
    rule: str
    kind: str
    parts: list[Part] = field(default_factory=list)
    fee: list[Part] = field(default_factory=list)
    back: int = 0

    @property
    def gone(self) -> int:
        """The points that went to the receiver."""
        return sum(part.points for part in self.parts)

    @property
    def is_ended(self) -> bool:
        """Return True once all of it has come back."""
        return self.back == self.gone


TAKEN: Final = "taken"
SENT_BACK: Final = "sent-back"
RECALLED: Final = "recalled"  # before it arrived


class ReceivedPage(Struct, array_like=True, gc=False, tag="received"):
    """A gift at its receiver: `state` is one of the three above, `left` what did not go back of its `lots`."""

    state: str
    kind: str = ""
    lots: list[int] = field(default_factory=list)
    left: int = 0


class ScorePage(Struct, array_like=True, gc=False, tag="score"):
    """A score of one shop: its points by part, and the tier that was written down last."""

    parts: dict[str, int] = field(default_factory=dict)
    tier: str = ""

    def value(self) -> int:
        """What the score comes to, never below 0."""
        return max(0, sum(self.parts.values()))


class OpenedPage(Struct, array_like=True, gc=False, tag="opened"):
    """How a lot was opened that has moved with its name, as the account told it that opened it: see `Earned`."""

    kind: str
    points: int
    rule: str
    earned_at: int
    expires_at: int
    page: str = ""
    line: str = ""
    card: str = ""
    returnable: bool = False


class GrantPage(Struct, array_like=True, gc=False, tag="grant"):
    """Points that a campaign granted: the lot they were put in."""

    kind: str
    lot: int


class ClaimPage(Struct, array_like=True, gc=False, tag="claim"):
    """A benefit that was given once, in the `bucket` that its quota counts by: of a card, an account, a shop or a line.

    Points that it cost stand on a page of their own, ``claim-price/ID``.
    """

    membership: str
    card: str
    benefit: str
    bucket: int
    is_returned: bool = False
    shop: str = ""  # that counts it
    order: str = ""  # whose
    line: str = ""  # counts it
    awards: list[Award] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)  # memberships, of which a card ``claim/ID`` was laid
    has_tier: bool = False  # one was granted under ``claim/ID``
    by_account: bool = False  # the account counts it, and not its card


class QuotaPage(Struct, array_like=True, gc=False, tag="quota"):
    """How often a benefit was given at a shop, by bucket."""

    used: dict[int, int] = field(default_factory=dict)


class AskPage(Struct, array_like=True, gc=False, tag="ask"):
    """What a member asked of a pool: `n` points for a lot, or a piece of a stock for a claim; `state` as `asks` has it.

    `page` is the key of the page that the lot's award stands on, if one does; `claim` is empty for a lot.
    """

    pool: str  # the account that was asked: the pool's, or a lease's
    n: int
    bucket: int
    refill: bool  # what comes back goes back to the pool
    state: int = 0
    back: int = 0  # what went back so far
    kind: str = ""
    lot: int = 0
    page: str = ""
    claim: str = ""
    benefit: str = ""
    order: str = ""
    line: str = ""
    shop: str = ""


class ClaimedAskPage(Struct, array_like=True, gc=False, tag="claimed-ask"):
    """The name of the ask that a claim waits for, or waited for."""

    ask: str


class OpenAsksPage(Struct, array_like=True, gc=False, tag="open-asks"):
    """The names of a member's asks that wait for an answer."""

    asks: list[str] = field(default_factory=list)


class DrawnPage(Struct, array_like=True, gc=False, tag="drawn"):
    """Of a pool: what it gave to an ask (0: nothing), and how much of that came back."""

    n: int
    bucket: int
    back: int = 0


class LimitPage(Struct, array_like=True, gc=False, tag="limit"):
    """Of a pool: its limit in a bucket by the latest time at which it was asked, and whether a lease asked last."""

    limit: int
    at: int
    is_leased: bool = False


class Waiter(Struct, array_like=True, gc=False):
    """An ask that waits at a lease, and who asked."""

    ask: str
    n: int
    frm: str


class QueuePage(Struct, array_like=True, gc=False, tag="queue"):
    """Of a lease: who waits in a bucket, in order, and whether it has asked its pool for more."""

    waiting: list[Waiter] = field(default_factory=list)
    is_asking: bool = False


class MovingPage(Struct, array_like=True, gc=False, tag="moving"):
    """Of a move: the keys of the pages that are to be sent, how many were, and those that were changed meanwhile."""

    keys: list[str]
    sent: int = 0
    changed: list[str] = field(default_factory=list)


class KeptFactPage(Struct, array_like=True, gc=False, tag="kept-fact"):
    """The data of a fact that waits: for the other parts of a move, or for the name that it is meant for."""

    data: str


class SeenPage(Struct, array_like=True, gc=False, tag="seen"):
    """A business id that is taken."""


class Fined(Struct, array_like=True, gc=False):
    """What a penalty took for a fact: points of a score's month, or of a kind out of lots, and what became debt."""

    rule: str
    points: int
    kind: str = ""
    parts: list[Part] = field(default_factory=list)
    debt: int = 0
    score: str = ""
    part: str = ""
    month: int = 0


class ActivityPage(Struct, array_like=True, gc=False, tag="activity"):
    """An activity that was done: what it was given, and what it cost."""

    undone: bool = False
    awards: list[Award] = field(default_factory=list)
    fined: list[Fined] = field(default_factory=list)


_OrderPages = OrderPage | ReviewPage | RedemptionPage | HoldPage
_CardPages = CardPage | CardOrdersPage | ClaimPage | QuotaPage
_TransferPages = TransferPage | ReceivedPage | OutsidePage | GivenPage
_PoolPages = AskPage | ClaimedAskPage | OpenAsksPage | DrawnPage | LimitPage | QueuePage
_OtherPages = GrantPage | SeenPage | ActivityPage | ExchangePage | ScorePage
_MovePages = MovingPage | KeptFactPage | OpenedPage
Page = _OrderPages | _CardPages | LotPage | DayPage | _TransferPages | _OtherPages | _PoolPages | _MovePages

SEEN: Final = SeenPage()

# A page's bytes, and a page from them.
encode_page: Callable[[Page], bytes] = msgspec.msgpack.Encoder().encode
decode_page: Callable[[bytes], Page] = msgspec.msgpack.Decoder(Page).decode


class Pages(Protocol):
    """One member's pages, as a decision sees them, and the lots that the member's entries opened.

    The lots stand in the entries themselves, so that no page has to name them.
    """

    def get(self, key: str) -> Page | None:
        """Return a page by its key."""
        ...

    def put(self, key: str, page: Page) -> None:
        """Take a page that is new or changed."""
        ...

    def enter(self, number: int, changes: list[Change]) -> None:
        """Take the changes of an entry that opened lots."""
        ...

    def opened(self, number: int) -> list[Earned]:
        """Return the lots that an earlier entry opened."""
        ...

    def all_keys(self) -> list[str]:
        """Return the keys of all pages, in order. This may take long."""
        ...


def earned_in(changes: list[Change]) -> list[Earned]:
    """The lots that an entry opened, by its changes."""
    return [change for change in changes if isinstance(change, Earned)]


class PagesInMemory(dict[str, Page]):
    """Pages in a dictionary: for a replay of one member, and for tests."""

    def __init__(self) -> None:
        super().__init__()
        self._entered: dict[int, list[Change]] = {}

    def put(self, key: str, page: Page) -> None:
        """Keep a page."""
        self[key] = page

    def enter(self, number: int, changes: list[Change]) -> None:
        """Keep the changes of an entry that opened lots."""
        self._entered[number] = changes

    def opened(self, number: int) -> list[Earned]:
        """The lots that an entry opened, none for one that is not known."""
        return earned_in(self._entered.get(number, []))

    def all_keys(self) -> list[str]:
        """The keys of all pages, in order."""
        return sorted(self)


def copy_page(page: Page) -> Page:
    """A page of one's own, to change."""
    return decode_page(encode_page(page))


class TrialPages:
    """One member's pages for a decision that is only tried: what it changes stays here until it is kept."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._own: dict[str, Page] = {}
        self._changed: set[str] = set()
        self._entered: dict[int, list[Change]] = {}

    def get(self, key: str) -> Page | None:
        """A page, as a copy."""
        if key not in self._own:
            page = self._pages.get(key)
            if page is None:
                return None
            self._own[key] = copy_page(page)
        return self._own[key]

    def put(self, key: str, page: Page) -> None:
        """Keep a page for this trial."""
        self._own[key] = page
        self._changed.add(key)

    def enter(self, number: int, changes: list[Change]) -> None:
        """Keep the changes of an entry for this trial."""
        self._entered[number] = changes

    def opened(self, number: int) -> list[Earned]:
        """The lots that an entry opened, none for one that is not known."""
        entered = self._entered.get(number)
        return earned_in(entered) if entered is not None else self._pages.opened(number)

    def all_keys(self) -> list[str]:
        """The keys of all pages, in order."""
        return sorted({*self._pages.all_keys(), *self._changed})

    def keep(self) -> None:
        """Let what was changed stand."""
        for number, changes in self._entered.items():
            self._pages.enter(number, changes)
        for key in self._changed:
            self._pages.put(key, self._own[key])
