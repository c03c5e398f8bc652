"""What would have been needed for a refused request to be granted.

Where it says that another request would have been granted, the engine itself was asked at that very moment.
"""

import msgspec

from ledger.core.account import term_at
from ledger.core.benefits import times_used
from ledger.core.pages import OrderPage
from ledger.rulebook.compiled import Version
from ledger.wire.facts import BenefitClaimed, HoldRequested, RedemptionRequested
from projections.explaining.history import Moment
from projections.explaining.words import Words, joined, yuan


def needed_text(moment: Moment, words: Words) -> str:
    """What would have been needed for a refused request to be granted."""
    entry, fact = moment.step.entry, moment.step.fact
    if entry.outcome != 1:
        return ""
    if entry.reason == "too-late":
        earliest = words.time(entry.clock - moment.version.late)
        return f"a request that occurred at {earliest} or later"
    match fact:
        case RedemptionRequested():
            return _needed_to_redeem(moment, fact, words)
        case HoldRequested() if entry.reason.endswith("-short"):
            spendable = moment.at.purse(fact.data.kind).spendable()
            missing = words.points(fact.data.points - spendable, fact.data.kind)
            return f"{missing} more{_at_most(moment, fact, spendable, words)}"
        case BenefitClaimed():
            return _needed_to_claim(moment, fact, words)
    match entry.reason:
        case "stale":
            return "a request that is recorded sooner: ask again under a new fact id"
        case "account-frozen":
            return "the account unfrozen first (account.unfrozen.v1)"
        case "no-programme":
            return "a version of the book that begins earlier"
        case "hold-over":
            return f"an `until` after the account's clock, {words.time(entry.clock)}"
    return ""


def _needed_to_redeem(moment: Moment, fact: RedemptionRequested, words: Words) -> str:
    data, entry, version = fact.data, moment.step.entry, moment.version
    use = version.programme.uses.get(data.use)
    if use is None:
        return f"one of the uses {joined(sorted(version.programme.uses), 'or')}"
    spendable = moment.at.purse(data.kind).spendable()
    most = _most_redeemable(moment, fact, version, spendable)
    could = _at_most(moment, fact, most, words)
    match entry.reason:
        case "kind-not-taken":
            return f"points of the kind {joined(list(use.kinds), 'or')}"
        case "not-exact":
            return f"exactly {words.points(use.exactly or 0, data.kind)}"
        case "not-a-multiple":
            return f"a multiple of {use.multiple:,}{could}"
        case "order-missing":
            return "the order that the points are to pay"
        case "settlement-too-small":
            return f"an order of {yuan(use.settlement_at_least_fen)} or more before points"
        case "above-share":
            order = moment.pages.get(f"order/{data.order}")
            redeemed = order.redeemed if isinstance(order, OrderPage) else 0
            share = version.shares[data.use]
            assert share is not None
            worth = (redeemed + data.points) * version.programme.kinds[data.kind].fen
            settlement = -(-worth * share.denominator // share.numerator)
            order_needed = f"an order of {yuan(settlement)} or more before points ({use.share} of it)"
            return order_needed + (could or "; fewer points would not do")
        case "balance-too-small":
            short = words.points(use.balance_at_least - spendable, data.kind)
            return f"{short} more, to have {use.balance_at_least:,}"
        case "stale":
            return f"a request that is recorded sooner: ask again under a new redemption id{could}"
        case "account-frozen":
            return "the account unfrozen first (account.unfrozen.v1)"
        case "no-programme":
            return "a version of the book that begins earlier"
    if entry.reason.endswith("-short"):
        return f"{words.points(data.points - spendable, data.kind)} more{could}"
    return ""


def _most_redeemable(moment: Moment, fact: RedemptionRequested, version: Version, spendable: int) -> int:
    """A guess at the most that could have been redeemed; the engine has the last word (`_at_most`)."""
    data, use = fact.data, version.programme.uses[fact.data.use]
    most = spendable
    share = version.shares[data.use]
    if share is not None and data.kind in version.programme.kinds:
        order = moment.pages.get(f"order/{data.order}")
        redeemed = order.redeemed if isinstance(order, OrderPage) else 0
        most = min(most, int(share * data.settlement_fen) // version.programme.kinds[data.kind].fen - redeemed)
    if use.exactly is not None:
        return use.exactly
    return most // use.multiple * use.multiple


def _at_most(moment: Moment, fact: RedemptionRequested | HoldRequested, points: int, words: Words) -> str:
    """How many would have been granted, if the engine says so of this very moment."""
    if points < 1 or points == fact.data.points:
        return ""
    smaller = msgspec.structs.replace(fact, data=msgspec.structs.replace(fact.data, points=points))
    if not moment.would_accept(smaller):
        return ""
    return f"; {words.points(points, fact.data.kind)} would have been granted"


def _needed_to_claim(moment: Moment, fact: BenefitClaimed, words: Words) -> str:
    entry, version = moment.step.entry, moment.version
    found = version.benefits.get(fact.data.benefit)
    if found is None:
        return f"one of the benefits {joined(sorted(version.benefits), 'or')}"
    membership, benefit = found
    name = words.membership(membership)
    match entry.reason:
        case "no-membership":
            return f"a {name} card that runs at {words.time(entry.occurred)}"
        case "not-in-card":
            return f"one of the cards {joined(sorted(benefit.quota or ()), 'or')}"
        case "quota-used":
            term = term_at(moment.at, membership, entry.occurred)
            assert term is not None
            used = times_used(term, fact.data.benefit, benefit, version.month(entry.occurred))
            again = {
                "term": f"a new card after {words.time(term.until)}",
                "month": "the next month",
                "year": "the next year",
            }
            return f"{again[benefit.per]}: card {term.card} ({term.product}) has {used} a {benefit.per}, all used"
        case "account-frozen":
            return "the account unfrozen first (account.unfrozen.v1)"
        case "stale":
            return "a claim that is recorded sooner: ask again under a new claim id"
    return ""
