"""A ledger in PostgreSQL that servers share."""

from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest

from ledger.journal.database import migrate


@pytest.fixture
def place(postgres: str) -> str:
    migrate(postgres, partitions=2)
    return postgres


@pytest.fixture
def execute(place: str) -> Callable[[LiteralString], None]:
    def run_it(sql: LiteralString) -> None:
        with psycopg.connect(place) as database:
            database.execute(sql)

    return run_it
