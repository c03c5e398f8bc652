"""Facts under an old name of a member over HTTP: answered by the account that has the name now."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from ledger.journal.open import open_or_create
from tests.http.test_http_pools import BOOK as TICKETS
from tests.support.ledgers import scratch
from tests.support.served import Fact, fact, is_whole, new_key, served, until

BOOK = f"""{TICKETS}
[uses.any]
name = "兑换"
kinds = ["beans"]

[transfers.gift]
name = "赠豆"
kind = "beans"
"""
CLAIMER = "/shop/checkout"
OLD, HEAD, FRIEND = "old-1", "new-1", "m-7"
WAIT = {"Prefer": "wait=30"}
Keys = tuple[str, str]  # of two people who operate


def opens(name: str, points: int) -> Fact:
    ends = {"earned_at": "2025-01-01T00:00:00Z", "expires_at": "2999-01-01T00:00:00Z"}
    data = {"lot": "L", "kind": "beans", "points": points, **ends}
    return fact("lot.opened", name, f"l-{name}", data) | {"source": "/operators"}


def redeems(name: str, points: int) -> Fact:
    return fact("redemption.requested", OLD, f"f-{name}", {"redemption": name, "points": points, "use": "any"})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as place:
        ledger = open_or_create(place / "ledger", BOOK)
        assert ledger.partition_of(OLD) != ledger.partition_of(HEAD)
        with ledger.writing():
            ledger.change_settings(msgspec.structs.replace(ledger.settings, claimers=(CLAIMER,)))
        ledger.close()
        yield place / "ledger"
        is_whole(place / "ledger").close()


@pytest.fixture(scope="module")
def keys(folder: Path) -> Keys:
    ann, bob = (new_key(folder, name, "operate", "facts:write", "members:read") for name in ("ann", "bob"))
    return ann, bob


@pytest.fixture(scope="module")
def client(folder: Path, keys: Keys) -> Iterator[httpx.Client]:
    """A client of a server one of whose members is a name of another one."""
    with served(folder, "--wait", "30") as server, server.client(keys[0]) as client:
        merged = fact("member.merged", OLD, "merge", {"into": HEAD}) | {"source": "/operators"}
        for one in (opens(OLD, 70), opens(HEAD, 50), merged):
            assert client.post("/v1/facts", json=one, headers=WAIT).json()["outcome"] == "accepted"
        until(lambda: spendable(client) == 120)
        yield client


def spendable(client: httpx.Client) -> int:
    beans = client.get(f"/v1/members/{HEAD}").json()["points"].get("beans", {"spendable": 0})
    return int(beans["spendable"])


def test_a_redemption_is_answered_by_the_head_and_again_the_same(client: httpx.Client) -> None:
    before, asked = spendable(client), redeems("R1", 30)
    told = client.post("/v1/redemptions", json=asked, headers=WAIT)
    assert (told.status_code, told.json()["member"], told.json()["reason"]) == (200, HEAD, "")
    again = client.post("/v1/redemptions", json=asked, headers=WAIT)
    assert again.json() == told.json() | {"repeated": True}
    refused = client.post("/v1/redemptions", json=redeems("R2", 1_000), headers=WAIT)
    assert (refused.status_code, refused.json()["reason"]) == (409, "beans-short")
    assert (refused.json()["member"], refused.json()["figures"]["spendable"]) == (HEAD, before - 30)
    assert spendable(client) == before - 30


def test_one_that_nobody_waits_for_is_taken_and_its_place_tells_the_answer(client: httpx.Client) -> None:
    taken = client.post("/v1/redemptions", json=redeems("R3", 5), headers={"Prefer": "wait=0"})
    assert taken.status_code == 202
    place = taken.headers["Location"]
    until(lambda: client.get(place).status_code == 200)
    assert (client.get(place).json()["member"], client.get(place).json()["outcome"]) == (HEAD, "accepted")


def test_in_bulk_each_line_says_what_came_of_it_at_the_head(client: httpx.Client) -> None:
    lines = b"\n".join(msgspec.json.encode(redeems(f"R{n}", points)) for n, points in ((4, 1), (5, 1_000)))
    headers = {"Content-Type": "application/x-ndjson"}
    told = client.post("/v1/facts:bulk", params={"outcomes": True}, content=lines, headers=headers).text.splitlines()
    found = [msgspec.json.decode(line) for line in told]
    assert [(one["outcome"], one["reason"]) for one in found] == [("accepted", ""), ("refused", "beans-short")]
    again = client.post("/v1/facts:bulk", params={"outcomes": True}, content=lines, headers=headers)
    assert again.text.splitlines() == told


def test_a_claim_of_a_stock_and_a_gift_under_the_old_name_end_at_the_head(client: httpx.Client) -> None:
    claimed = fact("benefit.claimed", OLD, "f-claim", {"claim": "T1", "benefit": "ticket"})
    told = client.post("/v1/facts", json=claimed, headers=WAIT).json()
    assert (told["member"], told["reason"], told["figures"]) == (HEAD, "", {"claim": "T1"})
    assert b'"pool.answered.v1"' in client.get(f"/v1/members/{HEAD}/entries").content
    gift = {"transfer": "G1", "rule": "gift", "to": FRIEND, "points": 10}
    told = client.post("/v1/facts", json=fact("transfer.requested", OLD, "f-gift", gift), headers=WAIT).json()
    assert (told["member"], told["outcome"]) == (HEAD, "accepted")


def test_an_adjustment_of_the_old_name_says_what_came_of_it_at_the_head(client: httpx.Client, keys: Keys) -> None:
    wanted = {"member": OLD, "points": -5, "reason": "goodwill-reversed", "of": {"grant": "nothing"}}
    at = client.post("/v1/adjustments", json=wanted).headers["location"]
    approved = client.post(f"{at}/approval", headers={"Authorization": f"Bearer {keys[1]}"}).json()
    assert (approved["state"], approved["outcome"]) == ("approved", "ignored"), "an unknown award"


def test_a_shop_claims_what_a_guest_has_without_being_an_operator(client: httpx.Client, folder: Path) -> None:
    shop = {"Authorization": f"Bearer {new_key(folder, 'shop', 'facts:write:/shop/')}", **WAIT}
    lot = opens("guest/17", 15)
    assert client.post("/v1/facts", json=lot, headers=WAIT).json()["outcome"] == "accepted"
    before = spendable(client)

    def claims(guest: str, source: str) -> httpx.Response:
        claim = fact("member.merged", guest, f"claim-{guest}", {"into": HEAD}) | {"source": source}
        return client.post("/v1/facts", json=claim, headers=shop)

    for guest, source in (("m-9", CLAIMER), ("guest/17", "/shop/other")):
        refused = claims(guest, source)
        assert (refused.status_code, refused.json()["reason"]) == (403, "not-authorised")
    assert claims("guest/17", CLAIMER).json()["outcome"] == "accepted"
    until(lambda: spendable(client) == before + 15)
