"""`points doctor`: what it says of settings and their sources, of a ledger and what is wrong with it."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from ledger.journal.database import migrate
from ledger.journal.open import open_ledger
from tests.cli.test_cli import points, shop  # noqa: F401  # a fixture


def checks(*arguments: object) -> dict[str, dict[str, str]]:
    """The checks by their names, and the exit code that they ask for."""
    ran = points(*arguments, "doctor", "--json")
    found = {one["check"]: one for one in ran.json["checks"]}
    assert ran.code == int(any(one["state"] == "bad" for one in found.values()))
    return found


def test_settings_are_told_with_who_said_them(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (shop / "points.toml").write_text('[serve]\nworkers = 3\n[kafka.security]\nprotocol = "SASL_SSL"\n', "utf-8")
    monkeypatch.setenv("POINTS_CONFIG", "points.toml")
    monkeypatch.setenv("POINTS_PORT", "99")
    monkeypatch.setenv("POINTS_KAFKA_SECURITY_USERNAME", "ann")
    monkeypatch.setenv("POINTS_KAFKA_SECURITY_PASSWORD", "hush-hush")
    ran = points("--ledger", "mine", "doctor", "--json")
    told = {one["name"]: (one["value"], one["said_by"]) for one in ran.json["settings"]}
    assert told["ledger"] == ("mine", "command line")
    assert told["serve.port"] == (99, "POINTS_PORT") and told["serve.workers"] == (3, "points.toml")
    assert told["serve.host"] == ("127.0.0.1", "default")
    assert told["kafka.security.protocol"] == ("SASL_SSL", "points.toml")
    assert told["kafka.security.password"] == ("Secret(…)", "POINTS_KAFKA_SECURITY_PASSWORD")
    assert "hush" not in ran.out + points("doctor").out
    assert [path.name for path in shop.iterdir()] == ["points.toml"], "nothing is written"


def test_what_is_wrong_is_named_with_the_way_out(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert checks()["ledger"]["state"] == "look" and "points init" in checks()["ledger"]["way_out"]
    monkeypatch.setenv("POINTS_HOST", "0.0.0.0")
    assert checks()["keys"]["state"] == "bad" and "points keys new" in checks()["keys"]["way_out"]
    monkeypatch.setenv("POINTS_BOOTSTRAP_KEY_FILE", "key")
    assert "keys" not in checks()
    monkeypatch.setenv("POINTS_PORT", "x")
    assert checks()["settings"]["says"].startswith("POINTS_PORT: 'x' is not a valid int")


def test_a_ledger_is_told_with_who_writes_it(shop: Path) -> None:  # noqa: F811
    assert points("init").code == 0
    found = checks()
    assert found["ledger"]["state"] == "good" and "0 entries in 4 partitions" in found["ledger"]["says"]
    assert found["writer"]["says"] == "nobody writes it now"
    with closing(open_ledger(shop / "points-ledger")) as opened, opened.writing():
        assert "process" in checks()["writer"]["says"]
    (shop / "points-ledger" / "partition-1.db").unlink()
    assert checks()["ledger"]["state"] == "bad" and "restore it" in checks()["ledger"]["says"]
    assert "✗" in points("doctor").out


def test_a_database_of_an_older_version_is_told_as_one(postgres: str) -> None:
    migrate(postgres, partitions=1)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA points_state CASCADE")
        connection.execute("UPDATE points.ledger SET format = 3")
    said = [one["says"] for one in checks("--ledger", postgres).values() if one["state"] == "bad"]
    assert len(said) > 1 and all("format" in one and "`points store migrate`" in one for one in said)
    assert not any("LINE 1" in one for one in said)
    refused = [points("--ledger", postgres, *words) for words in (["keys", "list"], ["people", "list"])]
    assert [ran.code for ran in refused] == [3, 3] and all("store migrate`" in ran.err for ran in refused)
    points("--ledger", postgres, "store", "migrate")
    assert points("--ledger", postgres, "keys", "list").code == 0
