"""What is fuzzed: borders of the product. Each takes any bytes, and raises where it does not keep what it promises."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import quote

from ledger.journal.engines import native_module
from ledger.rulebook.checks import misfits
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import BadProgramme, shipped, shipped_names
from ledger.wire.fact_codec import BadFact, canonical, decode, decode_canonical, json_schemas
from ledger.wire.facts import MAX_BYTES, Fact
from ledger.wire.reasons import PARKED, REASONS
from service.console.sessions import Sessions
from service.http import problems
from service.http.app import make_app
from service.http.problems import BASE, MEDIA_TYPE, TYPES
from service.keys import PLAIN_SCOPES, Keys
from tests.support.asgi import InProcess
from tests.support.histories import LONG_AGO, amended_history, encode
from tests.support.ledgers import histories_of, ingested, scratch

REASONS_OF_NO_FACT = frozenset(name for name, reason in REASONS.items() if reason.where == PARKED)
ROOT = Path(__file__).parents[2]


class Target:
    """A border. `check` takes any bytes and raises where a promise is broken; `seeds` are where a fuzzer begins."""

    name: ClassVar[str]
    most_bytes: ClassVar[int]  # of an input that a fuzzer makes up
    seconds: ClassVar[float]  # of the processor, for one input

    def check(self, data: bytes) -> None:
        """Raise `AssertionError`, or whatever escapes, where the border does not keep its promise."""
        began = time.thread_time()
        self.meet(data)
        took = time.thread_time() - began
        assert took < self.seconds, f"{took:.3f} s for {len(data):,} bytes"

    def meet(self, data: bytes) -> None:
        raise NotImplementedError

    def seeds(self) -> Iterator[bytes]:
        raise NotImplementedError

    def words(self) -> set[str]:
        """What inputs are made of, for a fuzzer's dictionary."""
        return set()

    def mutated(self, data: bytes, chance: Random) -> bytes:
        """An input changed in its own structure, which bytes changed at random seldom keep."""
        return json_mutated(data, chance)

    def close(self) -> None:
        """End what `check` needed."""


class Facts(Target):
    """`decode`: a fact whose canonical bytes are the same fact, or `BadFact` with a reason of `points codes`.

    The native engine, where it is installed, reads no fact that this does not read just so.
    """

    name = "facts"
    most_bytes = MAX_BYTES + 64
    seconds = 0.05

    def __init__(self) -> None:
        self._native = native_module()

    def meet(self, data: bytes) -> None:
        reason, read = "", None
        try:
            fact, occurred = decode(data)
        except BadFact as error:
            reason = error.reason
        else:
            self._meet_again(fact, occurred)
            read = canonical(fact), occurred
        assert not reason or reason in REASONS_OF_NO_FACT, reason
        by_native = None if self._native is None else self._native.canonical(data)
        assert by_native is None or by_native == read, (by_native, read)

    def _meet_again(self, fact: Fact, occurred: int) -> None:
        written = canonical(fact)
        assert decode_canonical(written) == (fact, occurred)
        if len(written) <= MAX_BYTES:
            assert decode(written) == (fact, occurred)
        assert canonical(decode_canonical(written)[0]) == written

    def seeds(self) -> Iterator[bytes]:
        for fact in facts_of_each_type():
            yield encode(fact)
            yield json.dumps(fact, ensure_ascii=False, indent=1).encode()
        fact = encode({**next(iter(facts_of_each_type())), "id": "七\u0000\ud83d\ude00"})
        yield fact
        yield fact.replace(b"{", b'{"type":"x","time":"2024-01-01T00:00:00.123456789+08:00",', 1)
        yield fact[:-1] + b"," + fact[1:]
        yield b'{"data":' + b"[" * 20 + b"]" * 20 + b"}"

    def words(self) -> set[str]:
        return {f'"{word}"' for word in strings_in(json_schemas()) if len(word) < 40} | {
            "\\u0000",
            "\\ud800",
            ".1234567Z",
        }


