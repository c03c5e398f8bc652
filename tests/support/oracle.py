"""The figures of the shipped `jd` book a second time: naive, slow, and written from wire.md alone.

Differential tests feed the same facts to this and to the real engine and compare what both say. Nothing is
shared with the rest of the repository and only the standard library is imported, so that a mistake would have
to be made twice.

A member is a plain dict. Every fact first moves the member's clock, letting what is due happen in the order
of its due instants; then one function per fact type decides. Queries run a deep copy of the member on to
`as_of`. Where wire.md leaves a choice, a comment that begins with "Reading:" names the one taken here.
Only valid facts are expected, of the kinds of points, products and benefits that wire.md section 3 names.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

Member = dict[str, Any]
Decision = tuple[str, str]

SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991, so a fixed offset is exact
FIRST_DAY = datetime(2017, 9, 14, tzinfo=SHANGHAI)
NEW_EXPIRY_FROM = datetime(2026, 1, 1, tzinfo=SHANGHAI)
LATE = timedelta(days=400)
REVIEW_WITHIN = timedelta(seconds=60 * 86_400)
TRIAL_GRACE = timedelta(days=30)

BEANS = "beans"
NO_PURCHASE_BEANS = ("virtual", "investment-gold", "car")
REQUESTS = ("redemption.requested.v1", "hold.requested.v1", "benefit.claimed.v1")
OPERATOR_FACTS = (
    "points.adjusted.v1",
    "account.frozen.v1",
    "account.unfrozen.v1",
    "account.closed.v1",
    "account.reopened.v1",
    "lot.opened.v1",
    "programme.published.v1",
)

TRIAL = "plus.trial"
DAYS = {"plus.annual": 365, "plus.quarter": 90, "plus.month": 30, TRIAL: 30}
PLUS_CAP = {"plus.annual": 50_000, "plus.quarter": 12_000, "plus.month": 4_000, TRIAL: 4_000}
QUOTAS = {
    "plus.annual": {"shipping": 60},
    "plus.quarter": {"shipping": 15},
    "plus.month": {"shipping": 5},
    TRIAL: {"shipping": 1},
}

ACTIVITY = {  # item: (score each time, at most in a month)
    "photo": (5, 150),
    "review": (2, 60),
    "answer": (2, 50),
    "share": (2, 10),
    "jd-pay": (2, 60),
}
TIERS = ((20_001, "20001"), (10_001, "10001"), (5_001, "5001"), (201, "201"))

# The fields of each fact with their defaults: unknown fields are dropped, a field left out has its default.
# Lists of lines are given by the fields of a line. Fields in TIMES are instants.
LINE = {"line": "", "sku": "", "category": "", "quantity": 1, "paid_fen": 0, "points": 0}
RETURN_LINE = {"line": "", "quantity": 0, "refund_fen": 0, "points": 0, "exchange": False}
ORDER = {
    "order": "",
    "lines": [LINE],
    "shop": "self",
    "self_operated": True,
    "channel": "app",
    "pay": "",
    "tags": [],
}
FIELDS: dict[str, dict[str, Any]] = {
    "order.paid.v1": ORDER,
    "order.completed.v1": {**ORDER, "more": False},
    "order.cancelled.v1": {"order": "", "reason": ""},
    "order.returned.v1": {"order": "", "return": "", "lines": [RETURN_LINE]},
    "order.rejected.v1": {"order": ""},
    "review.posted.v1": {"review": "", "order": "", "line": "", "characters": 0, "images": 0},
    "review.removed.v1": {"review": ""},
    "question.answered.v1": {"answer": "", "sku": ""},
    "item.shared.v1": {"share": "", "sku": "", "via": ""},
    "member.signed-in.v1": {"day": ""},
    "shop.visited.v1": {"shop": ""},
    "campaign.granted.v1": {"grant": "", "campaign": "", "kind": BEANS, "points": 0, "expires": None},
    "identity.verified.v1": {},
    "wechat.bound.v1": {},
    "qq.bound.v1": {},
    "profile.completed.v1": {},
    "credit.scored.v1": {"score": 0},
    "reputation.rated.v1": {"stars": 0},
    "redemption.requested.v1": {
        "redemption": "",
        "kind": BEANS,
        "points": 0,
        "use": "",
        "order": "",
        "settlement_fen": 0,
    },
    "redemption.reversed.v1": {"redemption": "", "points": None},
    "hold.requested.v1": {"hold": "", "kind": BEANS, "points": 0, "until": None},
    "hold.captured.v1": {"hold": "", "points": None},
    "hold.released.v1": {"hold": ""},
    "card.purchased.v1": {"card": "", "product": "", "paid_fen": 0},
    "card.code-redeemed.v1": {"card": "", "product": "", "code": ""},
    "card.trial-started.v1": {"card": "", "product": "", "code": ""},
    "card.refunded.v1": {"card": "", "refund_fen": 0},
    "benefit.claimed.v1": {"claim": "", "benefit": "", "order": "", "line": ""},
    "benefit.returned.v1": {"claim": ""},
    "points.adjusted.v1": {
        "adjustment": "",
        "kind": BEANS,
        "points": 0,
        "reason": "",
        "by": "",
        "approved_by": "",
    },
    "account.frozen.v1": {"reason": ""},
    "account.unfrozen.v1": {"reason": ""},
    "account.closed.v1": {"reason": ""},
    "account.reopened.v1": {"reason": ""},
    "lot.opened.v1": {"lot": "", "kind": BEANS, "points": 0, "earned_at": None, "expires_at": None},
}
TIMES = ("expires", "until", "earned_at", "expires_at")


class Oracle:
    """Takes facts one by one; answers `show` and `stats` at instants not before what it has seen."""

    def __init__(self, *, request_max_age: int | None = 86_400) -> None:
        self.request_max_age = request_max_age
        self.members: dict[str, Member] = {}

    def take(self, fact: dict[str, Any], recorded: datetime | None = None) -> dict[str, str]:
        kind = fact["type"]
        if kind in OPERATOR_FACTS and fact["source"] != "/operators":
            return {"outcome": "parked", "reason": "not-authorised"}
        if kind == "programme.published.v1":
            raise NotImplementedError("the oracle knows the shipped book only")
        data = complete(fact.get("data", {}), FIELDS[kind])
        when = instant(fact["time"])
        m = self.members.setdefault(fact["subject"], new_member(fact["subject"]))

        m["entries"] += 1
        # Reading: every entry moves the clock, duplicates and conflicts too.
        clock_before = m["clock"]
        run_to(m, when if clock_before is None else max(clock_before, when))
        outcome, reason = self.decide(m, fact, kind, data, when, recorded or when)
        run_to(m, m["clock"])  # what a late fact brought may be due already
        m["outcomes"][outcome] += 1
        return {"outcome": outcome, "reason": reason}

    def decide(
        self,
        m: Member,
        fact: dict[str, Any],
        kind: str,
        data: dict[str, Any],
        when: datetime,
        recorded: datetime,
    ) -> Decision:
        name = (fact["source"], fact["id"])
        content = (kind, when, data)
        if name in m["facts"]:
            return "ignored", "duplicate" if m["facts"][name] == content else "conflict"
        m["facts"][name] = content

        no = "refused" if kind in REQUESTS else "ignored"
        if when < FIRST_DAY:
            return no, "no-programme"
        if m["clock"] - when > LATE:
            return no, "too-late"
        if kind in REQUESTS:
            reason = self.objection(m, kind, data, when, recorded)
            if reason:
                return "ignored" if reason == "already" else "refused", reason
        elif m["closed"] and kind not in ("order.returned.v1", "account.closed.v1", "account.reopened.v1"):
            return "ignored", "account-closed"
        return HANDLERS[kind](m, data, when)

    def objection(
        self,
        m: Member,
        kind: str,
        data: dict[str, Any],
        when: datetime,
        recorded: datetime,
    ) -> str:
        """What stands against any request: asked before, too old, or the account frozen."""
        if kind == "redemption.requested.v1":
            already = data["redemption"] in m["redemptions"]
        elif kind == "hold.requested.v1":
            already = data["hold"] in m["holds"]
        else:
            already = data["claim"] in m["seen"]["claim"]
        if already:
            return "already"
        if self.request_max_age is not None and recorded - when > timedelta(seconds=self.request_max_age):
            return "stale"
        if m["closed"]:
            return "account-closed"
        if m["frozen"]:
            return "account-frozen"
        return ""

    def show(self, member: str, as_of: datetime) -> dict[str, Any]:
        m = self.at(member, as_of)
        return {
            "member": member,
            "as_of": text(as_of),
            "entries": m["entries"],
            "frozen": m["frozen"],
            "points": {
                BEANS: {
                    "spendable": spendable(m),
                    "pending": pending(m),
                    "held": held(m),
                    "debt": m["totals"]["debt"],
                    "lots": [show_lot(lot) for lot in burn_order(m["lots"]) if lot["left"] > 0],
                }
            },
            "scores": {"jd-value": show_score(m, as_of)},
            "memberships": show_memberships(m, as_of),
        }

    def stats(self, as_of: datetime) -> dict[str, Any]:
        """{"points": {"beans": {…}}, "members": n, "entries": {"accepted": …, "refused": …, "ignored": …}}"""
        beans = {
            "issued": 0,
            "spendable": 0,
            "pending": 0,
            "held": 0,
            "redeemed": 0,
            "expired": 0,
            "clawed_back": 0,
            "written_off": 0,
            "debt": 0,
            "cash_shortfall_fen": 0,
            "forfeited": 0,
        }
        entries = {"accepted": 0, "refused": 0, "ignored": 0}
        for member in self.members:
            m = self.at(member, as_of)
            beans["spendable"] += spendable(m)
            beans["pending"] += pending(m)
            beans["held"] += held(m)
            for figure, amount in m["totals"].items():
                beans[figure] += amount
            for outcome, number in m["outcomes"].items():
                entries[outcome] += number
        return {"points": {BEANS: beans}, "members": len(self.members), "entries": entries}

    def at(self, member: str, as_of: datetime) -> Member:
        """A copy of the member (KeyError if nobody knows her), run on to `as_of`."""
        m = deepcopy(self.members[member])
        if as_of < m["clock"]:
            raise ValueError(f"as_of {as_of} is before the clock of {member}, {m['clock']}")
        run_to(m, as_of)
        return m


# ---- facts, times ------------------------------------------------------------------------------------------


def instant(written: str) -> datetime:
    return datetime.fromisoformat(written.upper()).astimezone(UTC)


def text(when: datetime) -> str:
    return when.astimezone(SHANGHAI).isoformat()


def day_of(when: datetime) -> str:
    return when.astimezone(SHANGHAI).strftime("%Y-%m-%d")


def month_of(when: datetime) -> int:
    """Months counted through, so that month_of(January 2019) - 1 is December 2018."""
    local = when.astimezone(SHANGHAI)
    return local.year * 12 + local.month - 1


def year_of(when: datetime) -> int:
    return when.astimezone(SHANGHAI).year


def complete(data: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The data with every field of its type and no other, instants as such."""
    whole: dict[str, Any] = {}
    for field, default in fields.items():
        value = data.get(field, deepcopy(default))
        if field == "lines":
            value = [complete(line, default[0]) for line in data.get(field, [])]
        elif field in TIMES and value is not None:
            value = instant(value)
        whole[field] = value
    return whole


