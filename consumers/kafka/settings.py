"""The settings of Kafka: a table of a TOML file, each key also by environment variable (``POINTS_KAFKA_TOPICS_FACTS``).

Secrets are never shown: not by `repr`, not by an error.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from ledger.errors import Unusable
from ledger.journal.engines import CONFIG, Engine
from ledger.wire.unreadable import UNREADABLE

PREFIX = "POINTS"
T = TypeVar("T", bound=Struct)

TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Client = Literal["kafka-python", "confluent-kafka"]
_Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
_Seconds = Annotated[float, Meta(ge=0.5, le=300)]
_Mebibytes = Annotated[int, Meta(ge=16, le=65_536)]


class BadSettings(Unusable):
    """Settings that cannot be used: names the file or the variable, the table and the key, and what is wanted."""


class _Table(Struct, frozen=True, kw_only=True):
    pass


class Secret:
    """A text that no message and no `repr` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the client alone."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"


class Topics(_Table, frozen=True):
    """The names of the three topics."""

    facts: TopicName = "points.facts.v1"
    outcomes: TopicName = "points.outcomes.v1"
    dead_letters: TopicName = "points.dead-letters.v1"


class Security(_Table, frozen=True):
    """TLS and SASL; files are PEM, and a secret may stand in a file of its own."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: _Text | None = None  # where left out: the system's
    certificate_file: _Text | None = None
    key_file: _Text | None = None
    key_password: Secret | None = None
    key_password_file: _Text | None = None
    check_hostname: bool = True
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: _Text | None = None
    password: Secret | None = None
    password_file: _Text | None = None


class KafkaSettings(_Table, frozen=True):
    """How Kafka is reached and read. `takes_backlog` believes what importers declare (decision 8)."""

    bootstrap_servers: _Text = "localhost:9092"
    client: Client = "kafka-python"
    group: Annotated[str, Meta(min_length=1, max_length=249)] = "points-ledger"
    session_timeout_seconds: Annotated[float, Meta(ge=1, le=1_800)] = 6.0  # a dead owner's partitions are given away
    timeout_seconds: _Seconds = 30.0  # for a broker's answer, where somebody waits for it
    buffer_mebibytes: _Mebibytes = 64  # of records fetched ahead, over all partitions
    takes_backlog: bool = False
    takes_schema_ids: bool = False  # in front of a value, as Confluent's serializers for JSON Schema put them
    cloudevents_headers: bool = False  # on what is published
    topics: Topics = Topics()
    security: Security = Security()


class LedgerSettings(_Table, frozen=True):
    """Which ledger, where neither the command line nor POINTS_LEDGER says it, and the folder beside a database."""

    place: _Text | None = None
    folder: _Text | None = None


class ViewsSettings(_Table, frozen=True):
    """Where views are kept: an address of PostgreSQL, ``ledger`` for the ledger's own, or a folder where left out."""

    store: _Text | None = None


class OidcSettings(_Table, frozen=True):
    """Sign-in to the console by an OpenID Connect issuer; none where `issuer` is left out.

    `url` is where browsers reach the console. `roles` gives scopes, as keys have them, for values of the ID token's
    claim `roles_claim`; dots lead into objects.
    """

    issuer: _Text | None = None
    client_id: _Text | None = None
    client_secret: Secret | None = None
    client_secret_file: _Text | None = None
    url: _Text | None = None
    scopes: _Text = "openid email profile"
    roles_claim: _Text = "roles"
    roles: dict[str, tuple[str, ...]] = {}
    name_claim: Literal["email", "preferred_username", "sub"] = "email"  # what acts are recorded under
    session_minutes: Annotated[int, Meta(ge=5, le=480)] = 480
    ca_file: _Text | None = None  # where left out: the authorities that httpx trusts


class LogSettings(_Table, frozen=True):
    """What a process that runs for long tells: the least level, and how often it tells how far it is."""

    level: Literal["info", "warning", "error"] = "info"
    every_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 10.0


