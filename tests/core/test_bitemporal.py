"""What was so at an instant by what was known at another: late facts and returns in each corner."""

from pathlib import Path
from random import Random

import pytest

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_or_create
from ledger.rulebook.schema import shipped
from ledger.wire.entries import OUTCOMES, Entry
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY
from projections.answers.show import show_member
from projections.answers.stats import stats
from projections.answers.tables import TABLES
from projections.views.builtin.books import FIGURES
from tests.support.bitemporal import Fact, at, fact, order, returned
from tests.support.ledgers import SmallLedger, histories_of, scratch


def heard(folder: Path, *facts: Fact) -> SmallLedger:
    """A ledger that took facts in this order: what occurred before the last is recorded with the last."""
    small = SmallLedger(folder / "ledger")
    small.hears(facts)
    small.decides()
    return small


# An order of 1 March, its return of 5 March that was recorded on 10 March.
@pytest.mark.parametrize(
    ("as_of", "known_at", "expected"),
    [
        ("02-28", "03-20", 0),  # before anything
        ("03-20", "02-28", 0),  # nothing was known
        ("03-04", "03-04", 80),  # before the return, by what was known then
        ("03-04", "03-20", 80),  # … and by all that is known now
        ("03-07", "03-07", 80),  # after the return, which nobody had heard of
        ("03-07", "03-09", 80),
        ("03-07", "03-10", 0),  # … and once it was heard of, at the very instant
        ("03-20", "03-09", 80),  # what one would have said on the 9th of the 20th
        ("03-20", "03-20", 0),
    ],
)
def test_a_late_return_counts_from_when_it_occurred_once_it_is_known(as_of: str, known_at: str, expected: int) -> None:
    with scratch() as folder:
        ledger = open_or_create(folder / "empty")
        neighbour = next(f"m-{n}" for n in range(2, 99) if ledger.partition_of(f"m-{n}") == ledger.partition_of("m-1"))
        signed_in = fact("member.signed-in", "s", "03-10", neighbour)
        small = heard(folder, order("O1", "03-01"), signed_in, returned("O1", "03-05"))
        shown = show_member(small.ledger, "m-1", at(as_of), at(known_at))
        assert shown.points["beans"].spendable == expected
        others = int(as_of >= "03-10" and known_at >= "03-10")
        figures = stats(small.ledger, at(as_of), known_at=at(known_at)).points["beans"]
        assert figures.balanced and figures.spendable == expected + others
        rows = list(TABLES["balances"](small.ledger, at(as_of), at(known_at)).rows)
        assert sum(row[2] for row in rows) == expected + others
        small.close()


def test_a_late_order_scores_in_the_month_in_which_it_occurred() -> None:
    with scratch() as folder:
        small = heard(folder, order("O1", "06-10"), fact("member.signed-in", "s", "08-01"), order("O2", "06-20"))
        ledger = small.ledger

        def value(as_of: str, known_at: str) -> int:
            shown = show_member(ledger, "m-1", at(as_of), at(known_at))
            rows = list(TABLES["scores"](ledger, at(as_of), at(known_at)).rows)
            assert [row[2] for row in rows if row[1] == "jd-value"] == [shown.scores["jd-value"].value]
            return int(shown.scores["jd-value"].value)

        one = value("07-15", "07-15")
        assert one > 0
        assert value("07-15", "08-15") == one  # the late order is decided in August, by the member's clock
        assert value("08-15", "07-31") == one  # what July could say of August
        assert value("08-15", "08-15") == one + 800  # both in June, which August counts
        small.close()


def test_a_book_that_was_published_later_says_nothing_about_before(tmp_path: Path) -> None:
    """Tiers are computed: they are those of the book that was known."""
    toml = shipped("jd").replace('name = "201"', 'name = "bronze"')
    assert toml != shipped("jd")
    published = fact("programme.published", "book", "09-01", "programme", toml=toml)
    small = SmallLedger(tmp_path / "ledger")
    small.hears([order("O1", "06-10")])
    small.publishes({**published, "source": "/operators"})
    small.hears([fact("member.signed-in", "s", "09-02")])
    assert small.decides().accepted
    tiers = [
        show_member(small.ledger, "m-1", at("09-20"), known).scores["jd-value"].tier
        for known in (at("08-20"), at("09-20"), None)
    ]
    exported = [next(iter(TABLES["scores"](small.ledger, at("09-20"), k).rows))[3] for k in (at("08-20"), None)]
    small.close()
    assert tiers == ["201", "bronze", "bronze"]
    assert exported == ["201", "bronze"]


def known_entries(ledger: Ledger, as_of: int, known_at: int) -> dict[str, list[Entry]]:
    """Every member's entries that were recorded by then and whose clock is not behind the instant, one by one."""
    found: dict[str, list[Entry]] = {}
    for partition in ledger.partitions:
        for row in ledger.journal(partition).scan():
            entry = decode_entry(row.state)
            if entry.recorded <= known_at and entry.clock <= as_of:
                found.setdefault(entry.member, []).append(entry)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_exports_and_stats_are_the_fold_of_what_was_known(seed: int) -> None:
    random = Random(seed)
    with scratch() as folder:
        small = SmallLedger(folder / "ledger")
        small.hears(histories_of(random, 4, 100))
        small.decides()
        ledger = small.ledger
        entries = [decode_entry(row.state) for p in ledger.partitions for row in ledger.journal(p).scan()]
        for _ in range(15):
            one, other = random.choice(entries), random.choice(entries)
            as_of = random.choice((one.clock, one.clock - 1, one.clock + 40 * DAY))
            known_at = random.choice((other.recorded, other.recorded - 1, as_of))
            accounts = {}
            known = known_entries(ledger, as_of, known_at)
            for member, of_member in known.items():
                account = accounts[member] = Account()
                for entry in of_member:
                    evolve_entry(account, entry)
                run_to(account, ledger.book, as_of, PagesInMemory())
            said = stats(ledger, as_of, known_at=known_at)
            assert said.members == len(accounts)
            outcomes = [OUTCOMES[entry.outcome] for of_member in known.values() for entry in of_member]
            assert said.entries == {outcome: outcomes.count(outcome) for outcome in OUTCOMES}
            for figure in FIGURES:
                values = [getattr(account.purse("beans"), figure) for account in accounts.values()]
                assert getattr(said.points["beans"], figure) == sum(v() if callable(v) else v for v in values), figure
            rows = list(TABLES["balances"](ledger, as_of, known_at).rows)
            expected = {m: (a.purse("beans").spendable(), a.purse("beans").debt) for m, a in accounts.items()}
            assert {row[0]: (row[2], row[5]) for row in rows if row[1] == "beans"} == expected
            exported = sum(1 for _ in TABLES["entries"](ledger, as_of, known_at).rows)
            assert exported == len(outcomes)
        small.close()
