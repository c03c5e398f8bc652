"""Sign-in with an OpenID Connect issuer: a real one through a real server, and every answer that must not be believed.

The attacks come from an issuer that can be told to lie; those through the browser go to the server itself.
"""

import asyncio
import hmac
import json
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from consumers.kafka.settings import BadSettings, OidcSettings, load_oidc
from ledger.errors import CannotRunNow
from service.console.sessions import SIGN_IN_SECONDS, Person, Sessions
from service.console.signing import person_cookie
from service.keys import BadKey, Keys
from service.oidc import issuer as asking
from service.oidc.issuer import Issuer, IssuerAway, SignedIn, SignInRefused
from service.oidc.settings import signing_in
from tests.support.issuers import RealIssuer, real_issuer
from tests.support.ledgers import ingested, scratch
from tests.support.served import ROOT, Server, environment, grant, points, served

CONSOLE = "http://localhost:1"  # where browsers would reach the console; these clients know better
ISSUER, CLIENT = "https://id.example/shop", "points"
ROLES = {"support": ("members:read", "operate", "goodwill:50"), "auditor": ("books:read",)}
SETTINGS = OidcSettings(issuer=ISSUER, client_id=CLIENT, url="https://points.example", roles=ROLES)
KEY, OTHER_KEY = RSAKey.generate_key(2_048), RSAKey.generate_key(2_048)


class Lying:
    """An issuer that answers as it is told. `claims` and `header` stand in its next token, signed by `key`."""

    def __init__(self, **settings: Any) -> None:
        now = int(time.time())
        self.claims: dict[str, Any] = {
            **{"iss": ISSUER, "sub": "u-1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": "n"},
            **{"email": "ann@shop.example", "roles": ["support"]},
        }
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "a"}
        self.key: Any = KEY
        self.set: dict[str, Any] = {"keys": [KEY.as_dict(private=False, kid="a")]}
        self.says: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
        }
        self.person: dict[str, Any] = {"sub": "u-1"}  # at the endpoint that tells of a person
        self.status = {"token": 200, "userinfo": 200}
        self.asked: list[str] = []
        self.issuer = Issuer(SETTINGS if not settings else _changed(**settings), httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        self.asked.append(name)
        match name:
            case "openid-configuration":
                return _answered(self.says)
            case "keys":
                return _answered(self.set)
            case "userinfo":
                assert request.headers["authorization"] == "Bearer x"
                return _answered(self.person, self.status[name])
        return _answered({"id_token": self.token(), "access_token": "x", "token_type": "Bearer"}, self.status[name])

    def token(self) -> str:
        body = json.dumps(self.claims).encode()
        return jws.serialize_compact(self.header, body, self.key, algorithms=[self.header["alg"]])

    def sign_in(self, said_by: str | None = None) -> SignedIn:
        return asyncio.run(self.issuer.signed_in("c", "v", "n", said_by))


def _answered(document: Any, status: int = 200) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(document).encode()

    return httpx.Response(status, content=body())


def _changed(**settings: Any) -> OidcSettings:
    return OidcSettings(**{name: settings.get(name, getattr(SETTINGS, name)) for name in SETTINGS.__struct_fields__})


def test_who_an_issuer_says_somebody_is_gets_the_scopes_of_the_roles() -> None:
    found = Lying().sign_in()
    assert (found.subject, found.name, found.roles) == ("u-1", "ann@shop.example", ("support",))
    assert found.scopes == ROLES["support"]
    both = Lying()
    both.claims |= {"roles": ["auditor", "support", "x"], "email_verified": False, "preferred_username": "ann"}
    assert both.sign_in().name == "ann" and both.sign_in().scopes == (*ROLES["support"], "books:read")
    nested = Lying(roles_claim="realm_access.roles", name_claim="sub")
    nested.claims |= {"realm_access": {"roles": ["auditor"]}, "roles": "support"}
    assert nested.sign_in()[:4] == ("u-1", "u-1", ("auditor",), ("books:read",))


def test_claims_that_the_token_lacks_are_asked_for_and_those_that_it_has_count() -> None:
    lying = Lying(roles_claim="realm_access.roles")
    lying.claims["realm_access"] = {"more": 1}
    lying.claims.pop("email")
    lying.person |= {"email": "ann@shop.example", "realm_access": {"roles": ["auditor"]}, "roles": ["support"]}
    assert lying.sign_in()[:3] == ("u-1", "ann@shop.example", ("auditor",))
    lying.claims |= {"realm_access": {"roles": ["support"]}, "email": "ann@a.example"}
    asked = lying.asked.count("userinfo")
    assert lying.sign_in()[:3] == ("u-1", "ann@a.example", ("support",))
    assert lying.asked.count("userinfo") == asked == 1
    lying.claims["realm_access"] = {"roles": []}  # no role is what it says
    with pytest.raises(SignInRefused, match="no role here"):
        lying.sign_in()


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({"sub": "u-2", "roles": ["support"]}, "another subject"),
        ({"roles": ["support"]}, "another subject"),
        (["support"], "no JSON object"),
        ({"sub": "u-1"}, "no role here"),
    ],
)
def test_claims_of_somebody_else_are_not_taken(person: Any, why: str) -> None:
    lying = Lying()
    lying.claims.pop("roles")
    lying.person = person
    with pytest.raises(SignInRefused, match=why):
        lying.sign_in()


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("part", ["token", "userinfo"])
def test_an_answer_to_one_person_keeps_nobody_else_out(part: str, status: int) -> None:
    lying = Lying()
    lying.claims.pop("roles")
    lying.person["roles"] = ["support"]
    lying.status[part] = status
    for _ in range(2):
        with pytest.raises(IssuerAway, match=f"/{part} answered {status}"):
            lying.sign_in()
    lying.status[part] = 200
    assert lying.sign_in().subject == "u-1"  # at once