def purchase_expiry(earned_at: datetime) -> datetime:
    """A lot is gone at this instant: "the end of 31 December" is 1 January 00:00 +08:00."""
    if earned_at < NEW_EXPIRY_FROM:
        return datetime(year_of(earned_at) + 2, 1, 1, tzinfo=SHANGHAI)
    return earned_at + timedelta(days=180)


# ---- a member and her time ---------------------------------------------------------------------------------


def new_member(name: str) -> Member:
    return {
        "member": name,
        "clock": None,
        "entries": 0,
        "outcomes": {"accepted": 0, "refused": 0, "ignored": 0},
        "facts": {},  # (source, id): content
        "seen": {  # business ids that may come only once and need no page
            "return": [],
            "grant": [],
            "claim": [],
            "adjustment": [],
            "lot": [],
            "answer": [],
            "share": [],
        },
        "frozen": False,
        "closed": False,
        "lots": [],  # in the order of entries, then lines
        "totals": {
            "issued": 0,
            "redeemed": 0,
            "expired": 0,
            "clawed_back": 0,
            "written_off": 0,
            "debt": 0,
            "cash_shortfall_fen": 0,
            "forfeited": 0,
        },
        "orders": {},  # order: page
        "redemptions": {},  # redemption: {"order", "burned"}
        "holds": {},  # hold: {"until", "open", "slices"}
        "reviews": {},  # review: {"month", "score", "lot", "removed"}
        "rejections": [],  # {"month", "year", "plus"}
        "sign_in_days": [],
        "shop_visits": {},  # day: shops
        "score": {"purchase": {}, "activity": {}},  # part: month: sum
        "activity_given": {},  # (item, month): what was ever given, for the caps
        "categories": [],
        "order_days": {},  # month: days with a completed order
        "account_items": [],  # identity, wechat, qq
        "stars": None,
        "rated_at": datetime.min.replace(tzinfo=UTC),
        "terms": [],  # in the order they were laid
        "trial": None,  # the one term of the trial, also in "terms"
        "cards": {},  # card: its term
        "claims": {},  # claim: {"term", "benefit", "returned"}
    }


