"""Sessions of the console: who signed in with which key, in memory, short; and the tokens that forms carry.

A session names its key and keeps no secret of it, so revoking the key ends it at once. A restart ends all.
"""

import hmac
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256

IDLE_SECONDS = 30 * 60  # without a request
LONGEST_SECONDS = 8 * 60 * 60
MOST = 1_000  # sessions; beyond it the oldest ends


@dataclass(slots=True)
class _Session:
    key: str  # its id
    began: float
    used: float


class Sessions:
    """The sessions of a server. Used in the event loop only."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[bytes, _Session] = {}

    def begin(self, key: str) -> str:
        """Begin a session of the key with an id; returns the text of its cookie."""
        while len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        token, now = secrets.token_urlsafe(32), time.monotonic()
        self._sessions[_hash(token)] = _Session(key, now, now)
        return token

    def key_of(self, token: str) -> str | None:
        """The id of the key of a session that holds; it goes on from now."""
        found, now = self._sessions.get(_hash(token)), time.monotonic()
        if found is None:
            return None
        if now - found.used > IDLE_SECONDS or now - found.began > LONGEST_SECONDS:
            self.end(token)
            return None
        found.used = now
        return found.key

    def end(self, token: str) -> None:
        """End a session, where there is one."""
        self._sessions.pop(_hash(token), None)

    def form_token(self, token: str) -> str:
        """What every form of a session carries, or of nobody where `token` is empty: no other site can read it."""
        return hmac.new(self._secret, token.encode(), sha256).hexdigest()

    def is_form_token(self, given: str, token: str) -> bool:
        """Whether a form of this session sent it."""
        return hmac.compare_digest(given.encode(), self.form_token(token).encode())


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
