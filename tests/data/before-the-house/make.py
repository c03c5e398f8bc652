"""Makes what is kept here: a small example of everything that points stored, and what it answered then.

It ran at commit 73f7ae1 and is kept as the record of how the packs beside it came to be. It is not to be run again with
later code: that the packs are of the old code is their whole worth. `tests/test_ledgers_of_before.py` reads them.

    git checkout 73f7ae1    # with this folder and no other change
    .venv/bin/python tests/data/before-the-house/make.py /srv/shop

The folder must not be there yet. Its name is in the packs, since a ledger knows its files of facts by their whole
paths; all else is named by paths relative to it. The facts are always the same (`story.py`). What differs from run to
run are the ids of the ledgers, the keys, and what happened on the day itself.

| pack | holds |
|---|---|
| `facts.tar.xz` | files of facts, rule books and lists that the ledgers were given; `next.ndjson` is for later |
| `folder.tar.xz` | a ledger in a folder with all that lies beside it, its API keys as printed, and a backup of it |
| `postgres.tar.xz` | a ledger in PostgreSQL as statements of SQL, and the folder beside it |
| `archive.tar.xz` | `points archive export` of the ledger in the folder |
| `proofs.tar.xz` | checkpoints and proofs of both ledgers, and the keys they were signed with |
| `answers.tar.xz` | what 73f7ae1 answered, by ledger: to be the same for ever |

The file `lock` of the folder, which names a host, was left out. Answers are lists of commands in the order they were
given, each with its exit code and what it said on standard output, less the seconds it took.
"""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import story
from ledger.entries import CHANGE_TYPES
from ledger.facts import FACT_TYPES
from ledger.reasons import REASONS
from tests.databases import OwnServer, programs_or_skip

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LEDGER, BESIDE = "points-ledger", "beside"
PAST, LATER, FAR = "2026-03-01", "2026-12-15", "2099-01-01"  # the last is ahead of whoever reads this
TABLES = ("balances", "lots", "scores", "memberships")
READINGS = (
    *("balances", "lots", "expiring", "scores", "memberships", "quotas", "savings", "statement"),
    *("liability", "outstanding", "campaigns", "activity", "active"),
)
OF_THE_PRESENT = ("books", "outcomes")  # readings that know no past
Command = tuple[str, ...]

ASKED: tuple[Command, ...] = (
    ("verify", "--json"),
    ("replay", "--json"),
    ("replay", "--from-topic", "--json"),
    ("stats", "--as-of", LATER, "--json"),
    ("stats", "--as-of", PAST, "--json"),
    ("stats", "--as-of", PAST, "--known-at", "2026-02-15", "--json"),
    *(("export", table, "--as-of", LATER, "--format", "ndjson") for table in TABLES),
    *(("export", table, "--as-of", PAST, "--format", "ndjson") for table in TABLES),
    *(("show", member, "--as-of", LATER, "--json") for member in (story.BUSY, story.ODD, story.NEW, story.HAND)),
    ("show", story.BUSY, "--as-of", PAST, "--json"),
    ("show", story.ODD, "--as-of", LATER, "--known-at", "2026-01-01", "--json"),
    *(("entries", member, "--json") for member in (story.ODD, story.NEW, "m-1001")),
    ("explain", story.ODD, "--as-of", LATER, "--json"),
    ("explain", story.NEW, "3", "--as-of", LATER, "--json"),
    ("explain", story.ODD, "3.1", "--as-of", LATER, "--json"),
    ("quote", story.ODD, "cart.json", "--at", "2026-11-12T12:00:00", "--json"),
    ("backtest", "draft.toml", "--as-of", LATER, "--no-keep", "--json"),
    ("reconcile", "finance.csv", "--as-of", PAST, "--json"),
    ("programme", "list", "--json"),
    ("dead-letters", "list", "--all", "--json"),
    ("keys", "list", "--json"),
    *(("views", "show", reading, "--as-of", LATER, "--json") for reading in READINGS),
    *(("views", "show", reading, "--as-of", FAR, "--json") for reading in OF_THE_PRESENT),
)
THEN: tuple[Command, ...] = (
    ("views", "run", "--json"),
    ("views", "compare", "statement", "--json"),
    ("views", "close", "2025-12", "--json"),
    *(("views", "show", reading, "--as-of", LATER, "--json") for reading in READINGS),
    *(("views", "show", reading, "--as-of", FAR, "--json") for reading in OF_THE_PRESENT),
    ("ingest", "--backlog", "next.ndjson", "--outcomes", "outcomes.ndjson", "--json"),
    ("verify", "--json"),
    ("stats", "--as-of", LATER, "--json"),
    *(("show", member, "--as-of", LATER, "--json") for member in (story.BUSY, story.ODD, story.NEW)),
    *(("export", table, "--as-of", LATER, "--format", "ndjson") for table in TABLES),
)
SERVED = (
    "/v1/adjustments",
    "/v1/audits",
    "/v1/checkpoints",
    "/v1/dead-letters",
    "/v1/positions",
    "/v1/programmes",
    f"/v1/members/{story.BUSY}?as_of={LATER}",
    f"/v1/members/{story.BUSY}/entries?limit=5",
)

