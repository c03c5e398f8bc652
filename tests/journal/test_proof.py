"""Checkpoints and proofs: the trees are RFC 9162's, and whatever was changed after it was signed is refused."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ledger.journal.open import open_ledger
from ledger.journal.port import EntryRow
from ledger.wire.entries import Entry
from ledger.wire.entry_codec import decode_entry, encode_entry, leaf_of, link_after
from projections.audit.proof import Refuted, nodes, prove
from projections.audit.proof.checkpoint import read
from projections.audit.proof.keys import preimage
from projections.audit.proof.tree import Blocks, Frontier, consistency_path, inclusion_path
from tests.cli.test_cli import Ran, points
from tests.support.histories import LONG_AGO
from tests.support.ledgers import histories_of, scratch, write_facts
from tests.support.tampering import seal_anew, stamp_anew
from tests.test_purity import imports_of
from verifier import points_verify as verifier

VERIFIER = Path(verifier.__file__)
MEMBER = "m-1"

# The leaf inputs, tree heads and proofs with which Certificate Transparency's implementations are tested
# (transparency-dev/merkle, log_verifier_test.go): they are RFC 6962's trees, which RFC 9162 keeps.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
HEADS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = {  # (index, size) -> path
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCIES = {  # (earlier size, later size) -> path
    (1, 1): [],
    (1, 8): INCLUSIONS[(0, 8)],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


def leaves(size: int) -> list[bytes]:
    return [bytes.fromhex(text) for text in INPUTS[:size]]


def head(inputs: list[bytes]) -> bytes:
    """The tree head as RFC 9162 2.1.1 defines it."""
    if len(inputs) < 2:
        return sha256(b"\0" + inputs[0]).digest() if inputs else sha256().digest()
    middle = 1
    while middle * 2 < len(inputs):
        middle *= 2
    return sha256(b"\1" + head(inputs[:middle]) + head(inputs[middle:])).digest()


def heads_of(inputs: list[bytes], parts: list[range], block: int = 2) -> list[bytes]:
    """The heads over parts of a tree of which the heads of full blocks are known."""
    known = [head(inputs[at : at + block]) for at in range(0, len(inputs) - block + 1, block)]
    blocks = Blocks(known, block, lambda first, end: inputs[first:end])
    assert all(blocks.is_block(index) for index in range(len(inputs)))
    return [blocks.head(part) for part in parts]


# -- trees -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(9))
def test_tree_heads_are_those_of_certificate_transparency(size: int) -> None:
    tree = Frontier()
    for leaf in leaves(size):
        tree.add(leaf)
    assert tree.head().hex() == HEADS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_inclusion_paths_are_those_of_certificate_transparency(index: int, size: int) -> None:
    path = heads_of(leaves(size), inclusion_path(index, size))
    assert [node.hex() for node in path] == INCLUSIONS[(index, size)]
    leaf_hash = sha256(b"\0" + leaves(size)[index]).digest()
    assert verifier.head_of_inclusion(index, size, leaf_hash, path).hex() == HEADS[size]
    for wrong_index, wrong_size, wrong_path in (
        (index + 1, size, path),
        (index ^ 2, size, path),
        (index, size * 2, path),
        (index, size // 2, path),
        (index, size, [*path, bytes.fromhex(HEADS[size])]),
        (index, size, [bytes.fromhex(HEADS[size]), *path]),
        *((index, size, path[:-1]) for _ in path[:1]),
        *((index, size, [*path[:i], bytes(32), *path[i + 1 :]]) for i in range(len(path))),
    ):
        try:
            found = verifier.head_of_inclusion(wrong_index, wrong_size, leaf_hash, wrong_path)
        except verifier.Refused:
            continue
        assert found.hex() != HEADS[size]


@pytest.mark.parametrize(("earlier", "later"), CONSISTENCIES)
def test_consistency_paths_are_those_of_certificate_transparency(earlier: int, later: int) -> None:
    path = heads_of(leaves(later), consistency_path(earlier, later))
    assert [node.hex() for node in path] == CONSISTENCIES[(earlier, later)]
    old, new = bytes.fromhex(HEADS[earlier]), bytes.fromhex(HEADS[later])
    verifier.check_consistency(earlier, later, old, new, path)
    for wrong in (
        (earlier + 1, later, old, new, path),
        (earlier, later * 2, old, new, path),
        (earlier, later, bytes(32), new, path),
        (earlier, later, old, bytes(32), path),
        (earlier, later, old, new, [*path, new]),
        (earlier, later, old, new, [old, *path]),
        *((earlier, later, new, old, path) for _ in path[:1]),
        *((earlier, later, old, new, []) for _ in path[:1]),
        *((earlier, later, old, new, path[:-1]) for _ in path[:1]),
        *((earlier, later, old, new, [*path[:i], bytes(32), *path[i + 1 :]]) for i in range(len(path))),
    ):
        with pytest.raises(verifier.Refused):
            verifier.check_consistency(*wrong)


@settings(max_examples=150, deadline=None, database=None)
@given(later=st.integers(1, 200), data=st.data())
def test_any_leaf_and_any_two_trees_are_proved_as_the_definition_has_it(later: int, data: Any) -> None:
    inputs = [b"%d" % number for number in range(later)]
    index = data.draw(st.integers(0, later - 1))
    earlier = data.draw(st.integers(0, later))
    block = 1 << data.draw(st.integers(0, 8))
    path = heads_of(inputs, inclusion_path(index, later), block)
    leaf_hash = sha256(b"\0" + inputs[index]).digest()
    assert verifier.head_of_inclusion(index, later, leaf_hash, path) == head(inputs)
    assert heads_of(inputs, [range(later)], block) == [head(inputs)]
    extension = heads_of(inputs, consistency_path(earlier, later), block)
    verifier.check_consistency(earlier, later, head(inputs[:earlier]), head(inputs), extension)
    if earlier:
        with pytest.raises(verifier.Refused):
            verifier.check_consistency(earlier, later, head([b"other", *inputs[1:earlier]]), head(inputs), extension)
    half = Frontier()
    for leaf in inputs[:earlier]:
        half.add(leaf)
    whole = Frontier(half.size, half.peaks)
    for leaf in inputs[earlier:]:
        whole.add(leaf)
    assert whole.head() == head(inputs)


def test_what_is_signed_is_what_dsse_says() -> None:
    signed = preimage("http://example.com/HelloWorld", b"hello world")  # the example of its specification
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


# -- a ledger, two checkpoints, two proofs -----------------------------------------------------------------------------


class Office:
    """A ledger with its key, a checkpoint of its first facts and one of all, and a proof of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.key = folder / "key.pem"
        self.public = folder / "key.pub.pem"
        facts = histories_of(Random(5), members=6, length=50, start=LONG_AGO)
        self.points("signing-key", "new", "-o", self.key)
        self.points("ingest", write_facts(folder / "a.ndjson", facts[:180]), "--backlog")
        self.first = self.checkpoint("first")
        self.points("ingest", write_facts(folder / "b.ndjson", facts[180:]), "--backlog")
        self.second = self.checkpoint("second")
        self.entry = folder / "entry.proof"
        self.points("prove", MEMBER, 3, "--checkpoint", self.second, "-o", self.entry)
        self.extension = folder / "extension.proof"
        self.points("prove", "--consistency", self.first, self.second, "-o", self.extension)

    def points(self, *arguments: object, code: int = 0) -> Ran:
        """Run a command on the ledger."""
        ran = points("--ledger", self.ledger, *arguments)
        assert ran.code == code, ran.err
        return ran

    def checkpoint(self, name: str, *options: object) -> Path:
        """Sign what there is."""
        path = self.folder / name
        self.points("checkpoint", "--key", self.key, "-o", path, *options)
        return path


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with scratch() as folder:
        yield Office(folder)


