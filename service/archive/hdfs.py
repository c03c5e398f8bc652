"""An archive in HDFS, through WebHDFS: the HTTP interface that every namenode and datanode has.

A file is written under the name of a draft, closed, and then renamed. By renaming alone HDFS makes a name where there
is none, or in place of another, at once and whole: whoever is killed before that has left a draft.
"""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from ledger.errors import WrongUse
from ledger.journal.failpoints import failpoint
from ledger.wire.unreadable import UNREADABLE
from service.archive.files import MOST_BYTES
from service.archive.places import DRAFTS, Remote, Unreachable

PORTS = {"webhdfs": ("http", 9870), "swebhdfs": ("https", 9871)}  # that a namenode has where nobody says another
TIMEOUT = httpx.Timeout(60, connect=10)  # seconds

_WAYS_OUT = {
    "AccessControlException": "let that user in, or name another by HADOOP_USER_NAME",
    "StandbyException": "name the active namenode too: webhdfs://ONE,OTHER/PATH",
    "SafeModeException": "wait until HDFS has left its safe mode, and run it again",
    "Failed to find datanode": "wait until its datanodes are up, and run it again",
    "RetriableException": "wait until HDFS has started, and run it again",
}
_AGAIN = "see what its log says, and run it again"
_NO_WEBHDFS = "name the HTTP port of a namenode, such as webhdfs://HOST:9870/PATH"


class _Said(Struct, rename={"kind": "exception"}):
    kind: str
    message: str


class _Error(Struct, rename="pascal"):
    remote_exception: _Said


class _Status(Struct, rename={"suffix": "pathSuffix"}):
    type: str
    suffix: str


class _Listed(Struct, rename={"all": "FileStatus"}):
    all: list[_Status]


class _Listing(Struct, rename={"statuses": "FileStatuses"}):
    statuses: _Listed


class NothingDone(Unreachable):
    """A namenode that was not reached, or that stands by: another one may be asked the same."""