@pytest.mark.parametrize("roles", [None, [], ["admin"], "", {"support": True}, [["support"]], 7])
def test_without_a_role_nobody_gets_in(roles: Any) -> None:
    lying = Lying()
    lying.claims["roles"] = roles
    with pytest.raises(SignInRefused, match="u-1 has no role here") as found:
        lying.sign_in()
    assert found.value.reason == "no-role"


def _is(**claims: Any) -> Callable[[Lying], None]:
    return lambda lying: lying.claims.update(claims)


def _by_public_key(lying: Lying) -> None:
    """HMAC, with what everybody knows for a secret; by hand, since the library would not sign so."""
    signed = f"{_encoded({'alg': 'HS256', 'kid': 'a'})}.{_encoded(lying.claims)}"
    seal = hmac.new(KEY.as_pem(private=False), signed.encode(), sha256).digest()
    lying.token = lambda: f"{signed}.{urlsafe_b64encode(seal).rstrip(b'=').decode()}"  # type: ignore[method-assign]


def _unsigned(lying: Lying) -> None:
    signed = f"{_encoded({'alg': 'none', 'kid': 'a'})}.{_encoded(lying.claims)}"
    lying.token = lambda: f"{signed}."  # type: ignore[method-assign]


def _altered(lying: Lying) -> None:
    head, _, seal = lying.token().split(".")
    token = f"{head}.{_encoded({**lying.claims, 'sub': 'root'})}.{seal}"
    lying.token = lambda: token  # type: ignore[method-assign]


