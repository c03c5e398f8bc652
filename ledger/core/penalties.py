"""What a fact costs: points of a kind, or of a score's part, each time or from a count of it on."""

from typing import Any

from ledger.core.account import term_at
from ledger.core.draft import Draft
from ledger.core.evaluate import meets
from ledger.core.lots import collect, owe_back, parts_of
from ledger.core.pages import Fined
from ledger.core.shops import page_of_shop
from ledger.rulebook.compiled import Fine
from ledger.rulebook.schema import AT_SHOP, Penalty
from ledger.wire.entries import CounterAdded, Scored


def apply_penalties(draft: Draft, on: str, data: Any, page: str, line: Any = None) -> list[Fined]:
    """Take what the penalties on a type of fact say; return what would be given back if the fact did not stand."""
    fined = []
    for fine in draft.version.penalties.get(on, ()):
        if fine.clauses and not meets(fine.clauses, line, data):
            continue
        if fine.is_counted and _is_spared(draft, fine):
            continue
        penalty = fine.penalty
        if not _has_begun(draft, penalty, data):
            continue
        if penalty.score is not None:
            part, month = penalty.part or "", draft.version.bucket(penalty.score, draft.occurred)
            score = penalty.score + _at_shop(penalty.score in draft.version.keyed_scores, data)
            draft.score(Scored(score, part, fine.name, month, -penalty.points, page))
            fined.append(Fined(fine.name, penalty.points, score=score, part=part, month=month))
        elif penalty.kind is not None:
            kind = penalty.kind + _at_shop(penalty.kind in draft.version.keyed_kinds, data)
            debt = draft.account.purse(kind).debt
            parts = parts_of(draft, kind, penalty.points)
            collect(draft, kind, penalty.points, fine.name)
            owed = draft.account.purse(kind).debt - debt
            fined.append(Fined(fine.name, penalty.points, kind, parts, owed))
    return fined


def _has_begun(draft: Draft, penalty: Penalty, data: Any) -> bool:
    """Return True if there is what a penalty takes from: of what is kept for each shop, a shop is named and joined."""
    if penalty.score is not None and penalty.score in draft.version.keyed_scores:
        return page_of_shop(draft, penalty.score, data.shop) is not None
    return penalty.kind not in draft.version.keyed_kinds or bool(data.shop)


def _at_shop(is_kept_so: bool, data: Any) -> str:
    return f"{AT_SHOP}{data.shop}" if is_kept_so else ""


def _is_spared(draft: Draft, fine: Fine) -> bool:
    """Count a fact of a penalty in its month and its year; True where these are too few, or the member is exempt."""
    month, counts, rule, penalty = draft.month, draft.account.counts, fine.name, fine.penalty
    draft.emit(CounterAdded(rule, month, 1))
    draft.emit(CounterAdded(rule, month // 12, 1))
    in_month, in_year = counts[month][rule], counts[month // 12][rule]
    exempt = penalty.exempt
    is_exempt = False
    if exempt is not None and term_at(draft.account, exempt.membership, draft.occurred) is not None:
        draft.emit(CounterAdded(f"{rule}.exempt", month, 1))
        is_exempt = counts[month][f"{rule}.exempt"] <= exempt.in_month
    draft.figures.update(in_month=in_month, in_year=in_year)
    from_in_month, from_in_year = penalty.from_in_month, penalty.from_in_year
    is_met = from_in_month is None and from_in_year is None
    is_met = is_met or (from_in_month is not None and in_month >= from_in_month)
    if not (is_met or (from_in_year is not None and in_year >= from_in_year)):
        return True
    if is_exempt:
        draft.note("exempt", points=penalty.points)
    return is_exempt


def give_back_fines(draft: Draft, fined: list[Fined], page: str) -> None:
    """Give back what penalties took: a score item in its month, points to their lots, and debt as far as it stands."""
    for fine in fined:
        if fine.score:
            draft.score(Scored(fine.score, fine.part, fine.rule, fine.month, fine.points, page))
        else:
            owe_back(draft, fine)