class Hdfs(Remote):
    """A folder of HDFS, ``webhdfs://HOST:PORT/PATH``; ``swebhdfs://`` with TLS; ``HOST,HOST`` where namenodes stand by.

    Whoever asks is HADOOP_USER_NAME, or this process's user. Kerberos is not built.
    """

    def __init__(self, address: str) -> None:
        """Take an address apart; nothing is asked yet. Raises `WrongUse` for one that is none."""
        self.name = address.rstrip("/")
        try:
            parts = urlsplit(self.name)
            scheme, port = PORTS[parts.scheme]
            hosts = [urlsplit(f"//{host}") for host in parts.netloc.split(",")]
            if parts.query or parts.fragment or any(host.username or not host.hostname for host in hosts):
                raise ValueError("is more or less than hosts and a path")
            # The one that answered last is the first.
            self._namenodes = deque(
                httpx.URL(scheme=scheme, host=host.hostname, port=host.port or port) for host in hosts
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise WrongUse(f"{address}: {error}; {_NO_WEBHDFS}") from None
        self._root = parts.path.strip("/")
        self._user = os.environ.get("HADOOP_USER_NAME") or getuser()
        self._client = httpx.Client(timeout=TIMEOUT)
        self._folders: set[str] = set()

    def read(self, name: str) -> bytes | None:
        """Return the beginning of a file, up to 64 MiB; None where there is none."""
        try:
            url = self._datanode("GET", name, "OPEN", length=str(MOST_BYTES))
            with self._errors(name):
                return self._checked(name, self._client.get(url)).content
        except FileNotFoundError:
            return None

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine. Raises `FileNotFoundError`."""
        url = self._datanode("GET", name, "OPEN")
        with self._errors(name), self._client.stream("GET", url) as answer:
            if not answer.is_success:
                answer.read()
            self._checked(name, answer)
            with path.open("wb") as file:
                for part in answer.iter_raw(1 << 20):
                    file.write(part)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole where there is none of its name; return False where there is."""
        draft = self._send(content)
        try:
            self._rename(draft, name, "NONE")
        except FileExistsError:
            self.remove(draft)
            return False
        return True

    def put(self, name: str, file: Path) -> None:
        """Move a file of `drafts` here, whole or not at all; in place of one of the same name."""
        with file.open("rb") as content:
            draft = self._send(content)
        self._rename(draft, name, "OVERWRITE")
        file.unlink()

    def _send(self, content: bytes | BinaryIO) -> str:
        """Write a draft; return its name when it is closed, and its blocks on the datanodes' disks."""
        draft = f"{DRAFTS}{token_hex(8)}"
        url = self._datanode("PUT", draft, "CREATE", overwrite="false", createflag="CREATE,SYNC_BLOCK")
        with self._errors(draft):
            self._checked(draft, self._client.put(url, content=content))
        failpoint("archive-sent")
        return draft

    def _rename(self, draft: str, name: str, option: str) -> None:
        """Give a draft its name. Raises `FileExistsError`, and `FileNotFoundError` where somebody removed the draft."""
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            self._ask("PUT", folder, "MKDIRS")
            self._folders.add(folder)
        answer = self._ask("PUT", draft, "RENAME", destination=self._path(name), renameoptions=option)
        if answer.content:  # it renames in the older way, by which nothing is replaced
            raise self._other(name, answer)

    def names(self, below: str = "") -> list[str]:
        """Return the names that begin with a folder's, of files that are there and of drafts that were left."""
        found: list[str] = []
        folders = [below]
        while folders:
            folder = folders.pop()
            try:
                answer = self._ask("GET", folder, "LISTSTATUS")
            except FileNotFoundError:
                continue
            try:
                listed = msgspec.json.decode(answer.content, type=_Listing).statuses.all
            except UNREADABLE:
                raise self._other(folder, answer) from None
            for one in listed:
                name = f"{folder}/{one.suffix}" if folder else one.suffix
                (folders if one.type == "DIRECTORY" else found).append(name)
        return sorted(found)

    def remove(self, name: str) -> None:
        """Remove one of `names`, which may be gone already."""
        self._ask("DELETE", name, "DELETE")

    def _path(self, name: str) -> str:
        return f"/{self._root}/{name}".rstrip("/")

    def _datanode(self, method: str, name: str, operation: str, **options: str) -> str:
        """Return where the active namenode sends whoever reads or writes a file."""
        answer = self._ask(method, name, operation, **options)
        if answer.status_code != httpx.codes.TEMPORARY_REDIRECT or "Location" not in answer.headers:
            raise self._other(name, answer)
        return answer.headers["Location"]

    def _ask(self, method: str, name: str, operation: str, **options: str) -> httpx.Response:
        """Return what the active namenode says. Raises `Unreachable`, and `OSError` for files."""
        query = {"op": operation, "user.name": self._user, **options}
        path = quote(f"/webhdfs/v1{self._path(name)}")
        left = len(self._namenodes)
        while True:
            left -= 1
            try:
                with self._errors(name):
                    answer = self._client.request(method, self._namenodes[0].join(path), params=query)
                    return self._checked(name, answer)
            except NothingDone:
                if not left:
                    raise
                self._namenodes.rotate(-1)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Raise as `Unreachable` that nobody answers."""
        try:
            yield
        except httpx.TransportError as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            kind = NothingDone if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else Unreachable
            raise kind(
                f"{self.at(name)}: HDFS at {_host(error.request)} is not reached: {said}; see that it runs, and that"
                " its HTTP ports are open to this machine (with TLS: SSL_CERT_FILE), and run it again"
            ) from None

    def _checked(self, name: str, answer: httpx.Response) -> httpx.Response:
        """Return an answer that says yes, or where to go on. Raises `Unreachable`, and `OSError` of files."""
        if answer.status_code < 400:
            return answer
        host = _host(answer.request)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Unreachable(
                f"{self.at(name)}: HDFS at {host} asks for Kerberos, which is not built; export into a folder, and copy"
                " that: hdfs dfs -put"
            )
        try:
            error = msgspec.json.decode(answer.content, type=_Error).remote_exception
        except UNREADABLE:
            raise self._other(name, answer) from None
        said = error.message.partition("\n")[0][:300]
        if error.kind == "FileNotFoundException":
            raise FileNotFoundError(said)
        if error.kind == "FileAlreadyExistsException":
            raise FileExistsError(said)
        way_out = next((way for kind, way in _WAYS_OUT.items() if kind in f"{error.kind} {said}"), _AGAIN)
        kind = NothingDone if error.kind == "StandbyException" else Unreachable
        raise kind(f"{self.at(name)}: HDFS at {host} says: {said}; {way_out}")

    def _other(self, name: str, answer: httpx.Response) -> Unreachable:
        said = " ".join(answer.text.split())[:200]
        what = f"{self.at(name)}: {_host(answer.request)} does not answer as HDFS does: {answer.status_code} {said}"
        return Unreachable(f"{what}; {_NO_WEBHDFS}")


def _host(request: httpx.Request) -> str:
    return f"{request.url.host}:{request.url.port}"
