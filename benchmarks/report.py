"""The figures as tables for people: each beside what it is to be compared with."""

import os
import platform
import sys
from statistics import median

from benchmarks.growth import SKEW
from benchmarks.measure import Figures
from benchmarks.rules import ASKED, FEW, PLAIN, UNASKED, WITH_MANY
from benchmarks.streams import JOBS, STREAMS, ratios
from consumers.runtime.events import STAGES

WIDTH = 44
MEGA = 1_000_000
BUSY = 0.5  # a load above which somebody else was at work


def heading(facts: int, members: int, size: int, load: float) -> None:
    """What was measured, and where."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{processors} processors, Python {platform.python_version()}, {platform.system()} {platform.machine()};"
        f" {facts:,} made-up facts of {members:,} members (Zipf {SKEW}), {size / MEGA:,.0f} MB"
    )
    if load > BUSY:
        print(f"the machine was not idle (load {load:.1f}): compare CPU seconds, not seconds")


def stages(found: Figures) -> None:
    """Stages of one process."""
    _title("Stages, one process", "µs a fact", "share")
    write, whole = found["write"], sum(found["write"].values())
    for name, micros in write.items():
        _row(name, f"{micros:.1f}", f"{micros / whole:.0%}")
    _row("together", f"{whole:.1f}", "")
    _row("ingest itself, in the same process", f"{found['ingest']:.1f}", f"{found['ingest'] / whole:.2f}x")
    fold = found["fold"]
    for name, micros in fold.items():
        _row(f"to fold stored entries: {name}", f"{micros:.1f}", "")


def rules(found: Figures) -> None:
    """Books that differ in rules which a fact does not meet."""
    _title("Deciding by the book jd with other rules", "µs a fact")
    micros = found["micros"]
    for name, figure in micros.items():
        _row(name, f"{figure:.1f}")
    _ratio("200 rules : the 8 of them that are met", micros[WITH_MANY] / micros[FEW])
    _ratio("a who that is not asked : none", micros[UNASKED] / micros[PLAIN])
    _ratio("a who asked of every order : none", micros[ASKED] / micros[PLAIN])


def whole(found: Figures, facts: int) -> None:
    """Whole processes beside the peer."""
    runs = found["runs"]
    _title("Whole processes, durable", "facts/s", "CPU s", "per CPU s", "RSS MB", "anonymous")
    for name, run in runs.items():
        _row(name, *_speed(run, facts))
    one, two, peer = runs["ingest, jobs 1"], runs["ingest, jobs 2"], runs["peer"]
    _ratio("2 jobs : 1 job", one["seconds"] / two["seconds"])
    _ratio("1 job : peer (balance only), facts/s", peer["seconds"] / one["seconds"])
    _ratio("CPU of 1 job : CPU of the peer", one["cpu"] / peer["cpu"])
    print(f"  a ledger takes {found['ledger_bytes'] / facts:,.0f} bytes a fact on disk, inbox included")


def stores(found: Figures) -> None:
    """Each store by itself."""
    _title("Stores, one process writing", "rows/s", "µs a row", "CPU µs here")
    by_store: dict[str, dict[int, float]] = {}
    for row in found["rows"]:
        rate = row["rows"] / row["seconds"]
        by_store.setdefault(row["store"], {})[row["batch"]] = rate
        micros = 1e6 / row["rows"]
        what = f"{row['store']}, batches of {row['batch']:,}"
        _row(what, f"{rate:,.0f}", f"{row['seconds'] * micros:.1f}", f"{row['cpu'] * micros:.1f}")
    sqlite, postgres = by_store["SQLite"], by_store["PostgreSQL"]
    for batch, rate in postgres.items():
        _ratio(f"PostgreSQL : SQLite, batches of {batch:,}", rate / sqlite[batch])


def audits(found: Figures, facts: int) -> None:
    """Replay, verify, and what goes out of a ledger."""
    runs = found["runs"]
    _title("Audits", "entries/s", "CPU s", "per CPU s", "RSS MB", "anonymous")
    for name, run in runs.items():
        _row(name, *_speed(run, facts))
    _ratio("2 jobs : 1 job", runs["replay, jobs 1"]["seconds"] / runs["replay, jobs 2"]["seconds"])


def views(found: Figures, facts: int) -> None:
    """Rebuilding each view, and following with all of them."""
    _title("Views", "entries/s", "CPU s", "per CPU s", "RSS MB", "anonymous")
    for name, run in found["runs"].items():
        _row(name, *_speed(run, facts))
    one = sum(run["seconds"] for name, run in found["runs"].items() if name.endswith("jobs 1"))
    two = sum(run["seconds"] for name, run in found["runs"].items() if name.endswith("jobs 2"))
    _ratio("2 jobs : 1 job, over all views", one / two)


def real(found: Figures) -> None:
    """The real shop's year."""
    lines, facts = found["lines"], found["facts"]
    _title(f"Real year: {facts:,} facts", "lines/s", "CPU s", "per CPU s", "RSS MB", "anonymous", "facts/s")
    for name, run in found["runs"].items():
        _row(name, *_speed(run, lines), f"{facts / run['seconds']:,.0f}")


