"""Where a fact was decided that this account handed on or kept waiting, and where one came from that others sent on."""

from typing import Any

from ledger.wire.entry_json import describe_decision
from ledger.wire.facts import MemberForwarded
from projections.answers.last_word import last_word
from projections.answers.members import ELSEWHERE
from projections.audit.transit import named_by
from projections.explaining.history import History, Step
from projections.explaining.words import Words


def whereabouts(history: History, step: Step, words: Words) -> dict[str, Any]:
    """Return `decided_at` of an entry that did not decide its fact, and `came_from` of one that another sent on.

    Both have the `member` and the `number` of an entry (empty and 0 while there is none yet) and a `text`.
    """
    found: dict[str, Any] = {}
    entry = step.entry
    if entry.reason in ELSEWHERE:
        last = last_word(history.ledger, describe_decision(entry, b"", history.offset))
        if last is None:
            found["decided_at"] = {"member": "", "number": 0, "text": words.say("whereabouts.open")}
        else:
            outcome = words.say(f"outcome.{last.outcome}")
            text = words.say("whereabouts.decided", member=last.member, number=last.number, outcome=outcome)
            place = {"member": last.member, "number": last.number, "outcome": last.outcome, "reason": last.reason}
            found["decided_at"] = {**place, "text": text}
    if isinstance(step.fact, MemberForwarded) and (named := named_by(step.fact.id)) is not None:
        member, number, _ = named
        text = words.say("whereabouts.came", member=member, number=number)
        found["came_from"] = {"member": member, "number": number, "text": text}
    return found
