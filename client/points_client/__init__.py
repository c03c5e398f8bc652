"""A typed client of the Points Ledger's HTTP API: `Client` blocks, `AsyncClient` is awaited. Both answer alike.

with Client("http://127.0.0.1:8080", key) as points:
    decision = points.redeem("m-17850", "R123", 2_000, use="coupon", source="/shop/members")
    print(points.member("m-17850").points["beans"].spendable)

Any call may be retried: a fact counts once, however often it came. Every error is a `PointsError`:

    PointsError
    ├── Rejected          the server answered with a problem
    │   ├── Refused       a redemption was decided and refused
    │   ├── Conflict      a fact of the same source and id came before with other content
    │   ├── BadFact       what was given is no fact
    │   ├── NotAllowed    the key is missing, not valid, or lacks a scope
    │   └── NotFound      nobody knows this member, entry, lot or position
    ├── Unavailable       no answer after every attempt
    └── NotVerified       a webhook's message is not signed by the secret, or is too old

`points_client.webhooks.verify` checks the messages that a ledger's webhooks send.
"""

from points_client.answers import Decision, Taken
from points_client.clients import AsyncClient, Client
from points_client.errors import (
    BadFact,
    Conflict,
    NotAllowed,
    NotFound,
    NotVerified,
    PointsError,
    Refused,
    Rejected,
    Unavailable,
)

__all__ = [
    "AsyncClient",
    "BadFact",
    "Client",
    "Conflict",
    "Decision",
    "NotAllowed",
    "NotFound",
    "NotVerified",
    "PointsError",
    "Refused",
    "Rejected",
    "Taken",
    "Unavailable",
]
