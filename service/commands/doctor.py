"""What is set, what runs, and what is wrong: doctor."""

import asyncio
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from consumers.kafka.clients import open_admin
from consumers.kafka.settings import BadSettings, KafkaSettings, OidcSettings, Said, load, said
from ledger.errors import CannotRunNow, PointsLedgerError, WrongUse
from ledger.journal.engines import deciding
from ledger.journal.folder import writer_of
from ledger.journal.ledger import KAFKA, Ledger, is_address
from ledger.journal.pruned import ARCHIVE
from ledger.wire.entries import ENGINE
from service.archive.reading import Archive
from service.commands import FROM_SETTINGS
from service.commands.options import ConfigOption, FolderOption
from service.configuration import config_file, said_options
from service.http.server import is_local
from service.installed import installed_version
from service.keys import BOOTSTRAP, FILE, keys_of, problems_of, shared_problems
from service.languages import text, told
from service.oidc.settings import issuer_of, signing_in
from service.shell import Answer, Shell, command
from service.state_store import shared_state
from service.view_store import view_store

LITTLE = 1 << 30  # bytes that are free: soon too few
TOO_LITTLE = 64 << 20
ANSWER_SECONDS = 5.0  # that a broker may take here


class Check(NamedTuple):
    """What was looked at, how it is, in words, and the way out where it is not good."""

    check: str
    state: Literal["good", "look", "bad"]
    says: str
    way_out: str = ""


@command
def doctor(shell: Shell, config: ConfigOption = None, folder: FolderOption = None) -> Answer:
    """What is set and from where, what runs here, and what is wrong, with the way out. Exit 1 if anything is.

    Nothing is written, and whoever writes the ledger is not disturbed.

        points doctor --config points.toml

        points --ledger postgresql://points@db/points doctor --json
    """
    file = config_file(config)
    settings: list[Said] = []
    checks = [_engine()]
    try:
        settings = [*_place(shell), *said(file), *(one for name in FROM_SETTINGS for one in _options(name, file))]
        kafka = load(file)
        oidc = signing_in(file)
        checks.append(Check("settings", "good", text("{count} settings can be used", count=len(settings))))
        checks += [] if oidc is None else [_issuer(oidc)]
    except (BadSettings, CannotRunNow) as error:
        kafka = KafkaSettings()
        checks.append(Check("settings", "bad", told(str(error))))
    checks += [
        *_machine(),
        *_ledger(shell, kafka),
        *_folder(shell, folder, settings),
        *_state(shell),
        _views(shell, folder),
    ]
    document = {
        "version": installed_version(),
        "engine": ENGINE,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "sqlite": sqlite3.sqlite_version,
        "ledger": shell.ledger_name,
        "settings": [one._asdict() | {"value": _shown(one.value)} for one in settings],
        "checks": [one._asdict() for one in checks],
    }
    return Answer(document, "doctor:print_doctor", exit_code=int(any(one.state == "bad" for one in checks)))


def _place(shell: Shell) -> Iterator[Said]:
    variable = "POINTS_LEDGER" if os.environ.get("POINTS_LEDGER") else "default"
    yield Said("ledger", shell.ledger_name, "command line" if shell.is_told else variable)


def _options(name: str, file: Path | None) -> Iterator[Said]:
    return said_options(resolve_name("service.cli:command_of")(name), file)


def _shown(value: Any) -> Any:
    """Return a value as JSON has it; a secret shows that there is one."""
    try:
        msgspec.json.encode(value)
    except TypeError:
        return str(value)
    return value


def _engine() -> Check:
    """Which program decides."""
    found = deciding()
    if found.is_missing:
        return Check("engine", "bad", f"{found.said_by}: {found.asked}; {told(found.why_not)}")
    if found.decides == "native":
        says, left = text("the native engine decides"), text("`points stats --engines` says what it leaves to Python")
        return Check("engine", "good", f"{says}; {left}")
    says = text("Python decides")
    return Check("engine", "good", f"{says}; {told(found.why_not)}" if found.why_not else says)


def _machine() -> Iterator[Check]:
    try:
        ZoneInfo("Asia/Shanghai")
    except ZoneInfoNotFoundError:
        says = text("there are no time zones on this machine")
        yield Check("time zones", "bad", says, text("install the system's tzdata, or the Python package of that name"))
    else:
        yield Check("time zones", "good", text("there are time zones"))
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        says = text(
            "the terminal's encoding is {encoding}, which lacks many characters, such as Chinese ones",
            encoding=encoding or "?",
        )
        yield Check("encoding", "look", says, text("set LANG to one that ends in UTF-8, or PYTHONUTF8=1"))


def _ledger(shell: Shell, kafka: KafkaSettings) -> Iterator[Check]:
    """The ledger, who writes it, and what feeds it."""
    if not shell.has_ledger:
        says = text("there is no ledger in {place} yet", place=shell.ledger_name)
        yield Check("ledger", "look", says, text("`points init` makes one, `points demo` one with a shop's year"))
        return
    try:
        with shell.reading() as opened:
            entries = opened.count()
            yield Check(
                "ledger",
                "good",
                text(
                    "{id}: {entries} entries in {partitions} partitions, fed by {stream}",
                    id=opened.settings.id,
                    entries=entries,
                    partitions=len(opened.partitions),
                    stream=opened.settings.stream,
                ),
            )
            if opened.settings.stream == KAFKA:
                yield _broker(opened, kafka)
            yield from _archives(opened)
    except PointsLedgerError as error:
        yield Check("ledger", "bad", told(error.for_people()))
    if not is_address(shell.place):
        writer = writer_of(shell.folder)
        yield Check("writer", "good", writer or text("nobody writes it now"))


