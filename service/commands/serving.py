"""A ledger served: what `points serve` and `points demo --serve` run, imported when they do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from socket import socket

from consumers.kafka.clients import client_of
from consumers.kafka.settings import KafkaSettings
from consumers.kafka.settings import load as load_settings
from consumers.local.open import open_inbox
from consumers.runtime.retry import Backoff
from ledger.errors import CannotRunNow, WrongUse
from ledger.journal.folder import FolderLedger
from ledger.journal.ledger import KAFKA, Ledger, is_address
from service.browser import open_browser
from service.console.requests import HOME
from service.console.sessions import sessions_of
from service.courier import courier
from service.drafts.backtester import backtester
from service.errors import report, say
from service.follower import follower
from service.http.app import make_app
from service.http.bounds import Bounds
from service.http.server import is_local, listen
from service.http.server import serve as serve_here
from service.http.shared_folder import shared_folder
from service.http.workers import Job, shares_of, supervise
from service.installed import installed_version
from service.keys import BOOTSTRAP, keys_of
from service.keys import FILE as KEYS
from service.keys import first_key as check_first_key
from service.oidc.settings import signing_in
from service.shell import Shell
from service.split_watch import split_watch
from service.stopping import stopping
from service.webhooks.deliverer import deliverer

FIRST_WAIT, LONGEST_WAIT = 1.0, 10.0  # seconds until a ledger that was split is opened again
LOOK_SECONDS = 0.2  # between two looks at whether to stop meanwhile
Tell = Callable[[Ledger, bool, list[int]], None]  # whether there are keys, and the ids of the processes that serve

_WITHOUT_KEYS = (
    "--host {host}: without keys anybody who reaches it could do anything: make one first"
    " (`points keys new NAME --scope …`), let POINTS_BOOTSTRAP_KEY_FILE name a file with one, or listen on 127.0.0.1"
)


def run_server(
    shell: Shell,
    host: str,
    port: int,
    wait: float,
    folder: Path,
    workers: int = 1,
    config: Path | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008  # it is frozen
    *,
    follows: bool = True,
    opens: bool = False,
) -> None:
    """Serve a shell's ledger until it is stopped; `opens`: show the console in a browser.

    Raises `WrongUse` and `CannotRunNow`.
    """
    kafka, oidc = _kafka(shell, config), signing_in(config)
    first_key = os.environ.get(BOOTSTRAP)
    is_new = not is_address(shell.place) and not (folder / KEYS).exists()
    if first_key and is_new:
        check_first_key(Path(first_key))
    elif is_new and not oidc and not is_local(host):
        raise WrongUse(_WITHOUT_KEYS.format(host=host))
    with closing(listen(host, port)) as listening:

        def serve(tell: Tell) -> bool:
            """Serve until it is stopped, or (True) until the ledger was split: it is to be opened anew then."""
            with (
                shell.reading() if kafka else _fed_here(shell) as opened,
                closing(keys_of(shell.place, folder, is_watched=True)) as keys,
            ):
                made = keys.bootstrap(Path(first_key)) if first_key else None
                if made is not None:
                    say(f"the first key, named {made.name} and with every scope, is the one in {first_key}")
                has_keys = oidc is not None or keys.exist()
                if not has_keys and not is_local(host):
                    raise WrongUse(_WITHOUT_KEYS.format(host=host))
                version = installed_version()
                with (
                    split_watch(opened) as is_split,
                    follower(shell.place, folder) if follows else nullcontext(),
                    deliverer(shell.place, folder),
                    backtester(shell.place, folder),
                    courier(opened, config),
                ):
                    if workers == 1:
                        with closing(sessions_of(shell.place, folder)) as sessions:
                            app = make_app(opened, folder, keys, sessions, wait, version, kafka, oidc=oidc)
                            on_start = partial(tell, opened, has_keys, [os.getpid()])
                            return serve_here(app, bounds, listening.dup(), on_start, lambda: not is_split())
                    keys.close()
                    lock = opened.lock if isinstance(opened, FolderLedger) else None
                    with shared_folder() as shared:
                        shares = [] if kafka else shares_of(opened, shared, workers)
                        job = Job(
                            shell.place, folder, shared, wait, version, kafka, workers, shares, bounds, oidc, lock
                        )
                        return supervise(job, listening, partial(tell, opened, has_keys), is_split)

        if serve(partial(_tell, shell, listening, opens)):
            _serve_anew(serve)


def _serve_anew(serve: Callable[[Tell], bool]) -> None:
    """Serve a ledger behind each of its splits, again and again where it cannot be served for a while."""
    backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
    while True:
        try:
            if not serve(_tell_of_a_split):
                return
            backoff.succeeded()
        except CannotRunNow as error:
            report(error)
            backoff.failed()
            say(f"the ledger is not served now; again in {backoff.remaining():.0f} s")
            with stopping(again_ends=True) as is_stopped:
                while not backoff.is_over():
                    if is_stopped():
                        return
                    time.sleep(LOOK_SECONDS)


def _kafka(shell: Shell, config: Path | None) -> KafkaSettings | None:
    """Return the settings of the topic that feeds the ledger; None where it has its own inbox. Raises `OtherStream`."""
    if not shell.has_ledger:
        return None
    with shell.reading() as opened:
        if opened.settings.stream != KAFKA:
            return None
        settings = load_settings(config)
        client_of(settings)  # is it installed?
        opened.check_stream(KAFKA, settings.topics.facts)
    return settings


@contextmanager
def _fed_here(shell: Shell) -> Iterator[Ledger]:
    """Yield the ledger with its lock held and an inbox made: it takes facts here."""
    with shell.writing(create=True) as opened:
        open_inbox(opened, feeding=True).close()  # made here, since several workers would make it at once
        yield opened


def _tell(shell: Shell, listening: socket, opens: bool, _: Ledger, has_keys: bool, processes: list[int]) -> None:
    """Say where the server listens and who may use it, and open the console where that is asked for."""
    name, number = listening.getsockname()[:2]
    url = f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"
    if shell.json:
        shell.emit({"url": url, "ledger": shell.ledger_name, "keys": has_keys, "processes": processes})
    else:
        say(f"serving {shell.ledger_name} at {url}")
        say(f"for people: {url}/console, for programs: {url}/schema/openapi.json")
    if not has_keys:
        say("there are no keys: this machine alone is answered, and may do all; `points keys new` makes one")
    if opens:
        open_browser(url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:") + HOME)


def _tell_of_a_split(ledger: Ledger, _: bool, __: list[int]) -> None:
    """Say that it serves the ledger as it is now; where it listens is as it was."""
    say(f"the ledger was split: it is served with {ledger.settings.partitions} partitions now")
