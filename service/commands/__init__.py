"""The commands of `points`: which there are, and where each is found when it is called.

A row gives the first paragraph of the command's help, so that `points --help` imports no command.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A command, or a group of commands, with the panel of the help that lists it."""

    name: str
    where: str  # module:name below this package, of a function or a Typer
    help: str


PANELS: dict[str, tuple[Row, ...]] = {
    "Facts in": (
        Row(
            "demo",
            "demo:demo",
            "Load a real shop's year into a ledger and look around: half a minute, and everything to try.",
        ),
        Row(
            "ingest",
            "ingest:ingest",
            "Take in files of facts and decide them; makes the ledger where there is none.",
        ),
        Row(
            "consume",
            "consume:consume",
            "Take facts from Kafka and decide them, until it is stopped; makes the ledger where there is none.",
        ),
        Row(
            "produce",
            "produce:produce",
            "Send files of facts to Kafka, each to its member's partition, in order and acknowledged by all replicas"
            " in sync.",
        ),
        Row(
            "check",
            "facts:check",
            "Decode and check files of facts without taking anything in; exit 3 where a line is no fact.",
        ),
        Row("schema", "facts:schema", "Print the JSON Schema of the facts, a definition a type."),
        Row(
            "traffic",
            "facts:traffic",
            "Make up the traffic of a large shop: orders, returns, reviews, redemptions, cards, in order of time.",
        ),
    ),
    "One member": (
        Row(
            "show",
            "members:show",
            "What a member has: points in lots, scores by part, memberships; now, then, or in time to come.",
        ),
        Row(
            "entries",
            "members:entries",
            "Every decision about a member, in order: each fact, what became of it and what it changed.",
        ),
        Row(
            "explain",
            "explain:explain",
            "Why each point is there: where it came from and went, by which rule and cap, and why nothing came.",
        ),
        Row(
            "quote",
            "quote:quote",
            "What this cart would earn, line by line with the rule, and the most this member may redeem on it.",
        ),
    ),
    "All members, and proofs": (
        Row(
            "export",
            "export:export",
            "All members, sorted by member, streamed: balances, lots, scores, memberships, or every entry.",
        ),
        Row(
            "stats",
            "stats:stats",
            "The books: what was issued and where it is, entries by outcome, parked facts. Exit 1 if they don't"
            " balance.",
        ),
        Row(
            "replay",
            "replay:replay",
            "Derive every decision again from the facts and compare, leaf by leaf. Exit 1 if any differs.",
        ),
        Row(
            "verify",
            "proofs:verify",
            "Recompute the chain of every partition from its stored bytes. Exit 1 if anything was changed.",
        ),
        Row(
            "reconcile",
            "reconcile:reconcile",
            "Compare with an outside list of balances and explain each difference from the entries. Exit 1 on any.",
        ),
        Row(
            "checkpoint",
            "proofs:checkpoint",
            "Sign what the ledger holds now: entries, link and tree head of each partition. Exit 1 if a chain is"
            " broken.",
        ),
        Row(
            "prove",
            "proofs:prove",
            "Write a proof that `verifier/points_verify.py` checks offline: of an entry, or of one checkpoint by"
            " another.",
        ),
        Row(
            "backtest",
            "backtest:backtest",
            "Decide the whole history again under a draft rule book: what would be issued, who gains, who drops a"
            " tier.",
        ),
        Row("views", "views:app", "Views that are kept in files of their own, disposable and rebuilt at will."),
    ),
    "Operate": (
        Row(
            "codes",
            "programme:codes",
            "Every reason code and every rule, each with a sentence; of the shipped book where there is no ledger.",
        ),
        Row(
            "backup",
            "backup:backup",
            "Copy the ledger into a folder that is not there yet, while it goes on being written.",
        ),
        Row(
            "restore",
            "backup:restore",
            "Make a ledger from a backup; the same files ingested again then bring it up to date.",
        ),
        Row(
            "serve",
            "serve:serve",
            "Serve the ledger over HTTP, with the console: facts in, members, books, why; makes the ledger if need be.",
        ),
        Row("version", "version:version", "Print the version of points, and the engine that decides."),
        Row("archive", "archive:app", "The journal as Parquet files for keeping and querying, and back."),
        Row("signing-key", "proofs:app", "The key that signs checkpoints."),
        Row("keys", "keys:app", "API keys: who may do what over HTTP."),
        Row(
            "dead-letters",
            "dead_letters:app",
            "Facts that could not be taken: look at them, mend them, drive them again.",
        ),
        Row("topics", "topics:app", "Kafka's topics: made as they have to be, and checked."),
        Row("programme", "programme:app", "Rule books: what points are given for, as data."),
        Row("store", "store:app", "What a ledger is kept in: make it, bring it to a newer format."),
    ),
}
