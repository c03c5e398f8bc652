"""One message to a webhook: signed as Standard Webhooks has it, and sent to no address of the host's own network.

A name is resolved here, each address is looked at, and the connection goes to that very address: a name that
changes its mind in between leads nowhere else. Redirects are not followed, and proxies of the environment not used.
"""

import asyncio
import hmac
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

import httpx

from ledger.wire.times import SECOND
from service.webhooks.store import NotDelivered, Webhook

SECONDS = 15.0  # for an answer
RESOLVE_SECONDS = 5.0
_NAT64 = IPv6Network("64:ff9b::/96")
GONE = 410  # by which a receiver says that it wants no more
AGENT = "points-ledger"


def signed(secrets: Sequence[str], name: str, at: int, body: bytes) -> Mapping[str, str]:
    """Return the headers of a message of that name and body, sent at a second since 1970 UTC, signed by each secret."""
    signatures = []
    for secret in secrets:
        key = b64decode(secret.removeprefix("whsec_"))
        signatures.append(b64encode(hmac.new(key, f"{name}.{at}.".encode() + body, sha256).digest()).decode())
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "content-type": "application/json",
        "user-agent": AGENT,
    }


def client() -> httpx.AsyncClient:
    """Return what sends messages."""
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS)


async def send(http: httpx.AsyncClient, webhook: Webhook, name: str, body: bytes) -> None:
    """Send a message, and return once its receiver has acknowledged it by any 2xx. Raises `NotDelivered`."""
    url = httpx.URL(webhook.url)
    address = await _address_of(url, is_private=webhook.is_private)
    now = int(time.time())
    headers = {**signed(webhook.secrets_at(now * SECOND), name, now, body), "host": url.netloc.decode()}
    request = http.build_request(
        "POST", url.copy_with(host=address), content=body, headers=headers, extensions={"sni_hostname": url.host}
    )
    try:
        async with asyncio.timeout(SECONDS):
            response = await http.send(request, stream=True)  # whatever it says beside its status is not read
            await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        said = str(error) or "no answer in time" if not isinstance(error, TimeoutError) else "no answer in time"
        raise NotDelivered(f"{url.host}: {type(error).__name__}: {said}") from None
    if not response.is_success:
        is_gone = response.status_code == GONE
        raise NotDelivered(f"{url.host} answered {response.status_code}; any 2xx acknowledges", is_gone=is_gone)


async def _address_of(url: httpx.URL, *, is_private: bool) -> str:
    """Return an address of a host that may be connected to. Raises `NotDelivered`."""
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NotDelivered(f"{url.host} has no address: {error}") from None
    addresses = [str(place[4][0]) for place in found]
    if not is_private:
        for address in addresses:
            if not is_public(address):
                raise NotDelivered(
                    f"{url.host} is {address}, which is not public: `points webhooks add --private` on the ledger's"
                    " host lets a webhook reach it"
                )
    return addresses[0]


def is_public(address: str) -> bool:
    """Return True for an address of the public internet; one that holds another inside is judged by that."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.sixtofour is not None or found.teredo is not None:
            return False
        if found in _NAT64:
            return is_public(str(ip_address(int(found) & 0xFFFFFFFF)))
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
    return found.is_global and not found.is_multicast