def _encoded(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _by_another_type(lying: Lying) -> None:
    lying.header, lying.key = {"alg": "ES256", "kid": "a"}, ECKey.generate_key("P-256")


def _by_a_short_key(lying: Lying) -> None:
    lying.key = RSAKey.generate_key(1_024)
    lying.set = {"keys": [lying.key.as_dict(private=False, kid="a")]}


ATTACKS: dict[str, tuple[Callable[[Lying], None], str]] = {
    "another nonce": (_is(nonce="m"), "nonce is another"),
    "no nonce": (_is(nonce=""), "nonce is another"),
    "another issuer": (_is(iss="https://id.example/other"), "another issuer's"),
    "the issuer with a slash": (_is(iss=f"{ISSUER}/"), "another issuer's"),
    "another audience": (_is(aud="other"), "another client"),
    "an audience of others": (_is(aud=["other", "more"]), "another client"),
    "an audience that does not say which": (_is(aud=[CLIENT, "other"]), "several clients"),
    "issued to another": (_is(aud=[CLIENT, "other"], azp="other"), "issued to another"),
    "expired": (_is(exp=int(time.time()) - 61), "has expired"),
    "issued long ago": (_is(iat=int(time.time()) - 601), "issued more than"),
    "of the future": (_is(iat=int(time.time()) + 36_000), "of the future"),
    "not yet": (_is(nbf=int(time.time()) + 36_000), "of the future"),
    "nobody": (_is(sub=""), "names nobody"),
    "a subject without end": (_is(sub="u" * 256), "names nobody"),
    "a subject of two lines": (_is(sub="u\nroot"), "names nobody"),
    "a subject that is no text": (_is(sub=7), "claims"),
    "an expiry that is a text": (_is(exp="never"), "claims"),
    "alg none": (_unsigned, 'signed by "none"'),
    "HS256 with the public key": (_by_public_key, 'signed by "HS256"'),
    "altered": (_altered, "not that of the key"),
    "another's signature": (lambda lying: setattr(lying, "key", OTHER_KEY), "not that of the key"),
    "an algorithm of another type": (_by_another_type, "no key of the issuer"),
    "a key that is too short": (_by_a_short_key, "no key of the issuer"),
    "another key's id": (lambda lying: lying.header.update(kid="b"), "no key of the issuer"),
    "a key for encryption": (lambda lying: lying.set["keys"][0].update(use="enc"), "no key of the issuer"),
    "no token": (lambda lying: setattr(lying, "token", lambda: "x"), "no signed JWT"),
    "a token without end": (lambda lying: setattr(lying, "token", lambda: "x" * 70_000), "bytes"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_token_that_is_wrong_lets_nobody_in(name: str) -> None:
    attack, why = ATTACKS[name]
    lying = Lying()
    attack(lying)
    with pytest.raises(SignInRefused, match=why) as found:
        lying.sign_in()
    assert found.value.reason == "refused"


def test_an_answer_of_another_issuer_is_not_taken() -> None:
    assert Lying().sign_in(said_by=ISSUER)
    with pytest.raises(SignInRefused, match="another issuer's"):
        Lying().sign_in(said_by="https://evil.example")
    silent = Lying()
    silent.says["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(SignInRefused, match="another issuer's"):
        silent.sign_in()


def test_a_new_key_is_asked_for_once_and_not_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lying = Lying()
    lying.sign_in()
    lying.key, lying.header = OTHER_KEY, {"alg": "RS256", "kid": "b"}
    lying.set = {"keys": [OTHER_KEY.as_dict(private=False, kid="b")]}
    for _ in range(3):
        with pytest.raises(SignInRefused, match="no key of the issuer"):
            lying.sign_in()
    assert lying.asked.count("keys") == 1  # the first answer is seconds old
    monkeypatch.setattr(asking, "NEW_KEYS_SECONDS", 0.0)
    assert lying.sign_in().subject == "u-1" and lying.asked.count("keys") == 2
    lying.sign_in()
    assert lying.asked.count("keys") == 2
    lying.key, lying.header = KEY, {"alg": "RS256", "kid": "a"}
    with pytest.raises(SignInRefused, match="no key of the issuer"):  # the one before is believed no more
        lying.sign_in()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"issuer": "https://id.example/other"}, "it says that it is"),
        ({"token_endpoint": "http://id.example/token"}, "is not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "is not https"),
        ({"authorization_endpoint": "https://ann@id.example/"}, "is not https"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "is not https"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"jwks_uri": None}, "cannot be read"),
        ({"more": "x" * 300_000}, "more than"),
    ],
)
def test_an_issuer_that_is_not_what_it_should_be_is_away(said: dict[str, Any], why: str) -> None:
    lying = Lying()
    lying.says |= said
    for _ in range(3):
        with pytest.raises(IssuerAway, match=why):
            lying.sign_in()
    assert lying.asked == ["openid-configuration"]  # and is left alone for some seconds


