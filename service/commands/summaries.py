"""What a run that took facts in came to: ingest, consume, demo."""

from typing import Any

from consumers.runtime.ingest import Summary
from ledger.journal.ledger import Ledger
from service.errors import print_plain, say
from service.languages import text

NAMED_ON_SCREEN = 5  # dead letters
NAMED_IN_JSON = 1_000


def summary_to_dict(summary: Summary) -> dict[str, Any]:
    """Return the JSON of a run."""
    return {
        "facts": summary.facts,
        "entries": summary.entries,
        "accepted": summary.tally.accepted,
        "refused": summary.tally.refused,
        "ignored": summary.tally.ignored,
        "skipped": summary.skipped,
        "parked": summary.tally.parked,
        "seconds": round(summary.seconds, 3),
    }


def name_dead_letters(ledger: Ledger, before: list[int], count: int) -> dict[str, Any]:
    """Name the first dead letters behind these positions; return them for the JSON of a run."""
    for partition in ledger.partitions:
        ledger.look_again(partition)
    parked = [
        {"position": f"{p}:{parked.offset}", "reason": parked.reason, "detail": parked.detail}
        for p in ledger.partitions
        for parked in ledger.journal(p).parked(before[p], limit=NAMED_IN_JSON)
    ][:NAMED_IN_JSON]
    for fact in parked[:NAMED_ON_SCREEN]:
        say(f"dead letter {fact['position']}: {fact['reason']}: {fact['detail']}")
    if count > NAMED_ON_SCREEN:
        say(f"… {count:,} dead letters in all; `points dead-letters list` shows them")
    return {"parked_facts": parked} if parked else {}


def print_summary(console: Any, found: dict[str, Any]) -> None:
    """Print how many facts came in, how fast, and what became of them."""
    new = found["entries"] + found["parked"]
    if not new and found["skipped"]:
        print_plain(f"all {found['skipped']:,} facts are in already")
        return
    seconds = found["seconds"]
    rate = f"  ({text('{rate} facts/s', rate=f'{new / seconds:,.0f}')})" if seconds > 0 else ""
    console.print_markup(f"[bold]{found['facts']:,}[/] facts in {seconds:,.1f} s{rate}")
    console.print_markup(
        f"  [green]{found['accepted']:,} {text('accepted')}[/]  [red]{found['refused']:,} {text('refused')}[/]"
        f"  [yellow]{found['ignored']:,} {text('ignored')}[/]  {text('{count} dead letters', count=found['parked'])}"
        + (f"  {text('{count} skipped (in already)', count=found['skipped'])}" if found["skipped"] else "")
    )
