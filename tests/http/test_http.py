"""The HTTP API over a real server: what is given, what is answered, and what each error says."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from ledger.wire import answers
from service.http.problems import TYPES
from tests.support.histories import encode
from tests.support.ledgers import scratch
from tests.support.served import (
    JSON,
    NDJSON,
    ROOT,
    Server,
    environment,
    fact,
    grant,
    ndjson,
    points,
    redemption,
    served,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder, served(folder / "ledger") as found:
        yield found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def is_problem(response: httpx.Response, name: str) -> dict[str, Any]:
    """The problem that a response is."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert (problem["type"], problem["status"], problem["title"]) == (
        f"/problems/{name}",
        response.status_code,
        TYPES[name].title,
    )
    assert response.status_code == TYPES[name].status
    return problem


def test_a_problem_is_said_in_the_language_that_is_asked_for(http: httpx.Client) -> None:
    asked = {"zh-CN,zh;q=0.9,en;q=0.8": "zh", "en,zh;q=0.5": "en", "fr": "en", "": "en"}
    for accepted, language in asked.items():
        answer = http.get("/v1/members/h-nobody", headers={"Accept-Language": accepted})
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (404, "/problems/unknown-member")
        assert answer.headers["content-language"] == language and "Accept-Language" in answer.headers["vary"]
        chinese = ("没有这位会员", "账本里没有这位会员的记账结果")
        english = ("Nobody knows this member", "the ledger has no entry of this member")
        assert (problem["title"], problem["detail"]) == (chinese if language == "zh" else english)


def fits(response: httpx.Response, shape: type[Any]) -> Any:
    """The answer, which must be exactly of its shape."""
    assert response.status_code == 200, response.text
    found = msgspec.json.decode(response.content, type=shape)
    assert json.loads(msgspec.json.encode(found)) == response.json()
    return found


def test_a_fact_is_decided_once_and_the_same_again_is_told_what_was_decided_first(http: httpx.Client) -> None:
    given = grant("h-1", "g-1", 700)
    first = http.post("/v1/facts", json=given)
    told = fits(first, answers.Decision)
    assert (told.outcome, told.member, told.number, told.repeated) == ("accepted", "h-1", 1, False)
    again = fits(http.post("/v1/facts", json=given), answers.Decision)
    assert again.repeated and again.position == told.position and again.link == told.link
    assert [entry["number"] for entry in http.get("/v1/members/h-1/entries").json()["entries"]] == [1]
    assert fits(http.get(f"/v1/facts/{told.position}"), answers.Decision).link == told.link
    other = {**given, "data": {**given["data"], "points": 7_000}}
    problem = is_problem(http.post("/v1/facts", json=other), "conflict")
    assert problem["reason"] == "conflict" and problem["figures"]["first"] == 1
    assert http.get("/v1/members/h-1").json()["points"]["beans"]["spendable"] == 700


def test_a_fact_in_bulk_that_was_decided_appends_nothing_either(http: httpx.Client) -> None:
    first, second = grant("h-bulk", "gb-1", 70), grant("h-bulk", "gb-2", 80)
    told = fits(http.post("/v1/facts", json=first), answers.Decision)
    body = ndjson([first, second, first])
    response = http.post("/v1/facts:bulk", params={"outcomes": "true"}, content=body, headers=NDJSON)
    lines = [json.loads(line) for line in response.content.splitlines()]
    assert [line["outcome"] for line in lines] == ["accepted"] * 3
    assert lines[0]["position"] == lines[2]["position"] == told.position
    assert len(http.get("/v1/members/h-bulk/entries").json()["entries"]) == 2


def test_another_fact_under_its_name_is_appended_as_a_conflict(http: httpx.Client) -> None:
    http.post("/v1/facts", json=grant("h-conflict", "gc-1", 70))
    is_problem(http.post("/v1/facts", json=grant("h-conflict", "gc-1", 71)), "conflict")
    assert len(http.get("/v1/members/h-conflict/entries").json()["entries"]) == 2