def _broker(ledger: Ledger, kafka: KafkaSettings) -> Check:
    patient = msgspec.structs.replace(kafka, timeout_seconds=min(kafka.timeout_seconds, ANSWER_SECONDS))
    try:
        with closing(open_admin(patient)) as admin:
            found = admin.topic(ledger.settings.topic)
    except PointsLedgerError as error:
        return Check("kafka", "bad", told(error.for_people()))
    if found is None:
        says = text("{servers} has no topic {topic}", servers=kafka.bootstrap_servers, topic=ledger.settings.topic)
        return Check("kafka", "bad", says, text("`points topics create` makes it, unless it was lost: restore it then"))
    says = "{servers} has the topic {topic} with {count} partitions"
    return Check(
        "kafka",
        "good",
        text(says, servers=kafka.bootstrap_servers, topic=ledger.settings.topic, count=found.partitions),
    )


def _archives(ledger: Ledger) -> Iterator[Check]:
    """Whether the archives can be read that have what was pruned."""
    spans = (span for partition in ledger.partitions for span in ledger.journal(partition).pruned_spans())
    for address in sorted({os.environ.get(ARCHIVE) or span.archive for span in spans}):
        try:
            archive = Archive(address)
        except (PointsLedgerError, OSError) as error:
            way_out = text("make it reachable, or name where it is now in POINTS_ARCHIVE")
            yield Check("archive", "bad", told(str(error)), way_out)
        else:
            says = text(
                "what was pruned is read from {archive}: {entries} entries", archive=address, entries=archive.entries
            )
            yield Check("archive", "good", says)


def _issuer(settings: OidcSettings) -> Check:
    """Whether the issuer answers that people sign in with, and has keys that may sign."""
    issuer = issuer_of(settings)
    try:
        keys = asyncio.run(issuer.keys())
    except CannotRunNow as error:
        return Check("sign-in", "bad", told(str(error)), text("people cannot sign in until it answers; keys go on"))
    if not keys:
        says = text("the issuer {issuer} has no key that may sign", issuer=settings.issuer)
        return Check("sign-in", "bad", says, text("an RSA key of 2,048 bits, an EC key or Ed25519 is needed"))
    says = text("people sign in with {issuer}; roles: {roles}", issuer=settings.issuer, roles=", ".join(settings.roles))
    return Check("sign-in", "good", says)


def _folder(shell: Shell, named: Path | None, settings: list[Said]) -> Iterator[Check]:
    """The folder of keys, views and results: its rights, its disk, its keys."""
    if is_address(shell.place) and named is None and not os.environ.get("POINTS_FOLDER"):
        says = text("no folder is named for views, webhooks, drafts and results")
        yield Check("folder", "look", says, text("give --folder DIR, or set POINTS_FOLDER"))
        return
    folder = named or Path(os.environ.get("POINTS_FOLDER") or shell.place)
    standing = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not os.access(standing, os.W_OK | os.X_OK):
        says = text("this user may not write in {folder}", folder=str(standing))
        yield Check("folder", "bad", says, text("give the user rights there, or name another folder"))
    free = shutil.disk_usage(standing).free
    says = text("{mebibytes} MiB are free at {folder}", mebibytes=free >> 20, folder=str(standing))
    state: Literal["good", "look", "bad"] = "bad" if free < TOO_LITTLE else "look" if free < LITTLE else "good"
    yield Check("disk", state, says, text("make room: a full disk stops deciding") if state != "good" else "")
    problems = problems_of(folder)
    yield from (Check("keys", "bad", told(problem)) for problem in problems)
    host = next((str(one.value) for one in settings if one.name == "serve.host"), "127.0.0.1")
    has_sign_in = any(one.name == "oidc.issuer" and one.value for one in settings)
    if (
        not problems
        and not has_sign_in
        and not _has_keys(shell.place, folder)
        and not is_local(host)
        and not os.environ.get(BOOTSTRAP)
    ):
        says = text("`points serve` would listen on {host}, and there are no keys", host=host)
        yield Check("keys", "bad", says, text("`points keys new NAME --scope SCOPE` makes one"))


def _views(shell: Shell, named: Path | None) -> Check:
    """Where views are kept, and whether that can be reached."""
    said = named or os.environ.get("POINTS_FOLDER") or (None if is_address(shell.place) else shell.place)
    try:
        with view_store(shell.place, None if said is None else Path(said)) as store:
            return Check("views", "good", text("views are kept in {place}", place=store.place))
    except WrongUse as error:
        return Check("views", "look", told(str(error)))
    except PointsLedgerError as error:
        return Check("views", "bad", told(error.for_people()))


def _state(shell: Shell) -> Iterator[Check]:
    """Where keys, sessions and what operators did are kept, where that is not the folder."""
    try:
        store = shared_state(shell.place) if shell.has_ledger else None
        if store is None:
            return
        with closing(store):
            says = text("keys, sessions and what operators did are kept in {place}", place=store.name)
            yield Check("state", "good", says)
        yield from (Check("keys", "bad", told(problem)) for problem in shared_problems(shell.place))
    except PointsLedgerError as error:
        yield Check("state", "bad", told(error.for_people()))


def _has_keys(place: str, folder: Path) -> bool:
    if not is_address(place) and not (folder / FILE).is_file():
        return False
    with closing(keys_of(place, None if is_address(place) else folder)) as keys:
        return keys.exist()
