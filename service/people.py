"""Who may sign in to the console, how many sessions each has open, and what an operator does about that.

Who was signed out may sign in again; who is blocked may not, until the block is lifted. Both concern the console alone:
what programs do with a key ends by revoking it.
"""

from typing import Literal

from ledger.wire.answers import Person
from ledger.wire.times import SECOND, Zone, to_text
from service.console.sessions import Opened, Sessions, person_id
from service.keys import Keys, Somebody

Act = Literal["sign-out", "block", "unblock"]
MOST_WHY = 128  # characters, as a reason of a fact has
_NONE = Opened(0, 0)


def people_of(keys: Keys, sessions: Sessions, zone: Zone) -> list[Person]:
    """Return everybody who may sign in, the oldest first."""
    opened = sessions.opened()
    return [_described(one, opened.get(_id(one), _NONE), zone) for one in keys.people()]


def carry_out(keys: Keys, sessions: Sessions, name: str, act: Act, zone: Zone) -> Person:
    """Do an act that is recorded already, and return how it is then. Raises `BadKey`."""
    was_blocked = keys.is_blocked(name)
    match act:
        case "block":
            found = keys.block(name)
        case "unblock":
            found = keys.unblock(name)
        case "sign-out":
            found = keys.somebody(name)
    if act != "unblock" or was_blocked:  # one may have begun just as the block did: it must not come back
        sessions.end_all(_id(found))
    return _described(found, sessions.opened().get(_id(found), _NONE), zone)


def _id(somebody: Somebody) -> str:
    """Return what sessions are kept under."""
    return somebody.key or person_id(somebody.name)


def _described(somebody: Somebody, opened: Opened, zone: Zone) -> Person:
    return Person(
        somebody.name,
        somebody.issuer or None,
        somebody.subject or None,
        somebody.key or None,
        to_text(somebody.since, zone),
        to_text(somebody.blocked, zone) if somebody.blocked else None,
        opened.sessions,
        to_text(int(opened.used * SECOND), zone) if opened.sessions else None,
    )
