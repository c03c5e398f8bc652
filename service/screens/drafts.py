"""Drafts of rule books on a screen: a line each, as they do not fit a table of eighty columns."""

from rich.console import Console

from projections.answers.plain import plain
from service.drafts.records import Draft, Step
from service.errors import print_plain
from service.languages import text
from service.screens.names import short_time


def print_drafts(_: Console, drafts: list[Draft]) -> None:
    """Print every draft: how far it is, and whose."""
    for one in drafts:
        print_plain(_line(one))
    if not drafts:
        print_plain(text("no draft is kept; the console and POST /v1/drafts keep one"))


def print_draft(_: Console, draft: Draft) -> None:
    """Print a draft and every step of it."""
    figures = {"sha256": draft.sha256, "version": draft.version, "at": draft.from_}
    print_plain(_line(draft), text("SHA-256 {sha256}, version {version} from {at} on", **figures))
    for step in draft.steps:
        said = [text(step.step), text("by {who}", who=plain(step.by)), short_time(step.at), plain(step.why)]
        print_plain("  " + "  ".join([*filter(None, said), *_grounds(step)]))


def _line(draft: Draft) -> str:
    people = (
        ("kept by {who}", draft.by),
        ("handed in by {who}", draft.handed_in_by),
        ("decided by {who}", draft.decided_by),
        ("published by {who}", draft.published_by),
    )
    said = ", ".join(text(does, who=plain(who)) for does, who in people if who)
    return f"{draft.draft} {plain(draft.file)} {text('from {at} on', at=draft.from_[:10])}: {text(draft.state)}; {said}"


def _grounds(step: Step) -> list[str]:
    """Return what a step stood on."""
    what = step.what
    said = [text("version {version} beside {against}", version=what.version, against=what.against)] * bool(what.against)
    said += [text(what.ended)] * bool(what.ended)
    said += [text("report {report}", report=what.report[:16])] * bool(what.report)
    return said + [f"{what.position} {text(what.outcome)}"] * bool(what.position)
