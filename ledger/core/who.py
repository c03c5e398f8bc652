"""Conditions on the member, judged at a fact's `occurred`: after time has passed, before the fact's own changes.

So neither the order of lines nor that of rules matters: the order that raises a tier earns at the old one. A condition
that holds leaves no trace, one that fails is named with what was found: ``tier.taoqi, is ordinary``.
"""

from typing import Any

from ledger.core.account import Account, seat_terms, term_at
from ledger.core.draft import Draft
from ledger.core.scores import value_at
from ledger.core.shops import page_of_shop
from ledger.core.standing import tier_at
from ledger.rulebook.compiled import Asked, Entitlement, MemberClause, ProgrammeVersion
from ledger.wire.fact_catalogue import BUILT_IN_ATTRIBUTES


def who_fails(draft: Draft, who: Entitlement | None, shop: str = "") -> str | None:
    """Return the first condition that fails, with what was found, or None where all hold.

    `shop` is the fact's or claim's own, for scores that are kept by shop.
    """
    if who is None:
        return None
    for clause in who.clauses:
        found = _found(draft, clause.table, clause.name, shop)
        if not _holds(draft.version, clause, found):
            return f"{clause.table}.{clause.name}, is {_said(clause.table, found)}"
    if who.any_of:
        failed = []
        for one in who.any_of:
            fails = who_fails(draft, one, shop)
            if fails is None:
                return None
            failed.append(fails)
        return "none of: " + "; ".join(failed)
    return None


def require(draft: Draft, who: Entitlement | None, shop: str = "") -> None:
    """Decline a fact whose member does not meet the conditions; the figure `who` names the first that fails."""
    failed = who_fails(draft, who, shop)
    if failed is not None:
        draft.decline("not-entitled", who=failed[:512])


def unentitled_by(draft: Draft, asked: tuple[Asked, ...], data: Any) -> dict[str, str]:
    """Return the award rules and multipliers that are not this member's, each with the condition that fails.

    It is asked before the fact changes anything.
    """
    occurred, unentitled = draft.occurred, dict[str, str]()
    for who, since, until, names in asked:
        if since <= occurred < until:
            failed = who_fails(draft, who, getattr(data, "shop", ""))
            if failed is not None:
                unentitled.update(dict.fromkeys(names, failed))
    return unentitled


def attribute_of(account: Account, version: ProgrammeVersion, name: str) -> str | int | None:
    """Return what is known of a member; None where nothing is, or what is known is no value of this version's."""
    if name in BUILT_IN_ATTRIBUTES:
        return getattr(account, name) or None
    declared, told = version.programme.attributes.get(name), account.attributes.get(name)
    if declared is None or told is None:
        return None
    value = told[0]
    if value == "" or isinstance(value, str) == (declared.type == "number"):
        return None
    return None if declared.values is not None and value not in declared.values else value


def _found(draft: Draft, table: str, name: str, shop: str) -> str | int | None:
    account, version = draft.account, draft.version
    if table in ("tier", "score") and name not in version.rankings:
        return None  # of a file that does not hold yet
    if table in ("tier", "score") and name in version.keyed_scores:
        page = page_of_shop(draft, name, shop)
        if table == "tier":
            return page.tier if page is not None else None
        return page.value() if page is not None else None
    if table == "tier":
        return tier_at(account, version, name, draft.occurred)
    if table == "score":
        return value_at(account, version, name, draft.occurred)
    if table == "attribute":
        return attribute_of(account, version, name)
    term = term_at(account, name, draft.occurred)
    if term is None and account.seats:
        at = draft.occurred
        term = next((term for _, term in seat_terms(account, name) if term.start <= at < term.until), None)
    return term.product if term is not None else None


def _holds(version: ProgrammeVersion, clause: MemberClause, found: str | int | None) -> bool:
    table, name, op, value = clause
    if op == "active":
        return (found is not None) is value
    if found is None:
        return False  # unknown is not known to be something else
    if table == "tier" and found and all(tier.name != found for tier in version.programme.scores[name].tiers):
        return False  # a tier of another version: it matches nothing until the score is placed anew
    if op == "in":
        return found in value
    if op == "not_in":
        return found not in value
    assert isinstance(found, int), "only numbers have bounds"
    return bool(found >= value if op == "at_least" else found <= value)


def _said(table: str, found: str | int | None) -> str:
    if found is None:  # of a score by shop: none is named, or it was not joined
        return "not held" if table == "card" else "unknown"
    return str(found) or "none"
