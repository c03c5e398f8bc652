"""What shipped and made-up books say is known everywhere: answers, exports, views, explanations, audits, archives.

A shipped book has a made-up year of its own, a made-up book (by its seed) the histories of three members.
"""

import gc
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import UNSET

from consumers.runtime.ingest import ingest
from ledger.core.account import copy_account
from ledger.core.decide import run_to
from ledger.core.pages import PagesInMemory
from ledger.core.perks import why_closed
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger, open_or_create
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import shipped
from ledger.wire.entry_codec import decode_entry
from ledger.wire.times import DAY, MAX_INSTANT, to_instant
from projections.answers import stats, tables
from projections.answers.benefits import draft_at
from projections.answers.shops import without_shop
from projections.answers.show import describe_account, show_member
from projections.audit.proof.keys import new_key
from projections.explaining.explain import explain_entry
from projections.explaining.history import History
from projections.explaining.member import explain_member
from projections.views import runner
from projections.views.builtin.attributes import Attributes, values_of
from projections.views.builtin.books import Books
from projections.views.compare import compare
from projections.views.grouped import by_attribute
from projections.views.registry import BUILT_IN
from projections.views.snapshot import snapshot
from service.demo.programmes import made_up_year
from tests.cli.test_cli import points
from tests.support.books import made_book
from tests.support.histories import book_history, encode
from tests.support.ledgers import scratch
from tests.views.test_views import rows_of, views_of

SHIPPED = ("enterprise-shop", "jd-2013-growth", "marriott", "meituan", "suning", "taoqi-88vip")
MADE = 2  # books in every run
MANY = 60  # in a campaign
BOOKS = [*SHIPPED, *range(MADE), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(MADE, MANY))]


def facts_of(seed: int, toml: str) -> list[dict[str, Any]]:
    """Histories of three members under a made-up book, in order of time."""
    random = Random(seed)
    found = [{**fact, "subject": member} for member in ("m-1", "m-2", "m-3") for fact in book_history(random, 60, toml)]
    return sorted(found, key=lambda fact: str(fact["time"]))


def written(folder: Path, book: str | int) -> Ledger:
    """A ledger of a shipped book, or of the made-up one of a seed."""
    toml = shipped(book) if isinstance(book, str) else made_book(Random(book))
    year = made_up_year(ProgrammeVersion(toml)) if isinstance(book, str) else map(encode, facts_of(book, toml))
    facts = folder / "facts.ndjson"
    facts.write_bytes(b"".join(fact + b"\n" for fact in year))
    ledger = open_or_create(folder / "ledger", toml)
    with ledger.writing():
        ingest(ledger, [str(facts)], backlog=True)
    gc.unfreeze()  # what is frozen is not collected at exit, and libraries complain of it
    return ledger


