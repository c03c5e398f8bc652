#!/usr/bin/env python3
"""Checks what a points ledger signed, offline: needs this file, Python 3.10 or newer and `pip install cryptography`.

    python points_verify.py --key PUBLIC.pem FILE...

A FILE is a checkpoint (`points checkpoint`), a proof that an entry is in one (`points prove MEMBER NUMBER`) or that a
later checkpoint extends an earlier one (`points prove --consistency`). PUBLIC.pem is the ledger's public key, got from
its owner by another way than the files. Exit code 0: everything holds; 1: something does not, and why; 2: wrong use.

What is checked, so that you can do it without us:

- A checkpoint is a DSSE envelope: Ed25519 over `DSSEv1 <length> <type> <length> <payload>`. Its payload names the
  ledger, and for each partition the number of entries and the head of the RFC 9162 Merkle tree over their leaves.
- A leaf input is the 32 bytes SHA-256(entry); so a leaf hash is SHA-256(00 || SHA-256(entry)), and a node is
  SHA-256(01 || left || right). The entry at place n (from 1) is leaf n - 1.
- An entry is MessagePack: an array that begins with member, number of the entry, partition.
- A file is one line of JSON without spaces, and is refused if it is written in any other way.
"""

import argparse
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

CHECKPOINT = "application/vnd.points-ledger.checkpoint.v1+json"
INCLUSION = "points-ledger.inclusion.v1"
CONSISTENCY = "points-ledger.consistency.v1"
MOST_BYTES = 64 << 20  # of a file
FIELDS = (  # of an entry; instants are microseconds since 1970 UTC
    *("member", "number", "partition", "offset", "occurred", "recorded", "clock", "backlog", "version", "engine"),
    *("outcome", "reason", "figures", "changes", "fact", "received", "pushed"),
)


class Refused(Exception):
    """It does not hold, and why."""


# -- what is in a file -------------------------------------------------------------------------------------------------


def document(content: bytes) -> dict[str, Any]:
    """Return the one JSON object of a file, written as we write it: a change without a meaning is a change too."""
    try:
        text = content.decode("ascii")
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"damaged or cut short: {error}") from None
    if not isinstance(found, dict) or json.dumps(found, separators=(",", ":")) + "\n" != text:
        raise Refused("not written as a ledger writes it: damaged, or edited")
    return found


def fields(found: Any, *names: str) -> list[Any]:
    """Return the values of an object that has these fields and no others."""
    if not isinstance(found, dict) or set(found) != set(names):
        raise Refused(f"an object with {', '.join(names)} is wanted")
    return [found[name] for name in names]


def base64(text: Any) -> bytes:
    """Return bytes from base64 in its one canonical form."""
    try:
        value = b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Refused(f"bad base64: {error}") from None
    if b64encode(value).decode() != text:
        raise Refused("bad base64: not canonical")
    return value


def digest(text: Any) -> bytes:
    """Return a SHA-256 from 64 lower-case hex digits."""
    if not isinstance(text, str) or len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise Refused("64 hex digits are wanted where there are others")
    return bytes.fromhex(text)


def count(value: Any) -> int:
    """Return a number that counts: 0 to 2^63 - 1. Raises `Refused`."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise Refused("a count is wanted where there is something else")
    return value


def path_of(value: Any) -> list[bytes]:
    """Return the nodes of a proof."""
    if not isinstance(value, list):
        raise Refused("a path is wanted where there is something else")
    return [digest(node) for node in value]


# -- checkpoints -------------------------------------------------------------------------------------------------------


def open_checkpoint(envelope: Any, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what a checkpoint signs: `ledger`, `genesis`, `at`; under `heads` entries and tree head by partition."""
    payload64, kind, signatures = fields(envelope, "payload", "payloadType", "signatures")
    if kind != CHECKPOINT:
        raise Refused("not a checkpoint, or of a version that this verifier does not know")
    payload = base64(payload64)
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise Refused("one signature is wanted")
    name, signature = fields(signatures[0], "keyid", "sig")
    if name != key_name(key):
        raise Refused(f"signed by key {plain(name)[:64]}, not by the one given ({key_name(key)})")
    try:
        key.verify(base64(signature), b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload))
    except InvalidSignature:
        raise Refused("the signature does not hold: changed after it was signed, or never signed") from None
    try:
        signed = json.loads(payload)
        heads = {count(p["partition"]): (count(p["entries"]), digest(p["tree"])) for p in signed["partitions"]}
        found = {**{name: plain(signed[name]) for name in ("ledger", "genesis", "at")}, "heads": heads}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Refused("what was signed is no checkpoint") from None
    if len(heads) != len(signed["partitions"]):
        raise Refused("a partition is signed twice")
    return found


