"""What the API says of itself, and what it holds every request to: parameters it knows, and a name."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import validator_for

from service.http.problems import TYPES
from tests.support.ledgers import scratch
from tests.support.served import Server, grant, new_key, served

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch() as folder, served(folder / "ledger", "--access-log") as found:
        with found.client() as http:
            for n in range(7):
                http.post("/v1/facts", json=grant(f"a-{n}", f"g-{n}", 5)).raise_for_status()
        yield found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_the_root_leads_a_browser_to_the_console_and_tells_a_program_where_things_are(http: httpx.Client) -> None:
    led = http.get("/", headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/console")
    place = http.get("/").json()
    for name in ("docs", "openapi", "health"):
        assert http.get(place[name]).status_code == 200, name


def test_every_operation_has_a_summary_a_description_and_examples(http: httpx.Client) -> None:
    document = http.get("/schema/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"] and len(operation.get("description", "")) > 15, (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), (method, path, parameter["name"])
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                assert body.get("example") or body.get("examples"), (method, path, kind)


def test_every_good_answer_has_an_example_that_fits_its_schema(http: httpx.Client) -> None:
    """Where this fails for an answer that was changed: `python -m tests.support.api_examples`."""
    document = http.get("/schema/openapi.json").json()
    components = {"components": document["components"]}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items() if status.startswith("2") else ():
                    if kind == "application/json":
                        where = f"{operation['operationId']} {status}"
                        assert "example" in content, where
                        wrong = validator_for({**content["schema"], **components}).iter_errors(content["example"])
                        assert not list(wrong), where


def test_the_reference_has_every_operation_and_every_problem_in_both_languages(http: httpx.Client) -> None:
    document = http.get("/schema/openapi.json").json()
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html") and "http" not in page.text.split("<body>")[0]
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page.text
    for name in TYPES:
        assert f'id="problem-{name}"' in page.text
    assert "请求体" in http.get("/docs", headers={"Accept-Language": "zh-CN"}).text


def test_a_type_of_problem_leads_somewhere(http: httpx.Client) -> None:
    problem = http.get("/v1/members/nobody").json()
    assert http.get(problem["type"]).json() == {name: problem[name] for name in ("type", "title", "status")}
    led = http.get(problem["type"], headers={"Accept": "text/html"})
    assert led.headers["location"] == "/docs#problem-unknown-member"
    assert http.get("/problems/none").status_code == 404


def test_codes_are_told_in_the_language_that_is_asked_for(http: httpx.Client) -> None:
    english = {code["code"]: code["text"] for code in http.get("/v1/codes").json()["reasons"]}
    chinese = http.get("/v1/codes", headers={"Accept-Language": "zh"}).json()["reasons"]
    assert english["unknown-mode"] and {code["code"] for code in chinese} == set(english)
    assert next(code["text"] for code in chinese if code["code"] == "unknown-mode") != english["unknown-mode"]


def test_a_parameter_that_no_address_takes_is_named(http: httpx.Client) -> None:
    for path in ("/v1/members/a-1?asof=2025-01-01", "/v1/stats?by-shop=true", "/v1/entries?cursor=x", "/v1/views?x=1"):
        said = http.get(path)
        assert said.status_code == 400 and "there is no such parameter" in said.json()["detail"], path
    assert http.get("/v1/members/a-1?as_of=2025-01-01").status_code in (200, 404)


def test_members_are_listed_page_by_page(http: httpx.Client, server: Server) -> None:
    found, after = [], ""
    while after is not None:
        page = http.get("/v1/members", params={"after": after, "limit": 3}).json()
        found += page["members"]
        after = page["next"]
    assert found == sorted(f"a-{n}" for n in range(7))


def test_every_answer_has_the_requests_name_and_the_log_says_what_became_of_it(
    http: httpx.Client, server: Server
) -> None:
    named = http.get("/v1/members/a-1", headers=[("X-Request-Id", "shop-17 é".encode())])
    assert named.headers["x-request-id"] and "shop" not in named.headers["x-request-id"]
    named = http.get("/v1/nothing", headers={"X-Request-Id": "shop-17", "traceparent": TRACE})
    assert named.status_code == 404 and named.headers["x-request-id"] == "shop-17"
    deadline, mine = time.monotonic() + 100, list[dict[str, Any]]()
    while not mine and time.monotonic() < deadline:  # it is written behind the answer
        whole = [line for line in server.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        mine = [line for line in lines if line["request_id"] == "shop-17"]
    (line,) = mine
    assert (line["status"], line["path"], line["trace_id"]) == (404, "/v1/nothing", TRACE.split("-")[1])
    assert all(line["event"] == "request" and line["seconds"] >= 0 for line in lines)


def test_codes_need_a_key_and_the_reference_needs_none() -> None:
    with scratch() as folder, served(folder / "ledger") as server:
        key = new_key(server.folder, "any", "member:read:x")
        with server.client() as http:
            assert http.get("/v1/codes").status_code == 401 and http.get("/docs").status_code == 200
        with server.client(key) as http:
            assert http.get("/v1/codes").status_code == 200 and http.get("/v1/members").status_code == 403
