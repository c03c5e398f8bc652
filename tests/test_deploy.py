"""deploy/: Kubernetes and systemd take what stands there; `points` has what it names: commands, variables, ports."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from consumers.kafka.settings import load
from service.http.handlers.health import HANDLERS
from tests.support.deploying import parsed, variables

ROOT = Path(__file__).resolve().parents[1]
KUBERNETES, SYSTEMD = ROOT / "deploy" / "kubernetes", ROOT / "deploy" / "systemd"
VERSION = "1.34"
UNITS = sorted(path.name for path in SYSTEMD.iterdir())
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
MANIFESTS: dict[str, dict[str, Any]] = {
    f"{manifest['kind']}/{manifest['metadata']['name']}": manifest
    for name in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((KUBERNETES / name).read_text())
}
RUN = sorted(name for name, manifest in MANIFESTS.items() if "template" in manifest["spec"])
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
ROUTES = {path for handler in HANDLERS for path in handler.paths}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = MANIFESTS[name]["spec"]["template"]["spec"]
    return pod


def container_of(name: str) -> dict[str, Any]:
    (container,) = pod_of(name)["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("name", sorted(MANIFESTS))
def test_kubernetes_takes_each_manifest(name: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], VERSION, strict=True)


def test_a_manifest_that_kubernetes_would_not_take_is_found() -> None:
    server = MANIFESTS["StatefulSet/points-server"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**server, "spec": {**server["spec"], "replica": 2}}, VERSION, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_what_stands_there() -> None:
    built = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, timeout=60, check=True)
    found = list(yaml.safe_load_all(built.stdout))
    assert {f"{one['kind']}/{one['metadata']['name']}" for one in found if one["kind"] != "ConfigMap"} == set(MANIFESTS)
    assert {one["metadata"]["namespace"] for one in found} == {KUSTOMIZATION["namespace"]}


@pytest.mark.parametrize("name", RUN)
def test_a_pod_runs_a_command_that_there_is_with_variables_that_there_are(name: str) -> None:
    container = container_of(name)
    assert parsed(container["args"]) is not None
    assert {variable["name"] for variable in container["env"]} <= variables()
    assert container["image"] == KUSTOMIZATION["images"][0]["name"]


@pytest.mark.parametrize("name", RUN)
def test_a_pod_is_nobody_and_finds_its_files(name: str) -> None:
    pod, container = pod_of(name), container_of(name)
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert pod["securityContext"]["runAsUser"] == int(re.findall(r"^USER (\d+)", DOCKERFILE, re.M)[0])
    assert pod["enableServiceLinks"] is False  # POINTS_PORT is a setting of ours
    assert container["securityContext"]["readOnlyRootFilesystem"]
    claimed = MANIFESTS[name]["spec"].get("volumeClaimTemplates", [])
    there = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claimed}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == there
    settings = {variable["name"]: variable["value"] for variable in container["env"]}
    (config,) = KUSTOMIZATION["configMapGenerator"]
    assert settings["POINTS_CONFIG"] == f"{mounts['config']}/{config['files'][0]}"
    for key, value in settings.items():
        if key.endswith("_FILE"):  # a secret is a file, and of the one Secret that the page makes
            assert Path(value).parent == Path(mounts["secrets"])
            assert f"--from-file={Path(value).name}" in (KUBERNETES / "kustomization.yaml").read_text()


def test_the_settings_in_the_map_are_ones_that_points_takes() -> None:
    path = KUBERNETES / "points.toml"
    load(path, {})
    for command in ("serve", "consume"):
        assert parsed([command, "--config", str(path)])
    assert tomllib.loads(path.read_text())["ledger"]["folder"] in {
        mount["mountPath"] for mount in container_of("StatefulSet/points-server")["volumeMounts"]
    }


def test_ports_and_probes_are_those_that_answer() -> None:
    consume: dict[str, str] = tomllib.loads((KUBERNETES / "points.toml").read_text())["consume"]
    ports = {name: int(consume[name].rpartition(":")[2]) for name in ("metrics", "health")}
    ports["http"] = int(re.findall(r"POINTS_PORT=(\d+)", DOCKERFILE)[0])
    assert set(map(str, ports.values())) == set(re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M)[0].split())
    health = (ROOT / "service" / "health.py").read_text()
    for name in ("Deployment/points-consumer", "StatefulSet/points-server"):
        container = container_of(name)
        named = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert named == {port: ports[port] for port in named}
        for probe in PROBES:
            asked = container[probe]["httpGet"]
            assert asked["port"] in named
            assert asked["path"] in (ROUTES if asked["port"] == "http" else re.findall(r'"(/health/\w+)"', health))
        metadata = MANIFESTS[name]["spec"]["template"]["metadata"]
        assert metadata.get("annotations", {}).get("prometheus.io/port", "9464") == str(ports["metrics"])
    (port,) = MANIFESTS["Service/points-server"]["spec"]["ports"]
    assert port["targetPort"] == "http"


def test_what_is_selected_is_there_and_one_of_it_may_be_away() -> None:
    labels = [manifest["metadata"]["labels"] for name, manifest in MANIFESTS.items() if name in RUN]
    for name in ("consumer", "server"):
        budget = MANIFESTS[f"PodDisruptionBudget/points-{name}"]["spec"]
        assert budget["selector"]["matchLabels"] in labels and budget["maxUnavailable"] == 1
    assert MANIFESTS["Service/points-server"]["spec"]["selector"] in labels
    assert "Service/points" not in MANIFESTS  # it would set POINTS_PORT to an address


def test_the_image_serves_as_nobody_and_says_how_it_is() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    command = re.findall(r'^CMD \["(.*)"\]$', last, re.M)
    assert parsed(command) and command == ["serve"]
    assert re.findall(r"^ENV .*?(POINTS_\w+)=", last, re.M)
    assert {name for line in re.findall(r"^ENV (.*)$", last, re.M) for name in re.findall(r"POINTS_\w+", line)} <= (
        variables()
    )
    (check,) = re.findall(r"^HEALTHCHECK [^\n]*\\\n\s+CMD (.*)$", last, re.M)
    program, option, code = yaml.safe_load(check)
    assert (program, option) == ("python", "-c") and compile(code, "HEALTHCHECK", "exec")
    assert re.findall(r"'(/\w+/\w+)'", code)[0] in ROUTES


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_a_command_that_there_is_with_variables_that_there_are(name: str) -> None:
    text = (SYSTEMD / name).read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.M)
    program, *arguments = shlex.split(start)
    assert Path(program).name == "points" and parsed(arguments)
    said = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", text, re.M))
    assert set(said) <= variables()
    credentials = re.findall(r"^LoadCredential=(.*?):", text, re.M)
    files = {value.removeprefix("%d/") for key, value in said.items() if key.endswith("_FILE")}
    assert files == set(credentials)


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_each_unit(name: str, tmp_path: Path) -> None:
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", (SYSTEMD / name).read_text(), flags=re.M)
    (tmp_path / name).write_text(text)
    run = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert (found.returncode, [line for line in found.stderr.splitlines() if name in line]) == (0, [])
