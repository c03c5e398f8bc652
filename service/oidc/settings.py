"""How people sign in: the settings of an issuer that can be used, checked before anybody does."""

import os
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.parse import urlsplit

from consumers.kafka.settings import BadSettings, OidcSettings, load_oidc
from ledger.errors import CannotRunNow
from service.http.access import LOCAL_HOSTS
from service.keys import BadKey, check_scope

MOST_ROLES = 200


def signing_in(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> OidcSettings | None:
    """Return how people sign in to the console; None where no issuer is set.

    Raises `BadSettings`, and `CannotRunNow` where the extra is not installed.
    """
    settings = load_oidc(path, environment)
    if settings is not None:
        if problems := _problems(settings):
            raise BadSettings("; ".join(f"oidc.{problem}" for problem in problems))
        issuer_of(settings)
    return settings


def issuer_of(settings: OidcSettings) -> Any:
    """Return the `service.oidc.issuer.Issuer` of settings. Raises `CannotRunNow` where the extra is not installed."""
    try:
        found = resolve_name("service.oidc.issuer:Issuer")
    except ImportError:
        raise CannotRunNow(
            'oidc.issuer is set, and joserfc is not installed: unset it, or pip install "joserfc>=1.4,<2"'
        ) from None
    return found(settings)


def is_safe(url: str) -> bool:
    """Return True if an address is https, or of this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    is_plain = parts.username is None and "#" not in url and url.isprintable() and " " not in url
    return is_plain and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL_HOSTS))


def _problems(settings: OidcSettings) -> list[str]:
    """Return what is wrong with settings, each beginning with its key."""
    found = [f"{name}: is missing" for name in ("client_id", "url") if not getattr(settings, name)]
    for name in ("issuer", "url"):
        url = getattr(settings, name)
        if url and not is_safe(url):
            found.append(f"{name}: {url} is not https; only this machine may be reached by http")
    url = settings.url or ""
    if url and urlsplit(url).path not in ("", "/"):
        found.append(f"url: {url} has a path; give the console's scheme, host and port, such as https://points.example")
    if "openid" not in settings.scopes.split():
        found.append("scopes: openid is missing, without which an issuer gives no ID token")
    if not settings.roles or len(settings.roles) > MOST_ROLES:
        found.append(f"roles: 1 to {MOST_ROLES} roles with their scopes are wanted; without one nobody could sign in")
    for role, scopes in settings.roles.items():
        if not scopes:
            found.append(f"roles.{role}: a list of scopes is wanted")
        for scope in scopes:
            try:
                check_scope(scope)
            except BadKey as error:
                found.append(f"roles.{role}: {error}")
    if settings.ca_file is not None and not Path(settings.ca_file).is_file():
        found.append(f"ca_file: there is no file {settings.ca_file}")
    return found
