"""Options of `serve` and `consume` by variables and by the file of --config: which stands above which."""

from pathlib import Path

import pytest
from typer.core import TyperCommand

from service import cli
from service.configuration import configurable, variable_of
from tests.cli.test_cli import points, shop  # noqa: F401  # a fixture

NEVER = {"config", "folder", "ledger", "as_json", "help", "accept_gap", "accept_topic", "reason", "by"}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> TyperCommand:
    """`points serve`, as the command line finds it, with no variable set."""
    for name in ("POINTS_CONFIG", "POINTS_PORT", "POINTS_WORKERS", "POINTS_TRUSTED_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = cli.command_of("serve")
    assert isinstance(found, TyperCommand)
    return found


def values(command: TyperCommand, *arguments: str) -> dict[str, object]:
    """What a command would be called with."""
    return dict(command.make_context("serve", list(arguments)).params)


@pytest.mark.parametrize("name", ["serve", "consume"])
def test_every_option_has_a_variable(name: str) -> None:
    command = cli.command_of(name)
    assert isinstance(command, TyperCommand)
    options = {str(option.name) for option in command.params}
    assert {str(option.name) for option in configurable(command)} == options - NEVER
    assert {"serve": "POINTS_HOST", "consume": "POINTS_BATCH"}[name] in map(variable_of, configurable(command))


def test_the_command_line_stands_above_a_variable_above_the_file(
    serve: TyperCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "points.toml"
    file.write_text(
        '[serve]\nport = 81\nworkers = 2\nrequests = 7\ntrusted_proxy = ["10.0.0.1"]\nno_views = true\n', "utf-8"
    )
    monkeypatch.setenv("POINTS_CONFIG", str(file))
    monkeypatch.setenv("POINTS_WORKERS", "3")
    monkeypatch.setenv("POINTS_HOST", "::1")
    found = values(serve, "--requests", "9")
    assert (found["port"], found["workers"], found["requests"], found["host"]) == (81, 3, 9, "::1")
    assert (found["trusted_proxy"], found["no_views"], found["connections"]) == (("10.0.0.1",), True, 2_048)
    other = tmp_path / "other.toml"
    other.write_text("[serve]\nport = 82\n", "utf-8")
    assert values(serve, "--config", str(other))["port"] == 82


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[serve]\nprot = 1", "serve.prot: there is no such setting; did you mean port?"),
        ("[serve]\nzzz = 1", "serve.zzz: there is no such setting; there are access_log, "),
        ("[serve]\nport = 70000", "serve.port: 70000 is not in the range"),
        ("[serve]\nport = [1]", "serve.port: one value is wanted"),
        ("[serve]\ntrusted_proxy = 'x'", "serve.trusted_proxy: a list is wanted"),
        ("serve = 1", "serve: Expected `object`, got `int`"),
        ("[log]\nlevel = 'loud'", "log.level: Invalid enum value 'loud'; one of info, warning, error is wanted"),
        ("[ledger]\npalce = 'x'", "ledger: Object contains unknown field `palce`"),
        ("[web]\nport = 1", "Object contains unknown field `web`"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_and_table(
    shop: Path,  # noqa: F811
    text: str,
    told: str,
) -> None:
    (shop / "points.toml").write_text(text, "utf-8")
    ran = points("serve", "--config", "points.toml")
    assert ran.code == 3 and f"points.toml: {told}" in ran.err.replace("points: ", "", 1), ran
    assert [path.name for path in shop.iterdir()] == ["points.toml"], "nothing is left behind"


def test_a_wrong_variable_is_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("POINTS_PORT", "tcp://10.0.0.7:80")
    ran = points("serve")
    assert "POINTS_PORT: 'tcp://10.0.0.7:80' is not a valid int" in ran.err and "Kubernetes" in ran.err, ran
    monkeypatch.setenv("POINTS_PORT", "-1")
    assert "POINTS_PORT: -1 is not in the range" in points("serve").err
    monkeypatch.delenv("POINTS_PORT")
    assert "Invalid value for '--port'" in points("serve", "--port", "x").err


def test_the_file_may_say_which_ledger(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (shop / "points.toml").write_text('[ledger]\nplace = "here"\n', "utf-8")
    monkeypatch.setenv("POINTS_CONFIG", "points.toml")
    assert points("init").code == 0 and (shop / "here" / "ledger.json").exists()
    assert points("init", "--ledger", "there").code == 0 and (shop / "there" / "ledger.json").exists()
    monkeypatch.setenv("POINTS_LEDGER", "elsewhere")
    assert points("init").code == 0 and (shop / "elsewhere" / "ledger.json").exists()
