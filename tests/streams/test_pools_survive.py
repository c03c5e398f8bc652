"""Pools survive: killed between any two steps, none gives more than it has, and members and pools agree afterwards."""

import signal
from pathlib import Path
from typing import Any

import pytest

from ledger.core.account import Account
from ledger.core.evolve import DRAWN, OUT
from ledger.journal.database import migrate
from ledger.journal.ledger import Ledger
from ledger.journal.open import open_ledger
from projections.audit.replay import replay
from projections.audit.transit import transit
from tests.core.test_worked_examples_of_pools import AWARD, CAMPAIGN, HEAD, STOCK
from tests.support.brokers import Broker
from tests.support.kafka_shop import Topics, killed_and_run_again, points_in_a_process
from tests.support.ledgers import write_facts
from tests.support.shop import instant

BOOK = (
    HEAD + AWARD + CAMPAIGN.replace("budget = 15", "budget = 95") + STOCK.replace("stock = 2", "stock = 7\nlease = 2")
)
MEMBERS = 20
NOW = instant("2025-11-12")
STEPS = ("before-follow-ups", "after-follow-ups")
KAFKA = ("before-follow-ups", "after-entries", "after-commit")
MORE_STEPS = ("after-commit", "before-fence", "after-fence", "after-entries", "before-commit")


def fact(type_: str, member: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    head = {"specversion": "1.0", "id": name, "source": "/shop", "type": f"{type_}.v1"}
    return {**head, "subject": member, "time": "2025-11-11T10:00:00+08:00", "data": data}


def facts() -> list[dict[str, Any]]:
    """Each member earns 10 points out of the budget, and claims a ticket."""
    order = {"order": "O1", "lines": [{"line": "1", "paid_fen": 1_000}]}
    told = [fact("order.completed", f"m-{n}", f"o-{n}", order) for n in range(MEMBERS)]
    return told + [
        fact("benefit.claimed", f"m-{n}", f"c-{n}", {"claim": "T", "benefit": "ticket"}) for n in range(MEMBERS)
    ]


def check(ledger: Ledger) -> None:
    """What was drawn is what members have, of the budget 9 times 10 and all of the stock."""
    assert agreed(ledger) == (90, 7)


def agreed(ledger: Ledger) -> tuple[int, int]:
    """What was drawn of the budget, which members have, and what of the stock leases have, or have given."""
    accounts = dict(ledger.accounts(NOW))
    members = [account for name, account in accounts.items() if name.startswith("m-")]
    assert sum(account.purse("beans").spendable() for account in members) == drawn(accounts, "pool/campaigns.party")
    assert sum(account.purse("beans").pending() for account in members) == 0
    year = 2025
    given = sum(account.counts.get(year, {}).get("benefit/ticket", 0) for account in members)
    assert given == drawn(accounts, "pool/benefits.ticket")
    root = accounts["pool/benefits.ticket"].counts[0]
    out = {name.removeprefix(OUT): count for name, count in root.items() if name.startswith(OUT)}
    for lease, count in out.items():
        assert accounts[lease].counts[0][f"{OUT}{lease}"] == count >= accounts[lease].counts[0].get(DRAWN, 0)
    assert replay(ledger)["differences"] == []
    return drawn(accounts, "pool/campaigns.party"), sum(out.values())


def drawn(accounts: dict[str, Account], pool: str) -> int:
    found = [account for name, account in accounts.items() if name.partition("@")[0] == pool]
    return sum(account.counts.get(0, {}).get(DRAWN, 0) for account in found)


def agree_after_a_kill(place: Path | str, folder: Path, step: str, count: int, *more: str) -> None:
    killed_and_run_again(place, write_facts(folder / "facts.ndjson", facts()), step, count, *more)
    ledger = open_ledger(str(place))
    check(ledger)
    ledger.close()


@pytest.mark.parametrize("count", [3, *(pytest.param(count, marks=pytest.mark.campaign) for count in (1, 2, 5, 8))])
@pytest.mark.parametrize("step", [*STEPS, *(pytest.param(step, marks=pytest.mark.campaign) for step in MORE_STEPS)])
def test_killed_at_any_step_pools_and_members_agree(tmp_path: Path, step: str, count: int) -> None:
    (tmp_path / "book.toml").write_text(BOOK, encoding="utf-8")
    agree_after_a_kill(tmp_path / "ledger", tmp_path, step, count, "--book", str(tmp_path / "book.toml"))


@pytest.mark.campaign
@pytest.mark.parametrize("step", [*STEPS, *MORE_STEPS])
def test_killed_at_a_step_in_postgresql_pools_and_members_agree(tmp_path: Path, postgres: str, step: str) -> None:
    migrate(postgres, partitions=4, book=BOOK)
    agree_after_a_kill(postgres, tmp_path, step, 2)


@pytest.mark.parametrize(
    "step", ["after-follow-ups", *(pytest.param(step, marks=pytest.mark.campaign) for step in KAFKA)]
)
@pytest.mark.parametrize("jobs", [2, pytest.param(1, marks=pytest.mark.campaign)])
def test_over_kafka_in_one_process_and_in_two_pools_and_members_agree(
    tmp_path: Path, broker: Broker, jobs: int, step: str
) -> None:
    topics = Topics(broker).make()
    topics.send(facts())
    (tmp_path / "book.toml").write_text(BOOK, encoding="utf-8")
    place, told = tmp_path / "ledger", ("consume", "--until-end", "--batch", "8", "--no-publish", "--jobs", str(jobs))
    book = ("--book", str(tmp_path / "book.toml"))
    environment = topics.environment
    run = points_in_a_process(place, *told, *book, environment={**environment, "POINTS_FAILPOINT": f"{step}:2"})
    assert run.returncode == (-signal.SIGKILL if jobs == 1 else 4), run.stderr
    run = points_in_a_process(place, *told, environment=environment)
    assert run.returncode == 0, run.stderr
    ledger = open_ledger(str(place))
    found = transit(ledger)
    assert (found.on_its_way, found.faults) == (0, [])
    check(ledger)
    ledger.close()
