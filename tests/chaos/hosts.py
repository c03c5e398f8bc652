"""The hosts of a campaign: each a network namespace of its own, or all of them this machine's loopback.

The campaign runs in namespaces of its own (`inside`), with the first process of which everything in it ends, so nothing
is left behind. It is the switch: a bridge to which each host is tied by a pair of interfaces. Where namespaces are not
permitted the hosts are ports of 127.0.0.1, and nobody is cut off.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.support.ports import free_port

INSIDE = "POINTS_CHAOS_INSIDE"  # set for the process that runs within its own namespaces
_TOOLS = ("unshare", "nsenter", "ip", "iptables", "setpriv")
_ROOM = "4g"  # for the files in memory


def what_is_missing() -> list[str]:
    """Return what keeps hosts from being namespaces; empty where they can be."""
    missing = [f"no {tool}" for tool in _TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing.append("not root")
    if not missing and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        missing.append("no network namespaces")
    return missing


def go_inside(module: str, arguments: Sequence[str]) -> None:
    """Run the module again, in place of this process, in namespaces of its own (network, processes, /dev/shm)."""
    again = f'mount -t tmpfs -o size={_ROOM} none /dev/shm && "$@"; exit $?'  # a shell, to reap what is orphaned
    own = ["unshare", "--net", "--pid", "--ipc", "--mount", "--fork", "--kill-child", "--mount-proc"]
    os.environ[INSIDE] = "1"
    os.execvp(own[0], [*own, "sh", "-c", again, "sh", sys.executable, "-m", module, *arguments])


class Host:
    """A host: its address, and what a command has to begin with to run there."""

    def __init__(self, name: str, address: str, prefix: Sequence[str] = ()) -> None:
        self.name = name
        self.address = address
        self.prefix = tuple(prefix)

    def port(self, wanted: int) -> int:
        """Return the port to listen at: the wanted one, where the host has its ports to itself."""
        if self.prefix:
            return wanted
        return free_port(self.address)


class Network:
    """Makes hosts, cuts them off from others, and heals that."""

    def __init__(self) -> None:
        self.can_cut = INSIDE in os.environ
        self._holders: list[subprocess.Popen[bytes]] = []
        if self.can_cut:
            for command in (
                "ip link set lo up",
                "ip link add br0 type bridge",
                "ip addr add 10.99.0.254/24 dev br0",
                "ip link set br0 up",
            ):
                _run(command.split())

    def host(self, name: str) -> Host:
        """Return a new host; everybody reaches it."""
        if not self.can_cut:
            return Host(name, "127.0.0.1")
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        holder.stdout.readline()  # it is in its namespace now
        self._holders.append(holder)
        number = len(self._holders)
        address = f"10.99.0.{number}"
        inside = ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")
        pair = f"ip link add p{number} type veth peer name eth0 netns {holder.pid}"
        for command in (pair, f"ip link set p{number} master br0 up"):
            _run(command.split())
        for command in ("ip link set lo up", f"ip addr add {address}/24 dev eth0", "ip link set eth0 up"):
            _run([*inside, *command.split()])
        return Host(name, address, inside)

    def cut(self, host: Host, others: Sequence[Host], ways: Sequence[str] = ("INPUT", "OUTPUT")) -> None:
        """Drop what comes to a host from others (INPUT), and what it sends to them (OUTPUT)."""
        for other in others:
            for way in ways:
                which = "-s" if way == "INPUT" else "-d"
                _run([*host.prefix, "iptables", "-w", "-A", way, which, other.address, "-j", "DROP"])

    def heal(self, host: Host) -> None:
        """Let everything through again."""
        _run([*host.prefix, "iptables", "-w", "-F"])

    def close(self) -> None:
        """Let the namespaces go."""
        for holder in self._holders:
            holder.kill()
            holder.wait()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
