"""Webhooks: signed so that the official library accepts them, in order, again until acknowledged, and without a gap."""

import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from ledger.journal.open import open_ledger
from service.webhooks import deliver
from service.webhooks.sending import is_public
from service.webhooks.store import FILE, MOST, BadWebhook, Webhooks
from tests.support.kafka_shop import points
from tests.support.ledgers import ingested, scratch
from tests.support.receivers import receiving
from tests.support.served import NDJSON, Server, grant, ndjson, new_key, served, until


def added(folder: Path, name: str, url: str, *options: str) -> dict[str, Any]:
    """A webhook made on the command line."""
    run = points(folder, "webhooks", "add", name, url, "--private", "--json", *options)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def give(server: Server, facts: list[Any]) -> None:
    with server.client() as http:
        http.post("/v1/facts:bulk?outcomes=true", content=ndjson(facts), headers=NDJSON).raise_for_status()


def positions_in_order(entries: list[dict[str, Any]]) -> bool:
    """Whether each member's entries came in order, those that came again left out."""
    seen: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry["number"] > seen[entry["member"]] + 1:
            return False
        seen[entry["member"]] = max(seen[entry["member"]], entry["number"])
    return True


def test_a_server_killed_while_it_delivers_leaves_nothing_out() -> None:
    facts = [grant(f"w-{n % 7}", f"w-{n}", 5) for n in range(600)]
    with scratch() as folder, receiving() as receiver:
        server = Server(folder / "ledger")
        secret = added(server.folder, "crm", receiver.url)["secret"]
        give(server, facts[:300])
        until(lambda: len(receiver.messages) > 0)
        server.kill()
        with served(server.folder) as again:
            give(again, facts[300:])
            until(lambda: len({entry["id"] for entry in receiver.entries()}) == 600)
        assert {entry["id"] for entry in receiver.entries()} == {fact["id"] for fact in facts}
        assert positions_in_order(receiver.entries())
        for headers, body in receiver.messages:
            Verifier(secret).verify(body, {name.lower(): value for name, value in headers.items()})


def test_a_receiver_that_fails_is_tried_again_and_told_all_of_it() -> None:
    with scratch() as folder, receiving() as receiver, served(folder / "ledger") as server:
        receiver.status = 503
        added(server.folder, "crm", receiver.url, "--type", "campaign.granted.v1", "--outcome", "accepted")
        give(server, [grant("m", f"g-{n}", 5) for n in range(3)])

        def listed() -> dict[str, Any]:
            return json.loads(points(server.folder, "webhooks", "list", "--json").stdout)[0]

        until(lambda: listed()["state"] == "failing")
        assert "503" in listed()["why"] and listed()["behind"] == 3 and listed()["secret"] == ""
        receiver.status = 200
        until(lambda: listed()["state"] == "active" and listed()["behind"] == 0)
        assert [entry["id"] for entry in receiver.entries()] == ["g-0", "g-1", "g-2"]
        assert listed()["delivered"] == 3
        receiver.status = 410
        give(server, [grant("m", "g-3", 5)])
        until(lambda: listed()["state"] == "disabled")
        receiver.status = 204
        assert points(server.folder, "webhooks", "enable", "crm").returncode == 0
        until(lambda: receiver.entries()[-1]["id"] == "g-3")


def test_one_that_fails_for_days_is_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "GIVE_UP", 0)
    ledger, webhooks = ingested(tmp_path, [grant("m", "g", 5)]), Webhooks.at(tmp_path)
    webhooks.add(ledger, "crm", "https://nobody.invalid/x", "me", from_beginning=True)

    async def run() -> None:
        async with deliver.client() as http:
            await deliver._Delivery(ledger, webhooks, http, "crm").run()

    deliver.asyncio.run(run())
    found = webhooks.named("crm")
    assert not found.is_active and "nobody.invalid" in found.why
    assert webhooks.told("crm")[ledger.partition_of("m")].sequence == 0  # it stands where it stood


def test_a_ledger_that_went_back_disables_and_leaves_nothing_out_silently(tmp_path: Path) -> None:
    ledger, webhooks = ingested(tmp_path, [grant("m", "g", 5)]), Webhooks.at(tmp_path)
    webhooks.add(ledger, "crm", "https://nobody.invalid/x", "me")
    partition = ledger.partition_of("m")
    assert webhooks.told("crm")[partition].sequence == 1
    webhooks._db.run("UPDATE told SET link = x'00' WHERE partition = ?", partition)

    async def run() -> None:
        async with deliver.client() as http:
            delivery = deliver._Delivery(ledger, webhooks, http, "crm")
            with pytest.raises(deliver.OtherJournal, match="put back"):
                delivery._next(webhooks.named("crm"), partition, webhooks.told("crm")[partition])

    deliver.asyncio.run(run())


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(tmp_path: Path) -> None:
    ingested(tmp_path, [grant("m", "g", 5)]).close()
    folder = tmp_path / "ledger"
    with receiving() as receiver:
        old = added(folder, "crm", receiver.url)["secret"]
        run = points(folder, "webhooks", "rotate", "crm")
        new = run.stdout.strip()
        assert run.returncode == 0 and new.startswith("whsec_") and new != old
        assert points(folder, "webhooks", "test", "crm").returncode == 0
        ((headers, body),) = receiver.messages
        lower = {name.lower(): value for name, value in headers.items()}
        assert Verifier(old).verify(body, lower) and Verifier(new).verify(body, lower)
    with closing(Webhooks.at(folder)) as kept:
        found = kept.named("crm")
        assert found.secrets_at(found.old_until - 1) == (new, old) and found.secrets_at(found.old_until) == (new,)
        once = kept.rotate("crm", once="r-1")
        assert kept.rotate("crm", once="r-1") == once != kept.rotate("crm", once="r-2")
        assert kept.rotate("crm", at_once=True).old_secret == ""
        graceful = kept.rotate(
            "crm", once="r-3"
        )  # what is to end at once ends, whatever was asked for by that name before
        assert graceful.old_secret and not kept.rotate("crm", at_once=True, once="r-3").old_secret


