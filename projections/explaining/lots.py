"""Where a lot's points came from and went: each step with the entry it stands in, to the last point."""

from typing import Any

from ledger.rulebook.compiled import Version
from ledger.rulebook.schema import Expiry
from ledger.wire.entries import (
    LOT_BITS,
    Captured,
    Change,
    ClawedBack,
    Confirmed,
    Earned,
    Expired,
    Held,
    Released,
    Repaid,
    Restored,
    Spent,
    lot_text,
)
from ledger.wire.facts import (
    CampaignGranted,
    Fact,
    LotOpened,
    OrderCompleted,
    OrderRejected,
    OrderReturned,
    PointsAdjusted,
    ReviewPosted,
    ReviewRemoved,
)
from projections.explaining.history import History, LotStory, Present, Step
from projections.explaining.words import Words, count, joined


def lot_of(text: str) -> int:
    """A lot's key from its name, entry.place. Raises ValueError."""
    number, _, place = text.partition(".")
    if not (number.isascii() and number.isdigit() and place.isascii() and place.isdigit() and int(place) > 0):
        raise ValueError(f'"{text}" is not a lot; a lot is named entry.place, such as 3.1')
    return int(number) << LOT_BITS | int(place) - 1


def origin_text(story: LotStory, words: Words) -> str:
    """Where a lot came from, briefly: 购物返豆 for line 1 of order O1."""
    earned, fact = story.earned, story.origin.fact
    name = words.rule_name(earned.rule) or earned.rule
    match fact:
        case OrderCompleted():
            return f"{name} for line {earned.line} of order {fact.data.order}"
        case ReviewPosted():
            return f"{name} for review {fact.data.review}"
        case CampaignGranted():
            return f"campaign {fact.data.campaign}"
        case PointsAdjusted():
            return f"adjustment {fact.data.adjustment}"
        case LotOpened():
            return f"opening balance {fact.data.lot}"
    return name


def lot_name(history: History, key: int, words: Words) -> str:
    """A lot with its origin, as a sentence names it."""
    story = history.lots.get(key)
    return f"lot {lot_text(key)}" + (f" ({origin_text(story, words)})" if story else "")


def lot_brief(history: History, key: int, words: Words) -> dict[str, Any]:
    """A lot that a change touched, with its origin."""
    view: dict[str, Any] = {"lot": lot_text(key)}
    story = history.lots.get(key)
    if story is not None:
        view |= {
            "entry": story.origin.entry.number,
            "rule": story.earned.rule,
            "origin": origin_text(story, words),
        }
    return view


def expiry_text(version: Version, kind: str, earned_at: int, expires_at: int) -> str:
    """Which expiry of the book gave a lot its end; says so where it was none of them."""
    known = version.programme.kinds.get(kind)
    if known is None or version.expires_at(kind, earned_at) != expires_at:
        return "the end it was given"
    for period, compiled in zip(reversed(known.expiry), version.expiries[kind], strict=True):
        if compiled.end(earned_at, version.offset) == expires_at:
            return _period_text(period)
    return "the book's expiry"


def _period_text(period: Expiry) -> str:
    if period.days is not None:
        return f"{count(period.days, 'day')} after they were earned"
    years = period.end_of_year_after or 0
    if not years:
        return "the end of the year they were earned in"
    return "the end of the year after" if years == 1 else f"the end of the {years}th year after"


def explain_lot_story(history: History, key: int, present: Present, words: Words) -> dict[str, Any]:
    """A lot's whole life: what became of it in each entry, and what is left at the present."""
    story = history.lots[key]
    earned, origin = story.earned, story.origin
    lots = present.account.purse(earned.kind).lots
    lot = lots.get(key)
    left, held = (lot.left, lot.held) if lot else (0, 0)
    pending = bool(lot and lot.pending_until)
    went: list[dict[str, Any]] = []
    for step, change in story.events:
        _add(went, _event(history, step, change, words))
    for change in present.changes:
        if getattr(change, "lot", None) == key:
            _add(went, _event(history, None, change, words))
    view: dict[str, Any] = {
        "lot": lot_text(key),
        "kind": earned.kind,
        "entry": origin.entry.number,
        "rule": earned.rule,
        "rule_name": words.rule_name(earned.rule),
        "origin": origin_text(story, words),
        "earned": earned.points,
        "left": left,
        "held": held,
        "pending": pending,
        "earned_at": words.time(earned.earned_at),
        "expires_at": words.time(earned.expires_at),
        "expiry": expiry_text(history.version_of(origin.entry), earned.kind, earned.earned_at, earned.expires_at),
        "went": went,
    }
    view["since"] = _since(view, went)
    view["text"] = f"Lot {view['lot']}, {words.points(earned.points, earned.kind)}: {view['since']}"
    return view


