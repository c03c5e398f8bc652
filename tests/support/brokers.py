"""One real Apache Kafka for a whole test run: a given one, one in Docker, or one started from its jars.

`POINTS_TEST_KAFKA` names a given one. Docker is tried next, then Java and Maven (`tests/kafka/pom.xml`).
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from tests.support.jars import NoJars, jars
from tests.support.ledgers import IN_MEMORY
from tests.support.ports import free_port

VARIABLE = "POINTS_TEST_KAFKA"
REMEDY = (
    f"give one by {VARIABLE}=host:port, or start Docker, or install a Java 17 runtime, Maven and openssl"
    " (apt-get install default-jre-headless maven openssl)"
)
START_SECONDS = 60
POM = Path(__file__).resolve().parents[1] / "kafka" / "pom.xml"

# What a broker of one node needs, and what makes a test short.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "1000",  # one that was killed may come back
    "broker.heartbeat.interval.ms": "200",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.index.size.max.bytes": "1048576",
}


class Secure(NamedTuple):
    """A listener of a broker with TLS and SASL, whom to trust, and who may come (by PLAIN or SCRAM-SHA-512)."""

    address: str
    ca_file: Path
    username: str
    password: str


class Broker(Protocol):
    """A Kafka to test against."""

    @property
    def address(self) -> str:
        """host:port for clients."""
        ...

    @property
    def secure(self) -> "Secure | None":
        """Where it wants TLS and SASL too; None where that is not known."""
        ...

    def kill(self) -> None:
        """Kill it as kill -9 does; skips the test where the broker is not ours."""
        ...

    def start(self) -> None:
        """Start it again on the same data, and wait until it answers."""
        ...

    def stop(self) -> None:
        """End it for good."""
        ...


class GivenBroker:
    """A broker that somebody else runs."""

    secure = None

    def __init__(self, address: str) -> None:
        self.address = address

    def kill(self) -> None:
        pytest.skip(f"the broker at {self.address} is not ours to kill; unset {VARIABLE} for this test")

    def start(self) -> None:
        _wait_until_it_answers(self.address)

    def stop(self) -> None:
        pass


class BrokerInDocker:
    """A broker in a container."""

    secure = None

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        port, controller = free_port(), 9093
        self.address = f"localhost:{port}"
        properties = {
            **PROPERTIES,
            "listeners": f"PLAINTEXT://:{port},CONTROLLER://:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@localhost:{controller}",
        }
        self._container: Any = DockerContainer(f"apache/kafka:{_version()}").with_bind_ports(port, port)
        for name, value in properties.items():
            self._container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def start(self) -> None:
        wrapped = self._container.get_wrapped_container()
        if wrapped is None:
            self._container.start()
        else:
            wrapped.start()
        _wait_until_it_answers(self.address)

    def stop(self) -> None:
        self._container.stop()


class BrokerFromJars:
    """A broker that runs here on Java, from jars that Maven fetches once."""

    def __init__(self, *, is_short: bool = True) -> None:
        found = broker_jars()
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        port, secure, controller = free_port(), free_port(), free_port()
        self.address = f"localhost:{port}"
        self.secure = Secure(f"localhost:{secure}", self._folder / "certificate.pem", "points", uuid.uuid4().hex)
        listeners = f"PLAINTEXT://{self.address},SECURE://{self.secure.address}"
        properties = {
            **PROPERTIES,
            "listeners": f"{listeners},CONTROLLER://localhost:{controller}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@localhost:{controller}",
            "log.dirs": str(self._folder / "data"),
            **self._security(self.secure),
        }
        self._config = self._folder / "server.properties"
        self._config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self._log = self._folder / "broker.log"
        self._java = ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC"]
        # The second compiler would take the cores from tests, and pays in a process that runs for minutes only.
        self._java += ["-XX:TieredStopAtLevel=1"] * is_short
        self._java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{found}/*"]
        user = f"SCRAM-SHA-512=[name={self.secure.username},password={self.secure.password}]"
        # With "=", as an id may begin with a dash.
        options = [f"--cluster-id={cluster_id()}", "-c", str(self._config), "--add-scram", user]
        formatted = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", *options],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if formatted.returncode:
            raise RuntimeError(f"the broker's storage cannot be formatted: {formatted.stderr or formatted.stdout}")
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: subprocess.Popen[bytes] | None = None

    def _security(self, secure: Secure) -> dict[str, str]:
        """What the listener with TLS and SASL needs: a certificate that signs itself, and one user."""
        key, store = self._folder / "key.pem", self._folder / "store.pem"
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", str(key), "-out", str(secure.ca_file)]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files],
            check=True,
            capture_output=True,
        )
        store.write_bytes(key.read_bytes() + secure.ca_file.read_bytes())
        modules = "org.apache.kafka.common.security"
        plain = f'{modules}.plain.PlainLoginModule required user_{secure.username}="{secure.password}";'
        return {
            "listener.security.protocol.map": PROPERTIES["listener.security.protocol.map"] + ",SECURE:SASL_SSL",
            "listener.name.secure.ssl.keystore.type": "PEM",
            "listener.name.secure.ssl.keystore.location": str(store),
            "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.secure.plain.sasl.jaas.config": plain,
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        }

    @property
    def pid(self) -> int:
        """The process it runs in."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Where this process dies without a word its end of the pipe closes, and the broker goes with it.
        self._reaper = subprocess.Popen(
            ["sh", "-c", f"cat; kill -9 {self._process.pid}; rm -rf '{self._folder}'"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_it_answers(self.address, self._process)
        except TimeoutError as error:
            tail = self._log.read_text(errors="replace")[-2_000:]
            self.stop()
            raise RuntimeError(f"the broker does not start: {error}\n{tail}") from None

    def kill(self) -> None:
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait()
            assert self._reaper.stdin is not None
            self._reaper.stdin.close()
            self._reaper = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The run's broker; skips where there is none, and with CI=true fails."""
    found = _started()
    try:
        yield found
    finally:
        found.stop()


def new_topic_name(kind: str = "facts") -> str:
    """A name that no other test of any run uses."""
    return f"test.{kind}.{uuid.uuid4().hex[:12]}"


def _started(attempts: int = 3) -> Broker:
    """A broker that runs; one that does not come up (a port may have been taken meanwhile) is made anew."""
    for left in reversed(range(attempts)):
        found = _find()
        try:
            found.start()
        except RuntimeError:
            if not left:
                raise
        else:
            break
    return found


def _find() -> Broker:
    address = os.environ.get(VARIABLE)
    if address:
        return GivenBroker(address)
    if _docker_answers():
        return BrokerInDocker()
    missing = [tool for tool in ("java", "mvn", "openssl") if shutil.which(tool) is None]
    reason = f"there is no Kafka to test with: no {VARIABLE}, no Docker, no {' and no '.join(missing)}; {REMEDY}"
    if not missing:
        try:
            return BrokerFromJars()
        except NoJars as error:
            reason = f"{error}; {REMEDY}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _docker_answers() -> bool:
    try:
        from testcontainers.core.docker_client import DockerClient

        DockerClient().client.ping()
    except Exception:  # whatever it is, there is no Docker to use
        return False
    return True


def _version() -> str:
    """The broker's version, as the Maven file pins it."""
    found = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)</version>", POM.read_text())
    assert found is not None
    return found[1]


def broker_jars() -> Path:
    """The broker's jars."""
    return jars(POM, f"kafka-{_version()}")


def cluster_id() -> str:
    import base64

    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the broker tells its topics."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            admin = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=2_000)
            try:
                admin.list_topics()
            finally:
                admin.close()
            return
        except KafkaError as error:
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                raise TimeoutError(f"{address} does not answer within {START_SECONDS} seconds: {error}") from None
            time.sleep(0.1)
