"""`make chaos ARGS="--minutes 10 --seed 7"`: real brokers, databases, consumers and servers, and all that goes wrong.

Exit 1 where a fact is lost in silence, decided twice, or not as in an undisturbed ledger.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import Campaign, Plan
from tests.chaos.hosts import INSIDE, go_inside, what_is_missing
from tests.support.databases import programs_or_skip

IN_MEMORY = Path("/dev/shm")


def main() -> int:
    """Play a campaign, print what came of it; return 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long there are troubles (10)")
    parser.add_argument("--seed", type=int, default=1, help="decides which troubles come when (1)")
    parser.add_argument("--asynchronous", action="store_true", help="the standby lags, and takes over all the same")
    parser.add_argument("--inbox", action="store_true", help="the servers have a ledger of their own, with an inbox")
    parser.add_argument("--unclean", action="store_true", help="a broker that lags is made leader, halfway")
    parser.add_argument("--client", default="", help="confluent-kafka or kafka-python (by the seed)")
    parser.add_argument(
        "--logs", type=Path, help="a folder for what everybody said (a new one in the temporary folder)"
    )
    asked = parser.parse_args()
    if INSIDE not in os.environ:
        missing = what_is_missing()
        if not missing:
            go_inside("tests.chaos", sys.argv[1:])
        print(f"nobody is cut off: {', '.join(missing)}", file=sys.stderr)
    logs = asked.logs or Path(tempfile.mkdtemp(prefix="points-chaos-"))
    logs.mkdir(parents=True, exist_ok=True)
    client = asked.client or ("confluent-kafka", "kafka-python")[asked.seed % 2]
    plan = Plan(
        asked.seed,
        asked.minutes,
        is_synchronous=not asked.asynchronous,
        client=client,
        has_inbox=asked.inbox,
        is_unclean=asked.unclean,
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="points-chaos-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as memory:
        os.chmod(memory, 0o755)  # the database's user has to come in
        result = Campaign(plan, programs_or_skip(), Path(memory), logs).run()
    figures = {**result.figures, "seconds": round(time.monotonic() - began), "logs": str(logs)}
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    for line in result.wrong:
        print(f"WRONG: {line}")
    print("wrong" if result.wrong else "nothing is lost, nothing twice, nothing else")
    return int(bool(result.wrong))


if __name__ == "__main__":
    sys.exit(main())
