"""Proof for outsiders: keys, checkpoint, prove."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.errors import BadInput, WrongUse
from service.commands.results import keep_result
from service.errors import say
from service.shell import FolderOption, JsonOption, LedgerOption, Shell, standard_output

if TYPE_CHECKING:
    from ledger.journal.ledger import Ledger
    from projections.audit.proof.checkpoint import Signed

app = typer.Typer(no_args_is_help=True, help="The key that signs checkpoints.")

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="PEM",
        envvar="POINTS_SIGNING_KEY",
        show_default=False,
        help="The signing key. (default: the one that `points signing-key new` makes)",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="A file. (default: standard output)")
]


def default_key() -> Path:
    """Where the signing key lies unless said otherwise: with the user, not with the ledger that it vouches for."""
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "points-ledger" / "signing-key.pem"


@app.command("new")
def new_key(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PEM", help="(default: in the user's configuration)")
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an Ed25519 signing key (for its owner's eyes only), and beside it the public key to give away.

    points signing-key new
    """
    from projections.audit.proof.keys import new_key as make

    shell = Shell(context, ledger, as_json)
    path = out or default_key()
    public, name = make(path)
    if shell.json:
        shell.emit({"key": name, "private": str(path), "public": str(public)})
        return
    with standard_output():
        print(f"key {name}\n  signs:    {path}  (keep it off the ledger's host, and safe)\n  verifies: {public}")
        print(public.read_text(encoding="ascii"), end="")


def checkpoint(
    context: typer.Context,
    out: OutOption = None,
    key: KeyOption = None,
    after: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier checkpoint by the same key: only what came later is read."),
    ] = None,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign what the ledger holds now: entries, link and tree head of each partition. Exit 1 if a chain is broken.

    points checkpoint -o 2025-12.checkpoint

    points checkpoint --after 2025-12.checkpoint -o 2026-01.checkpoint
    """
    from projections.answers.export import output_file
    from projections.audit.proof.checkpoint import read, write

    if out is not None and out.exists():
        raise BadInput(f"{out} is there already, and a checkpoint is evidence to be kept: name another file")
    shell = Shell(context, ledger, as_json)
    began = time.monotonic()
    with shell.reading() as opened:
        signed = _made_now(shell, opened, key, read(after) if after else None)
        _leave(opened, folder, signed, began)
    with standard_output(), output_file(out) as file:
        file.write(write(signed))
    if out is None:
        return
    if shell.json:
        shell.emit({**told_of(signed), "file": str(out)})
    else:
        entries = sum(mark.entries for mark in signed.checkpoint.partitions)
        say(f"{entries:,} entries signed at {signed.checkpoint.at} by key {signed.key_id[:16]}… in {out}")


def _leave(ledger: "Ledger", named: Path | None, signed: "Signed", began: float) -> None:
    """Keep a copy where `points serve` finds it; where that cannot be done the checkpoint is as good without."""
    from projections.answers.sidecar import AUDITS, CHECKPOINTS, folder_in
    from projections.audit.proof.store import Full, Shelf, name_of

    folder = folder_in(ledger, AUDITS, named)
    if folder is not None:
        try:
            Shelf(folder / CHECKPOINTS).put(signed)
        except Full as full:
            say(str(full))
        except OSError:
            return
    position = {mark.partition: mark.entries for mark in signed.checkpoint.partitions}
    keep_result(ledger, named, "checkpoint", began, position, 0, name_of(signed))


def prove(
    context: typer.Context,
    member: Annotated[str | None, typer.Argument(metavar="MEMBER", help="Whose entry.", show_default=False)] = None,
    number: Annotated[
        int | None, typer.Argument(metavar="NUMBER", min=1, help="Which of her entries.", show_default=False)
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The checkpoint to prove against. (default: one made now)"),
    ] = None,
    consistency: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="EARLIER LATER", help="Prove that a later checkpoint extends an earlier one.", show_default=False
        ),
    ] = None,
    out: OutOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that `verifier/points_verify.py` checks offline: of an entry, or of one checkpoint by another.

    points prove m-17850 3 --checkpoint 2025-12.checkpoint -o entry.proof

    points prove --consistency 2025-11.checkpoint 2025-12.checkpoint -o month.proof
    """
    from projections.answers.export import output_file
    from projections.answers.sidecar import AUDITS, TREES, folder_in
    from projections.audit.proof import prove as proofs
    from projections.audit.proof.checkpoint import read

    shell = Shell(context, ledger, as_json)
    if (consistency is None) == (member is None or number is None) or (consistency and (member or against)):
        raise WrongUse("give either MEMBER NUMBER (perhaps with --checkpoint FILE) or --consistency EARLIER LATER")
    proof: proofs.Inclusion | proofs.Consistency
    with shell.reading() as opened:
        audits = folder_in(opened, AUDITS, folder)
        trees = None if audits is None else audits / TREES
        if consistency is not None:
            earlier, later = map(read, consistency)
            with shell.progress("proving") as tick:
                proof = proofs.consistency(opened, earlier, later, tick, trees)
        else:
            assert member is not None and number is not None
            signed = read(against) if against is not None else _made_now(shell, opened, key, None)
            with shell.progress("proving") as tick:
                proof = proofs.inclusion(opened, member, number, signed, tick, trees)
    with standard_output(), output_file(out) as file:
        file.write(proofs.write(proof))
    if out is not None and shell.json:
        shell.emit({"format": proof.format, "file": str(out)})
    elif out is not None:
        say(f"proof in {out}; `python points_verify.py --key PUBLIC.pem {out}` checks it anywhere")


def told_of(signed: "Signed") -> dict[str, Any]:
    """A checkpoint for people's programs: what it signs, without the peaks."""
    found = signed.checkpoint
    marks = [{"partition": m.partition, "entries": m.entries, "link": m.link, "tree": m.tree} for m in found.partitions]
    return {"ledger": found.ledger, "at": found.at, "key": signed.key_id, "partitions": marks}


def _made_now(shell: Shell, ledger: "Ledger", key: Path | None, after: "Signed | None") -> "Signed":
    from ledger.wire.times import to_text
    from projections.audit.proof.checkpoint import make
    from projections.audit.proof.keys import signing_key
    from service.commands.books import entries_in

    signing = signing_key(key or default_key())
    now = to_text(time.time_ns() // 1000, ledger.book.offset)
    with shell.progress("signing", entries_in(ledger)) as tick:
        return make(ledger, signing, now, after, tick)
