"""What is fetched ahead for a batch: nearly every page that its facts ask for, and set by set, by an index."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from ledger.core.page_keys import cards_ahead, pages_ahead
from ledger.core.pages import Page, PagesInMemory
from ledger.journal.database import migrate
from ledger.journal.sql import Journal
from ledger.wire.fact_codec import decode
from tests.support.contents import rows_of
from tests.support.histories import encode, history
from tests.support.ledgers import SmallLedger, histories_of
from tests.support.shop import Shop


class Asked(PagesInMemory):
    """Pages that remember which keys were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def get(self, key: str, default: Any = None) -> Page | None:
        self.keys.add(key)
        return super().get(key, default)


def test_what_a_fact_asks_for_is_foreseen_but_for_lots_that_are_gone_redemptions_of_an_order_and_orders_of_a_card() -> (
    None
):
    missed: Counter[tuple[str, str]] = Counter()
    asked = 0
    for seed in range(40):
        shop = Shop()
        shop.pages = pages = Asked()
        for fact in history(Random(seed), 100):
            decoded, occurred = decode(encode(fact))
            foreseen = set(pages_ahead(decoded, occurred, shop.book))
            foreseen.update(cards_ahead(decoded, occurred, shop.book, shop.account))
            pages.keys.clear()
            shop.hears(fact)
            asked += len(pages.keys)
            missed.update((key.partition("/")[0], fact["type"]) for key in pages.keys - foreseen)
    assert asked > 2_000 and {kind for kind, _ in missed} == {"lot", "redemption", "order"}
    assert {of for kind, of in missed if kind == "order"} == {"card.refunded.v1"}


def test_a_batch_asks_by_index_and_in_few_questions(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(postgres, partitions=1)
    ledger = SmallLedger(postgres, share=1e-9)  # nothing stays in memory
    facts = histories_of(Random(2), members=30, length=40)
    ledger.hears(facts[:600])
    ledger.decides(batch=200)
    journal = ledger.ledger.journal(0)
    before = _read_whole(journal)
    questions: list[str] = []
    import psycopg

    execute = psycopg.Cursor.execute

    def listened(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        questions.append(str(query))
        return execute(self, query, *given, **named)

    monkeypatch.setattr(psycopg.Cursor, "execute", listened)
    ledger.hears(facts[600:])
    ledger.decides(batch=200)
    monkeypatch.undo()
    single = [question for question in questions if "WHERE key = %s" in question or "WHERE member = %s" in question]
    assert len(single) < 0.05 * 600, Counter(single)
    assert len(questions) - len(single) < 30 * 3, Counter(questions)
    assert _read_whole(journal) == before, "a table was read from its beginning to its end"
    ledger.close()


def _read_whole(journal: Journal) -> dict[str, int]:
    """How often each large table was read whole, once what was counted so far is written down."""
    rows_of(journal, "SELECT pg_stat_force_next_flush()")
    tables = "('stored_events', 'receipts', 'pages', 'accounts')"
    sql = f"SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'points_0' AND relname IN {tables}"
    found = dict(rows_of(journal, sql))
    assert len(found) == 4
    return found