def test_a_redemption_is_answered_with_its_decision_and_its_figures(http: httpx.Client) -> None:
    http.post("/v1/facts", json=grant("h-2", "g-2", 1_000))
    spent = fits(http.post("/v1/redemptions", json=redemption("h-2", "r-2", 600)), answers.Decision)
    assert spent.outcome == "accepted"
    asked = redemption("h-2", "r-3", 600)
    for _ in range(2):
        problem = is_problem(http.post("/v1/redemptions", json=asked), "refused")
        assert problem["reason"] == "beans-short" and problem["figures"] == {"asked": 600, "spendable": 400}
        assert problem["number"] == 3
    again = redemption("h-2", "r-2-again", 600)
    again["data"]["redemption"] = "r-2"
    assert is_problem(http.post("/v1/redemptions", json=again), "refused")["reason"] == "already"
    no_redemption = is_problem(http.post("/v1/redemptions", json=grant("h-2", "g-3", 1)), "bad-fact")
    assert "redemption.requested.v1" in no_redemption["detail"]
    assert http.get("/v1/members/h-2/balances").json()["points"]["beans"]["spendable"] == 400


def test_who_does_not_wait_is_told_where_to_look(http: httpx.Client) -> None:
    taken = http.post("/v1/facts", json=grant("h-3", "g-4", 5), headers={"Prefer": "wait=0"})
    assert taken.status_code == 202 and taken.headers["location"] == f"/v1/facts/{taken.json()['position']}"
    while (answer := http.get(taken.headers["location"])).status_code == 202:
        assert answer.headers["location"] == taken.headers["location"]
    assert fits(answer, answers.Decision).outcome == "accepted"
    for nowhere in ("0:999999", "9:0", "x", "0:-1", "1", "٣:٤"):
        is_problem(http.get(f"/v1/facts/{nowhere}"), "unknown-position")


def test_every_answer_about_a_member_has_the_shape_of_the_document(http: httpx.Client) -> None:
    for number in range(5):
        http.post("/v1/facts", json=grant("h-4", f"g-5-{number}", 10 + number))
    http.post(
        "/v1/facts", json=fact("card.purchased", "h-4", "c-1", {"card": "c", "product": "plus.annual", "paid_fen": 1})
    )
    http.post("/v1/redemptions", json=redemption("h-4", "r-5", 10**9))
    whole = fits(http.get("/v1/members/h-4"), answers.Member)
    assert whole.entries == 7 and whole.memberships["plus"].product == "plus.annual"
    assert fits(http.get("/v1/members/h-4/balances"), answers.Balances).points["beans"].spendable == 60
    assert [lot.left for lot in fits(http.get("/v1/members/h-4/lots"), answers.Lots).lots["beans"]] == [
        10,
        11,
        12,
        13,
        14,
    ]
    assert fits(http.get("/v1/members/h-4/scores"), answers.Scores).scores["jd-value"].value == 0
    assert fits(http.get("/v1/members/h-4/memberships"), answers.Memberships).memberships["plus"].state == "active"
    assert http.get("/v1/members/h-4", params={"as_of": "2099-01-01"}).json()["points"]["beans"]["spendable"] == 0
    assert http.get("/v1/members/h-4", params={"known_at": "2020-01-01"}).json()["entries"] == 0
    story = http.get("/v1/members/h-4/explain").json()
    assert story["explains"] == "member" and story["entries"] == 7
    assert http.get("/v1/members/h-4/explain", params={"as_of": "2020-01-01"}).json()["entries"] == 0
    assert http.get("/v1/members/h-4/entries/7/explain").json()["reason"] == "beans-short"
    assert http.get("/v1/members/h-4/lots/2.1/explain").json()["explains"] == "lot"
    is_problem(http.get("/v1/members/h-4/entries/8/explain"), "unknown-entry")
    is_problem(http.get("/v1/members/h-4/entries/8"), "unknown-entry")
    is_problem(http.get("/v1/members/h-4/lots/99.1/explain"), "unknown-entry")
    for path in ("", "/balances", "/lots", "/entries", "/entries/1", "/explain", "/entries/1/explain"):
        is_problem(http.get(f"/v1/members/nobody{path}"), "unknown-member")
        is_problem(http.get(f"/v1/members/programme{path}"), "unknown-member")