class Settings(_Table, frozen=True):
    """All tables of the file. Those of `serve` and `consume` are options of the commands, which check them."""

    engine: Engine = "auto"  # that decides; `ledger.journal.engines` asks for it
    ledger: LedgerSettings = LedgerSettings()
    views: ViewsSettings = ViewsSettings()
    log: LogSettings = LogSettings()
    serve: dict[str, Any] = {}
    consume: dict[str, Any] = {}
    peers: dict[str, str] = {}  # where the ledgers are that points are exchanged with, by their names
    kafka: KafkaSettings = KafkaSettings()
    oidc: OidcSettings = OidcSettings()


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> KafkaSettings:
    """Return the settings of a file (or of the one that POINTS_CONFIG names), overridden by environment variables.

    An empty variable counts as none. Raises `BadSettings`.
    """
    if path is None and environment.get(CONFIG):
        path = Path(environment[CONFIG])
    where = str(path) if path else "the environment"
    known: set[str] = set()
    settings = _settings(path, where, environment, known).kafka
    _check_variables("KAFKA", known, environment)
    security = _with_secrets(settings.security, where, "kafka.security", ("password", "key_password"))
    for problem in _problems(security):
        raise BadSettings(f"{where}: kafka.security.{problem}")
    return msgspec.structs.replace(settings, security=security)


