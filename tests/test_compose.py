"""docker-compose.yml where it cannot be run: what it says is read, and each command in it is one that there is."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers.kafka.settings import load
from service.keys import first_key
from tests.support import brokers
from tests.support.deploying import parsed, variables

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = ("topics", "store", "first-key")  # jobs that others wait for
OURS = sorted(name for name, service in SERVICES.items() if service.get("build"))


def points_commands(service: dict[str, Any]) -> Iterator[list[str]]:
    """The runs of `points` that a service makes, without the name of the program."""
    command = service["command"]
    if service.get("entrypoint") == ["python", "-c"]:
        return
    if service.get("entrypoint") != ["sh", "-c"]:
        yield command
        return
    for run in command[0].split("|"):
        program, *arguments = shlex.split(run)
        assert program == "points"
        yield arguments


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_points_knows(name: str) -> None:
    assert all(parsed(arguments) for arguments in points_commands(SERVICES[name]))


def test_a_command_that_is_not_there_is_found() -> None:
    with pytest.raises(Exception, match="No such command 'make'"):
        parsed(["topics", "make"])
    with pytest.raises(Exception, match="No such option"):
        parsed(["topics", "create", "--partition-count", "8"])
    with pytest.raises(Exception, match="not a valid float"):
        parsed(["produce", "-", "--rate", "x"])


@pytest.mark.parametrize("name", OURS)
def test_each_environment_is_one_that_the_settings_take(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert {key for key in environment if key.startswith("POINTS_")} <= variables()
    settings = load(environment=environment)
    host, port = settings.bootstrap_servers.split(":")
    assert host in SERVICES
    assert f"INTERNAL://:{port}" in SERVICES[host]["environment"]["KAFKA_LISTENERS"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_is_pinned_checked_and_keeps_to_this_machine(name: str) -> None:
    service = SERVICES[name]
    if name not in OURS:
        assert re.search(r":v?\d+\.\d+", service["image"])
    is_job = name in ONCE or name == "trickle"
    assert is_job != ("healthcheck" in service)
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for needed, how in service.get("depends_on", {}).items():
        condition = "service_completed_successfully" if needed in ONCE else "service_healthy"
        assert how == {"condition": condition} and needed in SERVICES
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    for key, value in service.get("environment", {}).items():
        assert isinstance(value, str), f"{key} is not text"
        assert "PASSWORD" not in key or value.startswith("${POINTS_"), f"{key} is fixed"


def test_the_database_which_has_a_default_password_is_reached_inside_the_network_alone() -> None:
    assert "ports" not in SERVICES["postgres"] and SERVICES["postgres"].get("network_mode") is None
    secret = SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert {SERVICES[name]["environment"]["PGPASSWORD"] for name in OURS} == {secret}


def test_prometheus_asks_each_of_ours_and_grafana_asks_prometheus() -> None:
    room = ROOT / "deploy" / "observability"
    asked = yaml.safe_load((room / "prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in asked for static in job["static_configs"] for target in static["targets"]}
    assert targets == {"consumer:9464", "server-1:8080", "server-2:8080"}
    (source,) = yaml.safe_load((room / "grafana-datasource.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["type"] == "prometheus"
    (provider,) = yaml.safe_load((room / "grafana-dashboards.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/dashboard.json" in str(SERVICES["grafana"]["volumes"])


def test_the_first_key_is_drawn_as_a_server_takes_it(tmp_path: Path) -> None:
    (code,) = SERVICES["first-key"]["command"]
    exec(code.replace("/secrets/first-key", str(tmp_path / "first-key")), {})
    assert first_key(tmp_path / "first-key")


def test_the_topic_and_the_ledger_have_as_many_partitions() -> None:
    counts = {SERVICES[name]["command"][-1] for name in ("topics", "store")}
    assert len(counts) == 1, counts


def test_the_tests_broker_is_the_one_that_compose_runs() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{brokers._version()}"


def test_the_image_is_built_of_files_that_are_there_and_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE):
        copied.update(line.split()[:-1])
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
