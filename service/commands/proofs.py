"""Proof: signing-key new, checkpoint, prove, verify."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.errors import BadInput, WrongUse
from ledger.journal.ledger import Ledger
from ledger.journal.port import Unavailable
from ledger.wire.times import to_text
from projections.answers.output import output_file
from projections.answers.sidecar import AUDITS, CHECKPOINTS, TREES, folder_in
from projections.audit.proof import prove as proofs
from projections.audit.proof.checkpoint import Signed, make, read, write
from projections.audit.proof.keys import new_key as make_key
from projections.audit.proof.keys import signing_key, verification_key
from projections.audit.proof.store import CheckpointStore, Full, name_of
from projections.audit.verify import verify as verify_ledger
from service.commands.audited import FromArchiveOption, OnOption, audited
from service.commands.options import FolderOption, JobsOption, OutOption, named_file, option
from service.commands.results import keep_result, print_found
from service.documents import kept_documents
from service.errors import BAD_NEWS, print_plain, say
from service.http.operator_lines import problems_of as operator_problems
from service.http.operator_store import problems_kept
from service.keys import problems_of as key_problems
from service.keys import shared_problems as shared_key_problems
from service.shell import Answer, Shell, command, command_in, entries_in, standard_output

app = typer.Typer(no_args_is_help=True)

KeyOption = Annotated[
    Path | None,
    option(
        "--key",
        "PEM",
        "The signing key. (default: the one that `points signing-key new` makes)",
        envvar="POINTS_SIGNING_KEY",
    ),
]


def default_key() -> Path:
    """Return the default path of the signing key: with the user, not with the ledger that it vouches for."""
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "points-ledger" / "signing-key.pem"


@command_in(app, "new")
def new_key(
    shell: Shell,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PEM", parser=named_file, help="(default: in the user's configuration)"),
    ] = None,
) -> Answer:
    """Make an Ed25519 signing key (for its owner's eyes only), and beside it the public key to give away.

    points signing-key new
    """
    path = out or default_key()
    public, name = make_key(path)
    lines = f"key {name}", f"  signs:    {path}  (keep it off the ledger's host, and safe)", f"  verifies: {public}"
    return Answer(
        {"key": name, "private": str(path), "public": str(public)},
        lambda: print_plain(*lines, *public.read_text(encoding="ascii").splitlines()),
    )


@command
def checkpoint(
    shell: Shell,
    out: OutOption = None,
    key: KeyOption = None,
    after: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier checkpoint by the same key: only what came later is read."),
    ] = None,
    folder: FolderOption = None,
) -> Answer | None:
    """Sign what the ledger holds now: entries, link and tree head of each partition. Exit 1 if a chain is broken.

    points checkpoint -o 2025-12.checkpoint

    points checkpoint --after 2025-12.checkpoint -o 2026-01.checkpoint
    """
    if out is not None and out.exists():
        raise BadInput(f"{out} is there already, and a checkpoint is evidence to be kept: name another file")
    began = time.monotonic()
    with shell.reading() as opened:
        signed = _made_now(shell, opened, key, read(after) if after else None)
        _leave(opened, folder, signed, began)
        shared = sum(opened.branch(mark.partition).entries for mark in signed.checkpoint.partitions)
    with standard_output(), output_file(out) as file:
        file.write(write(signed))
    if out is None:
        return None
    at, key_id, partitions = signed.checkpoint.at, signed.key_id[:16], signed.checkpoint.partitions
    entries = sum(mark.entries for mark in partitions) - shared  # a tree that branched off has its parent's, too
    marks = [{"partition": m.partition, "entries": m.entries, "link": m.link, "tree": m.tree} for m in partitions]
    return Answer(
        {"ledger": signed.checkpoint.ledger, "at": at, "key": signed.key_id, "partitions": marks, "file": str(out)},
        lambda: say(f"{entries:,} entries signed at {at} by key {key_id}… in {out}"),
    )


def _leave(ledger: Ledger, named: Path | None, signed: Signed, began: float) -> None:
    """Keep a copy where `points serve` finds it; without a folder or a database there is none."""
    try:
        with kept_documents(ledger.place, named or ledger.folder, CHECKPOINTS) as documents:
            if documents is not None:
                CheckpointStore(documents).put(signed)
    except Full as full:
        say(str(full))
    except (OSError, Unavailable):
        return
    position = {mark.partition: mark.entries for mark in signed.checkpoint.partitions}
    keep_result(ledger, named, "checkpoint", began, position, 0, name_of(signed))


def _problems_shared(place: str) -> list[str]:
    """Return what is wrong with the keys and what operators did, of a ledger in a database; a role may not see them."""
    try:
        return [*shared_key_problems(place), *problems_kept(place)]
    except Unavailable as error:
        say(f"keys and what operators did were not looked at: {error}")
        return []


@command
def prove(
    shell: Shell,
    member: Annotated[str | None, typer.Argument(metavar="MEMBER", help="Whose entry.", show_default=False)] = None,
    number: Annotated[
        int | None, typer.Argument(metavar="NUMBER", min=1, help="Which entry of the member.", show_default=False)
    ] = None,
    against: Annotated[
        Path | None,
        option("--checkpoint", "FILE", "The checkpoint to prove against. (default: one made now)"),
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
) -> Answer | None:
    """Write a proof that `verifier/points_verify.py` checks offline: of an entry, or of one checkpoint by another.

    points prove m-17850 3 --checkpoint 2025-12.checkpoint -o entry.proof

    points prove --consistency 2025-11.checkpoint 2025-12.checkpoint -o month.proof
    """
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
    if out is None:
        return None
    return Answer(
        {"format": proof.format, "file": str(out)},
        lambda: say(f"proof in {out}; `python points_verify.py --key PUBLIC.pem {out}` checks it anywhere"),
    )


@command
def verify(
    shell: Shell,
    checkpoints: Annotated[
        list[Path] | None,
        option("--checkpoint", "FILE", "What was signed before; more than one may be given."),
    ] = None,
    key: Annotated[
        Path | None,
        option("--key", "PUBLIC.pem", "Who has to have signed. (default: whoever a checkpoint names)"),
    ] = None,
    from_archive: FromArchiveOption = None,
    on: OnOption = None,
    jobs: JobsOption = None,
    folder: FolderOption = None,
) -> Answer:
    """Recompute the chain of every partition from its stored bytes. Exit 1 if anything was changed.

    A history that was rewritten whole, chain and all, is found by a checkpoint from before.

    points verify

    points verify --checkpoint 2025-12.checkpoint --key signing-key.pub.pem

    points verify --from-archive s3://archives/beans --on spark
    """
    if key is not None and not checkpoints:
        raise WrongUse("--key says who signed a checkpoint: give --checkpoint FILE too")
    by = verification_key(key) if key is not None else None
    signed = [read(path, by) for path in checkpoints or ()]
    began = time.monotonic()
    with audited(shell, from_archive, on, jobs) as (opened, total, shared):
        with shell.progress("verifying", total) as tick:
            found = verify_ledger(opened, checkpoints=signed, jobs=shared, progress=tick)
        beside = folder or opened.folder
        in_files = (*key_problems(beside), *operator_problems(beside)) if beside is not None else ()
        for problem in (*in_files, *_problems_shared(opened.place)):
            found["broken"].append({"partition": None, "place": 0, "member": "", "number": 0, "problem": problem})
        position = {part["partition"]: part["entries"] for part in found["partitions"]}
        of_archive = ["of an archive"] if opened.is_archived else []
        note = ", ".join([*of_archive, *(f"checkpoint of {one.checkpoint.at}" for one in signed)])
        keep_result(opened, folder, "verify", began, position, len(found["broken"]), note)
    if signed:
        found["checkpoints"] = [{"at": one.checkpoint.at, "key": one.key_id} for one in signed]
    return Answer(found, lambda: _print_verified(found), exit_code=BAD_NEWS if found["broken"] else 0)


def _print_verified(found: dict[str, Any]) -> None:
    for part in found["partitions"]:
        print_plain(f"partition {part['partition']}  {part['entries']:>12,} entries  {part['link']}")
    for one in found.get("checkpoints", ()):
        print_plain(f"compared with the checkpoint of {one['at']}, signed by key {one['key']}")
    for gap in found.get("gaps", ()):
        where = f"{gap['partition']}:{gap['first']} to {gap['partition']}:{gap['last']}"
        print_plain(f"no records at {where}, which {gap['by']} accepted at {gap['at']}: {gap['why']}")
    print_found("broken place", found["broken"], None)


def _made_now(shell: Shell, ledger: Ledger, key: Path | None, after: Signed | None) -> Signed:
    signing = signing_key(key or default_key())
    now = to_text(time.time_ns() // 1000, ledger.book.offset)
    with shell.progress("signing", entries_in(ledger)) as tick:
        return make(ledger, signing, now, after, tick)
