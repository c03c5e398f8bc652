"""The commands of `points`: which there are, and where each is found when it is called.

The texts are the help of groups, and the first paragraphs of the commands' own: `points --help` imports no command.
"""

PANELS = {
    "Facts in": {
        "init": "Make a ledger that has no facts yet, with the rule book that it is born with.",
        "demo": "Load a real shop's year into a ledger of its own and look around: half a minute, and everything to"
        " try.",
        "ingest": "Take in files of facts and decide them; makes the ledger where there is none.",
        "consume": "Take facts from Kafka and decide them, until it is stopped; makes the ledger where there is none.",
        "produce": "Send files of facts to Kafka, each to its member's partition, in order and acknowledged"
        " by all replicas in sync.",
        "check": "Decode and check files of facts without taking anything in; exit 3 if a line is no valid fact.",
        "schema": "Print the JSON Schema of the facts, a definition a type.",
        "traffic": "Make up the traffic of a large shop: orders, returns, reviews, redemptions, cards, in"
        " order of time.",
    },
    "One member": {
        "show": "What a member has: points in lots, scores by part, memberships; now, then, or in time to come.",
        "find": "Whose an order, a redemption, a card, a gift, a house … is; and members by how their tokens begin.",
        "entries": "Every decision about a member, in order: each fact, what became of it and what it changed.",
        "explain": "Why each point is there: where it came from and went, by which rule and cap, and why nothing came.",
        "pool": "What a budget or stock that members share has given, and what is left; all of them where none is"
        " named.",
        "house": "Who sits in a house, and what is left of the quotas that they share.",
        "quote": "What this cart would earn, line by line with the rule, and the most this member may redeem on it.",
        "savings": "What benefits saved this member, against what the cards cost, and what a card would have"
        " saved without one.",
    },
    "All members, and proofs": {
        "export": "All members, sorted by member, streamed: balances, lots, scores, memberships, or every entry or"
        " posting.",
        "stats": "The books: what was issued and where it is, entries by outcome, dead letters. Exit 1 if"
        " they don't balance.",
        "replay": "Derive every decision again from the facts and compare, leaf by leaf. Exit 1 if any differs.",
        "verify": "Recompute the chain of every partition from its stored bytes. Exit 1 if anything was changed.",
        "reconcile": "Compare with an outside list of balances and explain each difference from the entries."
        " Exit 1 on any.",
        "checkpoint": "Sign what the ledger holds now: entries, link and tree head of each partition. Exit 1"
        " if a chain is broken.",
        "prove": "Write a proof that `verifier/points_verify.py` checks offline: of an entry, or of one"
        " checkpoint by another.",
        "audit": "Audits of what stands between accounts.",
        "backtest": "Decide the whole history again under a draft rule book: what would be issued, who"
        " gains, who drops a tier.",
        "views": "Views that are kept in files of their own, disposable and rebuilt at will.",
    },
    "Operate": {
        "codes": "Every reason code and every rule, each with a sentence; of the shipped book where there"
        " is no ledger.",
        "backup": "Copy the ledger into a folder that is not there yet, while it goes on being written.",
        "restore": "Make a ledger from a backup; the same files ingested again then bring it up to date.",
        "serve": "Serve the ledger over HTTP, with the console: facts in, members, books, why; makes the"
        " ledger if need be.",
        "doctor": "What is set and from where, what runs here, and what is wrong, with the way out. Exit 1 if"
        " anything is.",
        "version": "Print the version of points, the number of the engine, and which program decides.",
        "archive": "The journal as Parquet files for keeping and querying, and back.",
        "signing-key": "The key that signs checkpoints.",
        "keys": "API keys: who may do what over HTTP.",
        "people": "People who sign in to the console: who they are, their sessions, and who is blocked.",
        "webhooks": "Who is told of entries as they are decided, by signed messages.",
        "transit": "What accounts tell each other: sent again where a stream lost it.",
        "dead-letters": "Facts that could not be taken: look at them, mend them, drive them again.",
        "topics": "Kafka's topics: made as they have to be, and checked.",
        "programme": "Rule books: what points are given for, as data.",
        "split": "Make each partition into several, for life: each new one goes on behind its parent's last entry.",
        "partitions": "Where the partitions of a ledger in PostgreSQL stand, and another server for one of them.",
        "store": "What a ledger is kept in: make it, bring it to a newer format.",
    },
}
# Whose options environment variables and the file of settings may say, too.
FROM_SETTINGS = ("serve", "consume")
# What is not a function in a module of its own name: functions of other modules, and groups of commands.
_ELSEWHERE = {
    "check": "facts:check",
    "schema": "facts:schema",
    "show": "members:show",
    "entries": "members:entries",
    "verify": "proofs:verify",
    "checkpoint": "proofs:checkpoint",
    "prove": "proofs:prove",
    "views": "views:app",
    "codes": "programme:codes",
    "restore": "backup:restore",
    "archive": "archive:app",
    "audit": "transit:audit",
    "transit": "transit:app",
    "signing-key": "proofs:app",
    "keys": "keys:app",
    "people": "people:app",
    "partitions": "partitions:app",
    "dead-letters": "dead_letters:app",
    "topics": "topics:app",
    "webhooks": "webhooks:app",
    "programme": "programme:app",
    "store": "store:app",
}


def reference_of(name: str) -> str:
    """Return where a command or a group is found, for `pkgutil.resolve_name`."""
    return f"service.commands.{_ELSEWHERE.get(name, f'{name}:{name}')}"
