"""Each partition decides by the order in which it heard the rule books, and every reader tells its members so."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.core.standing import tier_now
from ledger.journal.ledger import Ledger
from ledger.rulebook.checks import parts_of
from ledger.rulebook.union import joined
from ledger.wire.times import to_instant
from projections.answers import tables
from projections.answers.show import show_member
from projections.answers.statement import Wanted
from projections.audit.replay import replay
from projections.explaining.explain import explain_entry
from projections.explaining.member import explain_member
from projections.views import runner
from projections.views.builtin.scores import Scores
from projections.views.files import Folder
from projections.views.snapshot import snapshot
from projections.views.view import Options
from projections.what_if.backtest import backtest
from projections.what_if.quote import products
from service.console.members import Asked, _found
from tests.support.ledgers import SmallLedger, scratch

MALL = Path(__file__).resolve().parents[2] / "examples" / "mall"
AS_OF = to_instant(datetime(2025, 6, 15, tzinfo=UTC))

BOOK = """programme = "growth"
name = "成长"
from = {begins}
utc_offset = "+08:00"
kinds = {{}}

[scores.growth]
name = "成长值"
parts = {{ all = "全部" }}
tiers = [{{ at_least = 10, name = "{tier}" }}]

[memberships.club]
name = "会员"
products = {{ "club.year" = {{ days = 365, price = [{{ fen = {fen} }}] }} }}

[[award]]
rule = "daily"
name = "签到"
on = "member.signed-in"
score = "growth"
part = "all"
give = {{ points = 10 }}
"""


def growth(tier: str, fen: int, begins: str = "2025-03-01") -> str:
    return BOOK.format(tier=tier, fen=fen, begins=begins)


def publication(number: int, toml: str) -> dict[str, object]:
    told = {"id": f"{number}", "source": "/operators", "type": "programme.published.v1", "data": {"toml": toml}}
    return {"specversion": "1.0", "subject": "programme", "time": "2025-03-02T00:00:00Z"} | told


@pytest.fixture(scope="module")
def two_orders() -> Iterator[tuple[Ledger, dict[str, str]]]:
    """A ledger of two books of one day that half of its partitions heard the other way round; members by tier."""
    with scratch() as folder:
        small = SmallLedger(folder, book=growth("plain", 100, "2024-01-01"))
        yield small.ledger, told(small)
        small.close()


def told(small: SmallLedger) -> dict[str, str]:
    """Publish the books in two orders and let members sign in; return the tier that each member's order makes."""
    books = growth("gold", 9_900), growth("jade", 8_800)
    tiers = {}
    for partition in small.ledger.partitions:
        order = books if partition % 2 else books[::-1]
        for number, toml in enumerate(order):
            small.stream.append(publication(number, toml), partition)
    for number in range(12):
        member = f"m-{number}"
        tiers[member] = "jade" if small.ledger.partition_of(member) % 2 else "gold"
        signed = {"specversion": "1.0", "id": member, "source": "/app", "type": "member.signed-in.v1"}
        small.hears([signed | {"subject": member, "time": "2025-05-04T02:00:00Z", "data": {}}])
    small.decides()
    assert set(tiers.values()) == {"gold", "jade"}
    return tiers


def test_an_account_that_time_runs_on_is_in_the_tier_of_its_own_partitions_book(
    two_orders: tuple[Ledger, dict[str, str]],
) -> None:
    ledger, tiers = two_orders
    for member, account in ledger.accounts(AS_OF):
        version = ledger.book_of(member).nearest(AS_OF)
        assert tier_now(account, version, "growth", AS_OF) == tiers[member]
        alone = ledger.account(member, AS_OF)
        assert alone is not None
        assert tier_now(alone, version, "growth", AS_OF) == tiers[member]


def test_every_reader_says_the_tier_of_the_members_own_partition(
    two_orders: tuple[Ledger, dict[str, str]], tmp_path: Path
) -> None:
    """They took the order of the first partition for all."""
    ledger, tiers = two_orders
    folder = Folder(tmp_path / "views")
    runner.run(ledger, folder, [Scores()])
    exported = {row[0]: row[3] for row in tables.scores(ledger, AS_OF, None).rows}
    with snapshot(ledger, folder, Scores(), AS_OF) as taken:
        query = next(query for query in Scores.queries if query.name == "scores")
        viewed = {row[0]: row[3] for row in query.rows(taken, Options()).rows}
    assert exported == viewed == tiers
    for member, tier in tiers.items():
        shown = show_member(ledger, member, AS_OF)
        assert shown.scores["growth"].tier == tier
        assert explain_member(ledger, member, as_of=AS_OF)["scores"]["growth"]["tier"] == tier
        assert explain_entry(ledger, member, 1)["derives"]
        asked = Asked(0, Wanted(), is_whole=False)
        assert _found(ledger, member, "2025-06-15", asked, "en")["shown"].scores["growth"].tier == tier
        price = products(ledger, member, AS_OF).products[0].price_fen
        assert price == {"gold": 9_900, "jade": 8_800}[tier]
    assert replay(ledger)["differences"] == []


def test_a_draft_that_says_what_the_book_says_changes_nothing(two_orders: tuple[Ledger, dict[str, str]]) -> None:
    ledger, tiers = two_orders
    found = backtest(ledger, growth("gold", 1), "draft.toml", AS_OF, since=AS_OF)
    moved = sum(tier == "jade" for tier in tiers.values())
    assert found.tiers["growth"].same == len(tiers) - moved, "those who are jade now are gold under the draft"


def test_a_ledger_of_several_books_is_replayed_and_explained_as_each_files_day_says(tmp_path: Path) -> None:
    """A replay took every file for one that holds from the version's first day on."""
    files = sorted(MALL.glob("*.toml"))
    parts = [part for file in files if "2026" not in file.stem for part in parts_of(file.read_text("utf-8"), file.name)]
    small = SmallLedger(tmp_path, book=joined(parts))
    small.hears(line.encode() for line in (MALL / "facts.ndjson").read_text("utf-8").splitlines())
    small.decides()
    assert replay(small.ledger)["differences"] == []
    explained = [explain_entry(small.ledger, "m-1", number) for number in range(1, 8)]
    assert [one["derives"] for one in explained] == [True] * 7
    assert explained[4]["reason"] == "unknown-benefit", "the hotel's book begins a month later"
    small.close()
