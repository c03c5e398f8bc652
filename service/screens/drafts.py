"""Drafts of rule books on a screen."""

from rich.console import Console

from projections.answers.plain import plain
from service.drafts.records import Draft, Step
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import short_time


def print_drafts(console: Console, drafts: list[Draft]) -> None:
    """Print every draft, a row each."""
    if not drafts:
        print_plain(text("no draft is kept; the console and POST /v1/drafts keep one"))
        return
    table = grid("draft", "file", "from", "state", "kept by", "handed in by", "decided by")
    for one in drafts:
        people = map(plain, (one.by, one.handed_in_by, one.decided_by))
        table.add_row(one.draft, plain(one.file), one.from_[:10], text(one.state), *people)
    console.print(table)


def print_draft(console: Console, draft: Draft) -> None:
    """Print a draft and every step of it, a row each."""
    print_plain(f"{draft.draft} {plain(draft.file)}: {text(draft.state)}")
    figures = {"sha256": draft.sha256, "version": draft.version, "at": draft.from_}
    print_plain(text("SHA-256 {sha256}, version {version} from {at} on", **figures))
    table = grid("step", "by", "when", "why", "on what grounds")
    for step in draft.steps:
        table.add_row(text(step.step), plain(step.by), short_time(step.at), plain(step.why), _grounds(step))
    console.print(table)


def _grounds(step: Step) -> str:
    """Return what a step stood on, in a few words."""
    what = step.what
    said = [text("version {version} beside {against}", version=what.version, against=what.against)] * bool(what.against)
    said += [text(what.ended)] * bool(what.ended)
    said += [text("report {report}", report=what.report[:16])] * bool(what.report)
    said += [f"{what.position} {text(what.outcome)}"] * bool(what.position)
    return ", ".join(said)