def run_to(m: Member, until: datetime) -> None:
    """Moves the clock on; what is due up to and including `until` happens in the order of due instants."""
    while True:
        due: list[tuple[datetime, int, int, Callable[..., None], tuple[Any, ...]]] = []
        for number, lot in enumerate(m["lots"]):
            if lot["left"] > 0 and not lot["pending"]:
                due.append((lot["expires_at"], 0, number, expire, (m, lot)))
        trial = m["trial"]
        if trial is not None and trial["beans"] == "frozen":
            due.append((trial["until"] + TRIAL_GRACE, 1, 0, lapse, (m,)))
        for number, hold in enumerate(m["holds"].values()):
            if hold["open"]:
                due.append((hold["until"], 2, number, release, (m, hold)))
        due = sorted((event for event in due if event[0] <= until), key=lambda event: event[:3])
        if not due:
            break
        when, _, _, happen, to_whom = due[0]
        m["clock"] = when if m["clock"] is None else max(m["clock"], when)
        happen(*to_whom)
    m["clock"] = until


# ---- points ------------------------------------------------------------------------------------------------


def spendable(m: Member) -> int:
    return sum(lot["left"] for lot in m["lots"] if not lot["pending"])


def pending(m: Member) -> int:
    return sum(lot["left"] for lot in m["lots"] if lot["pending"])


def held(m: Member) -> int:
    return sum(amount for hold in m["holds"].values() if hold["open"] for _, amount in hold["slices"])


def burn_order(lots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lots, key=lambda lot: lot["expires_at"])  # stable: equal expiry by entries, then lines


def give(
    m: Member,
    rule: str,
    points: int,
    earned_at: datetime,
    expires_at: datetime,
    trial: bool = False,
) -> dict[str, Any]:
    """A new lot. Beans earned in a trial are pending, lapsed or free, as the trial's beans are by now."""
    lot = {
        "entry": m["entries"],
        "rule": rule,
        "earned": points,
        "left": 0,
        "earned_at": earned_at,
        "expires_at": expires_at,
        "pending": False,
        "lapsed": False,  # and points of it are still on hold
        "expired": 0,
        "forfeited": 0,
    }
    m["lots"].append(lot)
    m["totals"]["issued"] += points
    if trial and m["trial"]["beans"] == "frozen":
        lot["pending"] = True
        lot["left"] = points
    elif trial and m["trial"]["beans"] == "lapsed":
        lot["left"] = points
        expire(m, lot)
    else:
        make_spendable(m, lot, points)
    return lot


def make_spendable(m: Member, lot: dict[str, Any], points: int) -> None:
    """Points earned, restored, released or confirmed: gone if the lot is due, else debt is repaid first."""
    if lot["pending"]:  # frozen again since they were burned or held
        lot["left"] += points
        return
    if lot["expires_at"] <= m["clock"] or lot["lapsed"]:
        lot["expired"] += points
        m["totals"]["expired"] += points
        return
    if m["closed"]:
        lot["forfeited"] += points
        m["totals"]["forfeited"] += points
        return
    repaid = min(points, m["totals"]["debt"])
    m["totals"]["debt"] -= repaid
    m["totals"]["clawed_back"] += repaid
    lot["left"] += points - repaid


def expire(m: Member, lot: dict[str, Any]) -> None:
    m["totals"]["expired"] += lot["left"]
    lot["expired"] += lot["left"]
    lot["left"] = 0


def take_from_lots(m: Member, points: int) -> list[list[Any]]:
    """Takes up to `points` from the spendable lots in burn order; [lot, amount] for each lot, as taken."""
    slices: list[list[Any]] = []
    for lot in burn_order(m["lots"]):
        amount = 0 if lot["pending"] else min(points, lot["left"])
        if amount > 0:
            lot["left"] -= amount
            points -= amount
            slices.append([lot, amount])
    return slices


def take_away(m: Member, points: int) -> int:
    """For a claw-back, penalty or negative adjustment, in burn order; returns what could not be taken."""
    taken: int = sum(amount for _, amount in take_from_lots(m, points))
    m["totals"]["clawed_back"] += taken
    return points - taken


def claw_back(m: Member, lot: dict[str, Any], points: int, cash_limit: int) -> int:
    """Own lot, what of it expired (gone), other lots, then cash, then debt. Returns the cash used."""
    # Reading: what of the lot is held, or went to repay debt, counts as spent.
    own = min(points, lot["left"])
    lot["left"] -= own
    m["totals"]["clawed_back"] += own
    points -= own
    gone = min(points, lot["expired"])
    lot["expired"] -= gone  # met once
    points -= gone
    if m["closed"]:
        m["totals"]["written_off"] += take_away(m, points)
        return 0
    # Reading: what was forfeited is gone like what expired, once the account goes on.
    gone = min(points, lot["forfeited"])
    lot["forfeited"] -= gone
    points -= gone
    shortfall = take_away(m, points)
    cash = min(shortfall, cash_limit)
    m["totals"]["cash_shortfall_fen"] += cash
    m["totals"]["debt"] += shortfall - cash
    return cash


