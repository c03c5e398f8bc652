"""A fact from bytes, and its canonical bytes: decoded, bounded and checked in one pass."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

import msgspec

from ledger.errors import BadInput
from ledger.wire.fact_catalogue import CATALOGUE
from ledger.wire.facts import MAX_BYTES, Fact
from ledger.wire.times import DAY, EPOCH, MAX_INSTANT, MIN_INSTANT, SECOND, to_instant

MAX_DEPTH = 16  # of its JSON


class BadFact(BadInput):
    """A record that is no fact: `reason` is the code under which it is dead-lettered, `detail` says what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_decoder = msgspec.json.Decoder(Fact)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKETS = re.compile(rb"[\[\]{}]")
# A string whose end is missing is a token too: to look for that end anew from each quote in it takes for ever.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_INNER_TIMES = {row.fact: row.times for row in CATALOGUE if row.times}
_TIMES = frozenset({"time"}.union(*_INNER_TIMES.values()))
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # the character, and not a backslash before "u0000"
_FINER = re.compile(rb"\.\d{7}")  # than microseconds
_FINER_TEXT = re.compile(r"(\.\d{6})\d+")


def decode(raw: bytes) -> tuple[Fact, int]:
    """A fact and the instant it occurred, from the bytes received; its times are set to UTC. Raises `BadFact`."""
    if len(raw) > MAX_BYTES:
        raise too_long(len(raw))
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise BadFact("not-utf8", f"byte {error.start} is not UTF-8; facts are UTF-8 JSON") from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_too_deep(raw):
        raise BadFact("too-deep", f"nested more than {MAX_DEPTH} levels")
    if raw.count(b'"type"') > 1:
        raw = _last_of_duplicate_keys(raw)
    if b"." in raw and _FINER.search(raw):
        raw = _in_microseconds(raw)
    try:
        fact = _decoder.decode(raw)
        since = fact.time - EPOCH
        fact.time = EPOCH + since  # in UTC
        occurred = since.days * DAY + since.seconds * SECOND + since.microseconds
        if type(fact) in _INNER_TIMES:
            _normalise(fact.data, _INNER_TIMES[type(fact)])
    except msgspec.ValidationError as error:
        if _has_duplicate_keys(raw):
            return decode(_last_of_duplicate_keys(raw))
        raise _bad_fact(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFact("not-json", f"{error}") from None
    except (OverflowError, ValueError) as error:
        raise BadFact("bad-fact", f"a time is out of range: {error}") from None
    if not MIN_INSTANT <= occurred < MAX_INSTANT:
        raise BadFact("bad-fact", f"`time` is {fact.time.isoformat()}; years 1970 to 2999 are taken")
    if b"\\" in raw and b"\\u0000" in raw and _NUL.search(canonical(fact)):
        raise BadFact("bad-fact", "a string holds the character U+0000, which no store keeps")
    return fact, occurred


def too_long(length: int) -> BadFact:
    """What is wrong with a record of more bytes than a fact may have."""
    return BadFact("too-long", f"{length:,} bytes; a fact has at most {MAX_BYTES:,}")


# The deterministic encoding of a decoded fact: defaults omitted, times in UTC. Facts are compared by it.
canonical: Callable[[Fact], bytes] = msgspec.json.Encoder().encode


def decode_canonical(state: bytes) -> tuple[Fact, int]:
    """A fact from its canonical bytes as the journal keeps them (already checked once)."""
    fact: Fact = _decoder.decode(state)
    return fact, to_instant(fact.time)


def json_schemas() -> dict[str, Any]:
    """JSON Schema 2020-12 of the facts, one definition a type."""
    schemas, components = msgspec.json.schema_components([Fact], ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schemas[0], "$defs": components}


def _normalise(data: Any, names: tuple[str, ...]) -> None:
    for name in names:
        moment = getattr(data, name)
        if moment is not None:
            moment = moment.astimezone(UTC)
            if not MIN_INSTANT <= to_instant(moment) < MAX_INSTANT:
                raise ValueError(f"`{name}` is {moment.isoformat()}; years 1970 to 2999 are taken")
            setattr(data, name, moment)


def _is_too_deep(raw: bytes) -> bool:
    brackets = raw.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return False
    depth = 0  # something is left: deep, or brackets inside strings; now look at each token
    for bracket in _outside_strings(raw):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """Yield the brackets outside strings; a string that has no end is none."""
    for token in _TOKENS.finditer(raw):
        if token[1] is None:
            yield token[0]
        elif not token[1]:
            yield from _BRACKETS.findall(raw, token.start())
            return


def _last_of_duplicate_keys(raw: bytes) -> bytes:
    """Of duplicate keys the last holds, for the tag too (which the decoder reads from its first place)."""
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadFact("not-json", f"{error}") from None


def _has_duplicate_keys(raw: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        found |= len({key for key, _ in pairs}) < len(pairs)
        return {}

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False
    return found


def _in_microseconds(raw: bytes) -> bytes:
    """Times with more digits of a second cut off behind the microseconds; the decoder would round them, also up."""
    try:
        read = json.loads(raw)
        for where in (read, read.get("data")) if isinstance(read, dict) else ():
            if not isinstance(where, dict):
                continue
            for name in _TIMES.intersection(where):
                if isinstance(where[name], str):
                    where[name] = _FINER_TEXT.sub(r"\1", where[name])
        return json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # no JSON, or half a surrogate pair
        return raw  # the decoder says what is wrong


def _bad_fact(error: msgspec.ValidationError) -> BadFact:
    text = str(error)
    if text.endswith("`$.type`") and text.startswith("Invalid value"):
        return BadFact("unknown-type", f"{text.split(' - ')[0]}; `points schema` lists the types")
    if "Invalid UTF-8" in text:
        return BadFact("not-utf8", text)
    if "Expected `int`, got `float`" in text:
        text += " (money is an integer of fen: 1250 for ¥12.50; points are integers)"
    return BadFact("bad-fact", text)
