"""An owner in a process of its own: it decides some partitions of a folder or a database, and front ends reach it."""

from collections.abc import Sequence
from multiprocessing.connection import Connection

from ledger.journal.folder import Lock
from ledger.journal.open import open_ledger
from service.errors import report
from service.http.channels import OwnersServer, RemoteOwners, Share
from service.http.owners import owners_of
from service.http.supervised import BEAT, BEAT_SECONDS, STARTED


def own(pipe: Connection, place: str, share: Share, others: Sequence[Share], lock: Lock | None) -> None:
    """Decide a share of the partitions until told to end, or until the server's first process has ended.

    `others` are the shares of the other owner processes, for whose accounts these may leave facts. `lock` is the one
    writer's of a folder, which this process holds on to.
    """
    try:
        ledger = open_ledger(place)
        _ = ledger.book  # its types are laid out before there are threads
        owners = owners_of(ledger, share.partitions)
        server = OwnersServer(share.socket, owners)
        elsewhere = RemoteOwners(others)
        elsewhere.start(lambda _: None)
        owners.start(server.send_all, server.send_state, elsewhere.look)
    except Exception as error:
        raise SystemExit(report(error)) from None
    pipe.send(STARTED)
    while not pipe.poll(BEAT_SECONDS):
        pipe.send(BEAT)
        server.send_state()  # what changed without a batch
    pipe.recv()
    owners.stop()
