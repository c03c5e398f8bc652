"""Facts in from Kafka, as long as it runs."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from getpass import getuser
from pkgutil import resolve_name
from typing import Annotated, NamedTuple

import typer

from consumers.kafka.client_base import no_topic
from consumers.kafka.clients import described_topic
from consumers.kafka.consume import NotGrownYet, Plan, check_stream, check_topic
from consumers.kafka.port import BrokerAway
from consumers.kafka.settings import KafkaSettings, LogSettings, load_tables
from consumers.kafka.settings import load as load_settings
from consumers.kafka.workers import consume as consume_as_planned
from consumers.kafka.workers import once_answered, once_stored, waiting_workers
from consumers.runtime.events import STAGES, Acquired, Decided, Event, Failed, Lag, Left, Observe, Recovered, Released
from consumers.runtime.ingest import Summary
from consumers.runtime.owner import BATCH
from ledger.errors import WrongUse
from ledger.journal.gaps import Gap
from ledger.journal.ledger import KAFKA, Ledger, Settings, new_id
from ledger.journal.processes import WaitingWorkers
from service.commands.options import BookOption, ConfigOption, option
from service.commands.summaries import name_dead_letters, print_summary, summary_to_dict
from service.courier import courier, say_troubles, send_once
from service.errors import say
from service.shell import Answer, Shell, command, text_of_books
from service.split_watch import split_watch
from service.stopping import stopping

MOST_WHY = 500  # characters of a reason
_GAP = re.compile(r"([0-9]{1,4}):([0-9]{1,18})-([0-9]{1,18})")
_TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class _Standing:
    """Passes events on, and knows which partitions are owned or left and which stages in trouble, to tell their end."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._owned: set[int] = set()
        self._troubles: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case Acquired(partition) | Left(partition):
                self._owned.add(partition)
            case Released(partition):
                self._owned.discard(partition)
            case Failed(stage):
                self._troubles.add(stage)
            case Recovered(stage):
                self._troubles.discard(stage)
        self._observe(event)

    def end(self) -> None:
        """Tell that nothing is owned any more, since the ledger was split, and nothing in trouble."""
        for partition in sorted(self._owned):
            self._observe(Released(partition, "the ledger was split: it is opened anew"))
        for stage in sorted(self._troubles):
            self._observe(Recovered(stage))
        self._owned.clear()
        self._troubles.clear()


class _Accepted(NamedTuple):
    """What an operator accepted: gaps with their partitions, and the id of a restored topic; who, and why."""

    gaps: tuple[tuple[int, Gap], ...]
    topic: str
    by: str
    why: str


_NOTHING = _Accepted((), "", "", "")


@command
def consume(
    shell: Shell,
    config: ConfigOption = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop once all that stands in the topic now is decided.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=256, help="Processes that decide.")] = 1,
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Send outcomes and dead letters to their topics.")
    ] = True,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve Prometheus metrics there, such as 127.0.0.1:9464.")
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer /health/live and /health/ready there, such as 0.0.0.0:9465."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most records of one transaction.", show_default=True)
    ] = BATCH,
    book: BookOption = None,
    accept_gap: Annotated[
        list[str] | None,
        option("--accept-gap", "PARTITION:FROM-TO", "Go on behind positions whose records are lost, such as 0:17-29."),
    ] = None,
    accept_topic: Annotated[
        str | None,
        option("--accept-topic", "ID", "The topic was restored, with its records at their offsets: go on with it."),
    ] = None,
    reason: Annotated[str | None, option("--reason", "WHY", "Why that is right; it is kept for auditors.")] = None,
    by: Annotated[str | None, option("--by", "NAME", "Who says so. (default: the user of this machine)")] = None,
) -> Answer | None:
    """Take facts from Kafka and decide them, until it is stopped; makes the ledger where there is none.

    SIGTERM or Ctrl-C finishes the batch and ends; the same command goes on
    from there. A broker or a store that is away is waited for, and behind a
    split the topics' new partitions. What happens is logged as JSON lines on
    standard error; a terminal sees a bar instead.

        points consume --config points.toml

        points consume --until-end --jobs 2 --json

    Where records are missing that were never decided, it ends and names them.
    Once they are lost for good, an operator lets it go on without them:

        points consume --accept-gap 0:17-29 --reason "retention, see incident 81"
    """
    accepted = _accepted(accept_gap or [], accept_topic, reason, by)
    settings = load_settings(config)
    address = None if metrics is None else _address(metrics, "--metrics")
    asked_at = None if health is None else _address(health, "--health")
    summary = Summary()
    stages = dict.fromkeys(STAGES, 0.0)
    started = time.monotonic()
    with ExitStack() as stack:
        waiting: WaitingWorkers | None = stack.enter_context(closing(waiting_workers(settings, jobs)))
        is_stopped = stack.enter_context(stopping(again_ends=True))
        log = load_tables(config).log
        observe = _Standing(stack.enter_context(_observing(shell, summary, stages, address, asked_at, log)))
        before: list[int] = []
        while True:  # and again behind each split
            with _opened(shell, settings, book, observe, is_stopped, may_wait=not until_end) as opened:
                if opened is None:
                    return None
                why = _why_ahead(opened, settings, observe, is_stopped)
                before += [opened.journal(p).head().offset for p in opened.partitions[len(before) :]]
                plans = _plans(opened, settings, jobs, until_end, publish, batch, accepted, is_ahead=bool(why))
                _record_accepted(opened, accepted)
                with nullcontext() if until_end else courier(opened, config):
                    is_split = _decide(opened, settings, plans, observe, is_stopped, waiting)
                if not is_split:
                    if until_end:
                        say_troubles(send_once(opened, config)[1])
                        if why and not is_stopped():
                            raise NotGrownYet(why)
                    named = name_dead_letters(opened, before, summary.tally.parked)
                    break
            observe.end()
            accepted, waiting = _NOTHING, None
        summary.seconds = time.monotonic() - started
        document = summary_to_dict(summary)
        document["stages"] = {name: round(seconds, 3) for name, seconds in stages.items()}
        document |= named
    return Answer(document, lambda: print_summary(shell.console, document))


