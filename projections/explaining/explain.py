"""Where each point came from and went, which rule of which version decided, and why nothing came, in plain words.

An explanation is data (`dict`, good for JSON) in which every figure stands beside the sentence that uses it;
`service.screens.explanation` lays it out for people. What is explained is the entry as it was decided and kept.
"""

from typing import Any

from ledger.journal.ledger import Ledger
from ledger.wire.entries import OUTCOMES, entry_of
from ledger.wire.facts import fact_type
from projections.explaining.changes import explain_changes
from projections.explaining.clawbacks import explain_clawbacks
from projections.explaining.context import Context, data_of, purse_sums
from projections.explaining.facts import told_text
from projections.explaining.history import History, NothingToExplain
from projections.explaining.lots import explain_lot_story, lot_of
from projections.explaining.member import LINES, explain_member
from projections.explaining.movements import effect_of, effect_text
from projections.explaining.nothing import explain_nothing
from projections.explaining.reasons import reason_details
from projections.explaining.whereabouts import whereabouts
from projections.ticking import Progress, silent


def explain(
    ledger: Ledger,
    member: str,
    what: str | None = None,
    *,
    as_of: int | None = None,
    lines: int | None = LINES,
    language: str = "",
) -> dict[str, Any]:
    """What a command line names: nothing for the member's story, "12" for an entry, "12.1" for a lot.

    Names of the book are in a language, where it has them in it.
    Raises `UnknownMember`, or `NothingToExplain` where it is none of these.
    """
    if what and "." in what:
        return explain_lot(ledger, member, what, as_of=as_of, language=language)
    if what and not (what.isascii() and what.isdigit()):
        raise NothingToExplain(f'"{what}" is neither an entry, such as 12, nor a lot, such as 12.1')
    if what:
        return explain_entry(ledger, member, int(what), as_of=as_of, language=language)
    return explain_member(ledger, member, as_of=as_of, lines=lines, language=language)


def explain_entry(
    ledger: Ledger,
    member: str,
    number: int,
    *,
    as_of: int | None = None,
    language: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """What one entry decided and why, change by change. Raises `UnknownMember` and `NothingToExplain`."""
    return _entry(History(ledger, member, as_of, language, progress), number)


def _entry(history: History, number: int) -> dict[str, Any]:
    moment = history.moment(number)
    entry, fact, version = moment.step.entry, moment.step.fact, moment.version
    words = history.words_of(entry)
    context = Context(history, moment, words)
    changes = explain_changes(context)
    reason = reason_details(history, moment, words) if entry.reason else {"text": "", "needed": ""}
    explanation: dict[str, Any] = {
        "explains": "entry",
        "language": words.speech.language,
        "member": history.member,
        "number": number,
        "entries": len(history.steps),
        "position": f"{entry.partition}:{entry.offset}",
        "type": fact_type(fact),
        "id": fact.id,
        "source": fact.source,
        "occurred": words.time(entry.occurred),
        "recorded": words.time(entry.recorded),
        "clock": words.time(entry.clock),
        "book": version.programme.programme,
        "book_name": words.text("name", version.programme.name),
        "currency": version.programme.currency,
        "version": entry.version,
        "version_from": version.programme.from_.isoformat(),
        "engine": entry.engine,
        "fact": {"text": told_text(moment.step, words), "data": data_of(fact)},
        "outcome": OUTCOMES[entry.outcome],
        "reason": entry.reason,
        "figures": entry.figures,
        "reason_text": reason["text"],
        "needed": reason["needed"],
        "effect": effect_of(entry.changes),
        "changes": changes,
        "clawbacks": explain_clawbacks(context),
        "nothing": explain_nothing(context),
        "balances": {
            kind: {
                "name": words.name(kind),
                "before": purse_sums(moment.before.purse(kind)),
                "after": purse_sums(context.scratch.purse(kind)),
            }
            for kind in sorted({*moment.before.purses, *context.scratch.purses})
        },
        "derives": moment.derives,
    }
    if "first" in reason:
        explanation["first"] = reason["first"]
    explanation |= whereabouts(history, moment.step, words)
    what = effect_text(entry.changes, words) or words.say("line.unmoved")
    explanation["text"] = words.speech.ended(
        words.say(
            "entry.text",
            fact=explanation["fact"]["text"],
            outcome=words.say(f"outcome.{OUTCOMES[entry.outcome]}").capitalize(),
            what=reason["text"] if entry.outcome else what,
        )
    )
    return explanation


def explain_lot(
    ledger: Ledger,
    member: str,
    lot: str,
    *,
    as_of: int | None = None,
    language: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """A lot's whole life, and the entry that opened it. `lot` is its name, entry.place: "3.1".

    Raises `UnknownMember`, or `NothingToExplain` where there is no such lot.
    """
    history = History(ledger, member, as_of, language, progress)
    key = lot_of(lot)
    number = int(lot.partition(".")[0])
    story = history.lots.get(key) if entry_of(key) == number else None
    if story is None:
        history.step(number)
        has = [name for name in history.lots if entry_of(name) == number]
        opened = f"entry {number} opened {len(has)}" if has else f"entry {number} opened none"
        raise NothingToExplain(f'"{member}" has no lot {lot}: {opened}')
    words = history.words_of(story.origin.entry)
    origin = _entry(history, story.origin.entry.number)
    # as a change is called that opens a lot here, and where it names that lot
    opening = {"earned": "lot", "received": "lot", "moved-in": "lot", "hold-shifted": "to_lot"}
    changes = origin["changes"]
    opened_by = next(view for view in changes if lot == view.get(opening.get(view["change"], "")))
    return {
        "explains": "lot",
        "language": words.speech.language,
        "member": member,
        "as_of": words.time(history.as_of),
        **explain_lot_story(history, key, words),
        "opened_by": opened_by,
        "fact": origin["fact"] | {name: origin[name] for name in ("type", "id", "occurred")},
        **{name: origin[name] for name in ("book", "book_name", "version", "version_from")},
    }
