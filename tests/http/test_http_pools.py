"""Claims of what members share, a stock or a house, over HTTP: the answer within the request's own wait."""

import time
from collections.abc import Iterator

import httpx
import pytest

from ledger.journal.open import open_or_create
from tests.support.ledgers import scratch
from tests.support.served import Fact, Server, fact, is_whole, served

BOOK = """
programme = "corner"
name = "街角"
from = 2025-01-01
utc_offset = "+08:00"

[kinds.beans]
name = "豆"
expiry = [{ from = 2025-01-01, days = 365 }]

[benefits.ticket]
name = "门票"
quota = 1
per = "ever"
stock = 3
gives = [{ kind = "beans", points = 10 }]
lease = 2

[memberships.club]
name = "会员卡"
[memberships.club.products]
"club.year" = { years = 1, seats = 2 }
[memberships.club.benefits.coupon]
name = "券"
quota = 1
per = "ever"
"""
POOL = "pool/benefits.ticket"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose book has 3 tickets."""
    with scratch() as folder:
        open_or_create(folder / "ledger", BOOK).close()
        with served(folder / "ledger") as running:
            yield running
        ledger = is_whole(folder / "ledger")
        assert ledger.partition_of(POOL) in ledger.partitions
        ledger.close()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def claim(member: str, name: str) -> Fact:
    return fact("benefit.claimed", member, f"f-{name}", {"claim": name, "benefit": "ticket"})


def test_a_claim_is_answered_with_what_the_stock_said(client: httpx.Client) -> None:
    wait = {"Prefer": "wait=30"}
    claims = [claim(f"m-{n}", f"T{n}") for n in range(8)]
    answers = [client.post("/v1/facts", json=one, headers=wait) for one in claims]
    assert {answer.status_code for answer in answers} == {200}
    told = [answer.json() for answer in answers]
    given = [one for one in told if one["reason"] == ""]
    assert len(given) == 3  # none above the stock
    assert {one["type"] for one in told} == {"pool.answered.v1"}
    assert {one["reason"] for one in told if one not in given} == {"pool-empty"}
    again = client.post("/v1/facts", json=claims[0], headers=wait)
    assert (again.status_code, again.json()["figures"]) == (200, told[0]["figures"])
    member = client.get("/v1/members/m-0").json()
    assert member["points"]["beans"]["spendable"] == (10 if told[0] in given else 0)


def test_a_claim_that_nobody_waits_for_is_taken_and_its_place_tells_the_answer(client: httpx.Client) -> None:
    asked = claim("n-1", "U1")
    first = client.post("/v1/facts", json=asked, headers={"Prefer": "wait=0"})
    assert first.status_code == 202
    client.post("/v1/facts", json=asked, headers={"Prefer": "wait=30"})
    told = client.get(first.headers["Location"])
    assert (told.status_code, told.json()["type"]) == (200, "pool.answered.v1")


def test_a_stock_says_what_it_has_left(client: httpx.Client) -> None:
    (pool,) = client.get("/v1/pools").json()["pools"]
    assert (pool["pool"], pool["limit"], pool["drawn"], pool["left"], pool["state"]) == (
        "benefits.ticket",
        3,
        3,
        0,
        "open",
    )
    assert sum(lease["out"] for lease in pool["leases"]) == sum(lease["drawn"] for lease in pool["leases"]) == 3
    assert client.get("/v1/pools/benefits.ticket", params={"as_of": "2025-01-02"}).json()["left"] == 3
    assert client.get("/v1/pools/nothing").json()["type"] == "/problems/unknown-pool"


def wait_for_seat(client: httpx.Client, who: str) -> None:
    """Wait until a member was told of the seat."""
    end = time.monotonic() + 60
    while "house/lin" not in client.get(f"/v1/members/{who}").json().get("seats", {}):
        assert time.monotonic() < end, f"{who} was told of no seat"
        time.sleep(0.05)


def test_who_sits_in_a_house_claims_out_of_its_quota(client: httpx.Client) -> None:
    wait = {"Prefer": "wait=30"}
    card = {"card": "C1", "product": "club.year", "paid_fen": 9_900}
    told = [fact("card.purchased", "house/lin", "f-C1", card)]
    told += [
        fact("house.joined", "house/lin", f"f-{who}", {"house": "lin", "card": "C1", "member": who})
        for who in ("lin-1", "lin-2", "lin-3")
    ]
    reasons = [client.post("/v1/facts", json=one, headers=wait).json()["reason"] for one in told]
    assert reasons == ["", "", "", "seats-full"]
    house = client.get("/v1/houses/lin").json()
    assert (house["state"], house["seats"]) == ("open", {"club": {"most": 2, "members": ["lin-1", "lin-2"]}})
    for who, reason in (("lin-1", ""), ("lin-2", "quota-used")):
        wait_for_seat(client, who)
        data = {"claim": f"H-{who}", "benefit": "coupon"}
        answer = client.post("/v1/facts", json=fact("benefit.claimed", who, f"f-H-{who}", data), headers=wait)
        assert (answer.json()["type"], answer.json()["reason"]) == ("pool.answered.v1", reason)
    assert client.get("/v1/members/lin-1/memberships").json()["seats"]["house/lin"]["card"] == "C1"
    assert client.get("/v1/houses/lin").json()["memberships"]["club"]["quotas"] == {"coupon": 0}
    assert client.get("/v1/houses/nobody").json()["type"] == "/problems/unknown-house"
    assert "house/lin" not in client.get("/v1/members", params={"limit": 1000}).json()["members"]
