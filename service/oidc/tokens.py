"""ID tokens: the signature by one of the issuer's keys, and every claim that says whom a token is for and when.

By OpenID Connect Core 1.0, 3.1.3.7, and RFC 8725: algorithms are ours and never the token's choice alone, a key signs
only as its type does, and nothing of a token is believed before its signature is checked.
"""

import hmac
from base64 import urlsafe_b64decode
from typing import Any, NamedTuple

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from msgspec import Struct

from ledger.errors import ControlFlow
from ledger.wire.unreadable import UNREADABLE

# What may sign: asymmetric alone. `none`, and HMAC, whose secret a public key could be taken for, are not here.
ALGORITHMS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), ECKey),
    "Ed25519": OKPKey,
}
LEAST_BITS = 2_048  # of an RSA key
MOST_BYTES = 64 << 10  # of a token
MOST_KEYS = 100  # of an issuer
SKEW_SECONDS = 60  # by which its clock may differ from ours
OLDEST_SECONDS = 600  # since a token was issued
MOST_SUBJECT = 255  # characters, by the standard


class BadToken(ControlFlow):
    """A token that is not believed, and why."""


class UnknownKey(BadToken):
    """No key of the issuer that is known has signed it: it may have a new one."""


class KeyOfIssuer(NamedTuple):
    """A key of an issuer's set; `id` and `algorithm` are empty where the set does not say them."""

    id: str
    algorithm: str
    key: RSAKey | ECKey | OKPKey


class Wanted(NamedTuple):
    """What a token has to say."""

    issuer: str
    client_id: str
    nonce: str
    now: float


class _Header(Struct, frozen=True):
    alg: str
    kid: str = ""


class _Claims(Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: int | float
    iat: int | float
    nonce: str = ""
    azp: str | None = None
    nbf: int | float | None = None


def keys_of(document: bytes) -> list[KeyOfIssuer]:
    """Return the keys of a JWK set that may sign; others are left out. Raises `BadToken` where it is no set."""
    try:
        found = msgspec.json.decode(document)
        rows = found["keys"][:MOST_KEYS]
    except (*UNREADABLE, KeyError, TypeError):
        raise BadToken("the issuer's keys are no JWK set") from None
    return [key for row in rows if (key := _key(row)) is not None]


def claims_of(token: str, keys: list[KeyOfIssuer], wanted: Wanted) -> dict[str, Any]:
    """Return the claims of an ID token that is right in every way. Raises `BadToken` and `UnknownKey`."""
    if len(token) > MOST_BYTES:
        raise BadToken(f"the ID token has more than {MOST_BYTES:,} bytes")
    header = _header(token)
    if header.alg not in ALGORITHMS:
        raise BadToken(f'the ID token is signed by "{header.alg[:20]}"; {", ".join(ALGORITHMS)} are taken')
    payload = _payload(token, header, keys)
    try:
        claims = msgspec.json.decode(payload, type=_Claims)
        found: dict[str, Any] = msgspec.json.decode(payload)
    except UNREADABLE as error:
        raise BadToken(f"the ID token's claims: {error}") from None
    for problem in _problems(claims, wanted):
        raise BadToken(problem)
    return found


def _key(row: Any) -> KeyOfIssuer | None:
    if not isinstance(row, dict) or row.get("use", "sig") != "sig":
        return None
    try:
        if "verify" not in row.get("key_ops", ["verify"]):
            return None
        key = JWKRegistry.import_key({name: value for name, value in row.items() if name not in ("use", "key_ops")})
    except Exception:  # whatever the library finds wrong with it: the others may do
        return None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < LEAST_BITS:
        return None
    return KeyOfIssuer(str(row.get("kid") or ""), str(row.get("alg") or ""), key)


def _header(token: str) -> _Header:
    head = token.partition(".")[0]
    try:
        return msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=_Header)
    except UNREADABLE:
        raise BadToken("the ID token is no signed JWT") from None


def _payload(token: str, header: _Header, keys: list[KeyOfIssuer]) -> bytes:
    """Return the payload, its signature checked. A token without a key's id may be signed by any that fits."""
    fitting = [
        one.key
        for one in keys
        if isinstance(one.key, ALGORITHMS[header.alg])
        and one.algorithm in ("", header.alg)
        and (not header.kid or one.id == header.kid)
    ]
    for key in fitting:
        try:
            payload: bytes = jws.deserialize_compact(token, key, algorithms=[header.alg]).payload
        except (JoseError, *UNREADABLE):
            continue
        return payload
    if header.kid and fitting:
        raise BadToken("the ID token's signature is not that of the key it names")
    raise UnknownKey("the ID token is signed by no key of the issuer")


def _problems(claims: _Claims, wanted: Wanted) -> list[str]:
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    found = []
    if claims.iss != wanted.issuer:
        found.append("the ID token is another issuer's")
    if wanted.client_id not in audience:
        found.append("the ID token is for another client")
    if claims.azp is not None and claims.azp != wanted.client_id:
        found.append("the ID token was issued to another client")
    if len(audience) > 1 and claims.azp is None:
        found.append("the ID token is for several clients and does not say to which it was issued")
    if not wanted.nonce or not hmac.compare_digest(claims.nonce.encode(), wanted.nonce.encode()):
        found.append("the ID token is not for this sign-in: its nonce is another")
    if claims.exp <= wanted.now - SKEW_SECONDS:
        found.append("the ID token has expired")
    if claims.iat > wanted.now + SKEW_SECONDS or (claims.nbf is not None and claims.nbf > wanted.now + SKEW_SECONDS):
        found.append("the ID token is of the future: one of the two clocks is wrong")
    if claims.iat < wanted.now - OLDEST_SECONDS:
        found.append(f"the ID token was issued more than {OLDEST_SECONDS} seconds ago")
    if not 0 < len(claims.sub) <= MOST_SUBJECT or not claims.sub.isprintable():
        found.append("the ID token names nobody")
    return found
