"""Finding over HTTP, in the console and on the command line: the same index, and each key its own part of it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ledger.journal.open import open_ledger
from projections.views.builtin.finding import Finding
from projections.views.files import Folder
from projections.views.runner import run
from tests.support.histories import encode
from tests.support.ledgers import ingested, scratch
from tests.support.served import ROOT, Server, environment, fact, grant, new_key, points, served

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        lines = [{"line": "1", "paid_fen": 100}]
        orders = [fact("order.completed", f"m-{n}", f"o{n}", {"order": f"ORD-{n}", "lines": lines}) for n in (1, 2)]
        ingested(folder, [encode(one) for one in (*orders, grant("m-1", "G1", 5), grant("m-2", "G2", 5))]).close()
        built(folder / "ledger")
        with served(folder / "ledger") as server:
            yield server


def built(place: Path) -> None:
    ledger = open_ledger(place)
    run(ledger, Folder(place / "views"), [Finding()])
    ledger.close()


def test_a_key_finds_what_it_may_read(server: Server) -> None:
    with server.client() as asked:  # before there are keys
        found = asked.get("/v1/find", params={"q": "ORD-"}).json()
    assert [(hit["kind"], hit["id"], hit["member"]) for hit in found["hits"]] == [
        ("order", "ORD-1", "m-1"),
        ("order", "ORD-2", "m-2"),
    ]
    assert (found["query"], found["more"], found["behind"]) == ("ORD-", False, 0)
    with server.client() as asked:
        for wrong in ({}, {"q": ""}, {"q": "x" * 129}, {"q": "a", "kind": "lot"}, {"q": "a", "limit": 0}):
            assert asked.get("/v1/find", params=wrong).status_code == 400, wrong
        assert asked.get("/v1/find", params={"q": "m-", "kind": "order"}).json()["hits"] == []


def test_the_console_leads_to_the_one_member_or_lists_what_was_found(server: Server) -> None:
    with server.client() as browser:
        for text in ("m-1", "ORD-2", "m-2 "):
            answer = browser.get("/console/find", params={"q": text}, headers=HTML)
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"] == f"/console/member?id=m-{'1' if text == 'm-1' else '2'}"
        page = browser.get("/console/find", params={"q": "ORD"}, headers=HTML)
        assert "ORD-1" in page.text and "ORD-2" in page.text and 'href="/console/member?id=m-2"' in page.text
        assert "Nothing begins with" in browser.get("/console/find", params={"q": "none"}, headers=HTML).text
        assert "m-1" in browser.get("/console/find", headers=HTML).text  # the latest members
        assert (
            browser.get("/console/find", params={"q": "ORD"}, headers={"Accept-Language": "zh"}).text.count("订单") > 1
        )


def test_the_command_finds_the_same(server: Server) -> None:
    def run_find(*options: str) -> subprocess.CompletedProcess[str]:
        command = [*points(server.folder), "find", *options]
        return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)

    found = run_find("ORD-1", "--kind", "order", "--json")
    assert [hit["member"] for hit in json.loads(found.stdout)["hits"]] == ["m-1"], found.stderr
    assert "ORD-2" in run_find("ORD").stdout
    nothing = run_find("nothing-such")
    assert (nothing.returncode, nothing.stdout) == (1, 'nothing begins with "nothing-such"\n')


def test_a_key_for_one_member_finds_that_members_things_alone(server: Server) -> None:
    everything = new_key(server.folder, "books", "books:read")
    of_one = new_key(server.folder, "one", "member:read:m-1")
    writer = new_key(server.folder, "writer", "facts:write")

    def hits(key: str, text: str) -> httpx.Response:
        with server.client(key) as asked:
            return asked.get("/v1/find", params={"q": text})

    assert len(hits(everything, "ORD").json()["hits"]) == 2
    assert [hit["member"] for hit in hits(of_one, "ORD-1").json()["hits"]] == ["m-1"]
    for hidden in ("ORD", "ORD-2", "m-2", "m-"):
        assert hits(of_one, hidden).json()["hits"] == [], hidden
    assert hits(writer, "ORD").status_code == 403