def _since(view: dict[str, Any], went: list[dict[str, Any]]) -> str:
    """What became of a lot, in a sentence."""
    parts = [event["text"] for event in went[:6]]
    if len(went) > 6:
        parts.append(f"{count(len(went) - 6, 'more step')}")
    if view["left"]:
        state = "frozen" if view["pending"] else "left"
        all_ = "all " if view["left"] == view["earned"] else ""
        parts.append(f"{all_}{view['left']:,} {state}, good until {view['expires_at']}")
    if view["held"]:
        parts.append(f"{view['held']:,} on hold")
    if not view["left"] and not view["held"]:
        parts.append("nothing left")
    return "; ".join(parts) + "."


def _add(went: list[dict[str, Any]], event: dict[str, Any]) -> None:
    if event:
        went.append(event)


def _event(history: History, step: Step | None, change: Change, words: Words) -> dict[str, Any]:
    """One step of a lot's life; `points` are those that left it (negative: that came back)."""
    where = {"entry": step.entry.number, "occurred": words.time(step.entry.occurred)} if step else {"entry": None}
    place = f"in entry {step.entry.number}" if step else "since the last entry"
    match change:
        case Earned():
            return {}
        case Spent():
            use = redemption_text(history, change.redemption, words)
            return {
                "what": "spent",
                "points": change.points,
                **where,
                "redemption": change.redemption,
                "text": f"{change.points:,} spent on {use} {place}",
            }
        case Restored():
            cause = cause_text(step.fact) if step else ""
            return {
                "what": "restored",
                "points": -change.points,
                **where,
                "redemption": change.redemption,
                "text": f"{change.points:,} came back by {cause} {place}",
            }
        case Expired():
            at = words.time(change.due_at)
            return {
                "what": "expired",
                "points": change.points,
                **where,
                "due_at": at,
                "text": f"{change.points:,} expired at {at}",
            }
        case ClawedBack():
            cause = cause_text(step.fact) if step else ""
            return {
                "what": "clawed-back",
                "points": change.points,
                **where,
                "origin": change.origin,
                "text": f"{change.points:,} taken back by {cause} {place}",
            }
        case Repaid():
            return {
                "what": "repaid",
                "points": change.points,
                **where,
                "text": f"{change.points:,} repaid debt {place}",
            }
        case Held():
            return {
                "what": "held",
                "points": 0,
                **where,
                "held": change.points,
                "hold": change.hold,
                "text": f"{change.points:,} put on hold {change.hold} {place}",
            }
        case Captured():
            return {
                "what": "captured",
                "points": change.points,
                **where,
                "hold": change.hold,
                "text": f"{change.points:,} taken by hold {change.hold} {place}",
            }
        case Released():
            why = f"hold {change.hold} ended by itself" if change.due_at else f"hold {change.hold} was released"
            return {
                "what": "released",
                "points": 0,
                **where,
                "held": -change.points,
                "hold": change.hold,
                "text": f"{change.points:,} free again {place}: {why}",
            }
        case Confirmed():
            return {
                "what": "confirmed",
                "points": 0,
                **where,
                "text": f"{change.points:,} became spendable {place}, when a card was bought",
            }
    return {}


def redemption_text(history: History, redemption: str, words: Words) -> str:
    """What a redemption was for: order O9 by offset (抵现)."""
    data = history.redemptions.get(redemption)
    if data is not None:
        return f"order {data.order} by {words.use(data.use)}" if data.order else f"{words.use(data.use)} ({redemption})"
    return f"redemption {redemption}"


def cause_text(fact: Fact) -> str:
    """The fact that moved points in or out of a lot, briefly."""
    match fact:
        case OrderReturned():
            return f"return {fact.data.return_} of order {fact.data.order}"
        case OrderRejected():
            return f"order {fact.data.order} refused at the door"
        case ReviewRemoved():
            return f"the removal of review {fact.data.review}"
        case PointsAdjusted():
            return f"adjustment {fact.data.adjustment} ({fact.data.reason})"
    data = fact.data
    names = data.__struct_fields__[:1]
    what = str(fact.__struct_config__.tag).rsplit(".", 1)[0]
    return joined([what, *(str(getattr(data, name)) for name in names)], "of") if names else what