def members(found: Figures) -> None:
    """Few members and many."""
    facts = found["facts"]
    _title(f"Members: {facts:,} facts, 1 job", "facts/s", "CPU s", "kept B", "written B", "RSS MB", "anonymous")
    for row in found["rows"]:
        _row(
            f"{row['members']:,} members ({row['met']:,} met)",
            f"{facts / row['seconds']:,.0f}",
            f"{row['cpu']:.1f}",
            f"{row['ledger'] / facts:,.0f}",
            f"{row['written'] / facts:,.0f}",
            f"{row['rss'] / MEGA:,.0f}",
            f"{row['anonymous'] / MEGA:,.0f}",
        )
    few, many = found["rows"][0], found["rows"][-1]
    _ratio("many : few, CPU a fact", many["cpu"] / few["cpu"])
    _ratio("many : few, bytes written a fact", many["written"] / few["written"] if few["written"] else 0)


def memory(found: Figures) -> None:
    """Memory with the facts."""
    _title(f"Memory: {found['members']:,} members, 1 job", "facts/s", "RSS MB", "anonymous")
    rows = found["rows"]
    for row in rows:
        rate = row["facts"] / row["seconds"]
        _row(f"{row['facts']:,} facts", f"{rate:,.0f}", f"{row['rss'] / MEGA:,.0f}", f"{row['anonymous'] / MEGA:,.0f}")
    first, last = rows[0], rows[-1]
    _ratio(f"{last['facts'] / first['facts']:.0f}x the facts, peak RSS", last["rss"] / first["rss"])


def long(found: Figures) -> None:
    """One ledger as it grows."""
    _title(f"A ledger that grows: {found['members']:,} members, 2 jobs", "facts/s", "CPU µs", "RSS MB", "anonymous")
    rows, done = found["rows"], 0
    for row in (*rows, found["anew"]):
        done += row["facts"]
        _row(
            f"{'started anew, ' if row is found['anew'] else ''}up to {done:,} facts",
            f"{row['facts'] / row['seconds']:,.0f}",
            f"{row['cpu'] / row['facts'] * 1e6:,.1f}",
            f"{row['rss'] / MEGA:,.0f}",
            f"{row['anonymous'] / MEGA:,.0f}",
        )
    first, last = rows[0], rows[-1]
    _ratio("last : first, facts a second", first["seconds"] / last["seconds"])
    _ratio("last : first, CPU a fact", last["cpu"] / first["cpu"])
    _ratio("seconds to start on it and decide one fact", found["restart"])


def lake(found: Figures) -> None:
    """An archive's replay by processes and by Spark on the same machine, start and all."""
    entries = found["entries"]
    _title(f"An archive of {entries:,} entries", "entries/s", "CPU µs", "RSS MB")
    for name, one in {"export": found["export"], **{f"replay, {by}": of for by, of in found["runs"].items()}}.items():
        each = f"{one['cpu'] / entries * MEGA:.1f}", f"{one['rss'] / MEGA:,.0f}"
        _row(name, f"{entries / one['seconds']:,.0f}", *each)
    _ratio("archive : ledger, bytes", found["archive"] / found["ledger"])
    _ratio("bytes an entry in the archive", found["archive"] / entries)


def lag(found: Figures) -> None:
    """How old the oldest entry is that a view has not, while facts come in; and the share of a processor it takes."""
    title = f"{found['views']} views behind {found['rate']} facts/s"
    _title(title, "facts/s", "median s", "p99 s", "most s", "CPU")
    for row in found["rows"]:
        lags = (f"{row[name]:.2f}" for name in ("median", "p99", "most"))
        _row(row["store"], f"{row['facts_per_second']:,.0f}", *lags, f"{row['cpu']:.0%}")