def _decide(
    ledger: Ledger,
    settings: KafkaSettings,
    plans: list[Plan],
    observe: Observe,
    is_stopped: Callable[[], bool],
    waiting: WaitingWorkers | None,
) -> bool:
    """Consume as planned; return True where the ledger was split meanwhile, or is to be: it is to be opened anew.

    A ledger that has one writer is split when that has ended.
    """
    with split_watch(ledger) if ledger.is_shared else nullcontext(lambda: False) as is_split:
        try:
            consume_as_planned(ledger, settings, plans, observe, lambda: is_stopped() or is_split(), waiting)
        except NotGrownYet:
            return True
        return is_split() and not is_stopped()


def _plans(
    ledger: Ledger,
    settings: KafkaSettings,
    jobs: int,
    until_end: bool,
    publish: bool,
    batch: int,
    accepted: _Accepted,
    *,
    is_ahead: bool,
) -> list[Plan]:
    """Return the plan of each process: its part of an embedded ledger, or what the group assigns of a shared one."""
    partitions = list(ledger.partitions)
    jobs = min(jobs, len(partitions))
    return [
        Plan(
            partitions=() if ledger.is_shared else tuple(partitions[job::jobs]),
            group=settings.group if ledger.is_shared else "",
            outcomes=settings.topics.outcomes if publish else "",
            dead_letters=settings.topics.dead_letters if publish else "",
            until_end=until_end,
            batch=batch,
            fenced_seconds=settings.session_timeout_seconds,
            cloudevents=settings.cloudevents_headers,
            accepted=accepted.gaps,
            topic_id=accepted.topic,
            is_ahead=is_ahead,
        )
        for job in range(jobs)
    ]


@contextmanager
def _opened(
    shell: Shell,
    settings: KafkaSettings,
    book: list[str] | None,
    observe: Observe,
    is_stopped: Callable[[], bool],
    *,
    may_wait: bool,
) -> Iterator[Ledger | None]:
    """Yield the ledger, fed by that topic, with its lock held; None where it was stopped before both answered.

    Where the topic is to get as many partitions as the ledger, that is waited for, if it may be; else `NotGrownYet`.
    """
    is_there, topic = shell.has_ledger, settings.topics.facts
    toml = text_of_books(book, is_there=is_there)

    def is_checked(partitions: int | None = None) -> bool | None:
        return once_stored(shell.place, lambda: _checked(shell, topic, partitions), observe, is_stopped)

    def found() -> int | None:
        partitions = _partitions_of(settings, topic)
        return partitions if not is_there or is_checked(partitions) else None

    if is_there and not is_checked():
        yield None
        return
    away = (BrokerAway, NotGrownYet) if may_wait else (BrokerAway,)
    partitions = once_answered(found, observe, is_stopped, away)
    if partitions is None:
        yield None
        return
    born = Settings(partitions, id=new_id(), stream=KAFKA, topic=topic)
    with ExitStack() as held:
        yield once_stored(shell.place, lambda: _written(held, shell, toml, born), observe, is_stopped)


def _why_ahead(ledger: Ledger, settings: KafkaSettings, observe: Observe, is_stopped: Callable[[], bool]) -> str:
    """Return what is to be done where the topic has more partitions than the ledger, told as a trouble; else nothing.

    The ledger is split once all is decided that stands in the partitions it has: others decide nothing of that later.
    """
    topic = settings.topics.facts
    found = once_answered(lambda: _partitions_of(settings, topic), observe, is_stopped) or 0
    if found <= len(ledger.partitions):
        return ""
    why = (
        f"the topic {topic} has {found} partitions, and {ledger.name} has {len(ledger.partitions)}: only those are"
        f" decided. Once all is decided that stands there, `points split --times {found // len(ledger.partitions)}`"
        " gives the ledger the others"
    )
    observe(Failed("split", why))
    return why


