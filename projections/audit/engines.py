"""What of a ledger's facts the native engine decides, and what it leaves to Python: all are decided again.

An entry names no program, since both come to the same bytes. So who decided it once is not stored; the metrics of a
server and a consumer count that while they run.
"""

from typing import Any

from ledger.journal.engines import deciding
from ledger.journal.ledger import Ledger
from ledger.journal.partition_map import Jobs
from projections.audit.replay import replay
from projections.ticking import Progress


def engines(ledger: Ledger, *, jobs: Jobs = 1, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Return which program decides here, and of all `entries` how many the native engine decides, and how many Python.

    `handed_back` are by why the entries of members whom the native engine leaves to Python: with one fact that it does
    not decide all of a member's entries are Python's here, and while facts are taken those of one batch. Another
    `difference_count` than 0 means that `points replay` finds what differs. Raises `NoEngine` where it is not there.
    """
    here = deciding()
    found = replay(ledger, jobs=jobs, by="native", progress=progress)
    by_python = sum(found["handed_back"].values())
    return {
        "decides": here.decides,
        "why_not": here.why_not,
        "entries": found["entries"],
        "native": found["entries"] - by_python,
        "python": by_python,
        "handed_back": found["handed_back"],
        "difference_count": found["difference_count"],
    }
