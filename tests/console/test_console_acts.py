"""What operators do in the console: tried first, done once, by somebody for a reason, and within a limit."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count

import httpx
import pytest

from service.http.operator_log import OperatorLog
from tests.support.histories import encode
from tests.support.ledgers import ingested, scratch
from tests.support.served import Server, fact, grant, new_key, served

MEMBER = "m-1"
ACTS = "/console/acts"
HTML = {"Accept": "text/html"}
_number = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        card = fact("card.purchased", MEMBER, "c", {"card": "C1", "product": "plus.annual", "paid_fen": 19_900}, ago=9)
        claim = fact("benefit.claimed", MEMBER, "b", {"claim": "B1", "benefit": "shipping"}, ago=8)
        ingested(folder, [encode(one) for one in (card, claim, grant(MEMBER, "G1", 100))]).close()
        new_key(folder / "ledger", "reader", "members:read", "books:read")
        with served(folder / "ledger") as server:
            yield server


@pytest.fixture
def support(server: Server) -> Iterator[httpx.Client]:
    with signed_in(server, "operate", "members:read", "goodwill:60") as browser:
        yield browser


@contextmanager
def signed_in(server: Server, *scopes: str, name: str = "") -> Iterator[httpx.Client]:
    key = new_key(server.folder, name or f"k{next(_number)}", *scopes)
    with httpx.Client(base_url=server.url, headers=HTML, timeout=60) as browser:
        answer = browser.post(
            "/console/sign-in", data={"form_token": token_in(browser, "/console/sign-in"), "key": key}
        )
        assert answer.status_code == 303, answer.text
        yield browser


def token_in(browser: httpx.Client, where: str) -> str:
    found = re.search('name="form_token" value="([0-9a-f]+)"', browser.get(where).text)
    assert found is not None
    return found[1]


def fields_of(text: str) -> dict[str, str]:
    """The hidden fields of a page's last form."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text[text.rindex("<form") :])
    return {name: html.unescape(value) for name, value in found}


def looked_at(
    browser: httpx.Client, kind: str, why: str = "asked", **more: str
) -> tuple[httpx.Response, dict[str, str]]:
    """The page that says what an act would change, and the form that does it."""
    token = token_in(browser, f"{ACTS}?id={MEMBER}")
    answer = browser.post(ACTS, data={"form_token": token, "member": MEMBER, "kind": kind, "why": why, **more})
    return answer, fields_of(answer.text)


def spendable(browser: httpx.Client, server: Server) -> int:
    key = new_key(server.folder, f"k{next(_number)}", "members:read")
    with server.client(key) as asked:
        return int(asked.get(f"/v1/members/{MEMBER}").json()["points"]["beans"]["spendable"])


def lines(server: Server) -> list[dict[str, object]]:
    return [json.loads(line) for line in (server.folder / "operators.ndjson").read_text().splitlines()]


def test_goodwill_is_looked_at_given_once_and_limited(server: Server, support: httpx.Client) -> None:
    before = spendable(support, server)
    page, form = looked_at(support, "goodwill", "the parcel was late", purse="beans", points="50")
    assert f">{before:,}<" in page.text and f">{before + 50:,}<" in page.text, page.text
    assert spendable(support, server) == before  # nothing moved yet
    for _ in range(2):  # a double click, or the back button
        assert "accepted" in support.post(ACTS, data=form).text
    assert spendable(support, server) == before + 50
    (line,) = [line for line in lines(server) if line["about"] == form["act"].rpartition(".")[0]]
    assert line["why"] == "the parcel was late" and line["action"] == "give"

    changed = support.post(ACTS, data=form | {"points": "5"})  # the same form with other figures
    assert changed.status_code == 409 and spendable(support, server) == before + 50

    page, above = looked_at(support, "goodwill", purse="beans", points="11")
    assert "another key approves" in page.text and above["kind"] == "adjust"
    forced = support.post(ACTS, data=above | {"kind": "goodwill"})
    assert forced.status_code == 403 and spendable(support, server) == before + 50


def test_an_adjustment_is_proposed_once_and_approved_by_another(server: Server, support: httpx.Client) -> None:
    before = spendable(support, server)
    _, form = looked_at(support, "adjust", "twice", purse="beans", points="-30", grant="G1")
    for _ in range(2):
        assert support.post(ACTS, data=form).headers["location"] == "/console/adjustments"
    name = form["act"].rpartition(".")[0]
    page = support.get("/console/adjustments").text
    assert page.count(f"{name}/rejection") == 1 and f"{name}/approval" not in page  # one's own
    own = support.post(f"/console/adjustments/{name}/approval", data={"form_token": form["form_token"]})
    assert own.status_code == 403 and spendable(support, server) == before
    with closing(OperatorLog(server.folder)) as log:
        proposer = log.adjustment(name).by
    with signed_in(server, "operate", name=proposer.upper()) as same:
        page = same.get("/console/adjustments").text
        assert page.count(f"{name}/rejection") == 1 and f"{name}/approval" not in page  # one's own, under another name
    with signed_in(server, "operate") as other:
        token = token_in(other, "/console/adjustments")
        for _ in range(2):
            assert other.post(f"/console/adjustments/{name}/approval", data={"form_token": token}).status_code == 303
    assert spendable(support, server) == before - 30


def test_an_account_is_frozen_and_unfrozen(server: Server, support: httpx.Client) -> None:
    page, form = looked_at(support, "freeze", "a stolen phone")
    assert "not frozen" in page.text
    assert "accepted" in support.post(ACTS, data=form).text
    assert '<span class="badge bad">frozen</span>' in support.get(f"/console/member?id={MEMBER}").text
    again, nothing = looked_at(support, "freeze")
    assert "It would change nothing" in again.text and "act" not in nothing
    _, form = looked_at(support, "unfreeze", "found")
    assert "accepted" in support.post(ACTS, data=form).text


def test_a_benefit_is_given_back(server: Server, support: httpx.Client) -> None:
    _, form = looked_at(support, "give-back", "no parcel came", claim="B1")
    assert "accepted" in support.post(ACTS, data=form).text
    again, _ = looked_at(support, "give-back", claim="B1")
    assert "It would change nothing" in again.text
    assert [line["given"]["type"] for line in lines(server) if line.get("why") == "no parcel came"] == [  # type: ignore[index]
        "benefit.returned.v1"
    ]


def test_what_no_form_of_ours_says_is_refused(server: Server, support: httpx.Client) -> None:
    before = spendable(support, server)
    _, form = looked_at(support, "goodwill", purse="beans", points="1")
    name, _, seal = form["act"].rpartition(".")
    for wrong, status in (
        ({"form_token": "0"}, 403),
        ({"act": f"{name}.0"}, 403),
        ({"act": f"act-1-0.{seal}"}, 403),
        ({"act": "x"}, 403),
        ({"why": " "}, 400),
        ({"why": "x" * 129}, 400),
        ({"points": "1.5"}, 400),
        ({"points": "-1"}, 400),
        ({"points": "9" * 30}, 400),
        ({"kind": "close"}, 400),
        ({"purse": "gold"}, 400),
        ({"member": "nobody"}, 404),
    ):
        answer = support.post(ACTS, data=form | wrong)
        assert answer.status_code == status, (wrong, answer.status_code, answer.text)
    assert spendable(support, server) == before
    with signed_in(server, "members:read") as reader:
        assert reader.get(f"{ACTS}?id={MEMBER}").status_code == 403
        token = token_in(reader, "/console/find")
        assert reader.post(ACTS, data=form | {"form_token": token}).status_code == 403
        assert ACTS not in reader.get(f"/console/member?id={MEMBER}").text
