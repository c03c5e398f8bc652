"""Facts made up from their types, and what becomes of their bytes: for the decoder of the native engine."""

import json
from random import Random
from typing import Any

import msgspec
from msgspec import inspect

from ledger.wire.facts import FACT_TYPES, Fact

_WORDS = ("beans", "self", "app", "1", "m-1", "行", "ü" * 128, "x" * 128, "😀", "a b", "O1/1", "2025-11-11", "12.1", "")
_NUMBERS = (0, 1, 2, 5, 100, 5_000, 359_900, 1 << 53, -1, -(1 << 53))
_TIMES = (
    "2025-11-11T00:03:12+08:00",
    "2025-11-10T16:03:12Z",
    "2024-02-29T23:59:59.5-03:30",
    "2030-01-01T00:00:00.000001Z",
)
_TYPES = {kind: inspect.type_info(kind) for kind in FACT_TYPES}


def made_fact(random: Random, kind: type[Fact] | None = None) -> dict[str, Any]:
    """A fact of a type, any where none is given; most have each field, with values at and inside their bounds."""
    kind = kind or random.choice(FACT_TYPES)
    fact: dict[str, Any] = {"type": str(kind.__struct_config__.tag), **_made(random, _TYPES[kind])}
    if random.random() < 0.5:
        keys = list(fact)
        random.shuffle(keys)
        fact = {key: fact[key] for key in keys}
    return fact


def _made(random: Random, kind: Any) -> Any:
    match kind:
        case inspect.StructType(fields=fields):
            asked = [one for one in fields if one.required or random.random() < 0.7]
            return {one.encode_name: _made(random, one.type) for one in asked}
        case inspect.UnionType(types=types):
            return _made(random, random.choice(types))
        case inspect.LiteralType(values=values):
            return random.choice(values)
        case inspect.ListType(item_type=item):
            return [_made(random, item) for _ in range(random.choice((0, 1, 1, 2, 3)))]
        case inspect.DictType():
            return {random.choice(_WORDS): random.choice((*_WORDS, *_NUMBERS)) for _ in range(random.randrange(3))}
        case inspect.IntType(ge=least, le=most):
            return random.choice([n for n in _NUMBERS if least <= n <= most] * 4 + [*_NUMBERS])
        case inspect.StrType(min_length=least, pattern=pattern):
            words = ("12.1", "") if pattern else _WORDS
            return random.choice([word for word in words if len(word) >= (least or 0)] * 4 + [*words])
        case inspect.DateTimeType():
            return random.choice(_TIMES)
        case inspect.BytesType():
            return random.choice(("", "AA=="))
        case inspect.RawType():
            return {}
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.NoneType():
            return None
        case _:
            raise AssertionError(f"no such type is made up here: {kind}")


def _inserted(random: Random, raw: bytes, part: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + part + raw[at:]


_PARTS = (
    b" ", b"\n", b"\t", b"\x00", b"\xef\xbb\xbf", b"\\", b"\\n", b"\\u0041", b"\\u0000", b"\\ud800", b"\xff", b"\xc3",
    b'"', b",", b":", b"{", b"}", b"[", b"]", b"0", b"1", b"-", b".", b".5", b"e1", b"E0", b"null", b"true", b"NaN",
    b"9" * 18, b"/**/", b"\x7f", b"\x1f", b"\xc2\x80", b'"type":', b'"time":"2025-01-01T00:00:00Z",', b'"data":{},',
    b'"x":"y",', b'"x":1,', b'"x":[1],', b'"points":1,', b'"more":true,', b'"id":"2",',
)  # fmt: skip
_SWAPS = (
    (b"+08:00", b"+0800"), (b"+08:00", b"-00:00"), (b"+08:00", b"+24:00"), (b"T", b" "), (b"T", b"t"), (b"Z", b"z"),
    (b":12", b":60"), (b":12", b":12."), (b":12", b":12.1234567"), (b":12", b":12.123"), (b"11-11", b"02-30"),
    (b"00:03", b"24:00"), (b"2025", b"1969"), (b"2025", b"2999"), (b"2025", b"3000"), (b"1.0", b"1.1"), (b"true", b"1"),
    (b"1", b"1.0"), (b"1", b"01"), (b"0", b"-0"), (b"1", b'"1"'), (b":1", b":true"), (b"{}", b"[]"), (b"{}", b"null"),
    (b"[", b"[null,"), (b"]", b",]"), (b"}", b",}"), (b'"', b"'"), (b":", b" : "), (b",", b"\r\n,"), (b".v1", b".v2"),
)  # fmt: skip


def mutated(random: Random, fact: dict[str, Any]) -> bytes:
    """A fact's bytes, changed in one to three places; now and then not at all."""
    raw = json.dumps(fact, ensure_ascii=random.random() < 0.1, separators=(",", ":")).encode()
    if random.random() < 0.3:
        raw = msgspec.json.encode(_with_odd_keys(random, fact))
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        at = random.randrange(max(1, len(raw)))
        match random.randrange(7):
            case 0:
                raw = raw[:at] + bytes([random.randrange(256)]) + raw[at + 1 :]
            case 1:
                raw = raw[:at] + raw[at + random.choice((1, 1, 2, 8)) :]
            case 2 | 3:
                raw = _inserted(random, raw, random.choice(_PARTS))
            case 4 | 5:
                old, new = random.choice(_SWAPS)
                places = raw.count(old)
                if places:
                    head = raw.split(old)
                    which = random.randrange(places)
                    raw = old.join(head[: which + 1]) + new + old.join(head[which + 1 :])
            case _:
                end = at + random.randrange(40)
                raw = raw[:end] + raw[at:end] + raw[end:]
    return raw


def _with_odd_keys(random: Random, fact: dict[str, Any]) -> dict[str, Any]:
    """A fact with keys that are not known, left out, or of another type of fact."""
    fact = json.loads(json.dumps(fact))
    where = random.choice([fact, fact["data"]] if isinstance(fact.get("data"), dict) else [fact])
    key = random.choice(
        ("points", "kind", "shop", "order", "code", "paid_fen", "refund_fen", "more", "expires", "x", "id")
    )
    match random.randrange(3):
        case 0:
            where[key] = random.choice(
                (0, 1, "x", "", None, True, 1.5, [], {}, "2025-01-01T00:00:00Z", [1], {"type": "x"})
            )
        case 1 if where:
            del where[random.choice(list(where))]
        case _ if where:
            where[random.choice(list(where))] = random.choice(
                (0, 1, "x", "", None, True, 1.5, [], {}, "x" * 129, 1 << 54)
            )
    return fact