@pytest.fixture
def copy(office: Office, tmp_path: Path) -> Office:
    """The office, to be changed."""
    shutil.copytree(office.folder, tmp_path / "office")
    made = object.__new__(Office)
    made.__dict__ = {name: tmp_path / "office" / path.relative_to(office.folder) for name, path in vars(office).items()}
    return made


def verify_offline(office: Office, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The standalone verifier in a process that sees nothing of this repository."""
    command = [sys.executable, "-I", str(VERIFIER), "--key", str(office.public), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=office.folder, timeout=60, check=False)


def payload(path: Path) -> dict[str, Any]:
    return json.loads(b64decode(json.loads(path.read_bytes())["payload"]))


def test_what_the_ledger_signs_and_proves_is_good_offline(office: Office) -> None:
    ran = verify_offline(office, office.first, office.second, office.entry, office.extension)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": good: ") == 4
    assert f"entry 3 of {MEMBER}, place " in ran.stdout
    told = office.points("entries", MEMBER, "--json").json[2]
    shown = json.loads(ran.stdout.splitlines()[3])
    assert (shown["member"], shown["number"], shown["fact"]["id"]) == (MEMBER, 3, told["id"])
    assert [*shown, "pushed"] == list(Entry.__struct_fields__), "an entry that was not pushed does not say so"


def test_the_verifier_needs_nothing_of_ours() -> None:
    names = {name.split(".")[0] for name in imports_of(VERIFIER)}
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.parametrize("name", ["second", "entry", "extension"])
def test_one_bit_flipped_anywhere_is_refused(office: Office, name: str) -> None:
    key = verifier.read_key(str(office.public))
    content = getattr(office, name).read_bytes()
    verifier.verify(content, key)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        with pytest.raises(verifier.Refused):
            verifier.verify(bytes(changed), key)


@settings(max_examples=150, deadline=None, database=None)
@given(which=st.sampled_from(["second", "entry", "extension"]), upto=st.floats(0, 1, exclude_max=True))
def test_a_file_that_breaks_off_is_refused(office: Office, which: str, upto: float) -> None:
    content = getattr(office, which).read_bytes()
    with pytest.raises(verifier.Refused):
        verifier.verify(content[: int(upto * len(content))], verifier.read_key(str(office.public)))


def test_the_ledger_refuses_a_checkpoint_with_one_bit_flipped(copy: Office) -> None:
    content = copy.second.read_bytes()
    ends = [place - 1 for place, byte in enumerate(content) if byte in b'="']  # where base64 has bits to spare
    for place, bit in [*((place, place % 8) for place in range(0, len(content), 23)), *((place, 0) for place in ends)]:
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        copy.second.write_bytes(bytes(changed))
        ran = copy.points("verify", "--checkpoint", copy.second, code=3)
        assert str(copy.second) in ran.err


def test_a_proof_for_another_member_or_number_is_refused(office: Office) -> None:
    assert verify_offline(office, office.entry, "--member", MEMBER, "--number", "3").returncode == 0
    for other in (("--member", "m-2"), ("--number", "4")):
        ran = verify_offline(office, office.entry, *other)
        assert ran.returncode == 1 and f"it proves entry 3 of {MEMBER}" in ran.stdout


def test_a_proof_moved_to_another_place_checkpoint_or_entry_is_refused(copy: Office) -> None:
    whole = json.loads(copy.entry.read_bytes())
    copy.points("prove", MEMBER, 4, "--checkpoint", copy.second, "-o", copy.folder / "other")
    other = json.loads((copy.folder / "other").read_bytes())
    older = json.loads(copy.first.read_bytes())
    for name, value in (
        ("place", other["place"]),
        ("entry", other["entry"]),
        ("path", other["path"]),
        ("checkpoint", older),
    ):
        copy.entry.write_text(json.dumps({**whole, name: value}, separators=(",", ":")) + "\n")
        assert verify_offline(copy, copy.entry).returncode == 1


def test_what_a_key_signed_that_is_no_checkpoint_is_refused(office: Office) -> None:
    signer = Ed25519PrivateKey.generate()
    good = payload(office.second)
    first = good["partitions"][0]
    for signed in (
        [],
        {**good, "partitions": None},
        {**good, "partitions": [{**first, "partition": "0"}]},
        {**good, "partitions": [first, {**first, "tree": "0" * 64}]},
        {name: value for name, value in good.items() if name != "genesis"},
    ):
        with pytest.raises(verifier.Refused):
            verifier.verify(sign_offline(signer, signed), signer.public_key())


@pytest.mark.parametrize(
    "entry",
    [
        msgspec.msgpack.encode(["m-1", 1, 9]),  # of another partition than the tree it stands in
        msgspec.msgpack.encode(["m-1", 1]),
        b"\x94\xa3m-1\x01\x00" + b"\x91" * 100_000,
        b"\x94\xa3m-1\x01\x00\x81\x90\xc0",  # a map with a list as a key
    ],
)
def test_what_was_signed_as_an_entry_and_is_none_is_refused(office: Office, entry: bytes) -> None:
    signer = Ed25519PrivateKey.generate()
    with pytest.raises(verifier.Refused):
        verifier.verify(prove_alone(office, signer, entry), signer.public_key())


def test_a_name_cannot_write_lines_of_its_own_on_the_verifiers_screen(office: Office) -> None:
    signer = Ed25519PrivateKey.generate()
    entry = msgspec.msgpack.encode(["m-1\nother.proof: good: \x9b1m", 1, 0])
    told = verifier.verify(prove_alone(office, signer, entry), signer.public_key())
    assert len(told.splitlines()) == 2 and "\x9b" not in told


def sign_offline(signer: Ed25519PrivateKey, signed: Any) -> bytes:
    """A checkpoint's envelope around anything, as somebody with a key of his own would make it."""
    name = sha256(signer.public_key().public_bytes_raw()).hexdigest()
    content = json.dumps(signed).encode()
    kind = verifier.CHECKPOINT
    signature = signer.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(content), content))
    return compact(
        {
            "payload": b64encode(content).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": name, "sig": b64encode(signature).decode()}],
        }
    )


