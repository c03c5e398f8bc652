"""The answers that stand in the OpenAPI document: what a real server says of a small shop, cut to a few lines each.

Run `python -m tests.support.api_examples` after a change of an answer that is meant.
"""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from ledger.journal.open import open_or_create
from ledger.rulebook.schema import shipped
from projections.audit.proof.keys import new_key as new_key_file
from projections.views.builtin.finding import Finding
from projections.views.files import Folder
from projections.views.runner import run
from service.cli import run as command
from tests.http.test_http_pools import BOOK, claim
from tests.support.ledgers import ingested, scratch
from tests.support.served import NDJSON, ROOT, fact, grant, ndjson, new_key, redemption, served

FILE = ROOT / "service" / "http" / "examples.json"
MOST_OF_A_LIST = 2
MOST_OF_A_TEXT = 400
MEMBER = "m-17850"
LINE = {"line": "1", "sku": "100012", "category": "phone", "quantity": 1, "paid_fen": 359_900}


def order(name: str) -> dict[str, Any]:
    return fact("order.completed", MEMBER, f"{name}-done", {"order": name, "lines": [LINE]}, source="/shop/orders")


class Asker:
    """Asks a server as two operators, and keeps what each operation answers, the first time with success."""

    def __init__(self, url: str, keys: list[str], hidden: dict[str, str]) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._clients = [
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=60)
            for key in keys
        ]
        self._hidden = hidden
        paths = self._clients[0].get("/schema/openapi.json").json()["paths"]
        self.operations = {
            operation["operationId"]: (method.upper(), path)
            for path, methods in paths.items()
            for method, operation in methods.items()
        }

    def ask(self, name: str, who: int = 0, **more: Any) -> Any:
        """Ask an operation; `at` fills its address."""
        method, path = self.operations[name]
        answer = self._clients[who].request(method, path.format(**more.pop("at", {})), **more)
        assert answer.is_success, (name, answer.status_code, answer.text)
        kind = answer.headers["content-type"].partition(";")[0]
        found = answer.json() if kind == "application/json" else answer.text
        self.found.setdefault(name, {}).setdefault(str(answer.status_code), self._cut(found))
        return found

    def _cut(self, found: Any) -> Any:
        if isinstance(found, dict):
            return {name: self._cut(value) for name, value in found.items()}
        if isinstance(found, list):
            return [self._cut(value) for value in found[:MOST_OF_A_LIST]]
        if not isinstance(found, str):
            return found
        for hidden, shown in self._hidden.items():
            found = found.replace(hidden, shown)
        return found if len(found) <= MOST_OF_A_TEXT else found[:MOST_OF_A_TEXT] + "…"


def examples() -> dict[str, dict[str, Any]]:
    """Return by operation and status what a real server answers."""
    with scratch() as folder:
        ledger = ingested(folder, [order("O1"), grant(MEMBER, "G1", 500), b"{not json", b"{nor that"])
        run(ledger, Folder(folder / "ledger" / "views"), [Finding()])
        ledger.close()
        place = folder / "ledger"
        new_key_file(folder / "key.pem")
        assert command(["--ledger", str(place), "verify", "--json"]) == 0
        scopes = ("facts:write", "members:read", "books:read", "operate", "books:write")
        keys = [new_key(place, name, *scopes) for name in ("ann", "bob")]
        with served(place) as server:
            asker = Asker(server.url, keys, {str(place): "points-ledger", str(folder): "."})
            asker.ask("postFact", json=order("O2"))
            asker.ask("postFact", json=order("O3"), headers={"Prefer": "wait=0"})
            asker.ask("postFacts", content=ndjson([order("O4")]), headers=NDJSON)
            asker.ask("redeem", json=redemption(MEMBER, "R1", 100))
            asker.ask("redeem", json=redemption(MEMBER, "R2", 100), headers={"Prefer": "wait=0"})
            time.sleep(1)
            asker.ask("getFact", at={"position": asker.ask("postFact", json=order("O5"))["position"]})
            asker.found["getFact"]["202"] = asker.found["postFact"]["202"]  # it answers alike, and seldom so late
            of_member = {"member": MEMBER, "number": 1, "lot": "1.1"}
            for name in ("getMember", "getBalances", "getLots", "getScores", "getMemberships", "getEntries"):
                asker.ask(name, at=of_member)
            for name in ("getEntry", "explainMember", "explainEntry", "explainLot", "getProducts", "getSavings"):
                asker.ask(name, at=of_member)
            asker.ask("getFeed", params={"limit": 2})
            asker.ask("find", params={"q": "O1"})
            asker.ask("quote", json={"member": MEMBER, "lines": [LINE], "settlement_fen": 359_900})
            for name in ("getMembers", "getBooks", "getLiability", "getPositions", "getAudits", "getViews", "getCodes"):
                asker.ask(name)
            asker.ask("getProgramme", at={"version": asker.ask("getProgrammes")["versions"][0]["version"]})
            proofs(asker, place, folder)
            operators(asker)
            drafts(asker)
            for name in ("isLive", "isReady", "getMetrics"):
                asker.ask(name)
    return asker.found | pools()


