"""The console in a real browser: what a support agent does on it, by mouse, keyboard and screen reader."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ledger.journal.ledger import Settings, new_id
from ledger.journal.open import open_or_create
from ledger.journal.partitioning import Partitioner
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import FACT_TYPES, PROGRAMME_SUBJECT, fact_type
from ledger.wire.follow_ups import source_of
from projections.answers import statement_pages
from projections.answers.stats import IN_THE_SUM
from projections.audit.proof.keys import new_key as new_key_file
from projections.what_if import reports
from projections.what_if.backtest import backtest
from service.cli import run
from service.console import sessions
from service.console.language import translations
from tests.support.browsers import opened
from tests.support.histories import LONG_AGO, encode
from tests.support.histories import history as lived
from tests.support.ledgers import ingested, scratch
from tests.support.served import (
    NDJSON,
    ROOT,
    Fact,
    Server,
    environment,
    fact,
    grant,
    ndjson,
    new_key,
    points,
    redemption,
    served,
)
from tests.support.shop import OPERATORS

AXE = (ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
STORED = "<img src=x onerror=window.ran=1><script>window.ran=1</script>"
MEMBER, ODD = "m-1001", f"m/{STORED}&a=1"
PAGES = (
    "/console",
    "/console/member",
    f"/console/member?id={MEMBER}",
    f"/console/member?id={MEMBER}&kind=beans&outcome=accepted",
    f"/console/why?id={MEMBER}&number=2",
    f"/console/member/savings?id={MEMBER}",
    f"/console/acts?id={MEMBER}",
    "/console/adjustments",
    "/console/people",
    "/console/find",
    "/console/find?q=O",
    "/console/find?q=nothing",
    "/console/liability",
    "/console/programmes",
    "/console/pools",
    "/console/programmes/draft",
    "/console/audits",
    "/console/dead-letters",
    "/console/dead-letter?position={position}",
    "/console/programmes/backtest?name={backtest}",
)


def past(kind: str, member: str, name: str, time: str, data: Fact, source: str = "/shop/orders") -> Fact:
    """A fact of 2025."""
    head = {"specversion": "1.0", "id": name, "source": source, "type": f"{kind}.v1", "subject": member}
    return {**head, "time": time, "data": data}


def order(member: str, name: str, time: str, paid_fen: int) -> Fact:
    lines = [{"line": "1", "sku": "1", "category": "phone", "quantity": 1, "paid_fen": paid_fen}]
    return past("order.completed", member, f"{name}-done", time, {"order": name, "lines": lines})


OF_OTHER_PROGRAMMES: dict[str, Fact] = {
    "order.amended": {"order": "O?", "lines": [{"line": "1", "paid_fen": 100}]},
    "member.described": {"attributes": {"kind": "person"}},
    "member.joined": {"shop": "shop-a"},
    "activity.done": {"done": "A1", "activity": "charity"},
    "activity.undone": {"done": "A1"},
    "tier.granted": {"grant": "T1", "score": "jd-value", "tier": "gold", "until": "2026-01-15T12:00:00+08:00"},
    "tier.withdrawn": {"grant": "T1"},
    "points.claimed": {"of": {"grant": "G?"}},
    "exchange.requested": {"request": "X1", "exchange": "miles", "points": 100},
    "exchange.reversed": {"request": "X1"},
    "house.joined": {"house": "h", "card": "C1", "member": "m-2"},
    "house.left": {"house": "h", "member": "m-2"},
    "member.merged": {"into": "m-1"},
    "member.unmerged": {"name": "m-2"},
    "transfer.requested": {"transfer": "G1", "rule": "gift", "to": "m-2", "points": 10},
    "transfer.reversed": {"transfer": "G1"},
    "benefit.returned": {"claim": "C?"},
    "account.closed": {"reason": "asked"},
    "account.reopened": {"reason": "asked"},
}
GIVEN = [{"points": 10, "earned_at": "2025-01-01T12:00:00+08:00", "rule": "purchase.beans"}]
SENT = past("member.signed-in", "m-9", "sent", "2025-01-15T12:00:00+08:00", {})
MOVED = {"kind": "beans", "lot": 1, "points": 0, "earned_at": 0, "expires_at": 1}
OF_ACCOUNTS: dict[str, Fact] = {
    "transfer.arrived": {
        "frm": "m-2",
        "transfer": "G9",
        "rule": "gift",
        "kind": "beans",
        "points": 10,
        "lots": GIVEN,
    },
    "transfer.returned": {"frm": "m-2", "transfer": "G9", "points": 10},
    "transfer.recalled": {"frm": "m-2", "transfer": "G9"},
    "pool.asked": {"frm": "m-2", "ask": "A1", "n": 1},
    "pool.answered": {"frm": "m-2", "ask": "A1", "yes": False},
    "pool.returned": {"frm": "m-2", "ask": "A1", "n": 1},
    "seat.changed": {
        "frm": "m-2",
        "house": "h",
        "n": 1,
        "from": "2025-01-01T12:00:00+08:00",
        "until": "2025-01-01T12:00:00+08:00",
    },
    "merge.asked": {"frm": "m-2", "names": ["m-2"], "era": 0},
    "merge.answered": {"frm": "m-2", "yes": False, "era": 0, "by": "m-2"},
    "merge.taken": {"frm": "m-2", "era": 0, "i": 0},
    "member.pages": {"frm": "m-2", "era": 0, "i": 0, "known": ["m-2"]},
    "member.moved": {"frm": "m-2", "era": 0, "known": ["m-2"]},
    "member.forwarded": {"frm": "m-2", "name": "m-9", "fact": SENT, "by": "m-2"},
    "lot.returned": {"frm": "m-2", "known": ["m-2"], "lot": MOVED},
    "card.taken-back": {"frm": "m-2", "card": "C1", "orders": ["O1"]},
    **{f"lease.{what}": {"frm": "m-2", "n": 1} for what in ("asked", "answered", "recalled", "returned")},
}


OF_PARTNERS: dict[str, Fact] = {
    "exchange.confirmed": {"request": "X1"},
    "exchange.failed": {"request": "X1"},
}
OF_OTHER_LEDGERS: dict[str, Fact] = {
    "exchange.asked": {"frm": "m-2", "request": "X9", "kind": "beans", "points": 10},
    "exchange.answered": {"frm": "m-2", "request": "X9", "yes": False},
    "exchange.recalled": {"frm": "m-2", "request": "X9"},
}


def history() -> list[bytes]:
    """A member with orders, a card and a refused redemption; one with markup for a name; and two dead letters."""
    card = {"card": "C1", "product": "plus.annual", "paid_fen": 19_900}
    use = {"redemption": "R1", "points": 9_999_000, "use": "coupon"}
    facts = [
        order(MEMBER, "O1", "2025-01-15T12:00:00+08:00", 1_234_500),
        past("card.purchased", MEMBER, "c-1", "2025-02-01T12:00:00+08:00", card),
        order(MEMBER, "O2", "2025-03-15T12:00:00+08:00", 99_900),
        past("redemption.requested", MEMBER, "r-1", "2025-04-15T12:00:00+08:00", use),
        *(
            past("member.signed-in", MEMBER, f"s-{n}", f"2025-{5 + n // 28:02}-{1 + n % 28:02}T08:00:00+08:00", {})
            for n in range(60)
        ),
        {**order(ODD, STORED, "2025-03-02T12:00:00+08:00", 50_000), "source": STORED},
    ]
    no_type = b'{"specversion":"1.0","id":"</textarea>%s","source":"/shop"}' % STORED.encode()
    return [*map(encode, facts), b"{not json", no_type]


def prepare(folder: Path) -> None:
    """A ledger with that history, its views, the results of audits, a checkpoint, and a draft that was tried."""
    facts, key = folder / "facts.ndjson", folder / "key.pem"
    facts.write_bytes(b"".join(line + b"\n" for line in history()))
    book = (ROOT / "ledger" / "programmes" / "jd.toml").read_text(encoding="utf-8")
    draft = folder / "<b onclick=window.ran=1>draft.toml"
    draft.write_text(book.replace("per_fen = 10_000", "per_fen = 5_000"), encoding="utf-8")
    new_key_file(key)
    for command in (
        ["ingest", "--backlog", str(facts)],
        ["views", "run", "books", "overview", "finding"],
        ["verify"],
        ["checkpoint", "--key", str(key), "-o", str(folder / "ledger.checkpoint")],
        ["backtest", str(draft)],
    ):
        taken = [*points(folder / "ledger"), *command]
        subprocess.run(taken, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder:
        prepare(folder)
        with served(folder / "ledger") as found:
            yield found


def waiting(server: Server) -> list[dict[str, Any]]:
    with server.client() as http:
        found: list[dict[str, Any]] = http.get("/v1/dead-letters").json()["letters"]
        return found


def position_of(server: Server, part: bytes) -> str:
    """The position of the dead letter that holds some bytes."""
    from base64 import b64decode

    return next(str(one["position"]) for one in waiting(server) if part in b64decode(one["bytes"]))


def addresses(server: Server) -> list[str]:
    letters, backtest = waiting(server), next((server.folder / "audits" / "backtests").iterdir()).stem
    return [address.format(position=letters[0]["position"], backtest=backtest) for address in PAGES]


def test_a_member_is_found_and_shown_with_all_that_support_needs(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto("/console")
        page.get_by_role("link", name="Member", exact=True).click()
        page.get_by_label("Member's token").fill(MEMBER)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(MEMBER)
        with server.client() as http:
            shown = http.get(f"/v1/members/{MEMBER}").json()
        spendable = shown["points"]["beans"]["spendable"]
        expect(page.locator("section", has_text="Beans").locator(".figure").first).to_contain_text(f"{spendable:,}")
        expect(page.get_by_role("heading", name="PLUS", exact=True)).to_be_visible()
        expect(page.locator("#months-1 tbody tr")).to_have_count(12)
        expect(page.locator(".chart canvas")).to_have_count(0)  # nothing of these months counts: there is none to draw
        expect(page.locator(".statement > li")).to_have_count(50)
        page.get_by_role("link", name="Older entries").click()
        expect(page.locator(".statement > li")).to_have_count(14)
        expect(page.locator(".statement > li").last).to_contain_text("Order completed")
        page.goto(f"/console/member?id={MEMBER}&as_of=2025-07-31")
        expect(page.locator(".chart canvas")).to_have_count(1)


def test_a_statement_is_filtered_and_saved_as_it_is_seen(server: Server) -> None:
    with server.client() as http:
        beans = http.get(f"/v1/members/{MEMBER}").json()["points"]["beans"]["spendable"]
        asked = {"id": MEMBER, "kind": "beans", "type": "order.completed.v1"}
        shown = http.get("/console/member", params=asked).text
        assert shown.count('hx-get="/console/why') == 2 and "2 lines of these" in shown
        saved = http.get("/console/member/statement", params={**asked, "form": "csv"})
        assert saved.headers["content-disposition"] == 'attachment; filename="statement.csv"'
        assert [line.split(",")[5] for line in saved.text.splitlines()[1:]] == ["O1-done", "O2-done"]
        every = http.get("/console/member/statement", params={"id": MEMBER, "form": "json"}).json()
        assert len({line["number"] for line in every}) == 64
        assert [line["balance"] for line in every if line.get("unit") == "beans"][-1] == beans
        assert any(line["outcome"] == "refused" and line["reason"] == "beans-short" for line in every)
        odd = http.get("/console/member/statement", params={"id": ODD, "form": "parquet"})
        assert odd.content[:4] == b"PAR1"
        assert http.get("/console/member/statement", params={"id": "m-none"}).status_code == 404
        assert "No entry is of these" in http.get("/console/member", params={**asked, "outcome": "refused"}).text


def test_a_long_statement_shows_its_newest_lines_at_once_and_reads_on_by_itself(chromium: Browser) -> None:
    entries, shown = 7_000, r"balance </span>([\d,]+)"
    cards = [{"card": f"C{n}", "product": "plus.annual", "paid_fen": 19_900} for n in range(14)]
    with scratch() as folder:
        facts = [grant(MEMBER, f"g-{n}", 1) for n in range(entries)]
        ingested(folder, [*facts, *(fact("card.purchased", "m-cards", card["card"], card) for card in cards)]).close()
        with served(folder / "ledger") as server, server.client() as http:
            newest = http.get("/console/member", params={"id": MEMBER}).text
            assert f"{entries:,} entries" in newest and 'hx-get="/console/member/savings' in newest
            assert "0 of 7,000 entries are read" in newest
            assert newest.count('hx-get="/console/why') == statement_pages.LINES
            assert f"before={entries - statement_pages.LINES + 1}#statement" in newest and not re.findall(shown, newest)
            older = http.get("/console/member", params={"id": MEMBER, "before": 101}).text
            assert re.findall(shown, older) == [str(n) for n in range(100, 50, -1)], "all before them was read"
            with closing(chromium.new_context(base_url=server.url, locale="en-US")) as context:
                page = context.new_page()
                page.route("**/*whole=true*", lambda asked: asked.fulfill(status=503, body="busy"))
                with page.expect_console_message(lambda said: "Response Status Error Code 503" in said.text):
                    page.goto(f"/console/member?id={MEMBER}")
                page.wait_for_timeout(500)  # what would replace the lines has come by then
                assert page.locator(".statement > li").count() == statement_pages.LINES
            with opened(chromium, server.url) as page:
                page.goto(f"/console/member?id={MEMBER}")
                lines = page.locator(".statement > li")
                expect(lines.first.locator(".balance")).to_have_text(f"balance {entries:,}", timeout=60_000)
                expect(page.get_by_text("entries are read")).to_have_count(0)
                expect(lines).to_have_count(statement_pages.LINES)
                page.locator("nav.pages a").last.click()
                expect(lines.first.locator(".balance")).to_have_text(f"balance {entries - statement_pages.LINES:,}")
            older = http.get("/console/member", params={"id": MEMBER, "before": 4_001}).text
            assert re.findall(shown, older) == [f"{n:,}" for n in range(4_000, 3_950, -1)]
            part = http.get("/console/member/savings", params={"id": MEMBER}, headers={"HX-Request": "true"})
            assert part.status_code == 200 and "<html" not in part.text
            of_cards = http.get("/console/member/savings", params={"id": "m-cards"}).text
            assert of_cards.count("plus.annual") == 12 and "2 earlier cards" in of_cards
            assert http.get("/console/member/savings", params={"id": "m-none"}).status_code == 404


def test_a_member_that_nobody_knows_is_said_so(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url, refused=(404,)) as page:
        page.goto("/console/member?id=m-none")
        expect(page.get_by_role("alert")).to_contain_text("no entry of a member m-none")


def test_why_is_loaded_where_it_is_asked_for(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto(f"/console/member?id={MEMBER}&before=10")
        refused = page.locator(".statement > li", has=page.locator("[title=beans-short]"))
        expect(refused.locator(".explained")).to_have_count(0)
        refused.locator("summary").click()
        expect(refused.locator(".explained")).to_contain_text("spendable")
        earned = page.locator(".statement > li", has=page.locator("[title=O1-done]"))
        earned.locator("summary").first.click()
        expect(earned.locator(".explained")).to_contain_text("Purchase beans")
        assert page.url.endswith("before=10")


def test_why_is_told_of_an_entry_of_every_type_outcome_reason_and_change() -> None:
    with scratch() as folder:
        facts = [one for seed in range(12) for one in lived(Random(seed), 150, f"m-{seed}", LONG_AGO)]
        for source, given in (
            (OPERATORS, {"credit.scored": {"score": 700}, **OF_OTHER_PROGRAMMES}),
            (source_of(Partitioner(4)("m-2")), OF_ACCOUNTS),
            ("/partners/miles", OF_PARTNERS),
            (source_of(3, "mall"), OF_OTHER_LEDGERS),
        ):
            at = "2025-01-15T12:00:00+08:00"
            facts += [past(kind, "m-1", f"x-{kind}", at, data, source) for kind, data in given.items()]
        born = Settings(4, new_id(), peers=("mall",), partners=("/partners/miles",))
        open_or_create(folder / "ledger", settings=born).close()
        ledger = ingested(folder, facts)
        found: dict[tuple[str, ...], tuple[str, int]] = {}
        for member in (f"m-{seed}" for seed in range(12)):
            for row in ledger.journal(ledger.partition_of(member)).entries_of(member):
                entry = decode_entry(row.state)
                kind = fact_type(decode_canonical(entry.fact)[0])
                keys = [(kind, OUTCOMES[entry.outcome], entry.reason)]
                keys += [("change", type(change).__name__) for change in entry.changes]
                for key in keys:
                    found.setdefault(key, (member, entry.number))
        ledger.close()
        types = {kind.__struct_config__.tag for kind in FACT_TYPES} - {f"{PROGRAMME_SUBJECT}.published.v1"}
        assert {key[0] for key in found} >= types and {key[1] for key in found} >= set(OUTCOMES)
        with served(folder / "ledger") as server, server.client() as http:
            for key, (member, number) in found.items():
                told = http.get("/console/why", params={"id": member, "number": number})
                assert told.status_code == 200 and '<div class="explained">' in told.text, (key, told.text)
                if key[0] != "change" and key[2]:
                    assert f'<span title="{key[2]}">' in told.text


def test_an_error_names_the_member_as_she_is_named(server: Server) -> None:
    with server.client() as http:
        told = http.get("/console/why", params={"id": MEMBER, "number": 99})
    assert told.status_code == 404 and "&#34;m-1001&#34; has 64 entries; there is no entry 99." in told.text


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/console/x", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/console/why", 405),
    ],
)
def test_a_browser_gets_a_page_where_nothing_is_and_a_program_a_problem(
    server: Server, method: str, address: str, status: int
) -> None:
    with server.client() as http:
        told = http.request(method, address, headers={"Accept": "text/html,*/*;q=0.8", "Accept-Language": "zh-CN"})
        assert (told.status_code, told.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert '<html lang="zh-CN">' in told.text and '<a href="/console">' in told.text
        told = http.request(method, address, headers={"Accept": "application/json"})
        assert (told.status_code, told.headers["content-type"]) == (status, "application/problem+json")


def test_the_slider_shows_the_member_as_of_any_day(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto(f"/console/member?id={MEMBER}")
        first = int(page.locator("#as-of").get_attribute("data-first") or 0)
        page.get_by_label("Slide to any day").fill(str(first + 20))
        expect(page.get_by_role("status")).to_have_text("As of the end of 2025-02-04")
        expect(page.locator("#statement-title")).to_contain_text("2 entries")
        expect(page.locator("section", has_text="PLUS").first).to_contain_text("active")
        assert "as_of=2025-02-04" in page.url
        page.get_by_label("As of the end of", exact=True).fill("2025-01-14")
        expect(page.get_by_role("status")).to_have_text("As of the end of 2025-01-14")
        expect(page.locator("#statement")).to_contain_text("There was no entry by this day")
        page.get_by_role("link", name="Now", exact=True).click()
        expect(page.locator("#statement-title")).to_contain_text("64 entries")


def test_the_language_is_the_browsers_until_one_is_chosen_and_then_remembered(
    chromium: Browser, server: Server
) -> None:
    with opened(chromium, server.url, locale="zh-CN") as page:
        page.goto(f"/console/member?id={MEMBER}")
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        expect(page.locator("#statement-title")).to_contain_text("流水")
        page.get_by_role("button", name="English").click()
        expect(page.locator("#statement-title")).to_contain_text("Statement")
        assert page.url.endswith(f"/console/member?id={MEMBER}")
        page.goto("/console")
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_dead_letter_is_mended_and_decided_and_another_dropped(chromium: Browser, server: Server) -> None:
    mended = position_of(server, b"{not json")
    with server.client() as http:  # one to drop; the letter with markup stays for the other tests
        assert http.get(f"/v1/dead-letters/{mended}").status_code == 200
    with opened(chromium, server.url, refused=(422,)) as page:
        page.goto("/console/dead-letters")
        page.get_by_role("link", name=mended).click()
        field = page.get_by_label("The fact")
        expect(field).to_have_value("{not json")
        page.locator("#why-mend").fill("the shop's export was cut")
        field.fill('{"still":"no fact"}')
        page.get_by_role("button", name="Send the mended fact").click()
        expect(page.get_by_role("alert")).to_contain_text("No fact that can be taken")
        expect(field).to_have_value('{"still":"no fact"}')
        field.fill(json.dumps(past("campaign.granted", "m-2", "g-1", "2025-12-01T08:00:00+08:00", GRANT), indent=1))
        page.get_by_role("button", name="Send the mended fact").click()
        expect(page.get_by_role("status")).to_contain_text("accepted")
        page.get_by_role("button", name="中文").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"异常事件 {mended}")
        page.goto("/console/member?id=m-2")
        expect(page.locator(".figure").first).to_contain_text("500")
    actions = (server.folder / "operators.ndjson").read_text(encoding="utf-8")
    line = f'"by":"local","action":"retry","about":"{mended}","mended":true,"why":"the shop\'s export was cut"'
    assert line in actions


GRANT = {"grant": "G1", "campaign": "c", "points": 500, "expires": "2999-01-01T00:00:00+08:00"}


def test_a_dead_letter_is_dropped_only_where_that_is_confirmed(chromium: Browser) -> None:
    with scratch() as folder:
        facts = folder / "bad.ndjson"
        facts.write_bytes(b"{not json\n")
        taken = [*points(folder / "ledger"), "ingest", str(facts)]
        subprocess.run(taken, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)
        with served(folder / "ledger") as server, opened(chromium, server.url) as page:
            page.goto("/console/dead-letters")
            page.locator("tbody a").click()
            page.locator("summary", has_text="Drop its bytes").click()
            page.get_by_role("button", name="Drop its bytes").click()
            assert waiting(server), "the browser asks for the tick first"
            page.get_by_label("Yes, remove them for good").check()
            page.get_by_role("button", name="Drop its bytes").click()
            assert waiting(server), "and for the reason"
            page.locator("#why-drop").fill("a test of the sender")
            page.get_by_role("button", name="Drop its bytes").click()
            expect(page.locator("dl")).to_contain_text("dropped")
            assert not waiting(server)


def test_the_overview_and_the_liability_say_what_the_api_says(chromium: Browser, server: Server) -> None:
    with server.client() as http:
        books, liability = http.get("/v1/stats").json(), http.get("/v1/liability").json()
        positions = http.get("/v1/positions").json()["partitions"]
    with opened(chromium, server.url) as page:
        page.goto("/console")
        expect(page.locator("#books")).to_contain_text("balanced")
        row = page.locator("tr", has=page.get_by_role("rowheader", name="issued", exact=True)).first
        expect(row).to_contain_text(f"{books['points']['beans']['issued']:,}")
        shown = page.locator("section", has=page.locator("#books")).get_by_role("rowheader").all_inner_texts()
        assert {translations("en")[name] for name in IN_THE_SUM} <= set(shown), "each part of the sum has its row"
        expect(page.locator("tr", has=page.locator("[title=beans-short]"))).to_contain_text("1")
        expect(page.locator(".tiles")).to_contain_text(str(sum(one["entries"] for one in positions)))
        expect(page.locator("section", has=page.locator("#partitions")).locator("tbody tr")).to_have_count(
            len(positions)
        )
        page.get_by_role("link", name="Liability").click()
        months = page.locator("#liability-months-1 tbody tr")
        expect(months).to_have_count(len(liability["points"]["beans"]["by_month"]))
        expect(page.locator(".chart canvas")).to_have_count(1)
        page.goto("/console/audits")
        for one in positions:
            alike = sum(other["link"] == one["link"] for other in positions)  # empty partitions are
            expect(page.locator(f'code[title="{one["link"]}"]')).to_have_count(alike)


def test_the_first_page_shows_the_ledgers_own_figures_and_the_values_under_the_pointer(
    chromium: Browser, server: Server
) -> None:
    with opened(chromium, server.url) as page:
        page.goto("/console?range=all")
        with server.client() as http:
            beans = http.get("/v1/stats").json()["points"]["beans"]
        shown = page.locator(".kpis")
        for name in ("issued", "redeemed", "expired", "clawed_back"):
            said = {"clawed_back": "Clawed back"}.get(name, name.capitalize())
            tile = shown.locator("div", has=page.get_by_text(said, exact=True))
            expect(tile.locator("dd").first).to_have_text(f"{beans[name]:,}")
        left = sum(beans[name] for name in ("spendable", "pending", "held"))
        expect(shown.locator(".lead dd").first).to_have_text(f"{left:,}")
        rows = page.locator("#moved tbody tr")
        given = [int(cell.get_attribute("data-value") or 0) for cell in rows.locator("td:nth-child(2)").all()]
        assert sum(given) == beans["issued"]
        expect(page.locator("#home .chart canvas").first).to_be_visible()
        page.locator("#home .chart .u-over").first.hover()
        expect(page.locator("#home .chart .tip").first).to_contain_text("Redeemed")
        chart = page.get_by_role("group", name="Points in and out").first
        chart.focus()
        months = [row.text_content() for row in page.locator("#moved tbody th").all()]
        for key, month in (
            ("End", months[-1]),
            ("ArrowLeft", months[-2]),
            ("ArrowLeft", months[-3]),
            ("Home", months[0]),
        ):
            page.keyboard.press(key)
            expect(chart.locator(".tip strong")).to_have_text(month or "")
            expect(chart.locator("[aria-live]")).to_contain_text(f"{month}: Issued ")
        page.keyboard.press("Escape")
        expect(chart.locator(".tip")).to_be_hidden()
        page.locator("#moved-figures summary").click()
        expect(rows.first).to_be_visible()
        seen = (page.locator("#home").get_attribute("hx-get") or "").partition("seen=")[2]
        with server.client() as http:  # nothing to tell whoever has seen it
            assert http.get(f"/console/live?range=all&seen={seen}").status_code in (200, 204)
            assert http.get("/console?first=2025-03-02&last=2025-03-01").status_code == 400
            page.goto("/console?first=2025-01-10&last=2025-01-20")
        expect(page.locator("#moved tbody tr")).to_have_count(11)


def test_without_a_view_the_books_are_summed_when_the_page_asks(chromium: Browser) -> None:
    with scratch() as folder:
        ingested(folder, [grant(MEMBER, "g-1", 500)]).close()
        with served(folder / "ledger") as server, opened(chromium, server.url) as page:
            page.goto("/console")
            expect(page.locator("#books")).to_contain_text("balanced")
            page.get_by_role("link", name="Liability").click()
            expect(page.locator("#liability-months-1 tbody tr")).to_have_count(1)


def test_a_redemption_shows_on_the_open_page_without_a_reload(chromium: Browser) -> None:
    with scratch() as folder:
        ingested(folder, [grant(MEMBER, "g-1", 500)]).close()
        with served(folder / "ledger", views=True) as server, opened(chromium, server.url) as page:
            page.clock.install()
            page.goto("/console")
            page.evaluate("window.isKept = true")
            shown = page.locator("#home .kpis div", has=page.get_by_text("Redeemed", exact=True)).locator("dd")
            _comes(page, shown, "0")  # once the view is built
            with server.client() as http:
                taken = http.post("/v1/facts:bulk", content=ndjson([redemption(MEMBER, "r-1", 120)]), headers=NDJSON)
            assert taken.status_code == 200
            _comes(page, shown, "120")
            assert page.evaluate("window.isKept")


def _comes(page: Page, shown: Locator, text: str) -> None:
    """The page comes to show a text by itself; its own quarters of a minute pass at once."""
    until = time.monotonic() + 60
    while (found := shown.first.text_content() if shown.count() else "") != text:
        assert time.monotonic() < until, found
        page.clock.run_for(15_000)
        page.wait_for_timeout(200)


def test_a_view_of_another_version_is_named_with_the_commands_that_bring_it_up(tmp_path: Path) -> None:
    ingested(tmp_path, [grant(MEMBER, "g-1", 500)]).close()
    ledger = tmp_path / "ledger"
    assert run(["--ledger", str(ledger), "views", "run", "overview"]) == 0
    (build,) = (ledger / "views").glob("overview-v*.db")
    with closing(sqlite3.connect(build)) as db, db:
        db.execute("UPDATE build SET version = 0, tables = 'of before'")
    with served(ledger) as server, server.client() as http:
        for language, said in (("en", "points views rebuild overview"), ("zh", "先运行")):
            told = http.get("/console", headers={"Accept-Language": language}).text
            assert "points views switch overview" in told and said in told


def test_the_overview_says_how_many_facts_come_in_a_second(chromium: Browser) -> None:
    with scratch() as folder, served(folder / "ledger") as server, server.client() as http:
        facts = ndjson([grant(MEMBER, f"g-{n}", 1) for n in range(50)])
        assert http.post("/v1/facts:bulk?outcomes=true", content=facts, headers=NDJSON).status_code == 200
        with opened(chromium, server.url) as page:
            page.goto("/console")
            row = page.locator("tr", has=page.get_by_role("rowheader", name="5 min"))
            facts_a_second, decisions_a_second = map(float, row.locator("td").all_text_contents())
            assert 0 < facts_a_second <= 50 and 0 < decisions_a_second <= 50


def test_audits_show_their_last_result_and_give_a_proof_to_take_away(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto("/console/audits")
        expect(page.locator("tr", has=page.locator("th[title=verify]"))).to_contain_text("good")
        with page.expect_download() as checkpoint:
            page.get_by_role("link", name=".checkpoint").click()
        kept = (server.folder.parent / "ledger.checkpoint").read_bytes()
        assert checkpoint.value.path().read_bytes() == kept
        page.get_by_label("Member's token").fill(MEMBER)
        page.get_by_label("Entry", exact=True).fill("3")
        with page.expect_download() as proof:
            page.get_by_role("button", name="Download the proof").click()
        page.goto(f"/console/why?id={MEMBER}&number=3")
        with page.expect_download() as again:
            page.get_by_role("link", name="proof").click()
        assert again.value.path().read_bytes() == proof.value.path().read_bytes()
        key = server.folder.parent / "key.pub.pem"
        verifier = ROOT / "verifier" / "points_verify.py"
        command = [sys.executable, "-I", str(verifier), "--key", str(key), str(proof.value.path())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and f"entry 3 of {MEMBER}" in done.stdout, done.stdout + done.stderr


def test_a_backtest_is_listed_and_shown_and_nothing_of_its_draft_is_run(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto("/console/programmes")
        row = page.locator("tr", has_text="<b onclick=window.ran=1>draft.toml")
        expect(row).to_contain_text("¥")
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("<b onclick=window.ran=1>draft.toml")
        issued = page.locator("tr", has=page.get_by_role("rowheader", name="issued", exact=True)).first
        with server.client() as http:
            books = http.get("/v1/stats").json()["points"]["beans"]
        expect(issued).to_contain_text(f"{books['issued']:,}")
        expect(page.locator(".chart canvas")).to_have_count(1)
        assert_nothing_ran(page)
        (kept,) = (server.folder / "audits" / "backtests").iterdir()
        whole = kept.read_bytes()
        kept.write_bytes(whole[:-20])
        try:
            page.goto("/console/programmes")
            expect(page.locator("tr", has_text="draft.toml")).to_have_count(0)
        finally:
            kept.write_bytes(whole)


def test_only_the_newest_backtests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST", 3)
    with scratch() as folder:
        ledger = ingested(folder, [grant(MEMBER, "g-1", 5)])
        found = backtest(ledger, (ROOT / "ledger" / "programmes" / "jd.toml").read_text(), "d.toml", 1 << 50)
        ledger.close()
    for year in range(2020, 2026):
        (tmp_path / f"d-{year}0101T000000.json").write_text("{}")
    name = reports.store(tmp_path, found, "2026-01-01T00:00:00+08:00")
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["d-20240101T000000", "d-20250101T000000", name]
    assert [one.name for one in reports.stored(tmp_path)] == [name], "one that cannot be read is left out"
    assert reports.report(tmp_path, "../d") is None


def test_two_rule_books_are_compared_in_words(chromium: Browser) -> None:
    with scratch() as folder:
        book = (ROOT / "ledger" / "programmes" / "jd.toml").read_text(encoding="utf-8")
        changed = re.sub(r"^from = [0-9-]+", "from = 2026-01-01", book, count=1, flags=re.MULTILINE)
        changed = changed.replace("late_days = 400", "late_days = 300")
        assert changed.count("2026-01-01") > book.count("2026-01-01") and "late_days = 300" in changed
        draft = folder / "draft.toml"
        draft.write_text(changed, encoding="utf-8")
        command = [*points(folder / "ledger"), "programme", "publish", str(draft), "--by", "test"]
        facts = folder / "facts.ndjson"
        facts.write_bytes(history()[0] + b"\n")
        for run in ([*points(folder / "ledger"), "ingest", "--backlog", str(facts)], command):
            subprocess.run(run, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)
        with served(folder / "ledger") as server, opened(chromium, server.url) as page:
            page.goto("/console/programmes")
            page.get_by_role("button", name="Compare").click()
            difference = page.locator(".changes")
            expect(difference).to_contain_text("late_days")
            expect(difference).to_contain_text("400 → 300")
            page.locator("tbody a").first.click()
            expect(page.locator("pre")).to_contain_text("late_days = 300")


def test_a_draft_is_checked_told_and_compared_and_what_is_wrong_is_named(chromium: Browser, server: Server) -> None:
    book = (ROOT / "ledger" / "programmes" / "jd.toml").read_text(encoding="utf-8")
    with opened(chromium, server.url, refused=(422,)) as page:
        page.goto("/console/programmes")
        page.get_by_role("link", name="Check a draft").click()
        field, check = page.get_by_label("The rule book"), page.get_by_role("button", name="Check")
        field.fill(
            book.replace("per_fen = 10_000", "per_fen = 5_000").replace("from = 2017-09-14", "from = 2030-01-01", 1)
        )
        check.click()
        expect(page.get_by_role("status")).to_contain_text("It can be the next version")
        expect(page.locator("section", has=page.locator("#differs"))).to_contain_text("5,000")
        field.fill(book.replace("per_fen = 10_000", "per_fen = -1"))
        check.click()
        expect(page.get_by_role("alert")).to_contain_text("per_fen")
        expect(field).to_have_value(re.compile("per_fen = -1"))


def test_the_demo_opens_the_console_on_its_ledger(chromium: Browser) -> None:
    with scratch() as folder:
        facts = folder / "ledger" / "online-retail.ndjson"  # a short year, taken in before
        for taken in (["init"], ["ingest", "--backlog", str(facts)]):
            called = [*points(folder / "ledger"), *taken]
            subprocess.run(called, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)
            facts.write_bytes(b"".join(line + b"\n" for line in history()))
        process = subprocess.Popen(
            [*points(folder / "ledger"), "demo", "--serve", "--port", "0"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            url = next(found[1] for line in process.stderr if (found := re.search(r"(http://\S+)/console", line)))
            with opened(chromium, url) as page:
                page.goto(f"/console/member?id={MEMBER}")
                expect(page.get_by_role("heading", level=1)).to_have_text(MEMBER)
        finally:
            process.terminate()
            process.communicate(timeout=60)
        assert process.returncode in (0, -15)


def test_what_is_stored_is_shown_and_never_run(chromium: Browser, server: Server) -> None:
    letter = position_of(server, b"</textarea>")
    with opened(chromium, server.url) as page:
        page.goto("/console/member")
        page.get_by_label("Member's token").fill(ODD)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(ODD)
        page.locator(".statement summary").first.click()
        expect(page.locator(".explained").first).to_contain_text(STORED)
        assert_nothing_ran(page)
        page.goto(f"/console/dead-letter?position={letter}")
        expect(page.get_by_label("The fact")).to_have_value(re.compile(re.escape(STORED)))
        assert_nothing_ran(page)
        page.goto("/console/dead-letters")
        expect(page.locator("tbody")).to_contain_text("<img src=x")
        assert_nothing_ran(page)


def assert_nothing_ran(page: Page) -> None:
    assert page.evaluate("window.ran") is None
    assert not page.locator("img, script:not([src]), [onerror]").count()


def test_everything_is_reached_by_keyboard_alone(chromium: Browser, server: Server) -> None:
    with opened(chromium, server.url) as page:
        page.goto("/console")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.goto("/console/member")
        expect(page.get_by_label("Member's token")).to_be_focused()
        page.keyboard.type(MEMBER)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(MEMBER)
        slider = page.get_by_label("Slide to any day")
        tab_to(page, "slider")
        before = int(slider.input_value())
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("status")).to_contain_text("As of the end of")
        assert int(slider.input_value()) == before - 1
        expect(slider).to_be_focused()
        summary = page.locator(".statement summary").first
        for _ in range(60):
            page.keyboard.press("Tab")
            if summary.evaluate("it => it === document.activeElement"):
                break
        page.keyboard.press("Enter")
        expect(page.locator(".explained").first).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with an id has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"{name} is not reached by Tab")


@pytest.mark.parametrize(("scheme", "locale", "width"), [("light", "en-US", 1280), ("dark", "zh-CN", 390)])
def test_no_page_has_a_barrier_that_axe_finds_and_none_is_wider_than_its_screen(
    chromium: Browser, server: Server, scheme: str, locale: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    with opened(chromium, server.url, color_scheme=scheme, locale=locale, viewport=size) as page:
        for address in addresses(server):
            page.goto(address)
            page.wait_for_load_state("networkidle")
            closed = page.locator("main details:not([open]) > summary")
            for _ in range(min(closed.count(), 3)):
                closed.first.click()
            page.wait_for_load_state("networkidle")
            assert_no_barrier(page, width)


@pytest.mark.parametrize(("scheme", "locale", "width"), [("light", "en-US", 1280), ("dark", "zh-CN", 390)])
def test_the_page_to_sign_in_has_no_barrier_that_axe_finds(
    chromium: Browser, locked: tuple[Server, dict[str, str]], scheme: str, locale: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    with opened(chromium, locked[0].url, refused=(403,), color_scheme=scheme, locale=locale, viewport=size) as page:
        page.goto("/console")
        assert_no_barrier(page, width)
        page.locator("#key").fill("points_wrong_wrong")
        page.locator("main button").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert_no_barrier(page, width)


def assert_no_barrier(page: Page, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    page.evaluate(f"(() => {{ {AXE} }})()")
    found = page.evaluate("axe.run(document).then(found => found.violations)")
    assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], page.url


@pytest.fixture(scope="module")
def locked() -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with keys, by name."""
    with scratch() as folder:
        ledger = folder / "ledger"
        facts = folder / "facts.ndjson"
        facts.write_bytes(b"".join(line + b"\n" for line in history()))
        taken = [*points(ledger), "ingest", "--backlog", str(facts)]
        subprocess.run(taken, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)
        scopes = {
            "support": "members:read",
            "boss": "books:read",
            "one": f"member:read:{MEMBER}",
            "shop": "facts:write",
        }
        keys = {name: new_key(ledger, name, scope) for name, scope in scopes.items()}
        with served(ledger) as found:
            yield found, keys


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_who_signs_in_comes_to_the_page_that_was_asked_for_and_sees_what_the_key_opens(
    chromium: Browser, locked: tuple[Server, dict[str, str]]
) -> None:
    server, keys = locked
    with opened(chromium, server.url, refused=(403,)) as page:
        page.goto(f"/console/member?id={MEMBER}")
        sign_in(page, "points_wrong_wrong")
        expect(page.get_by_role("alert")).to_contain_text("not valid")
        sign_in(page, keys["shop"])
        expect(page.get_by_role("alert")).to_contain_text("opens no page")
        sign_in(page, keys["support"])
        expect(page.get_by_role("heading", level=1)).to_have_text(MEMBER)
        expect(page.get_by_role("navigation", name="Menu").get_by_role("link")).to_have_text(["Member"])
        cookie = next(one for one in page.context.cookies() if one["name"] == "points-session")
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and keys["support"] not in cookie["value"]
        page.goto("/console/dead-letters")
        expect(page.get_by_role("heading", level=1)).to_have_text("The key may not do this")
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"/console/member?id={MEMBER}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.context.add_cookies([cookie])
        page.goto(f"/console/member?id={MEMBER}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_key_for_one_member_opens_that_member_alone(chromium: Browser, locked: tuple[Server, dict[str, str]]) -> None:
    server, keys = locked
    with opened(chromium, server.url, refused=(403,)) as page:
        page.goto("/console")
        sign_in(page, keys["one"])
        page.goto(f"/console/member?id={MEMBER}")
        expect(page.locator("#statement")).to_be_visible()
        for address in ("/console/member?id=m-2", "/console/why?id=m-2&number=1", "/console/books"):
            page.goto(address)
            expect(page.get_by_role("heading", level=1)).to_have_text("The key may not do this")


def test_a_revoked_key_ends_its_session_at_once(chromium: Browser, locked: tuple[Server, dict[str, str]]) -> None:
    server, keys = locked
    with opened(chromium, server.url) as page:
        page.goto("/console")
        sign_in(page, keys["boss"])
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        revoked = [*points(server.folder), "keys", "revoke", "boss"]
        subprocess.run(revoked, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=60)
        page.goto("/console/audits")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_session_ends_after_a_while_without_a_request_and_after_a_day_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(sessions.time, "time", lambda: now)
    kept = sessions.Sessions()
    token = kept.begin("k")
    for _ in range(sessions.LONGEST_SECONDS // sessions.IDLE_SECONDS):
        now += sessions.IDLE_SECONDS
        assert kept.key_of(token) == "k"
    now += 1
    assert kept.key_of(token) is None
    token = kept.begin("k")
    now += sessions.IDLE_SECONDS + 1
    assert kept.key_of(token) is None
    token = kept.begin("k")
    now += sessions.IDLE_SECONDS
    assert kept.key_of(token, is_use=False) == "k"  # a page that looks for news by itself keeps no session
    now += 1
    assert kept.key_of(token) is None


def test_the_oldest_sessions_end_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 3)
    monkeypatch.setattr(sessions, "MOST", 5)
    ticks = count(1_700_000_000)
    monkeypatch.setattr(sessions.time, "time", lambda: next(ticks))
    kept = sessions.Sessions()
    first = kept.begin("first")
    many = [kept.begin("k") for _ in range(9)]
    assert [kept.key_of(token) for token in many] == [None] * 6 + ["k"] * 3
    assert kept.key_of(first) == "first"  # who signs in often ends nobody else's
    others = [kept.begin(f"k{number}") for number in range(3)]
    assert [kept.key_of(token) for token in (first, *many[6:], *others)] == [None, None, "k", "k", "k0", "k1", "k2"]


@pytest.mark.parametrize(
    "address", ["language", "sign-in", "sign-out", "programmes/draft", "dead-letter/retry", "dead-letter/drop"]
)
def test_no_form_of_another_page_or_site_is_taken(server: Server, address: str) -> None:
    fields = {"language": "zh", "position": waiting(server)[0]["position"], "confirmed": "yes"}
    before = waiting(server)
    with server.client() as http:
        token = re.search(r'name="form_token" value="(\w+)"', http.get("/console").text)
        assert token
        whole = {**fields, "form_token": token[1]}
        for form, headers in (
            (fields, {}),
            ({**fields, "form_token": "0" * 64}, {}),
            (whole, {"Origin": "http://elsewhere.example"}),
            (whole, {"Origin": "null"}),
        ):
            answer = http.post(f"/console/{address}", data=form, headers=headers)
            assert answer.status_code == 403 and "set-cookie" not in answer.headers, headers
            assert "403 wrong-origin" in answer.text
    assert waiting(server) == before


def test_every_page_keeps_to_itself(server: Server) -> None:
    with server.client() as http:
        for address in addresses(server):
            headers = http.get(address).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy and "unsafe" not in policy
            assert (headers["cache-control"], headers["x-frame-options"]) == ("no-store", "DENY")


@pytest.mark.parametrize("back", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere", "/v1/stats"])
def test_nobody_is_led_away_after_a_form(server: Server, back: str) -> None:
    with server.client() as http:
        token = re.search(r'name="form_token" value="(\w+)"', http.get("/console").text)
        assert token
        form = {"form_token": token[1], "language": "zh", "back": back}
        answer = http.post("/console/language", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize(
    ("book", "day", "said"),
    [
        ("enterprise-shop", "2024-07-01", ("店铺星级@shop-a", "店铺星级的等级为 4-star、5-star", "距等级 2-star 还差")),
        (
            "meituan",
            "2025-08-09",
            ("若无新增，自 2026-05-01 起为等级 platinum", "需满足：成长值的等级为 black-diamond", "0"),
        ),
    ],
)
def test_a_member_of_another_programme_is_told_of_tiers_and_benefits(
    chromium: Browser, tmp_path: Path, book: str, day: str, said: tuple[str, ...]
) -> None:
    ran = subprocess.run([*points(tmp_path / "ledger"), "demo", "--programme", book], cwd=ROOT, check=False)
    assert ran.returncode == 0
    with served(tmp_path / "ledger") as server, opened(chromium, server.url, locale="zh-CN") as page:
        page.goto(f"/console/member?id=member-03&as_of={day}")
        for text in said:
            expect(page.locator("#member")).to_contain_text(text)