def kafka(found: Figures, facts: int) -> None:
    """From Kafka into both stores, broker and server on the same machine, and how long a fact waits."""
    _title("Kafka into SQLite, or as said", "facts/s", "CPU s", "per CPU s", *STAGES)
    for name, run in found["runs"].items():
        stages = run["stages"]
        shares = [f"{stages[stage] / sum(stages.values()):.0%}" for stage in STAGES]
        _row(name, f"{facts / run['seconds']:,.0f}", f"{run['cpu']:.1f}", f"{facts / run['cpu']:,.0f}", *shares)
    runs = found["runs"]
    for client in found["clients"]:
        _ratio(f"{client}, 2 jobs : 1 job", runs[f"{client}, 1 job"]["seconds"] / runs[f"{client}, 2 jobs"]["seconds"])
    _title(f"From append to decided, {found['rate']} facts/s", "median ms", "99 % ms", "facts/s at most")
    for row in found["latency"]:
        most = f"{facts / row['seconds']:,.0f}" if row["seconds"] else ""
        _row(f"{row['client']}, batches of {row['batch']:,}", f"{row['median']:.1f}", f"{row['p99']:.1f}", most)


def streams(found: Figures) -> None:
    """Beside Kafka Streams; medians of the rounds."""
    facts, beside = found["facts"], ratios(found)
    title = f"{facts:,} facts of {found['members']:,} members, {JOBS} processes or threads, outcomes sent"
    _title(title, "facts/s", "CPU µs", "broker µs", "server µs", "RSS MB", "speed", "CPU")
    for name, rounds in found["runs"].items():
        middle = {key: median(each[key] for each in rounds) for key in ("seconds", "cpu", "broker", "server", "rss")}
        micros = [f"{middle[key] * MEGA / facts:.1f}" for key in ("cpu", "broker", "server")]
        ratio = [f"{figure:.2f}" for figure in beside.get(name, (1.0, 1.0))]
        _row(name, f"{facts / middle['seconds']:,.0f}", *micros, f"{middle['rss'] / MEGA:,.0f}", *ratio)
    inside = median(each["inside"] for each in found["runs"][STREAMS])
    _row("Kafka Streams, once its first fact is there", f"{facts / inside:,.0f}")
    print(f"points consume decides by the {found['engine']} engine where nothing else is said")


def questions(found: Figures) -> None:
    """One question at a time to a ledger that is open, and a backtest of all of it."""
    _title(f"{found['asked']} questions of {found['entries']:,} entries", "median ms", "worst ms")
    for name, times in found["times"].items():
        _row(name, f"{times['median']:.1f}", f"{times['worst']:.1f}")
    _row("(the member with most has about", f"{found['heaviest']:,}", "entries)")
    backtest = found.get("backtest")
    if backtest is None:
        return
    _title("points backtest", "seconds", "CPU s", "entries/s", "RSS MB")
    rate = backtest["entries"] / backtest["inside"]
    _row(
        "",
        f"{backtest['seconds']:.1f}",
        f"{backtest['cpu']:.1f}",
        f"{rate:,.0f}",
        f"{backtest['rss'] / (1 << 20):,.0f}",
    )


def http(found: Figures) -> None:
    """The HTTP API by one process and by more, its load made on the same machine."""
    alone = found["workers"][1]
    for workers, figures in found["workers"].items():
        bulk = figures["bulk"]
        title = "HTTP, one process" if workers == 1 else f"HTTP, {workers} processes"
        _title(f"{title}, load from the same machine", "a second", "to one", "median ms", "p99 ms")
        for name, part, first in (
            (f"redemptions decided, {found['rate']} a second", figures["redeem"], alone["redeem"]),
            (f"member reads, {found['readers']} connections", figures["read"], alone["read"]),
            ("facts in bulk, 2 connections, durable (ms: 5,000)", bulk, alone["bulk"]),
        ):
            ratio = f"{part['a_second'] / first['a_second']:.2f}"
            _row(name, f"{part['a_second']:,.0f}", ratio, f"{part['median']:.1f}", f"{part['p99']:.1f}")
        rate, first_rate = _decided(bulk), _decided(alone["bulk"])
        _row("facts in bulk, decided", f"{rate:,.0f}", f"{rate / first_rate:.2f}", "", "")


