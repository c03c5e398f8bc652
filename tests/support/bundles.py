"""What holds of accounts that became names of others: whose what is, and who is whose head."""

from collections.abc import Iterator, Mapping

from ledger.core.account import Account


def problems_of_shares(name: str, account: Account) -> Iterator[str]:
    """Yield what is wrong with an account's names: a lot of a name that is not here, a sum that is not its shares'."""
    bundle = account.bundle
    if bundle is None:
        return
    for kind, purse in account.purses.items():
        foreign = [key for key, lot in purse.lots.items() if not bundle.has(key)]
        if foreign:
            yield f"{name} has {kind} in lots {foreign} of names that live elsewhere"
        debts = [share.purse(kind).debt for share in bundle.shares.values()]
        if debts and purse.debt != sum(debts):
            yield f"{name} owes {purse.debt} {kind}, its names {debts}"
    for bucket, counts in account.counts.items() if bundle.shares else ():
        for rule, count in counts.items():
            shares = [share.counts.get(bucket, {}).get(rule, 0) for share in bundle.shares.values()]
            if count != sum(shares):
                yield f"{name} counts {count} of {rule} in {bucket}, its names {shares}"


def problems_of_names(accounts: Mapping[str, Account]) -> Iterator[str]:
    """Yield what is wrong with names once nothing is on its way: a move without an end, a ring, a head that forgot."""
    head_of = {}
    for name, account in accounts.items():
        bundle = account.bundle
        if bundle is None:
            continue
        yield from problems_of_shares(name, account)
        if bundle.merger is not None or bundle.awaited or bundle.delayed:
            yield f"{name} waits for ever: {bundle.merger}, for {bundle.awaited}, with entries {bundle.delayed}"
        if bundle.alias is not None:
            head_of[name] = bundle.alias.head
            if any(purse.lots or purse.debt for purse in account.purses.values()):
                yield f"{name} is a name of {bundle.alias.head} and has points or debt itself"
    for name in head_of:
        head, seen = name, set[str]()
        while head in head_of and head not in seen:
            seen.add(head)
            head = head_of[head]
        bundle = accounts[head].bundle if head in accounts else None
        if head in head_of or bundle is None or name not in bundle.names:
            yield f"{name} is a name of {head}, which does not know it"