def test_an_address_to_sign_in_at_has_what_pkce_and_the_protocol_want() -> None:
    with closing(Sessions()) as sessions:
        _, begun = sessions.begin_sign_in("/console")
    where = urlsplit(asyncio.run(Lying().issuer.authorization(begun.state, begun.nonce, begun.challenge)))
    asked = {name: values[0] for name, values in parse_qs(where.query).items()}
    assert asked["code_challenge"] == urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code" and asked["tenant"] == "1"
    assert asked["redirect_uri"] == "https://points.example/console/sign-in/oidc/callback"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"], begun.verifier}) == 4
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))


def test_a_sign_in_is_finished_once_by_the_browser_that_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Sessions()) as sessions, closing(Sessions()) as others:
        cookie, begun = sessions.begin_sign_in("/console/member?id=钱")
        other_cookie, other = sessions.begin_sign_in("/console")
        assert sessions.finish_sign_in(cookie, other.state) is None  # another sign-in's answer
        assert others.finish_sign_in(cookie, begun.state) is None  # another server's
        for forged in ("", ".", "1.2.3.4", cookie[:-1], f"9{cookie}", "ä" * 9):
            assert sessions.finish_sign_in(forged, begun.state) is None
        assert sessions.finish_sign_in(cookie, "\udcff") is None
        assert sessions.finish_sign_in(cookie, begun.state) == begun
        assert sessions.finish_sign_in(cookie, begun.state) is None
        now = time.time()
        monkeypatch.setattr("service.console.sessions.time.time", lambda: now + SIGN_IN_SECONDS + 2)
        assert sessions.finish_sign_in(other_cookie, other.state) is None


def test_a_cookie_of_who_came_back_by_https_goes_by_https_alone() -> None:
    request: Any = SimpleNamespace(headers={}, url=SimpleNamespace(scheme="http"))  # a proxy that does not say
    for url, is_secure in (("https://p.example", True), ("http://localhost:1", False)):
        issuer: Any = SimpleNamespace(settings=SimpleNamespace(url=url))
        assert person_cookie(request, issuer, "t", 60).secure is is_secure


@pytest.mark.parametrize("wrong", [7, None, {"verify": 1}])
def test_a_key_that_is_no_key_is_left_out(wrong: Any) -> None:
    lying = Lying()
    lying.set["keys"].insert(0, {**lying.set["keys"][0], "key_ops": wrong})
    assert lying.sign_in().subject == "u-1"


def test_a_person_keeps_one_name_and_nobody_else_gets_it(tmp_path: Path) -> None:
    with closing(Keys(tmp_path)) as keys:
        keys.new("bob", ["operate"])
        assert keys.person(ISSUER, "u-1", "ann") == "ann"
        assert keys.person(ISSUER, "u-1", "bob") == "ann"  # renamed there, and one here
        others = {keys.person(ISSUER, "u-2", "ann"), keys.person("https://b.example", "u-1", "ann")}
        others |= {keys.person(ISSUER, "u-3", "bob"), keys.person(ISSUER, "u-4", "local")}
        others.add(keys.person(ISSUER, "u-7", "bootstrap"))
        assert len(others) == 5 and all(len(name) <= 64 for name in others)
        assert not others & {"ann", "bob", "local", "bootstrap"}
        with pytest.raises(BadKey, match="signed in"):
            keys.new("ann", ["operate"])
        assert len(keys.person(ISSUER, "u-5", "x" * 300)) == 64 == len(keys.person(ISSUER, "u-6", "x" * 300))