def prove_alone(office: Office, signer: Ed25519PrivateKey, entry: bytes) -> bytes:
    """The proof of an entry that is alone in its tree, signed."""
    head = sha256(b"\0" + sha256(entry).digest()).hexdigest()
    good = payload(office.second)
    partitions = [{**good["partitions"][0], "entries": 1, "tree": head}]
    envelope = json.loads(sign_offline(signer, {**good, "partitions": partitions}))
    return compact(
        {
            "format": verifier.INCLUSION,
            "partition": 0,
            "place": 1,
            "entry": b64encode(entry).decode(),
            "path": [],
            "checkpoint": envelope,
        }
    )


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def test_what_the_verifier_cannot_use_is_wrong_use(office: Office) -> None:
    assert verify_offline(office, "no-such-file").returncode == 2
    command = [sys.executable, str(VERIFIER), "--key", str(office.first), str(office.first)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 2
    assert subprocess.run(command[:2], capture_output=True, timeout=60, check=False).returncode == 2


def test_a_ledger_does_not_extend_another_one(copy: Office) -> None:
    copy.ledger = copy.folder / "another"
    copy.points("ingest", write_facts(copy.folder / "none.ndjson", []))
    other = copy.checkpoint("other")  # without entries: of its own ledger, anything extends it
    forged = json.loads(copy.extension.read_bytes())
    forged["earlier"] = json.loads(other.read_bytes())
    forged["partitions"] = [{"partition": partition, "path": []} for partition in range(4)]
    copy.extension.write_text(json.dumps(forged, separators=(",", ":")) + "\n")
    ran = verify_offline(copy, copy.extension)
    assert ran.returncode == 1 and "different ledgers" in ran.stdout


def test_a_checkpoint_by_another_key_is_refused(copy: Office) -> None:
    copy.points("signing-key", "new", "-o", copy.folder / "other.pem")
    copy.points("checkpoint", "--key", copy.folder / "other.pem", "-o", copy.folder / "forged")
    ran = verify_offline(copy, copy.folder / "forged")
    assert ran.returncode == 1 and "signed by key" in ran.stdout
    copy.points("verify", "--checkpoint", copy.folder / "forged", "--key", copy.public, code=3)
    copy.points("checkpoint", "--key", copy.key, "--after", copy.folder / "forged", "-o", copy.folder / "x", code=3)


# -- a ledger that was changed -----------------------------------------------------------------------------------------


def rewrite_history(office: Office) -> int:
    """What somebody with full access can do: change an entry, and chain it and all behind it anew."""
    ledger = open_ledger(office.ledger)
    partition = ledger.partition_of(MEMBER)
    rows = list(ledger.journal(partition).scan())
    ledger.close()
    victim = next(row.sequence for row in rows if (row.member, row.number) == (MEMBER, 3))
    database = sqlite3.connect(office.ledger / f"partition-{partition}.db")
    link = bytes(32)
    with database:
        for row in rows:
            state = row.state
            if row.sequence == victim:
                entry = decode_entry(state)
                state = encode_entry(structs.replace(entry, received=bytes(32)))
            link = link_after(link, leaf_of(state))
            database.execute(
                "UPDATE stored_events SET state = ?, link = ? WHERE rowid = ?", (state, link, row.sequence)
            )
        database.execute("UPDATE shard SET link = ?", (link,))
    database.close()
    seal_anew(office.ledger, partition)
    return partition


def test_a_ledger_rewritten_whole_is_found_by_an_old_checkpoint(copy: Office) -> None:
    partition = rewrite_history(copy)
    copy.points("verify")  # the chain is whole again: by itself it shows nothing
    for signed in (copy.first, copy.second):
        ran = copy.points("verify", "--checkpoint", signed, "--key", copy.public, "--json", code=1)
        assert [(at["partition"], at["place"]) for at in ran.json["broken"]] == [
            (partition, payload(signed)["partitions"][partition]["entries"])
        ]


def test_a_rewritten_ledger_can_prove_neither_its_entries_nor_that_it_extends_what_it_was(copy: Office) -> None:
    rewrite_history(copy)
    later = copy.checkpoint("later")
    assert "were signed" in copy.points("prove", "--consistency", copy.second, later, code=1).err
    copy.points("prove", MEMBER, 3, "--checkpoint", copy.second, code=1)
    copy.points("checkpoint", "--key", copy.key, "--after", copy.second, "-o", copy.folder / "x", code=1)
    forged = json.loads(copy.extension.read_bytes())
    forged["later"] = json.loads(later.read_bytes())
    copy.extension.write_text(json.dumps(forged, separators=(",", ":")) + "\n")
    ran = verify_offline(copy, copy.extension)
    assert ran.returncode == 1 and "history was rewritten" in ran.stdout


def test_a_proof_by_kept_heads_reads_a_few_leaves_and_still_sees_that_its_entry_was_changed(
    copy: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "BLOCK", 4)
    ledger, signed, trees = open_ledger(copy.ledger), read(copy.second), copy.folder / "trees"
    partition = ledger.partition_of(MEMBER)
    journal = ledger.journal(partition)
    first = prove.inclusion(ledger, MEMBER, 3, signed, None, trees)
    rows = 0
    scan = journal.scan

    def counted(after: int = 0, upto: int | None = None) -> Iterator[EntryRow]:
        nonlocal rows
        for row in scan(after, upto):
            rows += 1
            yield row

    monkeypatch.setattr(journal, "scan", counted)
    assert prove.inclusion(ledger, MEMBER, 3, signed, None, trees) == first
    assert rows <= 4 * nodes.BLOCK < signed.checkpoint.partitions[partition].entries
    database = sqlite3.connect(copy.ledger / f"partition-{partition}.db")
    with database:
        database.execute(
            "UPDATE stored_events SET state = CAST(state || x'00' AS BLOB) WHERE rowid = ?", (first.place,)
        )
    database.close()
    with pytest.raises(Refuted):
        prove.inclusion(ledger, MEMBER, 3, signed, None, trees)
    ledger.close()


def test_entries_taken_off_the_end_are_found_by_a_checkpoint(copy: Office) -> None:
    ledger = open_ledger(copy.ledger)
    partition = ledger.partition_of(MEMBER)
    rows = list(ledger.journal(partition).scan())
    ledger.close()
    database = sqlite3.connect(copy.ledger / f"partition-{partition}.db")
    with database:
        database.execute("DELETE FROM stored_events WHERE rowid = ?", (rows[-1].sequence,))
        database.execute("UPDATE shard SET head = head - 1, link = ?", (rows[-2].link,))
        database.execute("UPDATE tracking SET notification_id = notification_id - 1")
    database.close()
    seal_anew(copy.ledger, partition)
    copy.points("verify")
    broken = copy.points("verify", "--checkpoint", copy.second, "--json", code=1).json["broken"]
    assert [at["place"] for at in broken] == [len(rows)]


def test_a_broken_chain_is_never_signed(copy: Office) -> None:
    database = sqlite3.connect(copy.ledger / "partition-0.db")
    with database:
        database.execute("UPDATE stored_events SET state = x'00' WHERE rowid = 2")
    database.close()
    ran = copy.points("checkpoint", "--key", copy.key, "-o", copy.folder / "x", code=1)
    assert "partition 0 is broken near place 2" in ran.err and not (copy.folder / "x").exists()


def test_a_rule_book_changed_behind_the_ledgers_back_is_found_by_a_checkpoint(copy: Office) -> None:
    book = copy.ledger / "book.toml"
    book.write_text(book.read_text(encoding="utf-8") + "\n# kinder\n", encoding="utf-8")
    assert "book.toml" in copy.points("verify", code=3).err
    stamp_anew(copy.ledger)
    ran = copy.points("verify", "--checkpoint", copy.second, "--json", code=1)
    assert "was born with" in ran.json["broken"][0]["problem"]


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_after_another_signs_what_one_from_the_beginning_signs(copy: Office) -> None:
    after = copy.checkpoint("after", "--after", copy.first)
    assert payload(after)["partitions"] == payload(copy.second)["partitions"]
    assert payload(copy.first)["partitions"] != payload(copy.second)["partitions"]
    copy.points("verify", "--checkpoint", copy.first, "--checkpoint", after, "--key", copy.public)


def test_a_checkpoint_of_another_ledger_is_told_apart(copy: Office) -> None:
    copy.ledger = copy.folder / "another"
    copy.points("ingest", copy.folder / "a.ndjson", "--backlog")
    for command in (
        ("verify", "--checkpoint", copy.first),
        ("prove", MEMBER, 1, "--checkpoint", copy.first),
        ("prove", "--consistency", copy.first, copy.second),
        ("checkpoint", "--key", copy.key, "--after", copy.first),
    ):
        assert "the checkpoint is of ledger" in copy.points(*command, code=3).err


def test_a_ledger_from_before_there_were_ids_opens_and_is_signed(copy: Office) -> None:
    settings = json.loads((copy.ledger / "ledger.json").read_bytes())
    assert len(settings.pop("id")) == 32
    (copy.ledger / "ledger.json").write_text(json.dumps(settings))
    stamp_anew(copy.ledger)
    old = copy.checkpoint("old")
    assert payload(old)["ledger"] == payload(old)["genesis"][:32]
    copy.points("verify", "--checkpoint", old, "--key", copy.public)
    copy.points("verify", "--checkpoint", copy.second, code=3)


def test_a_signing_key_is_its_owners_alone_and_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    told = points("signing-key", "new", "--json").json
    private = Path(told["private"])
    assert private.is_relative_to(tmp_path) and private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    assert points("signing-key", "new").code == 3 and private.read_bytes() == before
    private.unlink()
    assert points("signing-key", "new").code == 3 and not private.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["prove", MEMBER, "999", "--checkpoint", "second"], 3, "has no entry 999"),
        (["prove", "nobody", "1", "--checkpoint", "second"], 3, "nobody"),
        (["prove", MEMBER, "50", "--checkpoint", "first"], 3, "make a new one"),
        (["prove", MEMBER, "1", "--checkpoint", "missing"], 3, "No such file"),
        (["prove", MEMBER, "1", "--checkpoint", "a.ndjson"], 3, "no checkpoint"),
        (["prove", MEMBER, "1", "--checkpoint", "entry.proof"], 3, "no checkpoint"),
        (["prove", MEMBER, "1", "--key", "missing.pem"], 3, "points signing-key new"),
        (["prove", MEMBER, "1", "--key", "key.pub.pem"], 3, "no signing key"),
        (["prove", MEMBER], 2, "MEMBER NUMBER"),
        (["prove", MEMBER, "0"], 2, "NUMBER"),
        (["prove", "--consistency", "second", "first"], 3, "earlier checkpoint first"),
        (["prove", MEMBER, "1", "--consistency", "first", "second"], 2, "either"),
        (["verify", "--key", "key.pub.pem"], 2, "--checkpoint"),
        (["verify", "--checkpoint", "second", "--key", "key.pem"], 3, "no public key"),
        (["checkpoint", "--key", "first"], 3, "no signing key"),
    ],
)
def test_what_cannot_be_used_is_said(
    office: Office, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(office.folder)
    before = sorted(os.listdir())
    ran = office.points(*arguments, code=code)
    assert said in ran.err and ran.out == "" and sorted(os.listdir()) == before


def test_a_checkpoint_that_is_there_is_not_written_over(copy: Office) -> None:
    kept = copy.second.read_bytes()
    ran = copy.points("checkpoint", "--key", copy.key, "-o", copy.second, code=3)
    assert "there already" in ran.err and copy.second.read_bytes() == kept
