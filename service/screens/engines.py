"""Which program decides, on a screen."""

from typing import Any

from rich.console import Console

from service.languages import text, told
from service.screens.grid import grid
from service.screens.names import Names

# As `engine/src/handed_back.rs` names what a replay hands back.
LEFT = {
    "publication": "a published programme",
    "engine-1": "decided by engine 1",
    "unknown-fact": "a fact that the native engine does not know",
    "out-of-range": "a decision that would pass a bound",
    "too-many-lots": "an entry that would open more lots than it can name",
    "day-by-week": "a sign-in whose day is written by its week",
    "broken-invariant": "a fault in the native engine: please report it",
    "odd-entry": "an entry that is not plainly one, or not the member's next",
    "foreign": "decided by an engine or a version that is not here",
    "pool": "a budget or stock that members share",
    "other-ledger": "an exchange with another ledger",
    "unknown-page": "a page that the native engine does not read",
    "names": "a member who has, had or became another name",
}


def print_engines(console: Console, found: dict[str, Any], names: Names) -> None:
    """Print the document of `points stats --engines`."""
    decides = text("the native engine decides") if found["decides"] == "native" else text("Python decides")
    console.print(decides if not found["why_not"] else f"{decides}; {told(found['why_not'])}")
    console.print(
        text(
            "of {entries} entries the native engine decides {native} and leaves {python} to Python",
            entries=found["entries"],
            native=found["native"],
            python=found["python"],
        )
    )
    if found["handed_back"]:
        table = grid("why", "what is left to Python", right=("entries",))
        for why, count in found["handed_back"].items():
            table.add_row(why, text(LEFT.get(why, "")), f"{count:,}")
        console.print(table)