def key_name(key: Ed25519PublicKey) -> str:
    """Return how a signature names a key: SHA-256 of its 32 bytes."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def plain(text: Any) -> str:
    """Return text from a file on one line, without the characters that move a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))


def told(signed: dict[str, Any]) -> str:
    """Return a checkpoint in words."""
    entries = sum(size for size, _ in signed["heads"].values())
    return f"checkpoint of ledger {signed['ledger']} at {signed['at']}: {entries:,} entries"


# -- RFC 9162 ----------------------------------------------------------------------------------------------------------


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


def climb(at: int, last: int, start: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the heads to which a path leads from a node: over what lies left of it alone, and over the whole tree."""
    old = new = start
    for step in path:
        if last == 0:
            raise Refused("the path is too long")
        if at & 1 or at == last:
            old, new = node(step, old), node(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, step)
        at, last = at >> 1, last >> 1
    if last:
        raise Refused("the path is too short")
    return old, new


def head_of_inclusion(index: int, size: int, leaf_hash: bytes, path: Sequence[bytes]) -> bytes:
    """Return the tree head to which an inclusion path leads (2.1.3.2)."""
    if index >= size:
        raise Refused("the entry's place lies behind the end of the tree")
    return climb(index, size - 1, leaf_hash, path)[1]


def check_consistency(earlier: int, later: int, first: bytes, second: bytes, path: Sequence[bytes]) -> None:
    """Raise unless the later tree holds the earlier one as its beginning (2.1.4.2)."""
    if earlier > later:
        raise Refused("the later tree is smaller than the earlier one")
    if earlier in (0, later):
        if path or (earlier and first != second):
            raise Refused("the trees are of one size and differ" if not path else "the path is too long")
        return
    nodes = list(path) if earlier & (earlier - 1) else [first, *path]
    if not nodes:
        raise Refused("the path is too short")
    at, last = earlier - 1, later - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if climb(at, last, nodes[0], nodes[1:]) != (first, second):
        raise Refused("the later tree does not begin with the earlier one: history was rewritten in between")


# -- entries -----------------------------------------------------------------------------------------------------------


def unpack(data: bytes) -> Any:
    """Return a value of the part of MessagePack that entries use."""
    try:
        value, end = _unpack(data, 0)
    except (TypeError, RecursionError):
        raise Refused("the entry holds what no entry holds") from None
    if end != len(data):
        raise Refused("there are bytes behind the entry")
    return value


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    try:
        tag = data[at]
    except IndexError:
        raise Refused("the entry breaks off") from None
    at += 1
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if 0xCC <= tag <= 0xD3:
        width = 1 << (tag & 3)
        return int.from_bytes(data[at : at + width], "big", signed=tag >= 0xD0), at + width
    if 0xA0 <= tag < 0xC0 or 0xD9 <= tag <= 0xDB or 0xC4 <= tag <= 0xC6:
        size, at = (tag & 31, at) if tag < 0xC0 else _size(data, at, 1 << (tag - (0xD9 if tag >= 0xD9 else 0xC4)))
        raw = data[at : at + size]
        if len(raw) != size:
            raise Refused("the entry breaks off")
        return (raw if 0xC4 <= tag <= 0xC6 else raw.decode("utf-8", "replace")), at + size
    if 0x80 <= tag < 0xA0 or 0xDC <= tag <= 0xDF:
        size, at = (tag & 15, at) if tag < 0xA0 else _size(data, at, 2 << (tag & 1))
        is_map = tag < 0x90 or tag >= 0xDE
        items = []
        for _ in range(size * (1 + is_map)):
            item, at = _unpack(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2], strict=True)) if is_map else items), at
    raise Refused("the entry holds what no entry holds")


def _size(data: bytes, at: int, width: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + width], "big"), at + width


def shown(entry: list[Any]) -> str:
    """Return an entry as JSON, its fact as the JSON that it is."""
    named = {name: _json(value) for name, value in zip(FIELDS, entry, strict=False)}
    return plain(json.dumps(named, ensure_ascii=False, default=bytes.hex))


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value.hex()
    return value


# -- the three kinds of files ------------------------------------------------------------------------------------------


def verify(content: bytes, key: Ed25519PublicKey, member: str | None = None, number: int | None = None) -> str:
    """Return what a file proves, in words. Raises `Refused`."""
    found = document(content)
    if "payloadType" in found:
        return told(open_checkpoint(found, key))
    if found.get("format") == INCLUSION:
        return verify_inclusion(found, key, member, number)
    if found.get("format") == CONSISTENCY:
        return verify_consistency(found, key)
    raise Refused("neither a checkpoint nor a proof of a version that this verifier knows")


def verify_inclusion(found: dict[str, Any], key: Ed25519PublicKey, member: str | None, number: int | None) -> str:
    """Return in words that an entry is in a checkpoint, and is the one that was asked for."""
    _, partition, place, entry64, path, envelope = fields(
        found, "format", "partition", "place", "entry", "path", "checkpoint"
    )
    signed = open_checkpoint(envelope, key)
    raw = base64(entry64)
    size, head = signed["heads"].get(count(partition), (0, b""))
    leaf_hash = sha256(b"\0" + sha256(raw).digest()).digest()
    if count(place) < 1 or head_of_inclusion(place - 1, size, leaf_hash, path_of(path)) != head:
        raise Refused("the entry is not in the checkpoint: its bytes, its place or its path were changed")
    entry = unpack(raw)
    if not isinstance(entry, list) or len(entry) < 3 or entry[2] != partition:
        raise Refused("what was signed there is no entry of that partition")
    name = plain(f"entry {entry[1]} of {entry[0]}")
    if member not in (None, entry[0]) or number not in (None, entry[1]):
        raise Refused(f"it proves {name}, not the one that was asked for")
    return f"{name}, place {place} of partition {partition}, is in the {told(signed)}\n{shown(entry)}"


def verify_consistency(found: dict[str, Any], key: Ed25519PublicKey) -> str:
    """Return in words that a later checkpoint of a ledger extends an earlier one, in every partition."""
    _, earlier, later, partitions = fields(found, "format", "earlier", "later", "partitions")
    before, after = open_checkpoint(earlier, key), open_checkpoint(later, key)
    if not isinstance(partitions, list):
        raise Refused("a list of partitions is wanted where there is something else")
    if (before["ledger"], before["genesis"]) != (after["ledger"], after["genesis"]):
        raise Refused("the checkpoints are of different ledgers")
    paths = {
        count(partition): path_of(path) for partition, path in (fields(p, "partition", "path") for p in partitions)
    }
    if set(after["heads"]) != set(paths) or len(paths) != len(partitions):
        raise Refused("the partitions of the proof are not those of the checkpoints")
    parents = len(before["heads"]) or 1  # each partition is its own parent, or branched off one
    if len(after["heads"]) % parents or {partition % parents for partition in after["heads"]} != set(before["heads"]):
        raise Refused("the partitions of the proof are not those of the checkpoints")
    for partition, (size, head) in after["heads"].items():
        earlier_size, earlier_head = before["heads"][partition % parents]
        check_consistency(earlier_size, size, earlier_head, head, paths[partition])
    return f"the {told(after)}\nextends the {told(before)}: nothing of it was changed"


# -- the command line --------------------------------------------------------------------------------------------------


def read_key(path: str) -> Ed25519PublicKey:
    """Return the public key in a PEM file; ends with exit code 2 where there is none."""
    try:
        with open(path, "rb") as file:
            key = load_pem_public_key(file.read(MOST_BYTES))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        stop(f"{path}: no public key: {error}")
    if not isinstance(key, Ed25519PublicKey):
        stop(f"{path}: not an Ed25519 key")
    return key


def read_files(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each file's bytes; ends with exit code 2 where one cannot be read."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                yield path, file.read(MOST_BYTES)
        except OSError as error:
            stop(f"{path}: {error.strerror}")


def stop(message: str) -> NoReturn:
    """End with exit code 2: wrong use."""
    print(f"points_verify: {message}", file=sys.stderr)
    sys.exit(2)


def main() -> int:
    """Check the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Check checkpoints and proofs of a points ledger, offline.")
    parser.add_argument("--key", required=True, metavar="PUBLIC.pem", help="the ledger's public key, from its owner")
    parser.add_argument("--member", help="the entry must be this member's")
    parser.add_argument("--number", type=int, help="the entry must have this number")
    parser.add_argument("files", nargs="+", metavar="FILE")
    given = parser.parse_args()
    key = read_key(given.key)
    code = 0
    for path, content in read_files(given.files):
        try:
            print(f"{path}: good: {verify(content, key, given.member, given.number)}")
        except Refused as refused:
            code = 1
            print(f"{path}: REFUSED: {refused}")
    return code


if __name__ == "__main__":
    sys.exit(main())