def _checked(shell: Shell, topic: str, partitions: int | None) -> bool:
    """Return True once it is sure that the ledger is fed by a topic, with its partitions where their number is known.

    Raises `OtherStream`, `JournalError`.
    """
    with shell.reading() as found:
        check_stream(found, topic, partitions)
    return True


def _written(held: ExitStack, shell: Shell, book: str | None, born: Settings) -> Ledger:
    """Return the ledger with its lock held as long as `held` is open, fed by the topic that it is born with."""
    with ExitStack() as trying:
        opened = trying.enter_context(shell.writing(book, create=True, settings=born))
        check_stream(opened, born.topic, born.partitions)
        opened.bind_stream(KAFKA, born.topic)
        held.push(trying.pop_all())
    return opened


def _partitions_of(settings: KafkaSettings, topic: str) -> int:
    """Return how many partitions the topic has. Raises `Denied` where it is not there, or compacted; `BrokerAway`."""
    found = described_topic(settings, topic)
    if found is None:
        raise no_topic(topic)
    check_topic(found)
    return found.partitions


def _accepted(gaps: list[str], topic: str | None, reason: str | None, by: str | None) -> _Accepted:
    """Return what was accepted. Raises `WrongUse`."""
    why, is_asked = (reason or "").strip(), bool(gaps) or topic is not None
    if is_asked and not 0 < len(why) <= MOST_WHY:
        raise WrongUse(f"what is accepted wants a --reason of 1 to {MOST_WHY} characters: auditors will ask for it")
    if reason is not None and not is_asked:
        raise WrongUse("--reason says why something is accepted: give --accept-gap or --accept-topic, too")
    if topic is not None and not _TOPIC_ID.fullmatch(topic):
        raise WrongUse(f'--accept-topic "{topic}": give the id that `points consume` named, 22 letters')
    name, at = (by or getuser()).strip()[:100], datetime.now(UTC).isoformat(timespec="seconds")
    found = []
    for text in gaps:
        numbers = _GAP.fullmatch(text)
        if numbers is None or int(numbers[2]) > int(numbers[3]):
            raise WrongUse(f'--accept-gap "{text}": give PARTITION:FROM-TO, such as 0:17-29, as `points consume` did')
        found.append((int(numbers[1]), Gap(int(numbers[2]), int(numbers[3]), name, at, why)))
    return _Accepted(tuple(found), topic or "", name, why)


def _record_accepted(ledger: Ledger, accepted: _Accepted) -> None:
    """Record among what operators did what is about to be accepted."""
    for partition, gap in accepted.gaps:
        if partition not in ledger.partitions:
            raise WrongUse(f"--accept-gap {partition}:{gap.first}-{gap.last}: {ledger.name} has no such partition")
    if accepted.gaps or accepted.topic:
        with closing(resolve_name("service.http.operator_log:operator_log_of")(ledger.place, ledger.folder)) as log:
            for partition, gap in accepted.gaps:
                log.record(accepted.by, "accept-gap", f"{partition}:{gap.first}-{gap.last}", why=gap.why)
            if accepted.topic:
                log.record(accepted.by, "accept-topic", accepted.topic, why=accepted.why)


@contextmanager
def _observing(
    shell: Shell,
    summary: Summary,
    stages: dict[str, float],
    metrics: tuple[str, int] | None,
    health: tuple[str, int] | None,
    logged: LogSettings,
) -> Iterator[Observe]:
    """Yield the observer of events: it adds to the summary and the stages, and feeds metrics, a bar or a log."""

    def count(event: Event) -> None:
        if isinstance(event, Decided):
            summary.facts += event.records
            summary.tally.add(event.tally)
            for name in STAGES:
                stages[name] += getattr(event, name)

    watchers: list[Observe] = [count]
    if metrics is not None:
        served = resolve_name("service.metrics:Metrics")()
        served.serve(*metrics)
        watchers.append(served.observe)
    if health is not None:
        asked = resolve_name("service.health:ConsumerHealth")()
        asked.serve(*health)
        watchers.append(asked.observe)

    def observe(event: Event) -> None:
        for watch in watchers:
            watch(event)

    if sys.stdout.isatty():
        lags: dict[int, int] = {}
        with shell.progress("deciding") as tick:

            def show(event: Event) -> None:
                if isinstance(event, Lag):
                    lags.update(event.by_partition)
                elif isinstance(event, Failed):
                    say(f"{event.stage}: {event.why}; trying again")
                elif isinstance(event, Left):
                    say(f"partition {event.partition} is left, the others go on: {event.why}")
                tick(summary.facts, summary.facts + sum(lags.values()))

            watchers.append(show)
            yield observe
    else:
        log = resolve_name("service.consumer_log:ConsumerLog")(logged)
        watchers.append(log.observe)
        log.info("started", ledger=shell.ledger_name)
        yield observe
        log.info("stopped", facts=summary.facts)


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise WrongUse(f'{option} "{text}": give HOST:PORT, such as 127.0.0.1:9464')
    return host.strip("[]"), int(port)
