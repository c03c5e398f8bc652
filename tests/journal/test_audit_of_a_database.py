"""A ledger in a database is signed, proved, reconciled and archived like one in a folder, and restored into one."""

from pathlib import Path
from random import Random
from typing import Any

import psycopg

from ledger.journal.database import migrate
from ledger.journal.open import open_ledger
from projections.answers.sidecar import AUDITS, CHECKPOINTS
from projections.audit.proof.checkpoint import write
from projections.audit.proof.store import CheckpointStore
from projections.audit.results import results
from projections.views.builtin.books import FIGURES
from service.documents import kept_documents
from tests.cli.test_cli import Ran, points
from tests.support.contents import contents
from tests.support.histories import LONG_AGO
from tests.support.ledgers import SmallLedger, histories_of
from verifier import points_verify as verifier


def test_it_is_signed_proved_archived_and_restored_into_a_folder(postgres: str, tmp_path: Path) -> None:
    migrate(postgres, partitions=4)
    small = SmallLedger(postgres)
    facts: list[Any] = histories_of(Random(41), members=5, length=60, start=LONG_AGO)
    small.hears([*facts[:100], b"{", *facts[100:]])
    small.decides()

    def on(ledger: object, *arguments: object, code: int = 0) -> Ran:
        ran = points("--ledger", ledger, *arguments)
        assert ran.code == code, ran.err
        return ran

    key, signed, proof = (tmp_path / name for name in ("key.pem", "signed", "proof"))
    on(postgres, "signing-key", "new", "-o", key)
    on(postgres, "checkpoint", "--key", key, "-o", signed)
    on(postgres, "prove", "m-1", 5, "--checkpoint", signed, "-o", proof)
    public = verifier.read_key(str(tmp_path / "key.pub.pem"))
    assert "entry 5 of m-1" in verifier.verify(proof.read_bytes(), public, "m-1", 5)
    beside = tmp_path / "beside"
    on(postgres, "verify", "--checkpoint", signed, "--folder", beside)
    on(postgres, "checkpoint", "--key", key, "-o", tmp_path / "later", "--folder", beside)
    with kept_documents(postgres, None, AUDITS) as documents:
        assert documents is not None
        assert [(one.audit, one.good) for one in results(documents)] == [("verify", True), ("checkpoint", True)]
    with kept_documents(postgres, None, CHECKPOINTS) as documents:
        assert documents is not None
        kept = {write(one.signed) for one in CheckpointStore(documents).all()}
        assert kept == {signed.read_bytes(), (tmp_path / "later").read_bytes()}
    on(postgres, "views", "run", "books", "--folder", beside)
    (beans,) = on(postgres, "views", "show", "books", "--folder", beside, "--json").json["rows"]
    books = on(postgres, "stats", "--json").json["points"]["beans"]
    assert beans == {"kind": "beans", **{name: books[name] for name in FIGURES}}

    on(postgres, "archive", "export", tmp_path / "archive")
    on(tmp_path / "restored", "archive", "import", tmp_path / "archive")
    restored = open_ledger(tmp_path / "restored")
    assert contents(restored) == contents(small.ledger)
    restored.close()
    on(tmp_path / "restored", "verify", "--checkpoint", signed)
    on(tmp_path / "restored", "replay")

    as_of = ("--as-of", "2026-01-01")
    balances = on(postgres, "export", "balances", *as_of).out.replace("spendable", "balance", 1)
    (tmp_path / "list.csv").write_text(balances)
    for ledger in (postgres, tmp_path / "restored"):
        on(ledger, "reconcile", tmp_path / "list.csv", *as_of)

    on(postgres, "replay", "--folder", beside)
    with psycopg.connect(postgres) as connection:
        connection.execute("DELETE FROM points_1.receipts WHERE place = 2")
    (found,) = on(postgres, "replay", "--folder", beside, "--json", code=1).json["differences"]
    assert (found["partition"], found["place"], found["field"], found["stored"]) == (1, 2, "receipt", "none")

    with psycopg.connect(postgres) as connection:
        connection.execute("UPDATE points_1.stored_events SET link = state WHERE notification_id = 2")
    on(postgres, "checkpoint", "--key", key, "-o", tmp_path / "x", code=1)
    on(postgres, "archive", "export", tmp_path / "again", code=1)
    small.close()


def test_what_needs_a_folder_says_so(postgres: str, tmp_path: Path) -> None:
    migrate(postgres, partitions=4)
    for code, said, command in (
        (3, "pg_dump", ("backup", tmp_path / "backup")),
        (2, "in a folder", ("restore", tmp_path)),
    ):
        ran = points("--ledger", postgres, *command)
        assert ran.code == code and said in ran.err, ran.err