def restore(m: Member, burned: list[list[Any]], points: int) -> None:
    """Back to the lots they were burned from, the last taken first, at most what was burned."""
    for piece in reversed(burned):
        amount = min(points, piece[1])
        if amount > 0:
            piece[1] -= amount
            points -= amount
            m["totals"]["redeemed"] -= amount
            make_spendable(m, piece[0], amount)


def rest_of(burned: list[list[Any]]) -> int:
    return sum(amount for _, amount in burned)


# ---- orders ------------------------------------------------------------------------------------------------


def page_of(m: Member, order: str) -> dict[str, Any]:
    if order not in m["orders"]:
        m["orders"][order] = {
            "end": "",  # "completed", "cancelled" or "rejected"
            "paid_lines": None,  # the lines when it was paid
            "lines": {},  # the lines when it was completed
            "waiting": [],  # returns before completion
            "granted": 0,  # points ever redeemed for it
            "burned": [],  # [lot, what of it is not yet restored], in the order taken
            "more": False,  # further lines are to complete
            "ended_at": None,
            "claims": [],  # of shipping
        }
    page: dict[str, Any] = m["orders"][order]
    return page


def end_of(m: Member, order: str) -> str:
    return m["orders"][order]["end"] if order in m["orders"] else ""


def after_the_end(end: str, asked: str) -> Decision:
    return "ignored", "already" if end == asked else f"order-{end}"


def goes_on(page: dict[str, Any]) -> None:
    """A cancelled order is paid or completed after all: what came back with the cancellation stays."""
    page["end"] = ""
    page["paid_lines"] = None
    page["granted"] = 0
    page["burned"] = []


