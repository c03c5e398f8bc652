"""Fixtures of the whole suite."""

from tests.databases import own_postgres, postgres, postgres_server

__all__ = ["own_postgres", "postgres", "postgres_server"]
