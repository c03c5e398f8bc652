"""What the tests of a lake share: one session of Spark, one S3 server, one HDFS, one ledger with its archive."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.errors import CannotRunNow
from service.archive.places import place_at
from tests.journal.test_archive import Shelf
from tests.journal.test_archive_audits import grown
from tests.lake.clusters import POM, Hadoop
from tests.support.jars import jars
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Without what `make lake` installs there is nothing to collect, and `make lake` fails where it finds nothing.
collect_ignore_glob = [] if find_spec("pyspark") and find_spec("pyiceberg") else ["test_*.py"]

USER, SECRET = "points", "ledger"
IDENTITY = f"""{{"identities": [{{"name": "points", "actions": ["Admin", "Read", "Write", "List"],
    "credentials": [{{"accessKey": "{USER}", "secretKey": "{SECRET}"}}]}}]}}"""
PATIENCE = 200  # seconds for a server to be up


@pytest.fixture(scope="session")
def made() -> Iterator[Shelf]:
    """A ledger whose archive has grown once, not to be changed."""
    with grown() as shelf:
        yield shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path) -> Shelf:
    """A copy, to be changed."""
    shutil.copytree(made.folder, tmp_path / "shelf")
    return Shelf(tmp_path / "shelf")


@pytest.fixture(scope="session")
def spark(storage: str, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    """A session on two processors of this machine, which the commands find running; its workers know the S3 server."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    folder = tmp_path_factory.mktemp("spark")
    runtime = jars(POM, "iceberg-1.12.0", "-DincludeGroupIds=org.apache.iceberg")
    settings = {
        "spark.jars": str(*runtime.glob("*.jar")),
        "spark.driver.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a bucket on an S3 server of this machine, whose endpoint and keys stand in AWS's variables."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "identity.json").write_text(IDENTITY)
    servers = [f"{server}.port" for server in ("s3", "master", "volume", "filer")]
    listening = [*servers, *(f"{name}.grpc" for name in servers)]  # else 10,000 higher, where connections may stand
    ports = {name: free_port() for name in listening} | {"s3.port.iceberg": 0, "s3.port.lance": 0}
    program = [Path(sysconfig.get_path("scripts")) / "weed", "server", "-s3", f"-s3.config={folder}/identity.json"]
    fixed = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20", "-master.volumeSizeLimitMB=64"]
    command = [*program, *fixed, f"-dir={folder}", *(f"-{name}={port}" for name, port in ports.items())]
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("wb") as log:
        patch.setenv("AWS_ACCESS_KEY_ID", USER)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports['s3.port']}")
        server = subprocess.Popen([*command, "-master.telemetry=false"], stdout=log, stderr=log)
        try:
            until = time.monotonic() + PATIENCE
            while not is_up("s3://archives/up"):
                assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()[-3_000:]
                time.sleep(0.2)
            yield "s3://archives"
        finally:
            server.kill()
            server.wait()


def is_up(address: str) -> bool:
    """Return True if the server takes what is put."""
    try:
        return place_at(address).create(str(time.monotonic_ns()), b"") or True
    except CannotRunNow:
        return False


@pytest.fixture(scope="session")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """An HDFS of this machine, which runs."""
    cluster = Hadoop(tmp_path_factory.mktemp("hdfs"))
    try:
        cluster.start("namenode")
        cluster.start("datanode")
        cluster.wait_until("")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(params=["folder", "s3", "hdfs"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where archives may begin: a folder, a bucket, and a folder of HDFS, each new."""
    match request.param:
        case "folder":
            return str(tmp_path / "home")
        case "s3":
            return f"{request.getfixturevalue('storage')}/{tmp_path.name}"
        case _:
            return f"webhdfs://{request.getfixturevalue('hadoop').http}/{tmp_path.name}"