KEYS = {
    "gone": ("--scope", "members:read"),  # and revoked
    "guest": ("--scope", f"member:read:{story.BUSY}", "--expires", FAR, "--rate", "5"),
    "shop": ("--scope", "facts:write:/shop/"),
    "support": ("--scope", "members:read", "--scope", "books:read"),
    "ann": ("--scope", "operate", "--scope", "members:read", "--scope", "facts:write"),
    "bob": ("--scope", "operate"),
}


class Shop:
    """A folder to work in, with the ledger in it or in a database."""

    def __init__(self, folder: Path, ledger: str, beside: str = "") -> None:
        self.folder = folder
        self.ledger = ledger
        settings = {"POINTS_LEDGER": ledger} | ({"POINTS_FOLDER": beside} if beside else {})
        kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTS_")}
        self.environment = {**kept, **settings}

    def points(self, *command: str, code: int = 0, stdin: bytes = b"") -> bytes:
        """Run a command as a user does; returns what it said."""
        ran = self.try_points(*command, stdin=stdin)
        assert ran.returncode == code, f"{command}: exit {ran.returncode}: {ran.stderr.decode()}"
        return ran.stdout

    def try_points(self, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """The same, whatever its end."""
        program = Path(sys.executable).with_name("points")
        return subprocess.run(
            [program, *command], cwd=self.folder, env=self.environment, input=stdin, capture_output=True, check=False
        )

    def said(self, *command: str) -> Any:
        """The JSON that a command says."""
        return json.loads(self.points(*command, "--json"))

    def answers(self, commands: Sequence[Command]) -> list[dict[str, Any]]:
        """What commands say, one after the other."""
        found = []
        for command in commands:
            ran = self.try_points(*command)
            assert ran.returncode in (0, 1), (command, ran.stderr.decode())
            documents = ran.stdout.splitlines() if "ndjson" in command else [ran.stdout]
            said = {
                "asked": command,
                "code": ran.returncode,
                "said": [*map(without_seconds, map(json.loads, documents))],
            }
            if "--outcomes" in command:
                outcomes = (self.folder / "outcomes.ndjson").read_bytes()
                said["outcomes"] = [json.loads(line) for line in outcomes.splitlines()]
            found.append(said)
        return found

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of a server over the ledger, for as long as it is needed; it leaves the views as they are."""
        program = Path(sys.executable).with_name("points")
        server = subprocess.Popen(
            [program, "serve", "--port", "0", "--no-views", "--json"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
        assert server.returncode == 0


def without_seconds(said: Any) -> Any:
    """What was said without how long it took."""
    if isinstance(said, dict):
        return {name: without_seconds(value) for name, value in said.items() if name != "seconds"}
    return [without_seconds(one) for one in said] if isinstance(said, list) else said


def prepare(folder: Path) -> None:
    """Write what the ledgers are given."""
    shipped = (ROOT / "ledger" / "programmes" / "jd.toml").read_text(encoding="utf-8")
    second = story.second_book(shipped)
    cart = {"lines": [{"line": "1", "sku": "1", "category": "phone", "quantity": 1, "paid_fen": 719_800}]}
    finance = ["member,kind,balance", f"{story.BUSY},beans,1", f"{story.ODD},beans,0", "m-0,beans,5"]
    texts = {
        "book-3.toml": story.third_book(second),
        "draft.toml": story.draft(second),
        "cart.json": json.dumps(cart),
        "finance.csv": "\n".join(finance) + "\n",
        "mended.json": json.dumps(
            story.fact("order.paid", "p", "2026-02-01T08:00:00", order="O2", lines=[story.bought("1", 5_000, "food")])
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    story.write(folder, shipped)


def tell(shop: Shop, proofs: str) -> list[dict[str, Any]]:
    """Make a ledger as its owners would over the years; returns its chain when the old facts were in."""
    key, public = f"{proofs}/signing-key.pem", f"{proofs}/signing-key.pub.pem"
    (shop.folder / proofs).mkdir()
    shop.points("signing-key", "new", "-o", key)
    shop.points("ingest", "--backlog", "facts-2025.ndjson")
    shop.points("checkpoint", "--key", key, "-o", f"{proofs}/first.checkpoint")
    shop.points("views", "run")
    shop.points("views", "rebuild", "liability")
    shop.points("views", "switch", "liability")  # the build before it stays
    shop.points("views", "rebuild", "statement")  # and waits beside the live one
    shop.points("ingest", "--backlog", "facts-2026.ndjson")
    imported: list[dict[str, Any]] = shop.said("verify")["partitions"]

    letters = {letter["reason"]: letter["position"] for letter in shop.said("dead-letters", "list")}
    shop.points("dead-letters", "retry", letters["bad-fact"], "--with", "mended.json")
    shop.points("dead-letters", "drop", letters["not-utf8"])
    shop.points("programme", "publish", "book-3.toml", "--by", "wang.fang")
    shop.points("ingest", "-", stdin=story.live(datetime.now(UTC)))
    keys = {}
    for name, scopes in KEYS.items():
        keys[name] = shop.said("keys", "new", name, *scopes)["key"]
    shop.points("keys", "revoke", "gone")

    if shop.ledger == LEDGER:
        (shop.folder / "keys.json").write_text(json.dumps(keys))
        serve(shop, proofs, key, letters, keys)
    shop.points(
        "checkpoint", "--key", key, "--after", f"{proofs}/first.checkpoint", "-o", f"{proofs}/second.checkpoint"
    )
    shop.points(
        *("prove", story.ODD, "3", "--checkpoint", f"{proofs}/second.checkpoint", "-o", f"{proofs}/entry.proof"),
    )
    shop.points(
        *("prove", "--consistency", f"{proofs}/first.checkpoint", f"{proofs}/second.checkpoint"),
        *("-o", f"{proofs}/later.proof"),
    )
    shop.points("verify", "--checkpoint", f"{proofs}/first.checkpoint", "--key", public)
    shop.points("replay", "--from-topic")
    shop.points("reconcile", "finance.csv", "--as-of", PAST, code=1)
    shop.points("backtest", "draft.toml", "--as-of", LATER)
    return imported


def serve(shop: Shop, proofs: str, signing: str, letters: dict[str, str], keys: dict[str, str]) -> None:
    """Do over HTTP what is done there alone: adjustments that need two, what operators give, a checkpoint handed in."""
    shop.points("checkpoint", "--key", signing, "--folder", "elsewhere", "-o", f"{proofs}/handed-in.checkpoint")
    with shop.served() as url:

        def ask(who: str, method: str, path: str, code: int, headers: Mapping[str, str] = {}, **more: Any) -> Any:
            headers = {"Authorization": f"Bearer {keys[who]}", **headers}
            answer = httpx.request(method, f"{url}{path}", headers=headers, **more)
            assert answer.status_code == code, (path, answer.status_code, answer.text)
            return answer.json() if answer.content else None

        for state in ("approval", "rejection", ""):
            asked = {"member": story.BUSY, "points": 40, "reason": "goodwill", "kind": "beans"}
            name = ask("ann", "POST", "/v1/adjustments", 201, json=asked)["adjustment"]
            if state:
                ask("bob", "POST", f"/v1/adjustments/{name}/{state}", 200)
        now = datetime.now(UTC).isoformat()
        frozen = story.fact("account.frozen", "f-http", now, "m-1020", story.OPERATORS, reason="fraud")
        ask("ann", "POST", "/v1/facts", 200, json=frozen)
        bought = {"redemption": "r-http", "points": 10, "use": "coupon"}
        ask(
            "shop",
            "POST",
            "/v1/redemptions",
            200,
            json=story.fact("redemption.requested", "h-1", now, story.BUSY, **bought),
        )
        refused = {"redemption": "r-http-2", "points": 10_000_000, "use": "coupon"}
        ask(
            "shop",
            "POST",
            "/v1/redemptions",
            409,
            json=story.fact("redemption.requested", "h-2", now, story.BUSY, **refused),
        )
        ask("bob", "POST", f"/v1/dead-letters/{letters['not-authorised']}/retry", 200)
        ask("bob", "DELETE", f"/v1/dead-letters/{letters['too-deep']}", 200)
        handed_in = (shop.folder / proofs / "handed-in.checkpoint").read_bytes()
        as_json = {"Content-Type": "application/json"}
        ask("bob", "POST", "/v1/checkpoints", 201, content=handed_in, headers=as_json)


def ask_the_server(shop: Shop) -> list[dict[str, Any]]:
    """What the API says to who may know it."""
    keys = json.loads((shop.folder / "keys.json").read_text())
    found = []
    with shop.served() as url:
        for path in SERVED:
            who = "bob" if path.startswith(("/v1/adjustments", "/v1/dead")) else "support"
            answer = httpx.get(f"{url}{path}", headers={"Authorization": f"Bearer {keys[who]}"})
            assert answer.status_code == 200, (path, answer.text)
            found.append({"by": who, "path": path, "said": without_seconds(answer.json())})
    return found


def check_all_is_met(shop: Shop) -> None:
    """See that the ledger has entries of every type, with every change and with every reason that can be had here."""
    told = shop.points("export", "entries", "--format", "ndjson").splitlines()
    entries = [json.loads(line) for line in told]
    changes = [change for entry in entries for change in entry["changes"]]
    types = {fact_type.__struct_config__.tag for fact_type in FACT_TYPES}
    assert types - {entry["type"] for entry in entries} == {"programme.published.v1"}  # which is no member's
    assert {change.__struct_config__.tag for change in CHANGE_TYPES} == {change["change"] for change in changes}
    met = {entry["reason"] for entry in entries} | {change.get("why", "") for change in changes}
    met |= {letter["reason"] for letter in shop.said("dead-letters", "list", "--all")}
    print("reasons that are not met:", *sorted(set(REASONS) - met))


def dump_of(programs: Path, address: str) -> bytes:
    """A database as statements of SQL that any PostgreSQL from 15 on takes."""
    options = ("--schema=points*", "--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=100")
    dump = subprocess.run(
        [programs / "pg_dump", *options, "--encoding=UTF8", address], capture_output=True, check=True
    ).stdout
    newer = rb"^(\\(un)?restrict .*|SET transaction_timeout = .*)\n"  # for psql alone, or not known to PostgreSQL 15
    return re.sub(newer, b"", dump, flags=re.MULTILINE)


def pack(name: str, folder: Path, *paths: str) -> None:
    """Pack files and folders by names relative to a folder; the same content is the same pack."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return None if entry.name.endswith("/lock") else entry

    with tarfile.open(HERE / name, "x:xz", preset=9) as tar:
        for path in paths:
            tar.add(folder / path, path, filter=plain)
    print(f"{name:<20} {(HERE / name).stat().st_size:>9,} bytes")


def pack_answers(answers: dict[str, Any]) -> None:
    """Pack the answers, a file a ledger."""
    with tarfile.open(HERE / "answers.tar.xz", "x:xz", preset=9) as tar:
        for name, found in answers.items():
            content = json.dumps(found, ensure_ascii=False, indent=1).encode()
            entry = tarfile.TarInfo(f"{name}.json")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    print(f"{'answers.tar.xz':<20} {(HERE / 'answers.tar.xz').stat().st_size:>9,} bytes")


def main(folder: Path) -> None:
    """Make all packs, working in a folder that is not there yet."""
    folder.mkdir(parents=True)
    prepare(folder)
    given = ("facts-2025.ndjson", "facts-2026.ndjson", "next.ndjson", "book-3.toml", "draft.toml", "cart.json")
    pack("facts.tar.xz", folder, *given, "finance.csv")
    answers: dict[str, Any] = {}

    shop = Shop(folder, LEDGER)
    imported = tell(shop, "of-the-folder")
    shop.points("backup", "backup")
    shop.points("archive", "export", "archive")
    check_all_is_met(shop)
    pack("folder.tar.xz", folder, LEDGER, "keys.json", "backup")
    pack("archive.tar.xz", folder, "archive")
    copy = Shop(folder / "copy", LEDGER)
    shutil.copytree(folder / LEDGER, copy.folder / LEDGER, symlinks=True)
    shutil.copy(folder / "keys.json", copy.folder)
    answers["folder"] = {"imported": imported, "served": ask_the_server(copy)}
    answers["folder"] |= {"asked": shop.answers(ASKED), "then": shop.answers(THEN)}

    programs = programs_or_skip()
    server = OwnServer(programs)
    try:
        address = server.database()
        shop = Shop(folder, address, BESIDE)
        shop.points("store", "migrate", "--partitions", "4")
        assert tell(shop, "of-the-database") == imported, "the stores differ"
        (folder / "ledger.sql").write_bytes(dump_of(programs, address))
        loaded = server.database()
        with psycopg.connect(loaded, autocommit=True) as connection:
            connection.execute((folder / "ledger.sql").read_bytes())
        public, first = (f"of-the-database/{name}" for name in ("signing-key.pub.pem", "first.checkpoint"))
        Shop(folder, loaded).points("verify", "--checkpoint", first, "--key", public)
        pack("postgres.tar.xz", folder, "ledger.sql", BESIDE)
        answers["postgres"] = {"imported": imported, "asked": shop.answers(ASKED), "then": shop.answers(THEN)}
    finally:
        server.stop()
    pack("proofs.tar.xz", folder, "of-the-folder", "of-the-database")
    pack_answers(answers)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    main(where)
    shutil.rmtree(where)
