"""Run the benchmarks: tables on standard output, progress on standard error."""

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks import growth, kafka, lag, lake, owners, questions, report, rules, stores, streams, views, whole
from benchmarks.compare import compare, compare_audits, stages_of
from benchmarks.console import console, pages
from benchmarks.http import http
from benchmarks.measure import Failed, Figures, say
from benchmarks.together import together
from benchmarks.work import work
from ledger.journal.engines import MODULE

MEMBERS = 5_000
MANY = 1_000_000
FACTS = 200_000
QUICK = 40_000
STREAMED = 20  # facts a member, beside Kafka Streams
STAGED = 60_000  # facts, for the stages: enough to warm every cache
MEMORY = 3  # times the facts
FULL = (1_000_000, 10_000_000)
SECTIONS = (
    "stages",
    "rules",
    "whole",
    "stores",
    "audits",
    "questions",
    "views",
    "real",
    "members",
    "memory",
    "http",
    "together",
    "console",
)
OF_A_LEDGER = ("questions", "console")  # which may look at one that is there
BY_NAME = (
    *SECTIONS,
    "long",
    "kafka",
    "streams",
    "lake",
    "lag",
    "owners",
)  # the last take minutes or need more: only where named


def main() -> int:
    """Measure what is asked for. 0 done, 2 wrong use, 4 something did not run."""
    options = _parser().parse_args()
    try:
        found = _compare(options) if options.compare else _look(options) if options.ledger else _measure(options)
    except Failed as failed:
        print(f"benchmarks: {failed}", file=sys.stderr)
        return 4
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _measure(options: argparse.Namespace) -> Figures:
    facts = options.facts or (QUICK if options.quick else FACTS)
    rounds = 1 if options.quick else options.rounds
    load = os.getloadavg()[0]
    wanted = options.only or SECTIONS
    found: Figures = {"facts": facts, "members": MEMBERS, "load": load}
    with work(options.folder) as place:
        path = place.traffic(facts, MEMBERS)
        report.heading(facts, MEMBERS, path.stat().st_size, load)
        if "stages" in wanted:
            part = place.traffic(min(facts, STAGED), MEMBERS)
            say("stages")
            found["stages"] = stages_of(part)
            report.stages(found["stages"])
        if "rules" in wanted:
            found["rules"] = rules.rules(place.traffic(min(facts, STAGED), MEMBERS), rounds)
            report.rules(found["rules"])
        if "whole" in wanted:
            found["whole"] = whole.whole(place, path, rounds)
            report.whole(found["whole"], facts)
        if "stores" in wanted:
            part = place.traffic(min(facts, STAGED), MEMBERS)
            found["stores"] = stores.stores(place, part)
            report.stores(found["stores"])
        if "audits" in wanted:
            found["audits"] = whole.audits(place, path, rounds)
            report.audits(found["audits"], facts)
        if "questions" in wanted:
            found["questions"] = questions.questions(place, path)
            report.questions(found["questions"])
        if "views" in wanted:
            found["views"] = views.views(place, path, rounds)
            report.views(found["views"], facts)
        if "real" in wanted:
            found["real"] = whole.real(place, rounds)
            report.real(found["real"])
        if "members" in wanted:
            found["members"] = growth.members(place, FULL[0] if options.full else facts, (MEMBERS, MANY))
            report.members(found["members"])
        if "memory" in wanted:
            sizes = FULL if options.full else (facts, facts * MEMORY)
            found["memory"] = growth.memory(place, sizes, MEMBERS)
            report.memory(found["memory"])
        if "long" in wanted:
            found["long"] = growth.long(place, FULL[1] if options.full else facts, MANY)
            report.long(found["long"])
        if "kafka" in wanted:
            found["kafka"] = kafka.kafka(place, path, facts)
            report.kafka(found["kafka"], facts)
        if "streams" in wanted:
            members = facts // STREAMED
            found["streams"] = streams.streams(
                place, facts, members, options.rounds, has_native=find_spec(MODULE) is not None
            )
            report.streams(found["streams"])
        if "lake" in wanted:
            found["lake"] = lake.lake(place, path, rounds)
            report.lake(found["lake"])
        if "lag" in wanted:
            found["lag"] = lag.lag(place, path)
            report.lag(found["lag"])
        if "owners" in wanted:
            found["owners"] = owners.owners()
            report.owners(found["owners"])
        if "http" in wanted:
            part = place.traffic(min(facts, STAGED), MEMBERS)
            found["http"] = http(place, part, min(facts, STAGED))
            report.http(found["http"])
        if "together" in wanted:
            found["together"] = together(place)
            report.together(found["together"])
        if "console" in wanted:
            found["console"] = console(place, path)
            report.console(found["console"])
    return found


def _look(options: argparse.Namespace) -> Figures:
    """Measure questions and pages of a ledger that is there."""
    found: Figures = {}
    if "questions" in (options.only or OF_A_LEDGER):
        found["questions"] = questions.asked(options.ledger)
        report.questions(found["questions"])
    if "console" in (options.only or OF_A_LEDGER):
        found["console"] = pages(options.ledger)
        report.console(found["console"])
    return found


def _compare(options: argparse.Namespace) -> Figures:
    with work(options.folder) as place:
        if options.only == ["audits"]:
            found = compare_audits(place, options.facts or FACTS, MEMBERS, options.compare, options.rounds)
            report.compared_audits(found)
            return found
        path = place.traffic(options.facts or STAGED, MEMBERS)
        found = compare(place, path, options.compare, options.rounds)
    report.compared(found)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and size, as ratios in one run.")
    parser.add_argument("--facts", type=_count, metavar="N", help=f"how many facts (default {FACTS:,})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} facts, one round")
    parser.add_argument("--rounds", type=_count, default=2, help="take the best of so many (default 2)")
    parser.add_argument(
        "--full", action="store_true", help="a million facts over many members, memory up to 10 million facts"
    )
    parser.add_argument("--only", nargs="+", choices=BY_NAME, help="some sections")
    parser.add_argument(
        "--compare",
        metavar="REV",
        help="the stages here, or with `--only audits` audits and views, beside those of another commit",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="work under this folder (default: the system's)")
    parser.add_argument(
        "--ledger", type=Path, metavar="DIR", help=f"{' and '.join(OF_A_LEDGER)} over a ledger that is there"
    )
    return parser


def _count(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
