"""A member's story: what is there now and where each lot came from, then a line an entry with the running balance."""

from typing import Any

from ledger.core.account import current_term
from ledger.core.scores import parts_at, value_at
from ledger.core.standing import tier_now
from ledger.journal.ledger import Ledger
from ledger.wire import entries
from ledger.wire.facts import fact_type
from projections.answers.members import ELSEWHERE
from projections.answers.shops import ShopScores, shops_of
from projections.answers.show import state_of
from projections.explaining.context import Context, purse_sums
from projections.explaining.facts import told_text
from projections.explaining.history import History, Moment, Step
from projections.explaining.lots import describe_lot
from projections.explaining.movements import COUNTED, TAGS, effect_of, effect_text
from projections.explaining.nothing import explain_nothing
from projections.explaining.reasons import reason_text
from projections.explaining.words import Words
from projections.ticking import Progress, silent

View = dict[str, Any]

LINES = 1_000  # of a story's statement: each may have to look at the whole account

_OF_TIME = frozenset(
    (
        entries.Expired,
        entries.Released,
        entries.Confirmed,
        entries.IdleEnded,
        entries.TermEnded,
        entries.TierMoved,
        entries.TierHeld,
        entries.TierHoldEnded,
        entries.TierGrantEnded,
    )
)
_SILENT = _OF_TIME | COUNTED  # of which alone a line may have to say why nothing came


def explain_member(
    ledger: Ledger,
    member: str,
    *,
    as_of: int | None = None,
    lines: int | None = LINES,
    language: str = "",
    progress: Progress = silent,
) -> View:
    """A member's story by the entries whose clock is by `as_of`; by all of them where it is None.

    Its statement has the last `lines` entries, or all of them (None); `earlier` counts those before. Raises
    `UnknownMember`.
    """
    history = History(ledger, member, as_of, language, progress)
    statement: list[View] = []
    earlier = 0 if lines is None else max(0, len(history.steps) - lines)
    for step, account, moment in history.walk(lambda entry: entry.number > earlier and _gave_nothing(entry)):
        if step.entry.number > earlier:
            spendable = {kind: purse.spendable() for kind, purse in account.purses.items()}
            statement.append(_line(history, step, moment, spendable))
    present, words = history.present, Words(history.whole_book.nearest(history.as_of), reader=language)
    return {
        "explains": "member",
        "language": words.speech.language,
        "member": history.member,
        "as_of": words.time(history.as_of),
        "entries": len(history.steps),
        "frozen": present.account.frozen,
        "points": {kind: _purse(history, kind, words) for kind in sorted(present.account.purses)},
        "scores": _scores(history, words),
        "memberships": _memberships(history, words),
        "earlier": earlier,
        "statement": statement,
        "since": {
            "after": len(history.steps),
            "effect": effect_of(present.changes),
            "texts": _since(present.changes, words),
        },
    }


def _since(changes: list[entries.Change], words: Words) -> list[str]:
    """What fell due since the last entry, with its dates; what expired together is one text."""
    expired: dict[tuple[str, int], int] = {}
    texts: list[str] = []
    at = 0  # of the tier that moved or was held no longer last: what it gave or took has no date of its own
    for change in changes:
        at = getattr(change, "at", at)
        if isinstance(change, entries.Expired):
            key = change.kind, change.due_at
            expired[key] = expired.get(key, 0) + change.points
        elif isinstance(change, entries.Scored | entries.Earned):
            unit = change.score if isinstance(change, entries.Scored) else change.kind
            signed = words.signed(change.points, unit)
            texts.append(words.say(f"since.{TAGS[type(change)]}", change, signed=signed, when=at))
        elif type(change) in _OF_TIME:
            texts.append(words.say(f"since.{TAGS[type(change)]}", change))
    gone = [words.say("since.expired", amount=words.points(n, kind), due_at=at) for (kind, at), n in expired.items()]
    return gone + texts


def _gave_nothing(entry: entries.Entry) -> bool:
    """Return True if the line of an entry may have to say why nothing came: it has what time does or counts alone."""
    return not entry.outcome and _SILENT.issuperset(map(type, entry.changes))


def _line(history: History, step: Step, moment: Moment | None, spendable: dict[str, int]) -> View:
    entry, words = step.entry, history.words_of(step.entry)
    parts = [effect_text(entry.changes, words)]
    if entry.reason in ELSEWHERE:
        parts.append(reason_text(step, words))
    elif entry.outcome:
        outcome = words.say(f"outcome.{entries.OUTCOMES[entry.outcome]}")
        parts.append(f"{outcome}{words.speech.colon}{reason_text(step, words)}")
    elif moment is not None and not effect_text(entry.changes[moment.due :], words):
        parts += _briefly(explain_nothing(Context(history, moment, words)), words)
    return {
        "number": entry.number,
        "occurred": words.time(entry.occurred),
        "type": fact_type(step.fact),
        "id": step.fact.id,
        "outcome": entries.OUTCOMES[entry.outcome],
        "reason": entry.reason,
        "text": told_text(step, words),
        "result": words.speech.semicolon.join(filter(None, parts)) or words.say("line.unmoved"),
        "effect": effect_of(entry.changes),
        "spendable": spendable,
    }


def _briefly(nothing: list[View], words: Words) -> list[str]:
    """The first reason why nothing came, and how many more there are."""
    texts = list(dict.fromkeys(words.speech.inner(view["text"]) for view in nothing))
    if not texts:
        return []
    code = "line.nothing-yet" if nothing[0]["why"] == "not-completed" else "line.nothing"
    return [words.say(code, why=texts[0], more=len(texts) - 1)]


def _purse(history: History, kind: str, words: Words) -> View:
    purse = history.present.account.purses[kind]
    views = [
        describe_lot(history, key, words) | {"expires_at": words.end(lot.pending_until or purse.end_of(lot))}
        for key, lot in sorted(purse.lots.items(), key=lambda item: (purse.end_of(item[1]), item[0]))
    ]
    return {"name": words.name(kind), **purse_sums(purse), "lots": views}


def _scores(history: History, words: Words) -> View:
    version, account = words.version, history.present.account
    at = history.as_of
    views = {}
    for name in version.programme.scores:
        if name in version.keyed_scores:
            continue
        value, tier = value_at(account, version, name, at), tier_now(account, version, name, at)
        views[name] = {
            "name": words.name(name),
            "value": value,
            "tier": tier,
            "parts": parts_at(account, version, name, at),
            "part_names": _part_names(words, name),
        }
    shops = shops_of(step.entry for step in history.steps) if version.keyed_scores else ShopScores()
    for name, key, of in shops.describe(version, at):
        views[key] = {"name": words.name(name), "value": of.value, "tier": of.tier, "parts": of.parts}
        views[key]["part_names"] = _part_names(words, name)
    return views


def _part_names(words: Words, score: str) -> dict[str, str]:
    return {part: words.part_name(score, part) for part in words.version.programme.scores[score].parts}


def _memberships(history: History, words: Words) -> View:
    views = {}
    for name in history.present.account.terms:
        term = current_term(history.present.account, name, history.as_of)
        if term is not None:
            views[name] = {
                "name": words.name(name),
                "state": state_of(term, words.version, history.as_of),
                "product": term.product,
                "card": term.card,
                "until": words.time(term.until),
            }
    return views
