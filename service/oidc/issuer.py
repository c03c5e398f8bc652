"""An OpenID Connect issuer, asked over HTTP: where people sign in, codes for ID tokens, and its keys.

Whatever it answers is bounded in size and time, no redirect is followed, and every address is https but for this
machine's own. While it does not answer it is asked again every few seconds only.
"""

import asyncio
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import httpx
import msgspec
from msgspec import Struct

from consumers.kafka.settings import OidcSettings
from ledger.errors import CannotRunNow
from ledger.wire.unreadable import UNREADABLE
from service.oidc.settings import is_safe
from service.oidc.tokens import BadToken, KeyOfIssuer, UnknownKey, Wanted, claims_of, keys_of

MOST_BYTES = 256 << 10  # of an answer
ANSWER_SECONDS = 10.0  # for the whole of one
KNOWN_SECONDS = 3_600.0  # for which what it says of itself, and its keys, are believed
AWAY_SECONDS = 5.0  # until it is asked again after it did not answer
NEW_KEYS_SECONDS = 30.0  # until it is asked for its keys again by a token that none of them signed
CALLBACK = "/console/sign-in/oidc/callback"
SIGNED_OUT = "/console/sign-in"
DISCOVERY = "/.well-known/openid-configuration"
MOST_VALUES = 1_000  # of the claim with the roles
_ERROR = re.compile(r"[a-z_]{1,64}")


class IssuerAway(CannotRunNow):
    """The issuer does not answer as one, and why."""


class SignInRefused(CannotRunNow):
    """Somebody does not get in: `reason` is ``refused`` or ``no-role``; the message says why."""

    can_retry = False

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class SignedIn(NamedTuple):
    """Who signed in: the subject, the name that is wanted, the roles that count, their scopes, and the ID token."""

    subject: str
    name: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    id_token: str