def order_paid(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    page = page_of(m, data["order"]) if data["order"] in m["orders"] else None
    if page is not None and page["end"] == "cancelled" and when >= page["ended_at"]:
        goes_on(page)
    if end_of(m, data["order"]):
        return after_the_end(end_of(m, data["order"]), "paid")
    page = page_of(m, data["order"])
    if page["paid_lines"] is not None:
        return "ignored", "already"
    page["paid_lines"] = [line["line"] for line in data["lines"]]
    return "accepted", ""


def order_completed(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if end_of(m, data["order"]) == "cancelled":
        goes_on(page_of(m, data["order"]))
    fresh = data["lines"]
    if end_of(m, data["order"]) == "completed" and page_of(m, data["order"])["more"]:
        fresh = [line for line in fresh if line["line"] not in page_of(m, data["order"])["lines"]]
        if not fresh:
            return "ignored", "already"
    elif end_of(m, data["order"]):
        return after_the_end(end_of(m, data["order"]), "completed")
    page = page_of(m, data["order"])
    is_first = page["end"] == ""
    page["end"] = "completed"
    page["more"] = data["more"]
    month = month_of(when)
    for line in fresh:
        term = term_at(m, when)
        lot = give_purchase_beans(m, line, when)
        score = line["paid_fen"] // 100
        add_score(m, "purchase", month, score)
        if line["category"] and line["category"] not in m["categories"]:
            m["categories"].append(line["category"])
            add_score(m, "purchase", month, 10)
        page["lines"][line["line"]] = {
            "paid_fen": line["paid_fen"],
            "quantity": line["quantity"],
            "refunded": 0,
            "returned": 0,
            "beans": lot["earned"] if lot else 0,
            "beans_kept": lot["earned"] if lot else 0,
            "lot": lot,
            "score": score,
            "score_kept": score,
            "month": month,
            "review": "",
            "completed_at": when,
            "card": term["card"] if term and lot and lot["rule"] == "purchase.plus" else "",
        }
    if is_first:
        order_as_a_whole(m, data, when)
    waiting, page["waiting"] = page["waiting"], []
    came_back: dict[str, int] = {}
    for lines, _, _ in waiting:
        for line in lines:
            came_back[line["line"]] = came_back.get(line["line"], 0) + line["quantity"]
    if waiting and comes_back_whole(page, came_back):
        restore(m, page["burned"], rest_of(page["burned"]))
    for lines, cash_limit, asked in waiting:
        before = rest_of(page["burned"])
        restore(m, page["burned"], asked)
        asked -= before - rest_of(page["burned"])
        cash_left = take_lines_back(m, page, lines, cash_limit)
        to_come = [line for line in lines if line["line"] not in page["lines"]]
        if page["more"] and (to_come or asked):
            page["waiting"].append((to_come, cash_left, asked))
    return "accepted", ""


def comes_back_whole(page: dict[str, Any], came_back: dict[str, int]) -> bool:
    """Whether with these pieces every line is back, and none is still to come."""
    return not page["more"] and all(
        line["returned"] + came_back.get(name, 0) >= line["quantity"] for name, line in page["lines"].items()
    )


def order_as_a_whole(m: Member, data: dict[str, Any], when: datetime) -> None:
    """What an order gives beside its lines, once."""
    month = month_of(when)
    days = m["order_days"].setdefault(month, [])
    if day_of(when) not in days:
        days.append(day_of(when))
        if len(days) == 3:
            add_score(m, "purchase", month, 30)
    if data["pay"] == "jd-pay":
        add_activity(m, "jd-pay", when)


def give_purchase_beans(m: Member, line: dict[str, Any], when: datetime) -> dict[str, Any] | None:
    paid = line["paid_fen"]
    if line["category"] in NO_PURCHASE_BEANS:
        return None
    term = term_at(m, when)
    if term is not None and term["beans_given"] + paid // 100 <= PLUS_CAP[term["product"]]:
        if paid // 100 == 0:
            return None
        term["beans_given"] += paid // 100
        in_trial = term["product"] == TRIAL
        return give(m, "purchase.plus", paid // 100, when, purchase_expiry(when), trial=in_trial)
    # Reading: a line of a trial that no longer fits under the cap is an ordinary line: spendable at once.
    if paid < 5_000:
        return None
    return give(m, "purchase.beans", min(paid // 1_000, 1_000), when, purchase_expiry(when))


def order_cancelled(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    page = page_of(m, data["order"])
    if page["more"]:
        page["more"] = False
        page["waiting"] = []
        if comes_back_whole(page, {}):
            restore(m, page["burned"], rest_of(page["burned"]))
        return "accepted", ""
    if end_of(m, data["order"]):
        return after_the_end(end_of(m, data["order"]), "cancelled")
    end_before_completion(m, page, "cancelled", when)
    return "accepted", ""


def end_before_completion(m: Member, page: dict[str, Any], end: str, when: datetime) -> None:
    page["end"] = end
    page["ended_at"] = when
    page["waiting"] = []
    restore(m, page["burned"], rest_of(page["burned"]))
    for claim in page["claims"]:
        give_claim_back(m, claim)
    page["claims"] = []


def order_rejected(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if end_of(m, data["order"]):
        return after_the_end(end_of(m, data["order"]), "rejected")
    page = page_of(m, data["order"])
    # Reading: what was burned comes back first, then the 500 are taken.
    end_before_completion(m, page, "rejected", when)

    plus = term_at(m, when) is not None
    m["rejections"].append({"month": month_of(when), "year": year_of(when), "plus": plus})
    in_month = [r for r in m["rejections"] if r["month"] == month_of(when)]
    in_year = [r for r in m["rejections"] if r["year"] == year_of(when)]
    exempt = plus and len([r for r in in_month if r["plus"]]) <= 5
    if (len(in_month) >= 2 or len(in_year) >= 4) and not exempt:
        m["totals"]["debt"] += take_away(m, 500)
    return "accepted", ""


def order_returned(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["return"] in m["seen"]["return"]:
        return "ignored", "already"
    if not data["order"]:
        return "ignored", "unknown-order"
    page = page_of(m, data["order"])
    if page["end"] in ("cancelled", "rejected"):
        return "ignored", f"order-{page['end']}"
    if page["end"] == "completed":
        lines = [line for line in data["lines"] if line["line"] in page["lines"] or page["more"]]
    elif page["paid_lines"] is not None:
        lines = [line for line in data["lines"] if line["line"] in page["paid_lines"]]
    else:
        lines = data["lines"]  # only redeemed for: its lines are not known yet
    if not lines:
        return "ignored", "unknown-line"
    m["seen"]["return"].append(data["return"])
    # Reading: the refund of the whole fact, lines it has wrong included.
    cash_limit = sum(line["refund_fen"] for line in data["lines"] if not line["exchange"])
    asked = sum(line["points"] for line in lines)
    before = rest_of(page["burned"])
    restore(m, page["burned"], asked)
    asked -= before - rest_of(page["burned"])
    is_for_later = page["end"] != "completed" or any(line["line"] not in page["lines"] for line in lines)
    lines = [line for line in lines if not line["exchange"]]
    if page["end"] == "completed":
        came_back: dict[str, int] = {}
        for line in lines:
            came_back[line["line"]] = came_back.get(line["line"], 0) + line["quantity"]
        if comes_back_whole(page, came_back):
            restore(m, page["burned"], rest_of(page["burned"]))
        cash_limit = take_lines_back(m, page, lines, cash_limit)
        lines = [line for line in lines if line["line"] not in page["lines"]]
    if is_for_later:
        page["waiting"].append((lines, cash_limit, asked))
    return "accepted", ""


def take_lines_back(m: Member, page: dict[str, Any], lines: list[dict[str, Any]], cash_limit: int) -> int:
    """Returns what is left of the refund to pay in cash."""
    for returned in lines:
        if returned["line"] not in page["lines"]:
            continue  # remembered from before completion, and then not completed
        line = page["lines"][returned["line"]]
        line["refunded"] += returned["refund_fen"]
        line["returned"] = min(line["quantity"], line["returned"] + returned["quantity"])
        beans = kept(line, line["beans"])
        score = kept(line, line["score"])
        add_score(m, "purchase", line["month"], score - line["score_kept"])
        line["score_kept"] = score
        if line["lot"]:
            cash_limit -= claw_back(m, line["lot"], line["beans_kept"] - beans, cash_limit)
            line["beans_kept"] = beans
    return cash_limit


def kept(line: dict[str, Any], earned: int) -> int:
    """K: what a line that earned this keeps after what was refunded and returned so far."""
    paid = line["paid_fen"]
    if wholly_returned(line) or paid == 0:
        return 0
    return int(earned * (paid - min(line["refunded"], paid)) // paid)


def wholly_returned(line: dict[str, Any]) -> bool:
    return bool(line["returned"] >= line["quantity"])


# ---- score -------------------------------------------------------------------------------------------------


def add_score(m: Member, part: str, month: int, score: int) -> None:
    m["score"][part][month] = m["score"][part].get(month, 0) + score


def add_activity(m: Member, item: str, when: datetime) -> int:
    each, cap = ACTIVITY[item]
    given = m["activity_given"].get((item, month_of(when)), 0)
    score: int = min(each, cap - given)
    m["activity_given"][item, month_of(when)] = given + score
    add_score(m, "activity", month_of(when), score)
    return score


def review_posted(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["review"] in m["reviews"]:
        return "ignored", "already"
    page = m["orders"].get(data["order"])
    if page is None or data["line"] not in page["lines"]:
        return "ignored", "not-completed"
    line = page["lines"][data["line"]]
    if line["review"]:
        return "ignored", "reviewed"
    line["review"] = data["review"]
    score = add_activity(m, "photo" if data["images"] >= 1 else "review", when)
    in_time = when - line["completed_at"] <= REVIEW_WITHIN
    beans = 0
    if data["characters"] >= 10 and in_time and not wholly_returned(line):
        if line["paid_fen"] >= 10_000:
            beans = 20
        elif line["paid_fen"] >= 2_000:
            beans = 10
    lot = give(m, "review.beans", beans, when, purchase_expiry(when)) if beans else None
    m["reviews"][data["review"]] = {"month": month_of(when), "score": score, "lot": lot, "removed": False}
    return "accepted", ""


def review_removed(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    review = m["reviews"].get(data["review"])
    if review is None:
        return "ignored", "unknown-review"
    if review["removed"]:
        return "ignored", "already"
    review["removed"] = True
    add_score(m, "activity", review["month"], -review["score"])
    if review["lot"]:
        claw_back(m, review["lot"], review["lot"]["earned"], 0)
    return "accepted", ""


def question_answered(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["answer"] in m["seen"]["answer"]:
        return "ignored", "already"
    m["seen"]["answer"].append(data["answer"])
    add_activity(m, "answer", when)
    return "accepted", ""


def item_shared(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["share"] in m["seen"]["share"]:
        return "ignored", "already"
    m["seen"]["share"].append(data["share"])
    add_activity(m, "share", when)
    return "accepted", ""


def account_item(item: str) -> Callable[[Member, dict[str, Any], datetime], Decision]:
    def once(m: Member, data: dict[str, Any], when: datetime) -> Decision:
        if item not in m["account_items"]:
            m["account_items"].append(item)
        return "accepted", ""

    return once


def reputation_rated(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if when >= m["rated_at"]:  # of two tellings the one that occurred later holds; it does not age
        m["stars"], m["rated_at"] = data["stars"], when
    return "accepted", ""


def nothing(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    return "accepted", ""


# ---- small earnings, operators -----------------------------------------------------------------------------


def signed_in(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    day = data["day"] or day_of(when)
    if day not in m["sign_in_days"]:
        m["sign_in_days"].append(day)
        give(m, "sign-in", 1, when, purchase_expiry(when))
    return "accepted", ""


def shop_visited(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    shops = m["shop_visits"].setdefault(day_of(when), [])
    if data["shop"] not in shops and len(shops) < 5:
        shops.append(data["shop"])
        give(m, "shop-visit", 1, when, purchase_expiry(when))
    return "accepted", ""


def campaign_granted(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["grant"] in m["seen"]["grant"]:
        return "ignored", "already"
    if data["kind"] != BEANS:
        return "ignored", "unknown-kind"
    m["seen"]["grant"].append(data["grant"])
    give(m, "campaign", data["points"], when, data["expires"] or purchase_expiry(when))
    return "accepted", ""


def lot_opened(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["lot"] in m["seen"]["lot"]:
        return "ignored", "already"
    if data["kind"] != BEANS:
        return "ignored", "unknown-kind"
    m["seen"]["lot"].append(data["lot"])
    give(m, "lot.opened", data["points"], data["earned_at"], data["expires_at"])
    return "accepted", ""


def points_adjusted(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["adjustment"] in m["seen"]["adjustment"]:
        return "ignored", "already"
    if not data["approved_by"] or data["approved_by"] == data["by"]:
        return "ignored", "not-approved"
    if data["kind"] != BEANS:
        return "ignored", "unknown-kind"
    m["seen"]["adjustment"].append(data["adjustment"])
    if data["points"] > 0:
        give(m, "adjustment", data["points"], when, purchase_expiry(when))
    else:
        m["totals"]["debt"] += take_away(m, -data["points"])
    return "accepted", ""


def account_frozen(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    m["frozen"] = True
    return "accepted", ""


def account_unfrozen(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if not m["frozen"]:
        return "ignored", "not-frozen"  # it contradicts what is known
    m["frozen"] = False
    return "accepted", ""


def account_closed(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if m["closed"]:
        return "ignored", "already"
    for hold in m["holds"].values():
        if hold["open"]:
            release(m, hold)
    m["closed"] = True
    for lot in m["lots"]:
        lot["forfeited"] += lot["left"]
        m["totals"]["forfeited"] += lot["left"]
        lot["left"] = 0
    return "accepted", ""


def account_reopened(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if not m["closed"]:
        return "ignored", "not-closed"
    m["closed"] = False
    return "accepted", ""


# ---- redemptions and holds ---------------------------------------------------------------------------------


def redemption_requested(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    points, settlement = data["points"], data["settlement_fen"]
    if data["kind"] != BEANS:
        return "refused", "unknown-kind"
    if data["use"] == "draw" and points != 20:
        return "refused", "not-a-draw"
    if data["use"] == "offset" and points % 1_000 != 0:
        return "refused", "not-a-multiple"
    if data["use"] in ("offset", "top-up") and not data["order"]:
        return "refused", "order-missing"
    if end_of(m, data["order"]) in ("cancelled", "rejected"):
        return "refused", "order-ended"
    # Reading: every redemption that names the order is in the sum, whatever its use.
    for_order = points
    if data["order"] in m["orders"]:
        for_order += m["orders"][data["order"]]["granted"]
    if data["use"] == "offset":
        if 2 * for_order > settlement:
            return "refused", "above-half"
        if spendable(m) < 500:
            return "refused", "below-minimum"
    if data["use"] == "top-up":
        if settlement < 5_000:
            return "refused", "settlement-small"
        if 5 * for_order > settlement:
            return "refused", "above-fifth"
    if spendable(m) < points:
        return "refused", "beans-short"

    burned = take_from_lots(m, points)
    m["totals"]["redeemed"] += points
    m["redemptions"][data["redemption"]] = {"order": data["order"], "burned": burned}
    if data["order"]:
        page = page_of(m, data["order"])
        page["granted"] += points
        page["burned"].extend(burned)
    return "accepted", ""


def redemption_reversed(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    redemption = m["redemptions"].get(data["redemption"])
    hold = m["holds"].get(data["redemption"], {})
    # Reading: a captured hold is found by its name where no redemption of that name has anything to give back.
    if hold.get("captured") and (redemption is None or redemption["order"] or not rest_of(redemption["burned"])):
        redemption = {"order": "", "burned": hold["captured"]}
    if redemption is None:
        return "ignored", "unknown-redemption"
    if redemption["order"]:
        return "ignored", "redeemed-for-order"
    rest = rest_of(redemption["burned"])
    if not rest:
        return "ignored", "already"
    restore(m, redemption["burned"], rest if data["points"] is None else min(data["points"], rest))
    return "accepted", ""


def hold_requested(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["kind"] != BEANS:
        return "refused", "unknown-kind"
    if data["until"] <= m["clock"]:
        return "refused", "hold-over"
    if spendable(m) < data["points"]:
        return "refused", "beans-short"
    slices = take_from_lots(m, data["points"])
    m["holds"][data["hold"]] = {"until": data["until"], "open": True, "slices": slices}
    return "accepted", ""


def hold_captured(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    hold = m["holds"].get(data["hold"])
    if hold is None:
        return "ignored", "unknown-hold"
    if not hold["open"]:
        return "ignored", "hold-over"
    wanted = rest_of(hold["slices"]) if data["points"] is None else data["points"]
    for piece in hold["slices"]:  # Reading: the first taken are captured first
        amount = min(wanted, piece[1])
        piece[1] -= amount
        wanted -= amount
        m["totals"]["redeemed"] += amount
        if amount:
            hold.setdefault("captured", []).append([piece[0], amount])
    release(m, hold)
    return "accepted", ""


def hold_released(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    hold = m["holds"].get(data["hold"])
    if hold is None:
        return "ignored", "unknown-hold"
    if not hold["open"]:
        return "ignored", "hold-over"
    release(m, hold)
    return "accepted", ""


def release(m: Member, hold: dict[str, Any]) -> None:
    hold["open"] = False
    for piece in reversed(hold["slices"]):  # Reading: the last taken first, as in a return
        make_spendable(m, piece[0], piece[1])
    hold["slices"] = []


# ---- membership --------------------------------------------------------------------------------------------


def term_at(m: Member, when: datetime) -> dict[str, Any] | None:
    for term in m["terms"]:
        if term["from"] <= when < term["until"]:
            found: dict[str, Any] = term
            return found
    return None


def card_opened(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    """Bought or by code; a code may also open a trial."""
    if data["card"] in m["cards"]:
        return "ignored", "already"
    if data["product"] not in DAYS:
        return "ignored", "unknown-product"
    if data["product"] == TRIAL:
        return open_trial(m, data, when)
    trial = m["trial"]
    if trial is not None and trial["from"] <= when < trial["until"]:
        trial["until"] = trial["cut"] = when  # a trial ends at payment
        place_terms(m, m["terms"].index(trial) + 1)
    lay_term(m, data, when)
    if trial is not None and trial["beans"] == "frozen":  # Reading: judged by the clock, not by `when`
        trial["beans"] = "free"
        m["cards"][data["card"]]["released"] = [lot for lot in m["lots"] if lot["pending"]]
        for lot in m["lots"]:
            if lot["pending"]:
                points = lot["left"]
                lot["pending"] = False
                lot["left"] = 0
                make_spendable(m, lot, points)
    return "accepted", ""


def trial_started(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["card"] in m["cards"]:
        return "ignored", "already"
    if data["product"] != TRIAL:
        return "ignored", "unknown-product"
    return open_trial(m, data, when)


def open_trial(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if m["trial"] is not None or any(term["until"] > when for term in m["terms"]):
        return "ignored", "trial-used"
    m["trial"] = lay_term(m, data, when)
    return "accepted", ""


def lay_term(m: Member, data: dict[str, Any], when: datetime) -> dict[str, Any]:
    term: dict[str, Any] = {
        "card": data["card"],
        "product": data["product"],
        "opened": when,
        "from": when,
        "until": when,
        "cut": None,  # the instant it was ended before its time
        "refunded": False,
        "paid": data.get("paid_fen", 0),
        "released": [],  # lots of the trial that this card made free
        "beans_given": 0,
        "claims": {},
        "beans": "frozen" if data["product"] == TRIAL else "",  # of a trial: frozen, then lapsed or free
    }
    m["terms"].append(term)
    m["cards"][data["card"]] = term
    place_terms(m, len(m["terms"]) - 1)
    return term


def place_terms(m: Member, first: int) -> None:
    """Lays the terms from number `first` on: from the card's instant or where the term before ends."""
    for number in range(first, len(m["terms"])):
        term = m["terms"][number]
        term["from"] = term["opened"]
        if number > 0:
            term["from"] = max(term["opened"], m["terms"][number - 1]["until"])
        term["until"] = term["from"] + timedelta(days=DAYS[term["product"]])
        if term["cut"] is not None:
            term["until"] = max(term["from"], min(term["until"], term["cut"]))


def card_refunded(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    term = m["cards"].get(data["card"])
    if term is None:
        return "ignored", "unknown-card"
    if term["refunded"]:
        return "ignored", "already"
    if term["until"] <= when:
        return "ignored", "card-ended"
    term["refunded"] = True
    number = [t["card"] for t in m["terms"]].index(data["card"])
    if term["from"] <= when:
        term["until"] = term["cut"] = when
        place_terms(m, number + 1)
    else:  # not begun: it is taken out and later terms move up
        term["until"] = term["from"]
        del m["terms"][number]
        place_terms(m, number)
    if 0 < term["paid"] <= data["refund_fen"]:
        take_card_back(m, term, data["refund_fen"])
    return "accepted", ""


def held_of(m: Member, lot: dict[str, Any]) -> int:
    held = [piece for hold in m["holds"].values() if hold["open"] for piece in hold["slices"]]
    return sum(amount for of, amount in held if of is lot)


def take_card_back(m: Member, term: dict[str, Any], cash_limit: int) -> None:
    """Refunded whole: its lines count at the ordinary rate, and what it released from the trial is frozen again."""
    claims: list[tuple[int, dict[str, Any], dict[str, Any] | None, int]] = []  # (place of the lot, lot, line, spent)
    lines = [line for page in m["orders"].values() for line in page["lines"].values() if line["lot"]]
    trial = m["trial"]
    # Reading: a card bought before the trial never was what its beans waited for.
    bought = [t for t in m["terms"] if t["product"] != TRIAL and not t["refunded"]]
    others = [t for t in bought if trial and t["opened"] >= trial["opened"]]
    if term["released"] and others:
        others[0]["released"] = others[0]["released"] + term["released"]
    elif term["released"]:
        trial["beans"] = "frozen"
        for lot in term["released"]:
            on_hold = held_of(m, lot)
            for line in lines:
                if line["lot"] is lot:
                    spent = line["beans_kept"] - lot["left"] - on_hold - lot["expired"] - lot["forfeited"]
                    if spent > 0:
                        line["beans_kept"] -= spent
                        claims.append((m["lots"].index(lot), lot, None, spent))
            lot["pending"] = lot["left"] > 0 or on_hold > 0
        if trial["until"] + TRIAL_GRACE <= m["clock"]:
            lapse(m)
    for line in lines:
        if line["card"] == term["card"]:
            claims.append((m["lots"].index(line["lot"]), line["lot"], line, 0))
    for _, lot, line, spent in sorted(claims, key=lambda claim: claim[0]):
        if line is None:
            shortfall = take_away(m, spent)
            cash = min(shortfall, cash_limit)
            m["totals"]["cash_shortfall_fen"] += cash
            m["totals"]["debt"] += shortfall - cash
            cash_limit -= cash
            continue
        line["beans"] = min(line["paid_fen"] // 1_000, 1_000) if line["paid_fen"] >= 5_000 else 0
        keeps = kept(line, line["beans"])
        if line["beans_kept"] > keeps:
            cash_limit -= claw_back(m, lot, line["beans_kept"] - keeps, cash_limit)
            line["beans_kept"] = keeps


def lapse(m: Member) -> None:
    m["trial"]["beans"] = "lapsed"
    for lot in m["lots"]:
        if lot["pending"]:
            lot["pending"] = False
            lot["lapsed"] = held_of(m, lot) > 0
            expire(m, lot)


def give_claim_back(m: Member, claim: str) -> bool:
    """Give a claim back to its card's quota; False where it came back before."""
    found = m["claims"][claim]
    if found["returned"]:
        return False
    found["returned"] = True
    found["term"]["claims"][found["benefit"]] -= 1
    return True


def benefit_returned(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["claim"] not in m["claims"]:
        return "ignored", "unknown-claim"
    return ("accepted", "") if give_claim_back(m, data["claim"]) else ("ignored", "already")


def benefit_claimed(m: Member, data: dict[str, Any], when: datetime) -> Decision:
    if data["benefit"] == "shipping" and end_of(m, data["order"]) in ("cancelled", "rejected"):
        return "refused", "order-ended"
    term = term_at(m, when)  # Reading: the term of the claim's instant, not of the clock
    if term is None:
        return "refused", "no-membership"
    if data["benefit"] not in QUOTAS[term["product"]]:
        return "refused", "unknown-benefit"
    claimed = term["claims"].get(data["benefit"], 0)
    if claimed >= QUOTAS[term["product"]][data["benefit"]]:
        return "refused", "quota-used"
    term["claims"][data["benefit"]] = claimed + 1
    m["seen"]["claim"].append(data["claim"])
    m["claims"][data["claim"]] = {"term": term, "benefit": data["benefit"], "returned": False}
    if data["benefit"] == "shipping" and data["order"]:
        page_of(m, data["order"])["claims"].append(data["claim"])
    return "accepted", ""


# ---- what is shown -----------------------------------------------------------------------------------------


def show_lot(lot: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "entry": lot["entry"],
        "rule": lot["rule"],
        "earned": lot["earned"],
        "left": lot["left"],
        "earned_at": text(lot["earned_at"]),
        "expires_at": text(lot["expires_at"]),
    }
    if lot["pending"]:
        shown["pending"] = True
    return shown


def show_score(m: Member, as_of: datetime) -> dict[str, Any]:
    month = month_of(as_of)
    window = range(month - 12, month)
    worth = {"identity": 100, "wechat": 20, "qq": 20}
    parts = {
        "account": sum(worth[item] for item in m["account_items"]),
        "purchase": sum(m["score"]["purchase"].get(past, 0) for past in window),
        "activity": sum(m["score"]["activity"].get(past, 0) for past in window),
        "reputation": 0,
        "credit": 0,
    }
    value = sum(parts.values())
    if m["stars"] == 1:
        value = min(value, 200)
    tier = next((name for least, name in TIERS if value >= least), "")
    return {"value": value, "tier": tier, "month": f"{month // 12:04d}-{month % 12 + 1:02d}", "parts": parts}


def show_memberships(m: Member, as_of: datetime) -> dict[str, Any]:
    if not m["terms"]:
        return {}
    term = term_at(m, as_of)
    if term is None:
        # Reading: the last that has begun; of terms with a gap between them one may still be to come.
        begun = [term for term in m["terms"] if term["from"] <= as_of]
        last, state, quotas = (begun or m["terms"])[-1 if begun else 0], "ended", {}
    else:
        last, state = term, "trial" if term["product"] == TRIAL else "active"
        quotas = {b: quota - term["claims"].get(b, 0) for b, quota in QUOTAS[term["product"]].items()}
    return {
        "plus": {
            "state": state,
            "product": last["product"],
            "from": text(last["from"]),
            "until": text(last["until"]),
            "quotas": quotas,
        }
    }


HANDLERS: dict[str, Callable[[Member, dict[str, Any], datetime], Decision]] = {
    "order.paid.v1": order_paid,
    "order.completed.v1": order_completed,
    "order.cancelled.v1": order_cancelled,
    "order.returned.v1": order_returned,
    "order.rejected.v1": order_rejected,
    "review.posted.v1": review_posted,
    "review.removed.v1": review_removed,
    "question.answered.v1": question_answered,
    "item.shared.v1": item_shared,
    "member.signed-in.v1": signed_in,
    "shop.visited.v1": shop_visited,
    "campaign.granted.v1": campaign_granted,
    "identity.verified.v1": account_item("identity"),
    "wechat.bound.v1": account_item("wechat"),
    "qq.bound.v1": account_item("qq"),
    "profile.completed.v1": nothing,
    "credit.scored.v1": nothing,
    "reputation.rated.v1": reputation_rated,
    "redemption.requested.v1": redemption_requested,
    "redemption.reversed.v1": redemption_reversed,
    "hold.requested.v1": hold_requested,
    "hold.captured.v1": hold_captured,
    "hold.released.v1": hold_released,
    "card.purchased.v1": card_opened,
    "card.code-redeemed.v1": card_opened,
    "card.trial-started.v1": trial_started,
    "card.refunded.v1": card_refunded,
    "benefit.claimed.v1": benefit_claimed,
    "benefit.returned.v1": benefit_returned,
    "points.adjusted.v1": points_adjusted,
    "account.frozen.v1": account_frozen,
    "account.unfrozen.v1": account_unfrozen,
    "account.closed.v1": account_closed,
    "account.reopened.v1": account_reopened,
    "lot.opened.v1": lot_opened,
}