def load_oidc(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> OidcSettings | None:
    """Return how people sign in, as `load` does; None where no issuer is set. Raises `BadSettings`."""
    if path is None and environment.get(CONFIG):
        path = Path(environment[CONFIG])
    where = str(path) if path else "the environment"
    known: set[str] = set()
    found = _settings(path, where, environment, known).oidc
    _check_variables("OIDC", known, environment)
    if found.issuer is None:
        for name in ("client_id", "client_secret", "client_secret_file", "url", "roles"):
            if getattr(found, name):
                raise BadSettings(f"{where}: oidc.{name} is set, and oidc.issuer is not: set both or none")
        return None
    return _with_secrets(found, where, "oidc", ("client_secret",))


def _check_variables(table: str, known: set[str], environment: Mapping[str, str]) -> None:
    """Raise `BadSettings` for a variable of a table that is no setting of it."""
    begins = f"{PREFIX}_{table}_"
    for name in sorted(environment):
        if name.startswith(begins) and environment[name] and name not in known:
            there = ", ".join(sorted(one for one in known if one.startswith(begins)))
            raise BadSettings(f"{name}: there is no such setting; there are {there}")


class Said(NamedTuple):
    """A setting, its value and where that was said: a variable, the file, or ``default``."""

    name: str
    value: Any
    said_by: str


def said(path: Path | None, environment: Mapping[str, str] = os.environ) -> list[Said]:
    """Return every setting but the options of commands; secrets do not show. Raises `BadSettings`."""
    return list(_said(load_tables(path, environment), {} if path is None else _read(path), "", str(path), environment))


def _said(table: Struct, found: Any, at: str, where: str, environment: Mapping[str, str]) -> Iterator[Said]:
    for name in type(table).__struct_fields__:
        value, place = getattr(table, name), f"{at}.{name}".removeprefix(".")
        variable = f"{PREFIX}_{place.replace('.', '_').upper()}"
        if isinstance(value, Struct):
            yield from _said(value, found.get(name, {}), place, where, environment)
        elif not isinstance(value, dict):
            yield Said(place, value, variable if environment.get(variable) else where if name in found else "default")


def load_tables(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return all settings of a file, overridden by environment variables; secrets in files are not read.

    Raises `BadSettings`.
    """
    return _settings(path, str(path) if path else "the environment", environment, set())


def _settings(path: Path | None, where: str, environment: Mapping[str, str], known: set[str]) -> Settings:
    return _table(Settings, {} if path is None else _read(path), "", where, environment, known)


def _read(path: Path) -> dict[str, Any]:
    text = _text(path, "TOML")
    try:
        return tomllib.loads(text)
    except UNREADABLE as error:
        raise BadSettings(f"{path}: not TOML: {error}") from None


def _text(path: Path, kind: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}; give a readable {kind} file") from None
    except UnicodeDecodeError as error:
        raise BadSettings(f"{path}: byte {error.start} is not UTF-8; give a {kind} file") from None


def _table(kind: type[T], found: Any, at: str, where: str, environment: Mapping[str, str], known: set[str]) -> T:
    """Return the table that stands `at` a place of the file; `known` gets the variables that override its settings."""
    if not isinstance(found, dict):
        raise BadSettings(f"{where}: {at}: a table is wanted")
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        place = f"{at}.{field.name}".removeprefix(".")
        variable = f"{PREFIX}_{place.replace('.', '_').upper()}"
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            values[field.name] = _table(field.type, found.get(field.name, {}), place, where, environment, known)
            continue
        known.add(variable)
        if environment.get(variable):
            values[field.name] = _value(
                _read_variable(environment[variable], field.type), field.type, variable, strict=False
            )
        elif field.name in found:
            values[field.name] = _value(found[field.name], field.type, f"{where}: {place}", strict=True)
    for name in found.keys() - {field.name for field in msgspec.structs.fields(kind)}:
        raise BadSettings(f"{f'{where}: {at}'.removesuffix(': ')}: Object contains unknown field `{name}`")
    return kind(**values)


def _read_variable(text: str, wanted: Any) -> Any:
    """Return the value of a variable: of a table it is JSON; what is none stays a text, which is then refused."""
    if get_origin(wanted) is dict:
        with suppress(*UNREADABLE):
            return msgspec.json.decode(text)
    return text


def _value(value: Any, wanted: Any, name: str, *, strict: bool) -> Any:
    """Return the value of a setting of the type that is wanted. Raises `BadSettings`, which names it."""
    try:
        return msgspec.convert(value, wanted, strict=strict, dec_hook=_secret)
    except msgspec.ValidationError as error:
        choices = f"; one of {', '.join(get_args(wanted))} is wanted" if get_origin(wanted) is Literal else ""
        raise BadSettings(f"{name}: {error}{choices}") from None


def _secret(wanted: type, value: Any) -> Any:
    if wanted is Secret and isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("Expected a text that is not empty")


def _with_secrets(table: T, where: str, at: str, names: Sequence[str]) -> T:
    """Return the settings of a table with the secrets that stand in files. Raises `BadSettings`."""
    read: dict[str, Secret | None] = {}
    for name in names:
        file = getattr(table, f"{name}_file")
        if file is None:
            continue
        if getattr(table, name) is not None:
            raise BadSettings(f"{where}: {at}.{name}: is given twice, also by {name}_file; keep one")
        text = _text(Path(file), "text").rstrip("\r\n")
        if not text:
            raise BadSettings(f"{file}: is empty; {at}.{name}_file wants the secret there, on one line")
        read |= {name: Secret(text), f"{name}_file": None}
    return msgspec.structs.replace(table, **read)


def _problems(security: Security) -> Iterator[str]:
    """Yield what does not go together: a setting that would be ignored is a mistake."""
    protocol = security.protocol
    for name in ("username", "password"):
        is_set = getattr(security, name) is not None
        if protocol.startswith("SASL") and not is_set:
            yield f"{name}: is missing, and protocol {protocol} needs it"
        if not protocol.startswith("SASL") and is_set:
            yield f"{name}: is set, and protocol {protocol} has no use for it: SASL_SSL has"
    for name in ("ca_file", "certificate_file", "key_file", "key_password"):
        value = getattr(security, name)
        if value is None:
            continue
        if not protocol.endswith("SSL"):
            yield f"{name}: is set, and protocol {protocol} has no use for it: SSL and SASL_SSL have"
        elif name != "key_password" and not Path(value).is_file():
            yield f"{name}: there is no file {value}"
    if (security.certificate_file is None) != (security.key_file is None):
        yield "certificate_file: goes with key_file; give both or none"
