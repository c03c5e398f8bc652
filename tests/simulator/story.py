"""What is told to a simulated ledger: made-up histories of some members, rule books, and records that are no facts."""

import json
import re
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from ledger.rulebook.schema import shipped, shipped_names
from ledger.wire.times import to_instant
from tests.support import histories_of_members as between
from tests.support.histories import amended_history, changed_history, encode, history

Fact = dict[str, Any]
MAKERS = (history, history, changed_history, amended_history)
# Of the jd book: a later version may say otherwise.
CHANGES = (
    ("per_fen = 10_000, floor_fen = 1_000", "per_fen = 5_000"),
    ('per = "line", points = 1_000', 'per = "line", points = 800'),
    ('shortfall = "cash"', 'shortfall = "clamp"'),
    ('shortfall = "cash"', 'shortfall = "debt"'),
    ("{ from = 2026-01-01, days = 180 }", "{ from = 2026-01-01, days = 90 }"),
    ("one_star_limit = 200", "one_star_limit = 150"),
    ('"plus.month" = { days = 30, cap = 4_000', '"plus.month" = { days = 30, cap = 400'),
)


class Telling(NamedTuple):
    """A fact and the instant at which it can be told."""

    due: int
    fact: Fact


def tellings(random: Random, kept: tuple[int, ...] | None = None, about: str = "") -> list[Telling]:
    """Return the facts of some members in the order of time; they know each other where that is `about` something."""
    told = _of_members_together(random, about) if about else _of_members_apart(random)
    told.sort(key=lambda telling: telling.due)  # stable: a member's facts stay in order
    if kept is not None:
        told = [told[at] for at in kept if at < len(told)]
    return told


def _of_members_together(random: Random, about: str) -> list[Telling]:
    due, told = 0, []
    for fact in between.facts_of_members(random, about):
        due = max(due, to_instant(datetime.fromisoformat(fact["time"])))
        told.append(Telling(due, fact))
    return told


def _of_members_apart(random: Random) -> list[Telling]:
    made = random.choice(MAKERS)
    told: list[Telling] = []
    for number in range(random.randint(1, 6)):
        due = 0
        for fact in made(random, random.randint(5, 40)):
            fact = fact | {"subject": f"m-{number}"}
            due = max(due, to_instant(datetime.fromisoformat(fact["time"])))
            told.append(Telling(due, fact))
    return told


def first_book(random: Random, *, is_together: bool = False) -> str:
    """Return the TOML that a ledger is born with: a shipped one, most often jd, or that of members together."""
    if is_together:
        return between.book_of_members(random)
    name = "jd" if random.random() < 0.75 else random.choice(shipped_names())
    return shipped(name)


def later_book(random: Random, first: str, day: datetime) -> str:
    """Return the TOML of a version that begins at a day, and says something else than the first where that is known."""
    toml = re.sub(r"^from = \S+", f"from = {day.date().isoformat()}", first, count=1, flags=re.MULTILINE)
    for old, new in random.sample(between.CHANGES if between.PROGRAMME in first else CHANGES, 2):
        toml = toml.replace(old, new, 1)
    return toml


def bad_value(random: Random, fact: Fact) -> bytes:
    """Return bytes that are no fact of this ledger."""
    match random.randrange(5):
        case 0:
            return b"{"
        case 1:
            return b"\xff\xfe"
        case 2:
            return encode(fact | {"type": "order.eaten.v1"})
        case 3:
            return encode(fact | {"type": "account.frozen.v1", "source": "/shop", "data": {"reason": "x"}, "id": "bad"})
        case _:
            return json.dumps(fact)[:-7].encode()