def _decided(bulk: Figures) -> float:
    rate: float = bulk["requests"] / bulk["decided_seconds"]
    return rate


def together(found: Figures) -> None:
    """Claims of one stock, and gifts from end to end."""
    _title(f"What members share, {found['workers']} processes", "a second", "median ms", "p99 ms")
    for name, part in (
        (
            f"claims answered, {found['rate']:,} a second, {found['given']:,} of {found['stock']:,} given",
            found["claims"],
        ),
        ("gifts, from the request until the receiver has them", found["gifts"]),
    ):
        _row(name, f"{part['a_second']:,.0f}", f"{part['median']:.1f}", f"{part['p99']:.1f}")


def owners(found: Figures) -> None:
    """A group of owners: how even its load is, and what the death of the busiest costs."""
    group = f"{found['partitions']} partitions, {found['owners']} owners, {found['members']:,} members"
    for skew, part in found["skews"].items():
        _title(f"{group}, Zipf {skew}", "")
        _row("the first member's part of the facts", f"{part['first_member']:.2%}")
        _row("the fullest partition, to the mean", f"{part['partition']:.2f}x")
        _row("the busiest owner, to the mean", f"{part['owner']:.2f}x")
        _row("it dies: partitions that others keep", f"{part['kept']}")
        _row("it is back: partitions that move to it", f"{part['moved_back']}")
        _title("  load of all owners before", "fullest", "facts wait", "seconds")
        for load, cost in part["loads"].items():
            seconds = cost["seconds"]
            told = "for ever" if seconds is None else f"{seconds:.1f}"
            _row(f"{float(load):.0%}", f"{cost['fullest']:.0%}", f"{cost['backlog']:,}", told)


def console(found: Figures) -> None:
    """The console's pages, asked for one after the other."""
    title = f"Console, {found['entries']:,} entries, each page {found['times']} times"
    _title(title, "CPU ms", "median ms", "p99 ms", "most ms")
    for name, part in found["pages"].items():
        _row(name, *(f"{part[column]:.1f}" for column in ("cpu", "median", "p99", "most")))


def compared(found: Figures) -> None:
    """Stages here beside those of another commit."""
    here, other = found.values()
    _, revision = found
    _title("Stages, µs a fact", "here", revision[:12], "ratio")
    for table in ("write", "fold"):
        for name, micros in here[table].items():
            before = other[table].get(name, 0.0)
            _row(name, f"{micros:.1f}", f"{before:.1f}", f"{micros / before:.2f}" if before else "")
    now, then = here["ingest"], other["ingest"]
    _row("ingest itself", f"{now:.1f}", f"{then:.1f}", f"{now / then:.2f}")


def compared_audits(found: Figures) -> None:
    """Audits and rebuilds here, beside Python's and another commit's: whole, and less what they take of one entry."""
    facts, revision, runs = found["facts"], found["revision"], found["runs"]
    for unit, name in (("cpu", "the processor"), ("seconds", "the clock")):
        _title(
            f"µs an entry by {name}", "here", "Python", revision[:9], "Python:", f"{revision[:9]}:", "less the", "start"
        )
        for command, whole in runs[str(facts)].items():
            times = [run[unit] for run in whole.values()]
            starts = [run[unit] for run in runs["1"][command].values()]
            here, python, other = times
            fold, by_python, by_other = (max(time - start, 0) for time, start in zip(times, starts, strict=True))
            ratios = python / here, other / here, by_python / (fold or here), by_other / (fold or here)
            _row(command, *(f"{MEGA * time / facts:.1f}" for time in times), *(f"{ratio:.2f}" for ratio in ratios))


def _speed(run: Figures, many: int) -> tuple[str, ...]:
    return (
        f"{many / run['seconds']:,.0f}",
        f"{run['cpu']:.1f}",
        f"{many / run['cpu']:,.0f}",
        f"{run['rss'] / MEGA:,.0f}",
        f"{run['anonymous'] / MEGA:,.0f}",
    )


def _title(name: str, *columns: str) -> None:
    print()
    _row(name, *columns, indent="")
    sys.stdout.flush()


def _row(name: str, *cells: str, indent: str = "  ") -> None:
    print(f"{indent + name:<{WIDTH}}" + "".join(f"{cell:>11}" for cell in cells))


def _ratio(name: str, value: float) -> None:
    print(f"{'  = ' + name:<{WIDTH}}{value:>11.2f}")
