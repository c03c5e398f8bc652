"""Derive every decision again from the facts and compare it with what the journal keeps, leaf by leaf.

Members never touch each other, so a replay goes member by member in bounded memory; each entry is derived with the
rule books that were published before its place in the journal. Any difference is named by partition, position,
member and field.
"""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ledger.journal.engines import native_module
from ledger.journal.ledger import Ledger
from ledger.journal.odd_values import odd_values_told
from ledger.journal.partition_map import Jobs, partition_map
from ledger.journal.port import Damaged, Unavailable
from ledger.journal.pruned import Elsewhere
from ledger.wire.entries import ENGINES
from ledger.wire.facts import PROGRAMME_SUBJECT
from projections.audit.by_native import NativeComparing
from projections.audit.compare import Comparing
from projections.audit.differences import MAX_DIFFERENCES, Difference, where_of
from projections.audit.pages import compare_pages
from projections.audit.receipts import compare_receipts
from projections.audit.topic import compare_topic
from projections.collector import without_collector
from projections.ticking import EVERY, Progress


def replay(
    ledger: Ledger,
    *,
    jobs: Jobs = 1,
    from_topic: bool = False,
    by: str | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Replay a ledger's journals: `entries`, `accounts`, `differences` (at most 1,000 listed), `by` and `seconds`.

    With `from_topic` the facts are those of the stream's own records, compared with the journal's copies first. `by` is
    the engine that derives, by default the one that decides here; `handed_back` are by why the entries that the native
    one left to Python. Raises `NoEngine`.
    """
    started = time.monotonic()
    by = "python" if native_module(by) is None else "native"
    entries = accounts = count = 0
    differences: list[Difference] = []
    handed_back: Counter[str] = Counter()
    with without_collector():
        for part in partition_map(ledger, jobs, replay_partition, from_topic, by):
            if isinstance(part, int):
                entries += part
                progress(entries)
                continue
            found, members, total, left = part
            handed_back += left
            accounts += members
            count += total
            differences.extend(found[: MAX_DIFFERENCES - len(differences)])
    said = {"by": by, "handed_back": dict(sorted(handed_back.items()))} if by == "native" else {"by": by}
    return replayed(started, entries, accounts, differences, count) | said


def replayed(started: float, entries: int, accounts: int, differences: list[Difference], count: int) -> dict[str, Any]:
    """Return what a replay that started at a `time.monotonic` came to; `count` is how many differences there are."""
    return {
        "entries": entries,
        "accounts": accounts,
        "differences": differences,
        "difference_count": count,
        "seconds": round(time.monotonic() - started, 3),
    }


_Part = int | tuple[list[Difference], int, int, Counter[str]]
# What cannot be derived here: the first entry is named with how many there are, instead of a difference for each.
_OURS = {
    "version": "not in this ledger's rule book; was book.toml edited?",
    "engine": f"this version of points decides by engines 1 to {ENGINES[-1]}",
}


def replay_partition(ledger: Ledger, partition: int, from_topic: bool, by: str) -> Iterator[_Part]:
    """Replay one partition by an engine: counts of entries as they are done, and last what was found.

    That is the differences listed, the accounts, how many differences there are, and the entries handed back, by why.
    """
    journal = ledger.journal(partition)
    head = journal.head()
    module = native_module(by)
    with odd_values_told(ledger):
        compared = (
            Comparing(ledger, partition, head.entries)
            if module is None
            else NativeComparing(module, ledger, partition, head.entries)
        )
    differ = compared.differ
    if from_topic:
        compare_topic(ledger, differ)
    members = done = read = 0
    is_home = ledger.partition_of(PROGRAMME_SUBJECT) == partition  # where a published book counts
    try:
        with odd_values_told(ledger):
            for member, entries in compared.members():
                read += entries
                if member != PROGRAMME_SUBJECT:
                    members += 1
                elif not is_home:
                    continue
                done += entries
                if done >= EVERY:
                    yield done
                    done = 0
            if not ledger.settings.grown and read < head.entries:  # more may have been written since
                differ.add(field="entries", stored=read, derived=head.entries)
            if not ledger.is_archived:
                _compare_derived(ledger, compared, head.entries)
            for member in journal.snapshots_of_nobody():
                differ.add(member=member, field="account", stored="snapshot", derived="no such member")
    except Elsewhere:
        raise  # an archive that is out of reach is no damage
    except (Damaged, Unavailable) as error:
        differ.add(field="file", stored=f"cannot be read any further: {error}")
    for (field, stored), (row, entries) in compared.foreign.items():
        differ.add(**where_of(row), field=field, stored=stored, derived=_OURS[field], entries=entries)
    yield done
    yield differ.listed, members, differ.count, compared.handed_back


def _compare_derived(ledger: Ledger, compared: Comparing, upto: int) -> None:
    """Compare what a journal keeps beside its entries, up to a place: receipts and pages."""
    differ = compared.differ
    journal = ledger.journal(differ.partition)
    if not compared.receipts.is_of(journal):
        compare_receipts(journal, upto, differ)
    if groups := compared.pages.groups_that_differ(journal):
        compare_pages(ledger, compared.pages, groups, differ)