@pytest.fixture(scope="module", params=BOOKS)
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger of each book, with every view."""
    with scratch() as folder:
        ledger = written(folder, request.param)
        runner.run(ledger, views_of(ledger), BUILT_IN)
        yield ledger
        ledger.close()


def instants(ledger: Ledger) -> list[int]:
    """Some instants of the year, its end, and one long after."""
    clocks = sorted(decode_entry(row.state).clock for p in ledger.partitions for row in ledger.journal(p).scan())
    return [Random(1).choice(clocks), clocks[-1], clocks[-1] + 500 * DAY]


def test_views_and_exports_say_what_each_member_is_shown(ledger: Ledger) -> None:
    for at in instants(ledger):
        for name in ("balances", "lots", "scores", "memberships"):
            assert rows_of(ledger, name, at) == list(tables.TABLES[name](ledger, at, None).rows)
        scores: dict[str, dict[str, tuple[int, str]]] = {}
        for member, score, value, tier, *_ in tables.TABLES["scores"](ledger, at, None).rows:
            scores.setdefault(member, {})[score] = value, tier
        points: dict[str, dict[str, list[int]]] = {}
        for member, kind, *figures in tables.TABLES["balances"](ledger, at, None).rows:
            points.setdefault(member, {})[kind] = figures
        keyed = ledger.book.nearest(at).keyed_kinds
        for member, _ in ledger.accounts(at):
            shown = show_member(ledger, member, at)
            assert scores.get(member, {}) == {name: (one.value, one.tier) for name, one in shown.scores.items()}
            balances = {kind: [one.spendable, one.pending, one.held, one.debt] for kind, one in shown.points.items()}
            none = {kind: figures for kind, figures in points.get(member, {}).items() if kind in keyed}
            assert points.get(member, {}) == balances | none and not any(map(any, none.values()))


def test_the_view_of_quotas_has_those_that_are_for_some_members_only(ledger: Ledger) -> None:
    for at in instants(ledger):
        left: dict[tuple[str, str], dict[str, int]] = {}
        for member, membership, _, benefit, quota, used, rest in rows_of(ledger, "quotas", at):
            assert rest == max(quota - used, 0)
            left.setdefault((member, membership), {})[benefit] = rest
        for member, _ in ledger.accounts(at):
            shown = show_member(ledger, member, at)
            for membership, term in shown.memberships.items():
                assert left.pop((member, membership), {}) == term.quotas
            alone = {name: one.left for name, one in shown.benefits.items() if one.entitled and one.left is not None}
            assert left.pop((member, ""), {}) == alone
        assert not left


def test_the_books_kept_are_the_books_summed_over_shops_and_by_shop(ledger: Ledger) -> None:
    with snapshot(ledger, views_of(ledger), Books(), None) as taken:
        kept, summed = stats.kept(taken), stats.summed(ledger, taken.as_of)
    found: dict[bool, Any] = {}
    for by_shop in (False, True):
        found[by_shop] = stats.books_of(ledger, summed, by_shop=by_shop)
        assert stats.books_of(ledger, kept, by_shop=by_shop) == found[by_shop] and found[by_shop].balanced
        months = stats.outstanding_by_month(ledger, summed, by_shop=by_shop)
        assert stats.outstanding_by_month(ledger, kept, by_shop=by_shop) == months
        for kind, of in months.points.items():
            assert sum(of.by_month.values()) + of.held == of.outstanding, kind
    assert set(found[False].points) == set(ledger.book.nearest(taken.as_of).programme.kinds)
    for kind, books in found[False].points.items():
        at_shops = [of for name, of in found[True].points.items() if without_shop(name) == kind]
        assert books.issued == sum(of.issued for of in at_shops)
        assert books.spendable == sum(of.spendable for of in at_shops)
    for query in ("liability", "outstanding"):
        kinds = {row[0] for row in rows_of(ledger, query, taken.as_of)}
        assert kinds <= set(found[False].points)
        assert {row[0] for row in rows_of(ledger, query, taken.as_of, by_shop=True)} <= set(found[True].points)


def test_a_tier_moves_when_it_is_said_to_if_nothing_comes(ledger: Ledger) -> None:
    for at in instants(ledger):
        moves: dict[tuple[str, str], list[str | int]] = {}
        for member, _ in ledger.accounts(at):
            for name, score in show_member(ledger, member, at).scores.items():
                if score.until is UNSET:
                    continue
                until = to_instant(datetime.fromisoformat(score.until))
                alone = History(ledger, member, at)  # what comes between is another story
                assert {n: s for n, s in told(alone, until - 1).items() if n == name}[name] == score.tier
                assert told(alone, until)[name] == score.then != score.tier
                moves[member, name] = [score.tier, score.then, until]
        found = {(row[0], row[1]): list(row[2:5]) for row in rows_of(ledger, "tiers", at, days=40_000)}
        assert found == moves


def told(history: History, at: int) -> dict[str, str]:
    """The tiers of a member at an instant, by the entries of a history alone."""
    account = copy_account(history.present.account)
    run_to(account, history.whole_book, at, PagesInMemory())
    shown = describe_account(history.member, account, history.whole_book, at)
    return {name: score.tier for name, score in shown.scores.items()}


def test_a_benefit_opens_closes_and_is_there_again_when_it_is_said_to_be(ledger: Ledger) -> None:
    for at in instants(ledger):
        for member, account in ledger.accounts(at):
            for label, benefit in show_member(ledger, member, at).benefits.items():
                perk = ledger.book.nearest(at).perks[without_shop(label)]
                for told, before, after in ((benefit.opens_at, False, True), (benefit.closes_at, True, False)):
                    if told is not UNSET:
                        then = to_instant(datetime.fromisoformat(told))
                        assert (why_closed(draft_at(account, ledger.book, then - 1), perk) is None) == before
                        assert (why_closed(draft_at(account, ledger.book, then), perk) is None) == after
                if benefit.again_at is not UNSET:
                    then = to_instant(datetime.fromisoformat(benefit.again_at))
                    assert benefit.left == 0 and show_member(ledger, member, then - 1).benefits[label].left == 0
                    later = show_member(ledger, member, then).benefits[label]
                    assert later.left or not later.entitled


def test_every_entry_is_explained_and_a_refused_claim_says_what_it_needed(ledger: Ledger) -> None:
    for member, account in islice(ledger.accounts(MAX_INSTANT - 1), 1):
        assert len(explain_member(ledger, member)["statement"]) == account.number
        for number in range(1, account.number + 1):
            found = explain_entry(ledger, member, number)
            if found["reason"] in ("not-entitled", "not-open", "quota-used"):
                assert found["needed"], found["text"]
            assert "0000-" not in json.dumps(found, ensure_ascii=False)


def test_what_members_have_is_summed_and_averaged_by_what_is_known_of_them(ledger: Ledger) -> None:
    at = instants(ledger)[0]
    for name in ledger.book.nearest(at).programme.attributes:
        told = {member: value for member, attribute, value in rows_of(ledger, "attributes", at) if attribute == name}
        groups: dict[tuple[str, str], list[int]] = {}
        for member, score, value, *_ in rows_of(ledger, "scores", at):
            groups.setdefault((told.get(member, ""), score), []).append(value)
        with snapshot(ledger, views_of(ledger), Attributes(), at) as known:
            table = tables.TABLES["scores"](ledger, at, None)
            found = [row[:5] for row in by_attribute(table, ("score",), values_of(known, name), name).rows]
        means = [(*key, len(of), sum(of), sum(of) // len(of)) for key, of in sorted(groups.items())]
        assert found == means


@pytest.mark.parametrize("ledger", ["taoqi-88vip", *range(MADE)], indirect=True)
def test_the_ledger_is_derived_archived_backed_up_and_proved_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    place, journals = Path(ledger.place), [list(ledger.journal(p).scan()) for p in ledger.partitions]
    archive, backup, key = tmp_path / "archive", tmp_path / "backup", tmp_path / "key.pem"
    imported, restored = tmp_path / "imported", tmp_path / "restored"
    new_key(key)
    for which, *command in (
        (place, "replay"),
        (place, "verify"),
        (place, "archive", "export", archive),
        (imported, "archive", "import", archive),
        (place, "replay", "--from-archive", archive),
        (place, "backup", backup),
        (restored, "restore", backup),
        (restored, "replay"),
        (place, "checkpoint", "--key", key, "-o", tmp_path / "signed"),
        (place, "prove", next(ledger.accounts(MAX_INSTANT - 1))[0], "1", "--checkpoint", tmp_path / "signed"),
    ):
        ran = points("--ledger", which, *command)
        assert ran.code == 0, (command, ran.out, ran.err)
    folder = views_of(ledger)
    for view in BUILT_IN:
        runner.rebuild(ledger, folder, view)
        assert compare(ledger, folder, view)["differences"] == [], view.name
    for copy in (imported, restored):
        again = open_ledger(copy)
        assert [list(again.journal(p).scan()) for p in again.partitions] == journals
        again.close()
