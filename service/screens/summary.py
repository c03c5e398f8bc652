"""A run that took facts in, on a screen."""

from typing import Any

from rich.console import Console


def print_summary(console: Console, found: dict[str, Any]) -> None:
    """Print how many facts came in, how fast, and what became of them."""
    new = found["entries"] + found["parked"]
    if not new and found["skipped"]:
        console.print(f"all {found['skipped']:,} facts are in already")
        return
    seconds = found["seconds"]
    rate = f"  ({new / seconds:,.0f} facts/s)" if seconds > 0 else ""
    console.print(f"[bold]{found['facts']:,}[/] facts in {seconds:,.1f} s{rate}")
    console.print(
        f"  [green]{found['accepted']:,} accepted[/]  [red]{found['refused']:,} refused[/]"
        f"  [yellow]{found['ignored']:,} ignored[/]  {found['parked']:,} dead letters"
        + (f"  {found['skipped']:,} skipped (in already)" if found["skipped"] else "")
    )