class Books(Target):
    """A rule book's TOML: a programme, first or as a later version, or `BadProgramme`."""

    name = "books"
    most_bytes = 4_096  # and longer ones among the seeds
    seconds = 0.5

    def __init__(self) -> None:
        self._first = ProgrammeVersion(shipped("jd"))

    def meet(self, data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return  # who reads a book says so
        problem = ""
        try:
            version = ProgrammeVersion(text)
        except BadProgramme as error:
            problem = str(error)
        else:
            assert all(misfits(self._first.programme, version.programme))
        assert not problem or problem.startswith("rule book: "), problem

    def seeds(self) -> Iterator[bytes]:
        for name in shipped_names():
            whole = shipped(name)
            bare = re.sub(r"#.*|\n\n+", "\n", whole)
            yield bare.encode()
            parts = re.split(r"\n(?=\[)", bare)
            smallest = "".join(part for part in parts if not part.startswith("[") or part.startswith("[kinds"))
            yield from (f"{smallest}\n{part}".encode() for part in parts)

    def mutated(self, data: bytes, chance: Random) -> bytes:
        lines = data.split(b"\n")
        at = chance.randrange(len(lines))
        key, sign, value = lines[at].partition(b"=")
        match chance.randrange(4):
            case 0 if sign:
                lines[at] = key + b"= " + chance.choice(_TOML_VALUES)
            case 1 if sign:
                lines[at] = key + b"= [" + value + b"," + chance.choice(_TOML_VALUES) + b"]"
            case 2:
                lines[at:at] = lines[chance.randrange(len(lines)) :][: chance.randrange(1, 6)]
            case _:
                del lines[at]
        return b"\n".join(lines)

    def words(self) -> set[str]:
        texts = " ".join(shipped(name) for name in shipped_names())
        return set(re.findall(r'[\w."-]+|\[+[\w.-]+\]+', texts)) | {"9" * 60, "1979-05-27T00:32:00-07:00", "0x", "inf"}


class Requests(Target):
    """The API in this process, over a ledger that decides: a status of the OpenAPI document, and problems as such.

    An input is written like HTTP/1.1: a line with method and target, headers, an empty line, the body. `Bearer all`
    stands for a key that may do everything, `Bearer one` for one that reads one member.
    """

    name = "requests"
    most_bytes = 4_096
    seconds = 2.0

    def __init__(self) -> None:
        self._open = ExitStack()
        folder = self._open.enter_context(scratch())
        lines: list[Any] = [*histories_of(Random(1), members=3, length=40, start=LONG_AGO), b"{"]
        ledger = self._open.enter_context(closing(ingested(folder, lines)))
        self._open.enter_context(ledger.writing())
        keys = self._open.enter_context(closing(Keys(folder / "ledger")))
        scopes = {"all": PLAIN_SCOPES, "one": ("member:read:m-1",)}
        self._keys = {name: keys.new(name, given, rate=1_000_000)[1].encode() for name, given in scopes.items()}
        self._bugs: list[Exception] = []  # that were answered with 500
        self._open.enter_context(patch.object(problems.traceback, "print_exception", self._bugs.append))
        app = make_app(ledger, folder / "ledger", keys, Sessions(), 1.0, "0")
        self._app = self._open.enter_context(closing(InProcess(app)))
        self._document: dict[str, Any] = json.loads(self._app.ask(b"GET", b"/schema/openapi.json").body)

    def meet(self, data: bytes) -> None:
        asked = request_of(data, self._keys)
        status, headers, body, template = self._app.ask(*asked)
        if self._bugs:
            raise self._bugs.pop()
        assert status < 500, body  # nothing is wrong with this server, and nobody else keeps it busy
        template = re.sub(r":\w+}", "}", template)
        operation = self._document["paths"].get(template, {}).get(asked[0].lower().decode())
        if operation is not None:
            assert str(status) in operation["responses"], f"{status} of {asked[0].decode()} {template}"
        is_page = template.startswith("/console") or asked[1].startswith(b"/console")
        if status >= 400 and asked[0] != b"HEAD" and not is_page:
            assert headers[b"content-type"] == MEDIA_TYPE.encode(), headers
            problem = json.loads(body)
            kind = TYPES[problem["type"].removeprefix(BASE)]
            assert (problem["status"], problem["title"], kind.status) == (status, kind.title, status), problem
            assert problem["detail"]

    def seeds(self) -> Iterator[bytes]:
        paths = {"member": "m-1", "number": "3", "position": "0-1", "lot": "1.1", "name": "1"}
        facts = list(facts_of_each_type())
        asks = [fact for fact in facts if fact["type"].startswith("redemption.requested")]
        cart = {
            "member": "m-1",
            "lines": [{"line": "1", "sku": "s", "category": "books", "quantity": 1, "paid_fen": 9}],
        }
        form = b"form_token=1&back=/console&key=all&language=zh&member=m-1"
        for path, operations in self._document["paths"].items():
            target = re.sub(r"{(\w+)}", lambda found: quote(paths.get(found[1], "x")), path)
            for method, operation in operations.items():
                names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
                query = "&".join(f"{name}={'2024-01-01' if name in ('as_of', 'known_at') else 1}" for name in names)
                content = next(iter(operation.get("requestBody", {}).get("content", {})), "application/json")
                bodies = [b""]
                match operation["operationId"]:
                    case "postFact" | "retryDeadLetter":
                        bodies = [encode(fact) for fact in facts]
                    case "postFacts":
                        bodies = [b"\n".join(encode(fact) for fact in facts[:5])]
                    case "redeem":
                        bodies = [encode(fact) for fact in asks]
                    case "quote":
                        bodies = [encode(cart)]
                for body in bodies:
                    yield as_input(method.upper(), f"{target}?{query}".rstrip("?"), f"content-type: {content}", body)
        for path in _PAGES:
            yield as_input("GET", f"/console{path}", "accept-language: zh", b"")
        for path in ("sign-in", "language", "sign-out", "dead-letter/retry"):
            yield as_input("POST", f"/console/{path}", "content-type: application/x-www-form-urlencoded", form)
        for target in (
            "/schema",
            "/schema/openapi.json",
            "/nowhere",
            "/v1/members/%E4%BC%9A%2F",
            "/v1/facts/0-0?a=%ff",
        ):
            yield as_input("GET", target, "prefer: wait=0, respond-async", b"")

    def mutated(self, data: bytes, chance: Random) -> bytes:
        head, gap, body = data.partition(b"\n\n")
        if chance.random() < 0.5 and body:
            return head + gap + json_mutated(body, chance)
        first, end, rest = head.partition(b"\n")
        parts = re.split(rb"([ /?=&])", first)  # a part of the target, then what stands between two
        parts[chance.randrange(0, len(parts), 2)] = chance.choice(_TARGET_VALUES)
        return b"".join(parts) + end + rest + gap + body

    def words(self) -> set[str]:
        of_facts = {f'"{word}"' for word in strings_in(json_schemas()) if len(word) < 40}
        paths = {part for path in self._document["paths"] for part in (path, path.rpartition("/")[2])}
        headers = {"prefer: wait=", "respond-async", "content-type: ", "application/x-ndjson", "accept: text/html"}
        return (
            of_facts | paths | headers | {"GET ", "POST ", "DELETE ", "HEAD ", "as_of=", "known_at=", "limit=", "%00"}
        )

    def close(self) -> None:
        self._open.close()


_PAGES = (
    *(
        "",
        "/sign-in",
        "/member?member=m-1",
        "/why?member=m-1&entry=2",
        "/liability/months?from=2024-01",
        "/dead-letters",
    ),
    *("/books?as_of=2024-01-01", "/programmes/book?name=1", "/audits", "/proof?member=m-1&number=1"),
)
TARGETS: tuple[type[Target], ...] = (Facts, Books, Requests)


def as_input(method: str, target: str, header: str, body: bytes) -> bytes:
    """A request as an input."""
    return f"{method} {target}\nhost: localhost\nauthorization: Bearer all\n{header}\n\n".encode() + body


_METHOD, _NAME = re.compile(rb"[A-Z]{1,12}"), re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]{1,60}")
_NO_TARGET, _NO_VALUE = re.compile(rb"[^\x21-\x7e]"), re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def request_of(data: bytes, keys: dict[str, bytes]) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]:
    """Method, target, headers and body as a server hands them on, which has refused what is no HTTP."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.partition(b" ")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        value = _NO_VALUE.sub(b"", value).strip()
        if value.startswith(b"Bearer ") and value[7:].decode(errors="replace") in keys:
            value = b"Bearer " + keys[value[7:].decode()]
        if _NAME.fullmatch(name.lower()):
            headers.append((name.lower(), value))
    target = _NO_TARGET.sub(b"", target)
    target = target if target.startswith(b"/") else b"/" + target
    return method if _METHOD.fullmatch(method) else b"GET", target, headers, body


_JSON_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, 1.5, -0.0, 1e300),
    *("", "x", "1", "m-1", "@", "é", "\ud83d\ude00", "\ud800", "\u0000", "x" * 300, [], {}, [{}], [[]] * 3, {"": None}),
    *("2024-02-30T00:00:00Z", "2024-02-29T00:00:00.1234567+14:00", "0001-01-01T00:00:00+14:00", "2016-12-31T23:59:60Z"),
    *("9999-12-31T23:59:59.9999999-12:00", "2024-01-01", "1970-01-01T00:00:00Z", "2024-01-01T00:00:00", "x" * 5_000),
)
_TARGET_VALUES = (
    *(
        b"",
        b"0",
        b"-1",
        b"1",
        b"9" * 30,
        b"1e9",
        b"0x1",
        b"true",
        b"m-1",
        b"m-2",
        b"1.1",
        b"0-1",
        b"3-0",
        b"-",
        b"x" * 300,
    ),
    *(b"%00", b"%2F", b"%ff", b"%E4%BC%9A", b"%ED%A0%80", b"..", b"%", b"+", b"as_of", b"known_at", b"limit", b"after"),
    *(b"2024-01-01", b"2024-02-30", b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+14:00", b"2018-06-01T00:00:00.123Z"),
)
_TOML_VALUES = (
    *(b"0", b"-1", b"1", b"9223372036854775808", b"9" * 5_000, b"0x" + b"f" * 300, b"1.5", b"inf", b"nan", b"true"),
    *(b'""', b'"x"', b'"2017-07-10"', b"2017-07-10", b"2017-07-10T18:00:00+08:00", b"0001-01-01T00:00:00+14:00"),
    *(
        b"9999-12-31",
        b"23:59:59",
        b"[]",
        b"{}",
        b"[[]]",
        b"{ x = 1 }",
        b'"\\u0000"',
        b'"' + b"x" * 500 + b'"',
        b"[0, 0]",
    ),
)


def json_mutated(data: bytes, chance: Random) -> bytes:
    """JSON with one value replaced, left out, put in or put twice; other bytes as they are."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(places) < 500:
        here = waiting.pop()
        if isinstance(here, dict | list):
            places += [(here, key) for key in (here if isinstance(here, dict) else range(len(here)))]
            waiting += here.values() if isinstance(here, dict) else here
    if not places:
        return data
    here, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            del here[key]
        case 1 if isinstance(here, list):
            here.insert(key, here[key])
        case 1 | 2:
            there, other = chance.choice(places)
            here[key] = json.loads(json.dumps(there.get(other) if isinstance(there, dict) else there[other]))
        case _:
            here[key] = chance.choice(_JSON_VALUES)
    return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")


def facts_of_each_type() -> Iterator[dict[str, Any]]:
    """A fact of each type that histories have."""
    found: dict[str, dict[str, Any]] = {}
    for fact in [*histories_of(Random(2), members=4, length=300, start=LONG_AGO), *amended_history(Random(2), 300)]:
        found.setdefault(fact["type"], fact)
    yield from found.values()


def strings_in(document: Any) -> Iterator[str]:
    """Every key and text of a JSON document."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from strings_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings_in(value)
    elif isinstance(document, str):
        yield document