class Metadata(Struct, frozen=True):
    """What an issuer says of itself (OpenID Connect Discovery 1.0), as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(Struct, frozen=True):
    id_token: str
    access_token: str = ""


class _Error(Struct, frozen=True):
    error: str = ""


class Issuer:
    """The issuer that settings name; used in one event loop. `transport` is httpx's, for tests."""

    def __init__(self, settings: OidcSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        assert settings.issuer and settings.client_id and settings.url
        self.settings = settings
        self._issuer, self._client_id = settings.issuer, settings.client_id
        self._url = settings.url.rstrip("/")
        self._transport = transport
        self._tls: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()
        self._metadata: Metadata | None = None
        self._metadata_until = 0.0
        self._keys: list[KeyOfIssuer] = []
        self._keys_at: float | None = None
        self._away: tuple[float, str] = 0.0, ""  # until when it is not asked, and why it was away

    @property
    def host(self) -> str:
        """Return the issuer's host, for people."""
        return urlsplit(self._issuer).netloc

    async def authorization(self, state: str, nonce: str, challenge: str) -> str:
        """Return the address at which somebody signs in. Raises `IssuerAway`."""
        metadata = await self.metadata()
        return _with_query(
            metadata.authorization_endpoint,
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._url + CALLBACK,
                "scope": self.settings.scopes,
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            },
        )

    async def signed_in(self, code: str, verifier: str, nonce: str, said_by: str | None) -> SignedIn:
        """Return who a code is of. `said_by` is the issuer that the answer named. Raises `IssuerAway`, `SignInRefused`.

        The code is exchanged once; that it cannot be used again is the issuer's to see to.
        """
        metadata = await self.metadata()
        if said_by != self._issuer and (said_by is not None or metadata.authorization_response_iss_parameter_supported):
            raise SignInRefused("refused", "the answer is another issuer's (RFC 9207)")
        tokens = await self._exchanged(metadata, code, verifier)
        wanted = Wanted(self._issuer, self._client_id, nonce, time.time())
        try:
            claims = await self._checked(tokens.id_token, wanted)
        except BadToken as error:
            raise SignInRefused("refused", str(error)) from None
        more: dict[str, Any] = {}
        is_complete = self.settings.name_claim in claims and _claim(claims, self.settings.roles_claim) is not None
        if not is_complete and metadata.userinfo_endpoint and tokens.access_token:
            more = await self._user_info(metadata, tokens.access_token, claims["sub"])
        return self._person(claims, more, tokens.id_token)

    async def end_session(self, id_token: str) -> str:
        """Return the address that ends somebody's session with the issuer; empty where there is none, or it is away."""
        try:
            metadata = await self.metadata()
        except IssuerAway:
            return ""
        if not metadata.end_session_endpoint:
            return ""
        asked = {"client_id": self._client_id, "post_logout_redirect_uri": self._url + SIGNED_OUT}
        if id_token:
            asked["id_token_hint"] = id_token
        return _with_query(metadata.end_session_endpoint, asked)

    async def metadata(self) -> Metadata:
        """Return what the issuer says of itself, asked once an hour. Raises `IssuerAway`."""
        async with self._lock:
            if self._metadata is None or time.monotonic() >= self._metadata_until:
                document = await self._document(self._issuer.rstrip("/") + DISCOVERY)
                self._metadata = self._read_metadata(document)
                self._metadata_until = time.monotonic() + KNOWN_SECONDS
            return self._metadata

    async def keys(self, *, known_for: float = KNOWN_SECONDS) -> list[KeyOfIssuer]:
        """Return the issuer's keys, asked again where they have been known for longer. Raises `IssuerAway`."""
        metadata = await self.metadata()
        async with self._lock:
            if self._keys_at is None or time.monotonic() - self._keys_at >= known_for:
                try:
                    self._keys = keys_of(await self._document(metadata.jwks_uri))
                except BadToken as error:
                    raise self._is_away(str(error)) from None
                self._keys_at = time.monotonic()
            return self._keys

    def _read_metadata(self, document: bytes) -> Metadata:
        try:
            found = msgspec.json.decode(document, type=Metadata)
        except UNREADABLE as error:
            raise self._is_away(f"what it says of itself cannot be read: {error}") from None
        if found.issuer != self._issuer:
            raise self._is_away(f"it says that it is {found.issuer[:200]}; set oidc.issuer to exactly that")
        needed = found.authorization_endpoint, found.token_endpoint, found.jwks_uri
        for endpoint in (*needed, *filter(None, (found.end_session_endpoint, found.userinfo_endpoint))):
            if not is_safe(endpoint):
                raise self._is_away(f"its address {endpoint[:200]} is not https")
        methods = found.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise self._is_away("it does not take PKCE with S256")
        return found

    async def _checked(self, token: str, wanted: Wanted) -> dict[str, Any]:
        """Return the claims of a token; keys are asked for again, now and then, where none of them has signed it."""
        try:
            return claims_of(token, await self.keys(), wanted)
        except UnknownKey:
            return claims_of(token, await self.keys(known_for=NEW_KEYS_SECONDS), wanted)

    async def _exchanged(self, metadata: Metadata, code: str, verifier: str) -> _Tokens:
        """Return the tokens that a code is good for. Raises `IssuerAway` and `SignInRefused`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._url + CALLBACK,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        secret = self.settings.client_secret
        if secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(secret.reveal())}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": secret.reveal()}
        status, body = await self._answer("POST", metadata.token_endpoint, form, headers)
        if status in (400, 401, 403):
            raise SignInRefused("refused", f"the issuer refused the code: {status} {_error_in(body)}")
        if status != 200:
            raise self._not_as_one(_answered(metadata.token_endpoint, status))
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except UNREADABLE:
            raise SignInRefused("refused", "the issuer answered without an ID token") from None

    async def _user_info(self, metadata: Metadata, access_token: str, subject: str) -> dict[str, Any]:
        """Return the claims that are not in the ID token (OpenID Connect Core 1.0, 5.3). Raises as `_exchanged`."""
        headers = {"Authorization": f"Bearer {access_token}"}
        status, body = await self._answer("GET", metadata.userinfo_endpoint, headers=headers)
        if status != 200:
            raise self._not_as_one(_answered(metadata.userinfo_endpoint, status))
        try:
            claims = msgspec.json.decode(body, type=dict[str, Any])
        except UNREADABLE:
            raise SignInRefused("refused", "what the issuer says of the person is no JSON object") from None
        if claims.get("sub") != subject:
            raise SignInRefused("refused", "what the issuer says of the person is about another subject")
        return claims

    def _person(self, claims: Mapping[str, Any], more: Mapping[str, Any], token: str) -> SignedIn:
        """Return who the claims of a token are of; `more` stands in for those that it lacks. Raises `SignInRefused`."""
        subject, path = str(claims["sub"]), self.settings.roles_claim
        held = _values(more if _claim(claims, path) is None else claims, path)
        roles = tuple(role for role in self.settings.roles if role in held)
        if not roles:
            known = ", ".join(self.settings.roles)
            raise SignInRefused(
                "no-role",
                f"{subject} has no role here: {path} has none of {known}",
            )
        scopes = tuple(dict.fromkeys(scope for role in roles for scope in self.settings.roles[role]))
        return SignedIn(subject, _name({**more, **claims}, self.settings.name_claim), roles, scopes, token)

    async def _document(self, url: str) -> bytes:
        """Return a document that everybody who signs in needs. Raises `IssuerAway`, and for some seconds unasked."""
        until, why = self._away
        if time.monotonic() < until:
            raise IssuerAway(why)
        try:
            status, body = await self._answer("GET", url)
        except IssuerAway as away:
            self._away = time.monotonic() + AWAY_SECONDS, str(away)
            raise
        if status != 200:
            raise self._is_away(_answered(url, status))
        return body

    async def _answer(
        self, method: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer. Raises `IssuerAway`, to this caller alone."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._client() as client:
                asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
                async with client.stream(method, url, data=form, headers=asked) as answer:
                    return answer.status_code, await _body_of(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ssl.SSLError, OSError, ValueError) as error:
            raise self._not_as_one(str(error) or type(error).__name__) from None

    def _client(self) -> httpx.AsyncClient:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
            if self.settings.ca_file is not None:
                self._tls.load_verify_locations(cafile=self.settings.ca_file)
        return httpx.AsyncClient(
            verify=self._tls, timeout=ANSWER_SECONDS, follow_redirects=False, transport=self._transport
        )

    def _is_away(self, why: str) -> IssuerAway:
        """Return the error of an issuer that nobody asks for some seconds."""
        away = self._not_as_one(why)
        self._away = time.monotonic() + AWAY_SECONDS, str(away)
        return away

    def _not_as_one(self, why: str) -> IssuerAway:
        return IssuerAway(f"the issuer {self._issuer} does not answer as one: {why}")


async def _body_of(answer: httpx.Response) -> bytes:
    """Return a bounded body. Raises `ValueError`."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise ValueError("its answer is compressed, which was not asked for")
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            raise ValueError(f"its answer has more than {MOST_BYTES:,} bytes")
    return body


def _answered(url: str, status: int) -> str:
    return f"{urlsplit(url).path} answered {status}"


def _error_in(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_Error).error
    except UNREADABLE:
        return ""
    return error if _ERROR.fullmatch(error) else ""


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim, None where there is none; dots lead into objects, unless a claim has the whole name."""
    found: Any = claims
    for name in [path] if path in claims else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _values(claims: Mapping[str, Any], path: str) -> Sequence[Any]:
    found = _claim(claims, path)
    return found[:MOST_VALUES] if isinstance(found, list) else [found] if isinstance(found, str) else []


def _name(claims: Mapping[str, Any], wanted: str) -> str:
    """Return the first name that a person has: the one that is wanted, a user name, or the subject.

    An address that the issuer says is not verified is nobody's name.
    """
    for claim in (wanted, "preferred_username", "sub"):
        name = claims.get(claim)
        if claim == "email" and claims.get("email_verified", True) is not True:
            continue
        if isinstance(name, str) and name.strip() and name.isprintable():
            return name.strip()
    return "?"


def _with_query(address: str, values: Mapping[str, str]) -> str:
    """Return an address with values behind those that it has."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(values, quote_via=quote)}"
