"""A real HDFS of one namenode and one datanode, each a process of its own, over HTTP and over TLS."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import httpx

from ledger.errors import CannotRunNow
from service.archive.places import place_at
from tests.support.jars import jars
from tests.support.ports import free_port

POM = Path(__file__).with_name("pom.xml")
PATIENCE = 200  # seconds for both to be up
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
SERVERS = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
}
PASSWORD = "points"


class Hadoop:
    """HDFS on this machine; whoever runs the tests may do all there."""

    def __init__(self, folder: Path) -> None:
        """Format a new one. Nothing runs yet."""
        ports = {name: free_port() for name in ("rpc", "http", "tls", "data", "data_ipc", "data_http", "data_tls")}
        self.rpc, self.http, self.tls = (f"localhost:{ports[name]}" for name in ("rpc", "http", "tls"))
        self.data_http = f"localhost:{ports['data_http']}"
        self.certificate = folder / "certificate.pem"
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        hadoop = jars(POM, "hadoop-3.5.0", "-DexcludeGroupIds=org.apache.iceberg")
        self._java = [*JAVA, "-cp", f"{folder}:{hadoop}/*"]
        _write(folder / "ssl-server.xml", self._tls())
        settings = {
            "fs.defaultFS": f"hdfs://{self.rpc}",
            "hadoop.tmp.dir": str(folder / "data"),
            "dfs.http.policy": "HTTP_AND_HTTPS",
            "dfs.namenode.http-address": self.http,
            "dfs.namenode.https-address": self.tls,
            "dfs.datanode.hostname": "localhost",
            "dfs.datanode.address": f"localhost:{ports['data']}",
            "dfs.datanode.ipc.address": f"localhost:{ports['data_ipc']}",
            "dfs.datanode.http.address": self.data_http,
            "dfs.datanode.https.address": f"localhost:{ports['data_tls']}",
            "dfs.replication": "1",
            "dfs.heartbeat.interval": "1",
            "dfs.namenode.safemode.extension": "0",  # it ends as soon as the blocks are there
        }
        _write(folder / "hdfs-site.xml", settings)
        self._run(SERVERS["namenode"], "-format", "-nonInteractive").wait(PATIENCE)

    def _tls(self) -> dict[str, str]:
        """What servers need for TLS: a certificate that signs itself."""
        key, store = self._folder / "key.pem", self._folder / "store.p12"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(self.certificate)]
        joined = ["pkcs12", "-export", "-inkey", str(key), "-in", str(self.certificate), "-out", str(store)]
        for words in ([*new, *files], [*joined, "-passout", f"pass:{PASSWORD}"]):
            subprocess.run(["openssl", *words], check=True, capture_output=True)
        said = {"location": str(store), "type": "pkcs12", "password": PASSWORD, "keypassword": PASSWORD}
        return {f"ssl.server.keystore.{name}": value for name, value in said.items()}

    def _run(self, *words: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen([*self._java, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        """What all of them said."""
        return self._folder / "log"

    def start(self, name: str) -> None:
        """Start the namenode or the datanode, and do not wait."""
        self._running[name] = self._run(SERVERS[name])

    def kill(self, name: str) -> None:
        """Kill one as kill -9 does."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def wait_until(self, said: str) -> None:
        """Wait until what HDFS says to somebody who writes is this; nothing where it does what it is asked."""
        until, place = time.monotonic() + PATIENCE, place_at(f"webhdfs://{self.http}/up")
        while True:
            try:
                place.remove("nothing")
                place.create(str(time.monotonic_ns()), b"up")
                found = ""
            except CannotRunNow as error:
                found = str(error)
            if found == said or (said and said in found):
                return
            is_up = all(process.poll() is None for process in self._running.values())
            assert is_up and time.monotonic() < until, f"{found}\n{self.log.read_text()[-3_000:]}"
            time.sleep(0.2)

    def written(self) -> tuple[int, int]:
        """Return how many blocks the datanode has written, and how many of them it has forced to its disk."""
        until = time.monotonic() + PATIENCE
        while True:
            beans = httpx.get(f"http://{self.data_http}/jmx", timeout=100).json()["beans"]
            found = next(bean for bean in beans if "FsyncCount" in bean)
            blocks, synced = int(found["BlocksWritten"]), int(found["FsyncCount"])
            if synced >= blocks > 0 or time.monotonic() > until:  # it counts anew every ten seconds
                return blocks, synced
            time.sleep(0.5)

    def close(self) -> None:
        """Kill all."""
        for name in [*self._running]:
            self.kill(name)


def _write(path: Path, settings: Mapping[str, str]) -> None:
    """Write a file of settings as Hadoop reads them."""
    rows = (
        f"<property><name>{name}</name><value>{escape(value)}</value></property>" for name, value in settings.items()
    )
    path.write_text(f"<configuration>{''.join(rows)}</configuration>")
