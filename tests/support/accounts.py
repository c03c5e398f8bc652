"""Comparing accounts: two that differ only in when they look next are alike, as long as neither looks too late."""

from ledger.core.account import NEVER, Account, decode_account, encode_account


def alike(account: Account) -> Account:
    """A copy without when to look next, which may be early and is never late."""
    assert account.next_due_at <= next_due(account), "what falls due would be missed"
    copy = decode_account(encode_account(account))
    copy.next_due_at = copy.next_month_at = 0
    copy.placed_by = ""
    return copy


def next_due(account: Account) -> int:
    """The earliest instant at which something of this account ends, read straight off it."""
    instants = [NEVER]
    for purse in account.purses.values():
        instants += [lot.pending_until or lot.expires_at for lot in purse.lots.values() if lot.left]
    instants += [hold.until for hold in account.holds.values()]
    for terms in account.terms.values():
        instants += [term.until for term in terms if not term.ended]
    instants += [hold.until for holds in account.tier_holds.values() for hold in holds.values()]
    instants += [grant.until for grant in account.grants.values()]
    return min(instants)
