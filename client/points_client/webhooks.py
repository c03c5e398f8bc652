"""Webhooks of a ledger, checked as Standard Webhooks has it: who sent a message, and that it is not an old one.

message = verify("whsec_…", request.headers, request.body)
for entry in message.entries:
    ...  # `partition` and `place` name it for ever: some come again after a failure
"""

import hmac
import time
from base64 import b64decode
from binascii import Error
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import DecodeError, Struct
from msgspec.json import decode

from points_client.answers import PublishedDecision
from points_client.errors import NotVerified

SECONDS = 300  # that a message may be old, or ahead of this clock
MOST_BYTES = 64 << 20  # of a message; the ledger's own are smaller
_SIGNATURES = 16  # of one message that are looked at


class _Data(Struct, frozen=True):
    ledger: str
    entries: list[PublishedDecision]
    partition: int | None = None


class _Body(Struct, frozen=True):
    type: str
    timestamp: str
    data: _Data


class Message(Struct, frozen=True):
    """A message that is verified: entries of one partition in order, none in one that `points webhooks test` sent.

    `id` is the same where the same entries are sent again. `ledger` is the ledger's identity.
    """

    id: str
    type: str
    ledger: str
    partition: int | None
    entries: list[PublishedDecision]


def verify(
    secret: str | Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> Message:
    """Return the message that a request carries. Raises `NotVerified`; answer 400 then.

    `secret` is what `points webhooks add` printed (``whsec_…``), or several while one replaces another. `body` is the
    request's, byte by byte. `now` is in seconds since 1970 UTC, by default this machine's clock.
    """
    given = {name.lower(): value for name, value in headers.items()}
    name, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "").split()[:_SIGNATURES]
    if not (name and at and signatures):
        raise NotVerified("webhook-id, webhook-timestamp or webhook-signature is missing")
    if len(body) > MOST_BYTES:
        raise NotVerified(f"the body has more than {MOST_BYTES:,} bytes")
    if not (at.isascii() and at.isdecimal() and len(at) <= 12):
        raise NotVerified("webhook-timestamp is no number of seconds")
    clock = time.time() if now is None else now
    if abs(clock - int(at)) > SECONDS:
        raise NotVerified(f"the message is more than {SECONDS} seconds from this machine's clock")
    signed = f"{name}.{at}.".encode() + body
    secrets = [secret] if isinstance(secret, str) else secret
    wanted = [hmac.new(_key(one), signed, sha256).digest() for one in secrets]
    found = [_signature(text) for text in signatures]
    if not any(hmac.compare_digest(one, other) for one in wanted for other in found):
        raise NotVerified("no signature is by this secret")
    try:
        message = decode(body, type=_Body)
    except DecodeError as error:
        raise NotVerified(f"the message is none of a ledger's: {error}") from None
    return Message(name, message.type, message.data.ledger, message.data.partition, message.data.entries)


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except (Error, ValueError):
        key = b""
    if not key:
        raise ValueError("the secret is whsec_ and base64, as `points webhooks add` printed it")
    return key


def _signature(text: str) -> bytes:
    version, _, encoded = text.partition(",")
    try:
        return b64decode(encoded, validate=True) if version == "v1" else b""
    except (Error, ValueError):
        return b""
