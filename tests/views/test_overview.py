"""The view behind the console's first page: each of its figures is what the entries, and the other views, say."""

import re
from collections import Counter

import pytest

from ledger.core.account import Account
from ledger.core.decide import run_to
from ledger.core.evolve import evolve
from ledger.core.pages import PagesInMemory
from ledger.core.standing import tier_now
from ledger.wire.entries import Earned, TierMoved
from ledger.wire.entry_codec import decode_entry
from ledger.wire.fact_codec import decode_canonical
from ledger.wire.facts import PROGRAMME_SUBJECT, OrderCompleted
from ledger.wire.times import DAY, day_of, day_text, month_of, month_text
from projections.answers import stats
from projections.answers.overview import overview_of
from projections.answers.shops import without_shop
from projections.views import runner
from projections.views.builtin import liability
from projections.views.compare import compare
from projections.views.snapshot import snapshot
from projections.views.view import summed
from tests.support.ledgers import SmallLedger
from tests.views.test_views import VIEWS, kept, views_of


@pytest.mark.parametrize("seed", range(3))
def test_each_figure_is_what_the_entries_and_the_other_views_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(seed, monkeypatch, 6, 150) as small:
        ledger, files = small.ledger, views_of(small.ledger)
        with snapshot(ledger, files, VIEWS["overview"], None) as taken:
            found, now = taken.counted(), taken.as_of
        with snapshot(ledger, files, VIEWS["books"], now) as taken:
            books = taken.counted()
        with snapshot(ledger, files, VIEWS["liability"], now) as taken:
            moved = liability_by_day(taken.sums("movements"))
        with snapshot(ledger, files, VIEWS["activity"], now) as taken:
            active = taken.sums("active")
        assert {key: tuple(of) for key, of in found["movements"].items()} == moved
        assert found["active"] == active
        assert found["cards"] == books["cards"]
        assert sum(points for (points,) in found["expiring"].values()) == sum(
            points for (_, month), (points,) in books["expiring"].items() if not month.startswith("9999")
        )
        of_entries = counted_anew(small, now)
        for table in ("given", "spending", "moves", "tiers"):
            told = {key: of[0] if len(of) == 1 else tuple(of) for key, of in found[table].items()}
            assert told == of_entries[table], table


def test_members_are_counted_anew_by_a_book_that_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(4, monkeypatch, 6, 150) as small:
        ledger, files = small.ledger, views_of(small.ledger)
        with snapshot(ledger, files, VIEWS["overview"], None) as taken:
            begins = day_text(day_of(taken.as_of + DAY, ledger.book.offset))  # before anything else falls due
        toml = re.sub(r"^from = \S+", f"from = {begins}", ledger.book.versions[0].toml, count=1, flags=re.MULTILINE)
        told = {"id": "b-2", "source": "/operators", "type": "programme.published.v1", "data": {"toml": toml}}
        small.publishes(told | {"specversion": "1.0", "subject": "programme", "time": "2026-01-01T00:00:00+08:00"})
        small.decides()
        views = [VIEWS["overview"], VIEWS["books"]]
        runner.run(ledger, files, views)
        assert len(ledger.book.versions) == 2
        for view in views:
            runner.rebuild(ledger, files, view)
            assert compare(ledger, files, view)["differences"] == []


def liability_by_day(rows: dict[tuple[str, ...], list[int]]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Movements of the view `liability`, by kind and day."""
    out = (liability.REDEEMED, liability.EXPIRED, liability.CLAWED_BACK, liability.FORFEITED, liability.IN_TRANSIT)
    places = (liability.ISSUED, *out)
    days = summed(((without_shop(kind), day), of) for (kind, _, day, _), of in rows.items())
    found = {key: tuple(of[place] for place in places) for key, of in days.items()}
    return {key: of for key, of in found.items() if any(of)}


def counted_anew(small: SmallLedger, now: int) -> dict[str, dict[tuple[str, ...], object]]:
    """Tables of the view, counted from every member's entries in the plainest way."""
    given: dict[tuple[str, ...], list[int]] = {}
    spending: dict[tuple[str, ...], list[int]] = {}
    buyers: set[tuple[str, str, str]] = set()
    moves: Counter[tuple[str, ...]] = Counter()
    tiers: Counter[tuple[str, ...]] = Counter()
    ledger = small.ledger
    zone = ledger.book.offset
    for partition in ledger.partitions:
        for member, rows in ledger.journal(partition).by_member():
            if member == PROGRAMME_SUBJECT:
                continue
            account, changes = Account(), []
            for row in rows:
                entry = decode_entry(row.state)
                fact, _ = decode_canonical(entry.fact)
                month = month_text(month_of(entry.clock, zone))
                if isinstance(fact, OrderCompleted) and entry.outcome == 0:
                    held = [
                        name
                        for name, terms in account.terms.items()
                        if any(term.start <= entry.clock < term.until for term in terms)
                    ]
                    for name in held or [""]:
                        of = spending.setdefault((month, name), [0, 0, 0])
                        of[0] += (member, name, month) not in buyers
                        buyers.add((member, name, month))
                        of[1] += 1
                        of[2] += sum(line.paid_fen for line in fact.data.lines)
                for change in entry.changes:
                    evolve(account, change)
                    changes.append((change, entry.clock))
                account.number, account.clock = entry.number, entry.clock
            changes += [(change, now) for change in run_to(account, ledger.book, now, PagesInMemory())]
            for change, clock in changes:
                if isinstance(change, Earned):
                    of = given.setdefault((month_text(month_of(clock, zone)), change.kind, change.rule), [0, 0])
                    of[0], of[1] = of[0] + change.points, of[1] + 1
                if isinstance(change, TierMoved):
                    month = month_text(month_of(change.at, zone))
                    moves[month, change.score, change.before, change.after] += 1
            version = ledger.book.nearest(now)
            for name in version.rankings:
                tiers[name, tier_now(account, version, name, now)] += 1
    return {
        "given": {key: tuple(of) for key, of in given.items()},
        "spending": {key: tuple(of) for key, of in spending.items()},
        "moves": dict(moves),
        "tiers": dict(tiers),
    }


def test_the_figures_of_the_first_page_are_the_books_and_its_periods_lead_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with kept(7, monkeypatch, 6, 150) as small:
        ledger, files = small.ledger, views_of(small.ledger)
        with snapshot(ledger, files, VIEWS["overview"], None) as taken:
            whole = overview_of(taken, "all", "", "", "beans")
            part = overview_of(taken, "", whole.periods[3].label + "-05", whole.periods[5].label + "-20", "beans")
            now = taken.as_of
        books = stats.stats(ledger, now).points["beans"]
        for name in ("issued", "redeemed", "expired", "clawed_back", "forfeited", "in_transit"):
            assert getattr(whole.moved, name) == sum(getattr(one, name) for one in whole.periods)
        assert whole.outstanding == books.spendable + books.pending + books.held
        assert [one.label for one in whole.periods] == whole.months
        assert part.by == "day" and part.periods[0].label == part.first and part.periods[-1].label == part.last
        assert whole.periods[4].issued == sum(
            one.issued for one in part.periods if one.label.startswith(whole.periods[4].label)
        )
        assert part.before is not None and sum(share.share for share in whole.rules) <= 10_000