def test_the_command_line_and_the_api_say_the_same(server: Server, http: httpx.Client) -> None:
    http.post("/v1/facts", json=grant("h-5", "g-6", 77))
    at = "2099-01-01T00:00:00+08:00"
    for command, path in (
        (["show", "h-5", "--as-of", at], "/v1/members/h-5"),
        (["stats", "--as-of", at], "/v1/stats"),
        (["explain", "h-5", "1", "--as-of", at], "/v1/members/h-5/entries/1/explain"),
    ):
        done = subprocess.run(
            [*points(server.folder), *command, "--json"], cwd=ROOT, env=environment(), capture_output=True, check=True
        )
        assert json.loads(done.stdout) == http.get(path, params={"as_of": at}).json()
    told = http.get("/v1/members/h-5/entries").json()["entries"]
    done = subprocess.run(
        [*points(server.folder), "entries", "h-5", "--json"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == told


def test_entries_come_a_page_at_a_time(http: httpx.Client) -> None:
    http.post("/v1/facts:bulk", content=ndjson([grant("h-6", f"g-7-{n}", 1) for n in range(7)]), headers=NDJSON)
    http.post("/v1/facts", json=grant("h-6", "g-7-last", 1))
    seen, cursor = [], 0
    while cursor is not None:
        response = http.get("/v1/members/h-6/entries", params={"after": cursor, "limit": 3})
        page = fits(response, answers.Entries)
        seen += [entry.number for entry in page.entries]
        assert ("link" in response.headers) == (page.next is not None)
        cursor = page.next
    assert seen == list(range(1, 9))
    assert http.get("/v1/members/h-6/entries", params={"after": 8}).json()["entries"] == []
    for bad in ("limit=0", "limit=1001", "limit=x", "after=-1", "after=x"):
        is_problem(http.get(f"/v1/members/h-6/entries?{bad}"), "bad-request")


def test_entries_of_a_member_are_filtered(http: httpx.Client) -> None:
    old = grant("h-8", "g-old", 1, ago=86_400)
    http.post("/v1/facts:bulk", content=ndjson([old, *(grant("h-8", f"g-{n}", 1) for n in range(4))]), headers=NDJSON)
    http.post("/v1/redemptions", json=redemption("h-8", "r-8", 10**9))

    def numbers(**asked: Any) -> list[int]:
        found, after = [], 0
        while after is not None:
            answer = http.get("/v1/members/h-8/entries", params={**asked, "after": after, "limit": 2})
            page = fits(answer, answers.Entries)
            assert page.next is None or f"after={page.next}" in answer.headers["link"]
            found += [entry.number for entry in page.entries]
            after = page.next
        return found

    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert numbers() == [1, 2, 3, 4, 5, 6] == numbers(type=["campaign.granted.v1", "redemption.requested.v1"])
    assert (
        numbers(type="campaign.granted.v1") == [1, 2, 3, 4, 5] == numbers(outcome="accepted") == numbers(kind="beans")
    )
    assert numbers(outcome=["refused", "ignored"]) == [6] and numbers(kind="jd-value") == []
    assert numbers(**{"from": since}) == [2, 3, 4, 5, 6] and numbers(until=since) == [1]
    for bad in ("type=x", "outcome=x", "from=x", "until=x", "since=2025-01-01", f"kind={'x' * 129}"):
        is_problem(http.get(f"/v1/members/h-8/entries?{bad}"), "bad-request")


def test_an_answer_that_the_asker_has_is_not_sent_again(http: httpx.Client) -> None:
    http.post("/v1/facts", json=grant("h-7", "g-8", 9))
    first = http.get("/v1/members/h-7")
    tag = {"If-None-Match": first.headers["etag"]}
    second = http.get("/v1/members/h-7", headers=tag)
    assert second.status_code == 304 and not second.content and second.headers["etag"] == first.headers["etag"]
    http.post("/v1/facts", json=grant("h-7", "g-9", 9))
    assert http.get("/v1/members/h-7", headers=tag).status_code == 200
    assert first.headers["cache-control"] == "no-store"


def test_what_is_no_fact_is_refused_with_its_code_and_not_kept(http: httpx.Client) -> None:
    good = grant("h-8", "g-10", 1)
    before = http.get("/v1/positions").json()
    for body, reason in (
        (b"{", "not-json"),
        (b"", "not-json"),
        (b"\xff{}", "not-utf8"),
        (encode({**good, "type": "x.v1"}), "unknown-type"),
        (encode({**good, "data": {**good["data"], "points": 1.5}}), "bad-fact"),
        (encode({**good, "time": "2999-01-01T00:00:00Z"}), "future"),
        (b"[" * 40 + b"]" * 40, "too-deep"),
        (encode({**good, "subject": "programme"}), "bad-fact"),
        (encode(fact("account.frozen", "h-8", "f", {"reason": "x"}, source="/shop/test")), "not-authorised"),
    ):
        response = http.post("/v1/facts", content=body, headers=JSON)
        assert is_problem(response, "bad-fact")["reason"] == reason
    assert http.get("/v1/positions").json() == before


def test_a_body_of_another_type_or_that_is_too_large_is_refused(http: httpx.Client) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, NDJSON, {**JSON, "Content-Encoding": "gzip"}):
        is_problem(http.post("/v1/facts", content=b"{}", headers=headers), "wrong-media-type")
    is_problem(http.post("/v1/facts:bulk", content=b"{}", headers=JSON), "wrong-media-type")
    is_problem(http.post("/v1/facts", content=b" " * ((1 << 20) + 1), headers=JSON), "too-large")


def test_addresses_and_methods_that_are_not_there(http: httpx.Client) -> None:
    for path in (
        "/v1",
        "/v1/nothing",
        "/v1/members/../../etc/passwd",
        "/v1/..%2f..%2fkeys.db",
        "/v1//members",
        "/%00",
    ):
        is_problem(http.get(path), "not-found")
    is_problem(http.get("/v1/members/%2e%2e"), "unknown-member")
    assert http.put("/v1/facts").status_code == 405
    is_problem(http.put("/v1/facts"), "method-not-allowed")
    is_problem(http.get("/v1/members/h-1?as_of=yesterday"), "bad-request")
    is_problem(http.get("/v1/members/h-1?as_of=9999-01-01"), "bad-request")


def test_head_is_answered_as_get_without_the_body(http: httpx.Client) -> None:
    for path in ("/health/live", "/v1/members/h-1?as_of=2030-01-01", "/v1/members/nobody", "/schema/openapi.json"):
        told, whole = http.head(path), http.get(path)
        assert (told.status_code, told.content) == (whole.status_code, b"")
        own = {"date": "", "x-request-id": ""}
        assert dict(told.headers) | own == dict(whole.headers) | own
    assert http.head("/v1/facts").status_code == http.head("/v1/facts:bulk").status_code == 405
    text = http.get("/metrics").text
    assert 'method="HEAD",route="/health/live",status="200"' in text


def test_bulk_tells_of_each_line_in_order_and_stops_for_none(http: httpx.Client) -> None:
    lines = [encode(grant("h-9", f"g-11-{n}", 1)) for n in range(2_500)]
    lines[7] = b"{"
    lines[8] = b"   "
    lines[1_500] = b"x" * ((1 << 20) + 5)
    lines[2_499] = encode(redemption("h-9", "r-9", 10**6))
    response = http.post("/v1/facts:bulk?outcomes=true", content=b"\n".join(lines), headers=NDJSON)
    assert response.status_code == 200 and response.headers["content-type"] == "application/x-ndjson"
    told = [msgspec.json.decode(line, type=answers.BulkLine) for line in response.content.splitlines()]
    assert [one.line for one in told] == [n for n in range(1, 2_501) if n != 9]
    assert [(one.line, one.reason) for one in told if one.reason] == [
        (8, "not-json"),
        (1_501, "too-long"),
        (2_500, "beans-short"),
    ]
    assert all(one.outcome == "accepted" for one in told if not one.reason)
    assert http.get("/v1/members/h-9").json()["points"]["beans"]["spendable"] == 2_496
    quiet = http.post("/v1/facts:bulk", content=ndjson([grant("h-9", "g-12", 4)]), headers=NDJSON)
    assert set(quiet.json()) == {"line", "position"}
    assert http.post("/v1/facts:bulk", content=b"\n\n", headers=NDJSON).content == b""


def test_more_lines_than_are_taken_at_once_are_refused(http: httpx.Client) -> None:
    problem = is_problem(http.post("/v1/facts:bulk", content=b"x\n" * 100_001, headers=NDJSON), "too-large")
    assert "100,000 lines" in problem["detail"]


def test_the_books_the_liability_and_the_positions_have_their_shapes(http: httpx.Client) -> None:
    expiring = grant("h-10", "g-13", 40)
    expiring["data"]["expires"] = "2098-05-01T00:00:00+08:00"
    assert http.post("/v1/facts", json=expiring).status_code == 200
    books = fits(http.get("/v1/stats"), answers.Books)
    assert books.balanced and books.members > 1
    liability = fits(http.get("/v1/liability"), answers.Liability)
    beans = liability.points["beans"]
    assert beans.by_month["2098-04"] == 40
    assert beans.outstanding == books.points["beans"].spendable == sum(beans.by_month.values())
    standing = fits(http.get("/v1/positions"), answers.Positions).partitions
    assert [one.partition for one in standing] == [0, 1, 2, 3] and all(one.lag == 0 for one in standing)
    assert sum(one.entries for one in standing) == sum(books.entries.values())


def test_a_published_book_is_used_and_told_at_once(http: httpx.Client) -> None:
    known = fits(http.get("/v1/programmes"), answers.Programmes).versions
    toml = http.get(f"/v1/programmes/{known[0].version}")
    assert toml.headers["content-type"].startswith("application/toml") and b"[[award]]" in toml.content
    new = toml.text.replace("from = 2017-09-14", "from = 2099-01-01", 1)
    published = fact("programme.published", "programme", "p-1", {"toml": new}, source="/operators")
    assert fits(http.post("/v1/facts", json=published), answers.Decision).outcome == "accepted"
    versions = fits(http.get("/v1/programmes"), answers.Programmes).versions
    assert [version.from_ for version in versions] == ["2017-09-14", "2099-01-01"]
    is_problem(http.get("/v1/programmes/nothing"), "unknown-version")


def test_health_metrics_and_the_document(http: httpx.Client) -> None:
    assert fits(http.get("/health/live"), answers.Health).status == "live"
    assert fits(http.get("/health/ready"), answers.Health).status == "ready"
    text = http.get("/metrics").text
    assert 'points_lag_records{partition="3"} 0.0' in text and 'points_facts_total{outcome="accepted"}' in text
    document = http.get("/schema/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    bulk = document["paths"]["/v1/facts:bulk"]["post"]["requestBody"]["content"]
    assert list(bulk) == ["application/x-ndjson", "application/cloudevents-batch+json"]


def test_a_member_whose_token_has_a_slash_has_the_addresses_of_any_other(http: httpx.Client) -> None:
    guest = "guest/17/a%2Fb"
    for member in (guest, "guest"):
        assert http.post("/v1/facts", json=grant(member, "g", 3)).status_code == 200
    told = http.get("/schema/openapi.json").json()["paths"]
    paths = [path for path, methods in told.items() if path.startswith("/v1/members/{") and "get" in methods]
    assert len(paths) > 10
    for path in paths:
        token = quote(guest, safe="")
        asked = path.replace("{member}", token).replace("{number}", "1").replace("{lot}", "1.1")
        for found in (http.get(asked), http.get(asked.replace("%2F", "%2f"))):
            if path.endswith("/proof"):
                is_problem(found, "unknown-checkpoint")  # and no unknown member
            else:
                assert found.status_code == 200 and found.json().get("member", guest) == guest, path
    page = http.get(f"/v1/members/{quote(guest, safe='')}/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404 and "/v1/members/guest/17" in page.text
    page = http.get("/console/member", params={"id": guest})
    assert page.status_code == 200 and quote(guest, safe="") in page.text


def test_a_script_in_a_field_comes_back_as_data_only(http: httpx.Client) -> None:
    script = "<script>alert(1)</script>"
    told = http.post("/v1/facts", json=grant(script, script, 3, source=script))
    assert told.status_code == 200
    member = http.get("/v1/members/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert member.json()["member"] == script
    quiet = "<img src=x onerror=alert(1)>"
    http.post("/v1/facts", json=grant(quiet, quiet, 3, source=quiet))
    for response in (
        told,
        member,
        http.get("/v1/members/" + quiet.replace(" ", "%20")),
        http.get("/v1/members/" + quiet.replace(" ", "%20") + "/entries"),
        http.get("/v1/members/" + quiet.replace(" ", "%20") + "/explain"),
        http.get("/v1/nothing/" + quiet.replace(" ", "%20")),
        http.get("/v1/members/x?as_of=" + quiet.replace(" ", "%20")),
    ):
        assert response.headers["content-type"] in ("application/json", "application/problem+json")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")


def test_without_keys_other_sites_are_not_answered(http: httpx.Client) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Host": "["}, {"Origin": "null"}):
        is_problem(http.get("/v1/stats", headers=headers), "wrong-origin")
    is_problem(
        http.post("/v1/facts", json=grant("h", "g", 1), headers={"Origin": "http://evil.example"}), "wrong-origin"
    )


def test_a_dead_letter_is_mended_or_dropped_and_it_is_kept_who_did_it() -> None:
    with scratch() as folder:
        ledger = folder / "ledger"
        bad = grant("d-1", "g-1", 5)
        bad["data"]["points"] = 0
        (folder / "facts.ndjson").write_bytes(encode(bad) + b"\n{\n{{\n")
        subprocess.run(
            [*points(ledger), "ingest", str(folder / "facts.ndjson")], cwd=ROOT, env=environment(), check=True
        )
        with served(ledger) as found, found.client() as http:
            waiting = fits(http.get("/v1/dead-letters?limit=2"), answers.DeadLetters)
            rest = fits(http.get("/v1/dead-letters", params={"after": waiting.next}), answers.DeadLetters)
            assert len(fits(http.get("/v1/dead-letters?all=true"), answers.DeadLetters).letters) == 3
            assert len(waiting.letters) == 2 and len(rest.letters) == 1 and rest.next is None
            letters = {letter.reason: letter.position for letter in (*rest.letters, *waiting.letters)}
            mended = fits(
                http.post(f"/v1/dead-letters/{letters['bad-fact']}/retry?reason=a%20typo", json=grant("d-1", "g-1", 5)),
                answers.Retried,
            )
            assert mended.outcome == "accepted"
            is_problem(http.post(f"/v1/dead-letters/{letters['bad-fact']}/retry"), "already-done")
            again = fits(http.post(f"/v1/dead-letters/{letters['not-json']}/retry"), answers.Retried)
            assert (again.outcome, again.reason) == ("parked", "not-json")
            dropped = fits(http.delete(f"/v1/dead-letters/{again.retried_as}"), answers.DeadLetter)
            assert dropped.bytes == "" and dropped.dropped
            is_problem(http.delete(f"/v1/dead-letters/{again.retried_as}"), "already-done")
            is_problem(http.get("/v1/dead-letters/7:7"), "unknown-position")
            is_problem(http.get("/v1/dead-letters?after=x"), "bad-request")
            assert http.get("/v1/members/d-1").json()["points"]["beans"]["spendable"] == 5
            kept = [json.loads(line) for line in (ledger / "operators.ndjson").read_text().splitlines()]
            assert [(line["by"], line["action"], line["about"], line.get("mended", False)) for line in kept] == [
                ("local", "retry", letters["bad-fact"], True),
                ("local", "retry", letters["not-json"], False),
                ("local", "drop", again.retried_as, False),
            ]


def test_a_cart_is_quoted_and_nothing_is_kept(http: httpx.Client) -> None:
    lines = [{"line": "1", "sku": "s", "category": "phone", "quantity": 1, "paid_fen": 359_900}]
    before = http.get("/v1/positions").json()
    quoted = fits(http.post("/v1/quotes", json={"member": "q-1", "lines": lines, "at": "2025-11-11"}), answers.Quote)
    assert (quoted.known, quoted.earn.points) == (False, {"beans": 359})
    assert [use.use for use in quoted.redeem] == ["offset", "top-up"]
    assert http.get("/v1/positions").json() == before
    is_problem(http.post("/v1/quotes", json={"member": "q-1", "lines": []}), "bad-fact")
    is_problem(http.post("/v1/quotes", json={"lines": lines}), "bad-fact")
    is_problem(http.post("/v1/quotes", content=b"{", headers={"Content-Type": "application/json"}), "bad-fact")
    is_problem(http.post("/v1/quotes", content=b"x", headers={"Content-Type": "text/plain"}), "wrong-media-type")
    is_problem(http.post("/v1/quotes", json={"member": "q-1", "lines": lines, "at": "soon"}), "bad-request")