def test_the_first_key_is_made_although_somebody_has_its_name(tmp_path: Path) -> None:
    file, text = tmp_path / "key", f"points_{'0' * 12}_{'s' * 32}"
    file.write_text(text)
    with closing(Keys(tmp_path)) as keys:
        keys._db.run("INSERT INTO people VALUES (?, ?, 'bootstrap', 1)", ISSUER, "u-1")  # before it was kept free
        made = keys.bootstrap(file)
        assert made is not None and made.name == "bootstrap 000000000000" and keys.find(text) == made
        assert keys.bootstrap(file) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('url = "https://p.example"', "oidc.issuer is not"),
        ('issuer = "http://id.example"', "is not https"),
        ('issuer = "https://id.example"\nclient_id = "p"\nurl = "https://p.example"', "nobody could sign in"),
        ('issuer = "https://id.example"\nclient_id = "p"\nurl = "https://p.example/x"', "has a path"),
        ('issuer = "https://id.example"\nclient_id = "p"\n[oidc.roles]\na = ["all"]', "url: is missing"),
        ('issuer = "https://id.example"\nurl = "https://p.example"\nclient_id = "p"\n[oidc.roles]\na = ["all"]', "all"),
        ('issuer = "https://id.example"\nsession_minutes = 1_000', "session_minutes"),
        ('issuer = "https://id.example"\nclient_secret = "x"\nclient_secret_file = "y"', "given twice"),
    ],
)
def test_settings_that_cannot_be_used_are_named(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "points.toml"
    file.write_text(f"[oidc]\n{text}\n")
    with pytest.raises(BadSettings, match=why):
        signing_in(file, {})


def test_variables_say_how_to_sign_in_too(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    said = {
        "POINTS_OIDC_ISSUER": ISSUER,
        "POINTS_OIDC_CLIENT_ID": CLIENT,
        "POINTS_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        "POINTS_OIDC_URL": "https://points.example",
        "POINTS_OIDC_ROLES": '{"support": ["members:read"]}',
    }
    found = signing_in(None, said)
    assert found is not None and found.roles == {"support": ("members:read",)}
    assert found.client_secret is not None and found.client_secret.reveal() == "s3cret" and "s3cret" not in repr(found)
    assert load_oidc(None, {}) is None
    for name, value in (("POINTS_OIDC_ROLES", "support"), ("POINTS_OIDC_ISUER", "x")):
        with pytest.raises(BadSettings, match=name):
            load_oidc(None, {**said, name: value})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr("service.oidc.settings.resolve_name", missing)
    said = {"ISSUER": ISSUER, "CLIENT_ID": CLIENT, "URL": "https://p.example", "ROLES": '{"a": ["operate"]}'}
    with pytest.raises(CannotRunNow, match="joserfc is not installed"):
        signing_in(None, {f"POINTS_OIDC_{name}": value for name, value in said.items()})


@pytest.fixture(scope="module")
def issuer() -> Iterator[RealIssuer]:
    with real_issuer() as found:
        found.person("u-ann", email="ann@shop.example", roles=["support"])
        found.person("u-eve", email="eve@shop.example", roles=["visitor"])
        yield found


@pytest.fixture(scope="module")
def server(issuer: RealIssuer) -> Iterator[Server]:
    with scratch() as folder:
        ingested(folder, [grant("m-1", "g-1", 500)]).close()
        id, secret = issuer.client(CONSOLE)
        (folder / "secret").write_text(secret)
        (folder / "points.toml").write_text(
            f'[oidc]\nissuer = "{issuer.url}"\nclient_id = "{id}"\nclient_secret_file = "{folder / "secret"}"\n'
            f'url = "{CONSOLE}"\n[oidc.roles]\nsupport = ["members:read", "operate", "goodwill:50"]\n'
        )
        with served(folder / "ledger", "--config", str(folder / "points.toml")) as found:
            yield found


def went_to_the_issuer(browser: httpx.Client, subject: str, back: str = "/console/member") -> str:
    """Sign in there as somebody; returns the address that leads back."""
    where = browser.get("/console/sign-in/oidc", params={"back": back})
    assert where.status_code == 303, where.text
    answer = httpx.post(where.headers["location"], data={"sub": subject}, timeout=60)
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"{CONSOLE}/console/sign-in/oidc/callback?")
    return str(answer.headers["location"].removeprefix(CONSOLE))


def visitor(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Accept": "text/html"}, timeout=60)


def test_somebody_signs_in_with_a_real_issuer_acts_and_signs_out(server: Server, issuer: RealIssuer) -> None:
    with visitor(server) as browser:
        assert browser.get("/console/member").headers["location"].startswith("/console/sign-in")
        assert issuer.url.removeprefix("http://") in browser.get("/console/sign-in").text
        answer = browser.get(went_to_the_issuer(browser, "u-ann", "/console/member?id=m-1"))
        assert answer.status_code == 200 and 'content="0;url=/console/member?id=m-1"' in answer.text
        kept = answer.headers.get_list("set-cookie")
        assert any("points-session=" in one and "SameSite=strict" in one and "HttpOnly" in one for one in kept)
        assert answer.headers["referrer-policy"] == "same-origin" and answer.headers["cache-control"] == "no-store"
        page = browser.get("/console/member?id=m-1")
        assert page.status_code == 200 and "ann@shop.example" in page.text
        assert browser.get("/console/liability").status_code == 403  # the role has no books:read
        lines = [json.loads(one) for one in (server.folder / "operators.ndjson").read_text().splitlines()]
        assert [(one["by"], one["action"], one["about"], one["why"]) for one in lines] == [
            ("ann@shop.example", "sign-in", f"{issuer.url} u-ann", "support")
        ]
        token = page.text.partition('name="form_token" value="')[2][:64]
        out = browser.post("/console/sign-out", data={"form_token": token})
        assert f"{issuer.url}/oauth2/end_session?" in out.text and "id_token_hint=" in out.text
        assert browser.get("/console/member").status_code == 303


def test_somebody_who_is_blocked_is_out_at_once_and_does_not_get_in(server: Server, issuer: RealIssuer) -> None:
    issuer.person("u-dan", email="dan@shop.example", roles=["support"])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*points(server.folder), "people", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)

    reason = ("--reason", "left the company")
    assert run("block", "dan@shop.example", *reason).returncode == 3  # nobody of that name signed in
    with visitor(server) as dan:
        dan.get(went_to_the_issuer(dan, "u-dan"))
        assert dan.get("/console/member").status_code == 200
        assert run("sign-out", "dan@shop.example", "--reason", "an open laptop").returncode == 0
        assert dan.get("/console/member").status_code == 303
        assert dan.get(went_to_the_issuer(dan, "u-dan")).status_code == 200  # it is no block
        assert run("block", "dan@shop.example", *reason).returncode == 0
        assert dan.get("/console/member").status_code == 303
        answer = dan.get(went_to_the_issuer(dan, "u-dan"))
        assert answer.status_code == 403 and "You are blocked here" in answer.text
        (found,) = [one for one in json.loads(run("list", "--json").stdout) if one["subject"] == "u-dan"]
        assert found["blocked"] and found["issuer"] == issuer.url and found["sessions"] == 0
        assert run("unblock", "dan@shop.example", "--reason", "is back").returncode == 0
        assert dan.get(went_to_the_issuer(dan, "u-dan")).status_code == 200
    lines = [json.loads(one) for one in (server.folder / "operators.ndjson").read_text().splitlines()]
    acts = [(one["action"], one["why"]) for one in lines if one["about"] == "dan@shop.example"]
    assert acts == [("sign-out", "an open laptop"), ("block", "left the company"), ("unblock", "is back")]


def test_doctor_asks_the_issuer(server: Server, issuer: RealIssuer) -> None:
    config = ["--config", str(server.folder.parent / "points.toml")]
    done = subprocess.run(
        [*points(server.folder), "doctor", "--json", *config],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    (found,) = [one for one in json.loads(done.stdout)["checks"] if one["check"] == "sign-in"]
    assert found["state"] == "good" and issuer.url in found["says"] and "support" in found["says"]
    assert (server.folder.parent / "secret").read_text() not in done.stdout


def test_the_api_wants_a_key_where_people_sign_in(server: Server) -> None:
    with visitor(server) as browser:
        assert browser.get("/v1/members/m-1").status_code == 401
        browser.get(went_to_the_issuer(browser, "u-ann"))
        assert browser.get("/v1/members/m-1").status_code == 401  # a session is the console's alone


def test_what_comes_back_counts_once_and_for_the_browser_it_began_in(server: Server, issuer: RealIssuer) -> None:
    with visitor(server) as browser, visitor(server) as victim:
        stolen = went_to_the_issuer(browser, "u-ann")
        went_to_the_issuer(victim, "u-ann")
        for attacker, where in (
            (victim, stolen),  # signed in as somebody else, unasked
            (browser, stolen.partition("&state=")[0] + "&state=x"),
            (browser, "/console/sign-in/oidc/callback"),
            (httpx.Client(base_url=server.url, timeout=60), stolen),
        ):
            before = issuer.asked.count("/oauth2/token")
            answer = attacker.get(where)
            assert answer.status_code == 403 and "points-session" not in attacker.cookies
            assert issuer.asked.count("/oauth2/token") == before  # the code was not even shown
        assert browser.get(stolen).status_code == 200
        browser.cookies.delete("points-session")
        assert browser.get(stolen).status_code == 403  # again
        assert browser.get("/console/member").status_code == 303


def test_a_code_of_another_sign_in_is_of_no_use(server: Server) -> None:
    """PKCE: the code that somebody else was given comes back under one's own state."""
    with visitor(server) as browser, visitor(server) as other:
        code = parse_qs(urlsplit(went_to_the_issuer(other, "u-ann")).query)["code"][0]
        state = parse_qs(urlsplit(went_to_the_issuer(browser, "u-eve")).query)["state"][0]
        answer = browser.get("/console/sign-in/oidc/callback", params={"code": code, "state": state})
        assert answer.status_code == 403 and "could not be believed" in answer.text


def test_who_has_no_role_and_who_is_denied_gets_no_session(server: Server) -> None:
    with visitor(server) as browser:
        answer = browser.get(went_to_the_issuer(browser, "u-eve"))
        assert answer.status_code == 403 and "no role here" in answer.text
        where = browser.get("/console/sign-in/oidc").headers["location"]
        denied = httpx.post(where, data={"action": "deny"}, timeout=60).headers["location"].removeprefix(CONSOLE)
        state = parse_qs(urlsplit(where).query)["state"][0]
        answer = browser.get(denied if "state=" in denied else f"{denied}&state={state}")
        assert answer.status_code == 403 and "did not let you in" in answer.text
        assert "points-session" not in browser.cookies


def test_nobody_is_led_to_another_site(server: Server) -> None:
    outside = ("https://evil.example", "//evil.example", "/\\evil.example", "/console/..//evil.example", "javascript:0")
    with visitor(server) as browser:
        for back in outside:
            browser.cookies.clear()
            answer = browser.get(went_to_the_issuer(browser, "u-ann", back))
            assert answer.status_code == 200
            assert answer.text.partition('content="0;url=')[2].startswith("/console"), back


def test_a_session_of_a_person_ends_when_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person("oidc ann", "ann", ("operate",), "token")
    with closing(Sessions()) as sessions:
        token = sessions.begin(person, 300)
        assert sessions.key_of(token) == person
        now = time.time()
        monkeypatch.setattr("service.console.sessions.time.time", lambda: now + 299)
        assert sessions.key_of(token) == person
        monkeypatch.setattr("service.console.sessions.time.time", lambda: now + 302)
        assert sessions.key_of(token) is None
