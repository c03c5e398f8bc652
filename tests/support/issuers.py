"""A real OpenID Connect issuer on this machine, `oidc-provider-mock` over Authlib, that checks PKCE besides."""

import hashlib
import threading
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from werkzeug.serving import make_server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Authlib says of its own next version
    import oidc_provider_mock


class RealIssuer:
    """An issuer that runs, how often its parts were asked, and what its clients are."""

    def __init__(self, port: int, asked: list[str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked = asked

    def client(self, console: str) -> tuple[str, str]:
        """Register a client of a console's address; returns its id and secret."""
        where = [f"{console}/console/sign-in/oidc/callback"]
        answer = httpx.post(f"{self.url}/oauth2/clients", json={"redirect_uris": where}, timeout=60)
        made = answer.raise_for_status().json()
        return made["client_id"], made["client_secret"]

    def person(self, subject: str, **claims: Any) -> None:
        """Make somebody with claims, which stand in the ID token."""
        httpx.put(f"{self.url}/users/{subject}", json=claims, timeout=60).raise_for_status()


@contextmanager
def real_issuer() -> Iterator[RealIssuer]:
    """An issuer in a thread, for as long as it is needed."""
    app = oidc_provider_mock.app(require_client_registration=True, require_nonce=True)
    challenges: dict[str, str] = {}  # by code
    asked: list[str] = []

    @app.before_request
    def check_pkce() -> tuple[dict[str, str], int] | None:
        request = oidc_provider_mock._app.flask.request
        asked.append(request.path)
        if request.path == "/oauth2/authorize" and request.args.get("code_challenge_method") != "S256":
            return {"error": "invalid_request"}, 400
        if request.path == "/oauth2/token":
            digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
            if challenges.pop(request.form.get("code", ""), None) != urlsafe_b64encode(digest).rstrip(b"=").decode():
                return {"error": "invalid_grant"}, 400
        return None

    @app.after_request
    def keep_challenge(response: Any) -> Any:
        request = oidc_provider_mock._app.flask.request
        for code in parse_qs(urlsplit(response.headers.get("location", "")).query).get("code", []):
            challenges[code] = request.args["code_challenge"]
        return response

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield RealIssuer(server.server_port, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