def pools() -> dict[str, dict[str, Any]]:
    """Return what is answered about a stock, which the shipped book has none of."""
    with scratch() as folder:
        open_or_create(folder / "ledger", BOOK).close()
        with served(folder / "ledger") as server:
            asker = Asker(server.url, [""], {})
            asker.ask("postFact", json=claim(MEMBER, "T1"), headers={"Prefer": "wait=30"})
            asker.ask("getPools")
            asker.ask("getPool", at={"name": "benefits.ticket"})
            card = {"card": "C1", "product": "club.year", "paid_fen": 9_900}
            asker.ask("postFact", json=fact("card.purchased", "house/lin", "f-C1", card))
            asker.ask("getHouse", at={"house": "lin"})
    return {name: found for name, found in asker.found.items() if name != "postFact"}


def proofs(asker: Asker, place: Path, folder: Path) -> None:
    """Hand two checkpoints in, and ask for proofs."""
    names = []
    for name in ("one", "two"):
        file = folder / f"{name}.checkpoint"
        made = ["checkpoint", "--key", str(folder / "key.pem"), "-o", str(file), "--folder", str(folder / "elsewhere")]
        assert command(["--ledger", str(place), *made]) == 0
        content = {"content": file.read_bytes(), "headers": {"Content-Type": "application/json"}}
        names.append(asker.ask("postCheckpoint", **content)["name"])
        asker.ask("postFact", json=order(f"O-{name}"))
    asker.ask("getCheckpoints")
    asker.ask("getCheckpoint", at={"name": names[0]})
    asker.ask("proveConsistency", at={"name": names[1]}, params={"earlier": names[0]})
    asker.ask("proveEntry", at={"member": MEMBER, "number": 1})


def operators(asker: Asker) -> None:
    """Do what operators do."""
    first, second = (letter["position"] for letter in asker.ask("getDeadLetters")["letters"])
    asker.ask("getDeadLetter", at={"position": first})
    asker.ask("retryDeadLetter", at={"position": first}, json=grant(MEMBER, "G2", 5))
    asker.ask("dropDeadLetter", at={"position": second})
    asked = {"member": MEMBER, "points": 500, "reason": "the parcel was late", "kind": "beans"}
    name = asker.ask("proposeAdjustment", json=asked)["adjustment"]
    asker.ask("getAdjustments")
    asker.ask("getAdjustment", at={"name": name})
    asker.ask("approveAdjustment", who=1, at={"name": name})
    asker.ask("rejectAdjustment", at={"name": asker.ask("proposeAdjustment", json=asked)["adjustment"]})
    for of_person in ("signOut", "block", "unblock"):
        asker.ask(of_person, at={"name": "bob"}, params={"reason": "left a laptop open"})
    asker.ask("getPeople")
    asker.ask("addWebhook", json={"name": "crm", "url": "https://crm.example/hooks/points", "outcomes": ["accepted"]})
    for of_webhook in ("rotateWebhook", "enableWebhook"):
        asker.ask(of_webhook, at={"name": "crm"})
    asker.ask("getWebhooks")
    asker.ask("removeWebhook", at={"name": "crm"})
    for of_webhook in ("addWebhook", "rotateWebhook"):  # whose secrets are nobody's now, and look it
        asker.found[of_webhook] = {
            status: {**found, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
            for status, found in asker.found[of_webhook].items()
        }
    asker.found["testWebhook"] = asker.found["enableWebhook"]  # there is no receiver here; it answers the same


def draft(per_fen: str) -> str:
    """The shipped book with more points for what is paid, from a day on."""
    return (
        shipped("jd")
        .replace("per_fen = 10_000", f"per_fen = {per_fen}")
        .replace("from = 2017-09-14", "from = 2031-01-01", 1)
    )


def drafts(asker: Asker) -> None:
    """Bring a draft to its publication, and others to their ends."""
    kept = [
        {"draft": asker.ask("keepDraft", json={"toml": draft(per_fen), "file": "new.toml"})["draft"]}
        for per_fen in ("5_000", "4_000", "3_000")
    ]
    at = kept[0]
    asker.ask("getDrafts")
    asker.ask("getDraft", at=at)
    asker.ask("getDraftBook", at=at)
    asker.ask("startDraftBacktest", at=at, json={})
    until = time.monotonic() + 60
    while asker.ask("getDraftBacktest", at=at)["run"]["state"] in ("waiting", "running"):
        assert time.monotonic() < until
        del asker.found["getDraftBacktest"]
        time.sleep(0.2)
    asker.ask("handInDraft", at=at, json={"reason": "spring"})
    asker.ask("approveDraft", who=1, at=at)
    asker.ask("publishDraft", at=at, json={"from": "2031-01-01"})
    asker.ask("handInDraft", at=kept[1], json={"reason": "summer"})
    asker.ask("rejectDraft", who=1, at=kept[1], json={"reason": "too much"})
    asker.ask("startDraftBacktest", at=kept[2], json={})
    asker.ask("cancelDraftBacktest", at=kept[2])
    asker.ask("discardDraft", at=kept[2])


def main() -> None:
    """Write the file."""
    found = examples()
    FILE.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} operations have examples")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
