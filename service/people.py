"""Who may sign in to the console, how many sessions each has open, and what an operator does about that.

Who was signed out may sign in again; who is blocked may not, until the block is lifted. Both concern the console alone:
what programs do with a key ends by revoking it.
"""

from contextlib import suppress
from typing import Literal

from ledger.wire.answers import Person
from ledger.wire.times import SECOND, Zone, to_text
from service.console.sessions import Opened, Sessions, SessionsDamaged, person_id
from service.keys import Keys, Somebody

Act = Literal["sign-out", "block", "unblock"]
MOST_WHY = 128  # characters, as a reason of a fact has
_NONE = Opened(0, 0)


def people_of(keys: Keys, sessions: Sessions | None, zone: Zone) -> list[Person]:
    """Return everybody who may sign in, the oldest first; without sessions (None) nothing is said of theirs."""
    opened = _opened(sessions)
    return [_described(one, opened, zone) for one in keys.people()]


def carry_out(keys: Keys, sessions: Sessions | None, name: str, act: Act, zone: Zone) -> Person:
    """Do an act that is recorded already, and return how it is then. Raises `BadKey`, and `SessionsDamaged`.

    A block needs no sessions: of somebody who is blocked none opens anything. Nobody is unblocked before they ended.
    """
    found = keys.block(name) if act == "block" else keys.somebody(name)
    try:
        if sessions is not None and (act != "unblock" or keys.is_blocked(name)):
            sessions.end_all(_id(found))  # one may have begun just as the block did: it must not come back
    except SessionsDamaged:
        if act != "block":
            raise
    if act == "unblock":
        found = keys.unblock(name)
    return _described(found, _opened(sessions), zone)


def _opened(sessions: Sessions | None) -> dict[str, Opened] | None:
    """Return the open sessions by whose they are; None where they cannot be read."""
    with suppress(SessionsDamaged):
        return None if sessions is None else sessions.opened()
    return None


def _id(somebody: Somebody) -> str:
    """Return what sessions are kept under."""
    return somebody.key or person_id(somebody.name)


def _described(somebody: Somebody, all_opened: dict[str, Opened] | None, zone: Zone) -> Person:
    opened = None if all_opened is None else all_opened.get(_id(somebody), _NONE)
    return Person(
        somebody.name,
        somebody.issuer or None,
        somebody.subject or None,
        somebody.key or None,
        to_text(somebody.since, zone),
        to_text(somebody.blocked, zone) if somebody.blocked else None,
        None if opened is None else opened.sessions,
        to_text(int(opened.used * SECOND), zone) if opened is not None and opened.sessions else None,
    )