def test_a_file_of_webhooks_of_before_has_no_old_secrets(tmp_path: Path) -> None:
    ingested(tmp_path, [grant("m", "g", 5)]).close()
    with closing(Webhooks.at(tmp_path / "ledger")) as kept, closing(open_ledger(tmp_path / "ledger")) as ledger:
        kept.add(ledger, "crm", "https://crm.example/x", "ann")
        for column in ("old_secret", "old_until", "once"):
            kept._db.run(f"ALTER TABLE webhooks DROP COLUMN {column}")
        kept._db.run("PRAGMA user_version = 0")
    with closing(Webhooks.at(tmp_path / "ledger")) as kept:
        found = kept.named("crm")
        assert found.secrets_at(1) == (found.secret,) and found.by == "ann"


def test_the_api_adds_tests_and_removes_for_a_key_that_may_operate() -> None:
    with scratch() as folder, served(folder / "ledger") as server:
        reads, both = new_key(server.folder, "reads", "members:read"), ("operate", "members:read")
        with server.client(reads) as http:
            assert http.get("/v1/webhooks").status_code == 403
        with server.client(new_key(server.folder, "operator", *both)) as http:
            wanted = {"name": "crm", "url": "https://localhost:1/x", "outcomes": ["accepted"]}
            made = http.post("/v1/webhooks", json=wanted)
            assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
            assert made.json()["by"] == "operator" and not made.json()["private"]
            assert http.post("/v1/webhooks", json=wanted).status_code == 422
            once = {"Idempotency-Key": "5f0c"}
            first = http.post("/v1/webhooks", json={**wanted, "name": "erp"}, headers=once).json()
            assert http.post("/v1/webhooks", json={**wanted, "name": "erp"}, headers=once).json() == first
            other = {**wanted, "name": "erp", "outcomes": []}
            assert http.post("/v1/webhooks", json=other, headers=once).status_code == 422
            rotated = http.post("/v1/webhooks/erp/rotation", headers=once)
            assert rotated.status_code == 200 and rotated.json()["secret"] not in ("", first["secret"])
            assert http.delete("/v1/webhooks/erp").status_code == 200
            assert http.post("/v1/webhooks", json={**wanted, "url": "http://x.example"}).status_code == 422
            (listed,) = http.get("/v1/webhooks").json()["webhooks"]
            assert listed["secret"] == "" and listed["state"] in ("active", "failing")
            said = http.post("/v1/webhooks/crm/test")
            assert said.status_code == 502 and "not public" in said.json()["detail"]
            assert http.post("/v1/webhooks/crm/enabling").json()["state"] == "active"
            assert http.delete("/v1/webhooks/crm").status_code == 200
            assert http.delete("/v1/webhooks/crm").status_code == 404
        log = (server.folder / "operators.ndjson").read_text()
        assert '"why":"add https://localhost:1/x"' in log and '"why":"remove"' in log


def test_a_test_on_the_command_line_is_signed(tmp_path: Path) -> None:
    ingested(tmp_path, [grant("m", "g", 5)]).close()
    with receiving() as receiver:
        secret = added(tmp_path / "ledger", "crm", receiver.url)["secret"]
        assert points(tmp_path / "ledger", "webhooks", "test", "crm").returncode == 0
        ((headers, body),) = receiver.messages
        assert Verifier(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        receiver.status = 302
        run = points(tmp_path / "ledger", "webhooks", "test", "crm")
        assert run.returncode == 4 and "302" in run.stderr
        assert points(tmp_path / "ledger", "webhooks", "remove", "crm").returncode == 0
        assert "no webhooks" in points(tmp_path / "ledger", "webhooks", "list").stdout


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("127.0.0.1", False),
        ("10.0.0.5", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.5", False),
        ("64:ff9b::a00:5", False),
        ("2002:a00:5::1", False),
    ],
)
def test_no_address_of_an_own_network_is_public(address: str, is_so: bool) -> None:
    assert is_public(address) is is_so


def test_webhooks_are_bounded_and_checked(tmp_path: Path) -> None:
    ledger, webhooks = ingested(tmp_path, [grant("m", "g", 5)]), Webhooks.at(tmp_path)
    for url in ("ftp://x.example", "https://", "https://u:p@x.example", "https://x.example/#a", "http://x.example"):
        with pytest.raises(BadWebhook):
            webhooks.add(ledger, "a", url, "me")
    with pytest.raises(BadWebhook, match="no facts"):
        webhooks.add(ledger, "a", "https://x.example", "me", types=["x"])
    for n in range(MOST):
        webhooks.add(ledger, f"a-{n}", "https://x.example", "me")
    with pytest.raises(BadWebhook, match="as many as may be"):
        webhooks.add(ledger, "one more", "https://x.example", "me")
    assert ((tmp_path / FILE).stat().st_mode & 0o777) == 0o600
