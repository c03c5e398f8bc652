"""The statement of a member: the balance after each line is what the ledger says was spendable."""

from random import Random

import pytest

from ledger.core.account import Account
from ledger.core.evolve import evolve
from ledger.wire.entry_codec import decode_entry
from projections.answers.statement import Wanted, by_month, folded, lines_of, table_of
from tests.support.ledgers import SmallLedger, histories_of, scratch


@pytest.mark.parametrize("seed", range(3))
def test_each_balance_is_what_was_spendable_after_the_entry_however_many_are_read(seed: int) -> None:
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        try:
            small.hears(histories_of(Random(seed), 3, 200))
            small.decides()
            ledger = small.ledger
            for partition in ledger.partitions:
                for member, rows in ledger.journal(partition).by_member():
                    account, spendable = Account(), []
                    for row in rows:
                        entry = decode_entry(row.state)
                        for change in entry.changes:
                            evolve(account, change)
                        spendable.append({kind: purse.spendable() for kind, purse in account.purses.items()})
                    read = lines_of(ledger, member, len(spendable), 10_000)
                    assert read.earlier == 0 and [line.number for line in read.lines] == list(
                        range(1, len(spendable) + 1)
                    )
                    before: dict[str, int] = {}
                    for line, of in zip(read.lines, spendable, strict=True):
                        assert line.balances == of
                        for kind, points in of.items():
                            moved = line.effect.get(kind, 0) + line.lost.get(kind, 0)
                            assert points - before.get(kind, 0) == moved
                        before = of
                    part = lines_of(ledger, member, len(spendable), 7)
                    assert part.earlier == len(spendable) - 7
                    assert [line.id for line in part.lines] == [line.id for line in read.lines[-7:]]
                    assert all(line.balances is None for line in part.lines)
                    months = by_month(read.lines, read.lines[::-1])
                    came_to = sum(sum(month.sums.get("beans", (0, 0))) for month in months)
                    assert came_to == spendable[-1].get("beans", 0)
                    wanted = Wanted("beans", "", "accepted")
                    chosen = [line for line in read.lines if wanted.has(line)]
                    assert chosen and all(line.outcome == "accepted" for line in chosen)
                    told = list(table_of(member, chosen, "beans", ledger.book.offset).rows)
                    assert sum(row[9] for row in told) == sum(line.effect.get("beans", 0) for line in chosen)
                    one = [line for line in read.lines if line.reason == "duplicate"]
                    assert sum(line.folded + 1 for line in folded(one)) == len(one)
        finally:
            small.close()
