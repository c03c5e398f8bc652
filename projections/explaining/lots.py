"""Where a lot's points came from and went: each step with the entry it stands in, to the last point."""

import re
from typing import Any

from ledger.rulebook.compiled import ProgrammeVersion
from ledger.wire.entries import Change, Earned, Waiting, lot_named, lot_text
from projections.explaining.facts import cause_text, name_of, origin_text, redemption_text
from projections.explaining.history import History, NothingToExplain, Step
from projections.explaining.movements import LIFE, TAGS
from projections.explaining.words import Words

MOST_EVENTS = 6  # of a lot's life that its sentence has


_LOT = re.compile(r"[0-9]{1,18}\.[0-9]{0,17}[1-9][0-9]{0,17}(~[0-9]{1,4}\.[0-9]{1,4})?")


def lot_of(text: str) -> int:
    """A lot's key from its name, entry.place, perhaps with whose it is behind it. Raises `NothingToExplain`."""
    if not _LOT.fullmatch(text):
        raise NothingToExplain(f'"{text}" is not a lot; a lot is named entry.place, such as 3.1')
    return lot_named(text)


def lot_name(history: History, key: int, words: Words) -> str:
    """A lot with its origin, as a sentence names it."""
    story = history.lots.get(key)
    return words.say("lot", lot=lot_text(key), origin=origin_text(story, words) if story else "")


def lot_brief(history: History, key: int, words: Words) -> dict[str, Any]:
    """A lot that a change touched, with its origin."""
    view: dict[str, Any] = {"lot": lot_text(key)}
    if story := history.lots.get(key):
        origin = origin_text(story, words)
        view |= {"entry": story.origin.entry.number, "rule": story.earned.rule, "origin": origin}
    return view


def expiry_text(version: ProgrammeVersion, earned: Earned, words: Words) -> str:
    """Which expiry of the book gave a lot its end; says so where it was none of them."""
    kind, earned_at = earned.kind, earned.earned_at
    if kind not in version.expiries or version.expires_at(kind, earned_at) != earned.expires_at:
        return words.say("expiry.given")
    period = version.period_at(kind, earned_at)
    number = period.number
    if period.how in ("end_of_year_after", "end_of_month_after"):
        unit = "year" if period.how == "end_of_year_after" else "month"
        return words.say(f"expiry.{unit}-{number}" if number < 2 else f"expiry.{unit}", period)
    return words.say(f"expiry.{period.how}", period)


def describe_lot(history: History, key: int, words: Words) -> dict[str, Any]:
    """A lot at the present: where it came from, what is left of it, and until when."""
    story = history.lots[key]
    earned = story.earned
    lot = history.present.account.purse(earned.kind).lots.get(key)
    return {
        "lot": lot_text(key),
        "entry": story.origin.entry.number,
        "rule": earned.rule,
        "rule_name": words.rule_name(earned.rule),
        "origin": origin_text(story, words),
        "earned": earned.points,
        "left": lot.left if lot else 0,
        "held": lot.held if lot else 0,
        "pending": bool(lot and lot.pending_until),
        "earned_at": words.time(earned.earned_at),
        "expires_at": words.end(earned.expires_at),
    }


def explain_lot_story(history: History, key: int, words: Words) -> dict[str, Any]:
    """A lot's whole life: what became of it in each entry, and what is left at the present."""
    story, view = history.lots[key], describe_lot(history, key, words)
    earned = story.earned
    view["kind"] = earned.kind
    now = history.present.changes
    since = [(None, c) for c in now if getattr(c, "lot", None) == key and not isinstance(c, Waiting)]
    view["expiry"] = expiry_text(history.version_of(story.origin.entry), earned, words)
    view["went"] = [_event(history, step, change, words) for step, change in (*story.events, *since)]
    view["since"] = _since(view, words)
    amount = words.points(earned.points, earned.kind)
    view["text"] = words.say("lot.text", lot=view["lot"], amount=amount, since=view["since"])
    return view


def _since(view: dict[str, Any], words: Words) -> str:
    """What became of a lot, in a sentence."""
    went, left = view["went"], view["left"]
    parts = [event["text"] for event in went[:MOST_EVENTS]]
    if more := len(went[MOST_EVENTS:]):
        parts.append(words.say("lot.more", more=more))
    if left:
        parts.append(words.say("lot.left", view, all=left == view["earned"]))
    if view["held"]:
        parts.append(words.say("lot.held", view))
    if not left and not view["held"]:
        parts.append(words.say("lot.gone"))
    return f"{words.speech.semicolon.join(parts)}{words.speech.stop.rstrip()}"


def _event(history: History, step: Step | None, change: Change, words: Words) -> dict[str, Any]:
    """One step of a lot's life; `points` are those that left it (negative: that came back)."""
    what, moves, points = TAGS[type(change)], LIFE[type(change)], getattr(change, "points", 0)
    points += getattr(change, "held", 0)
    view: dict[str, Any] = {"what": what, "points": moves.out_of_lot * points, "entry": None}
    if step is not None:
        view |= {"entry": step.entry.number, "occurred": words.time(step.entry.occurred)}
    if moves.onto_hold:
        view["held"] = moves.onto_hold * points
    for name in moves.told:
        value = getattr(change, name)
        view[name] = words.time(value) if name == "due_at" else value
    view["text"] = words.say(
        f"event.{what}.{name_of(step.decided) if step else ''}",
        change,
        use=redemption_text(history, getattr(change, "redemption", ""), words),
        cause=cause_text(step.decided, words) if step else "",
        place=words.say("place.entry", step.entry) if step else words.say("place.since"),
    )
    return view
