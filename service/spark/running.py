"""A function run for each partition of an archive on Apache Spark: the one that the processes of one machine run.

An executor makes the partition's journal from the archive's files and works through it alone, so nothing is shuffled;
what comes back is what was found. It needs this package, and the archive where everybody can read it.
"""

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow

from ledger.errors import CannotRunNow, PointsLedgerError, WrongUse
from ledger.journal.ledger import Opening
from ledger.journal.partition_map import Find

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOUND = pyarrow.schema([("partition", pyarrow.int32()), ("place", pyarrow.int64()), ("found", pyarrow.binary())])
_COLUMNS = "partition int, place long, found binary"
_JAVA = "Spark needs Java 17, and SPARK_HOME or PYSPARK_… as its own documentation says"


class OnSpark:
    """What runs functions for partitions on Spark: a task for each partition."""

    def __init__(self, session: "SparkSession") -> None:
        self._session = session

    def run(self, opening: Opening, partitions: Sequence[int], find: Find, arguments: Sequence[Any]) -> Iterator[Any]:
        """Yield what ``find(ledger, partition, *arguments)`` yields for each partition, by partition, numbers summed.

        Raises what `find` raised for the first partition where it did, and `CannotRunNow` where Spark itself failed.
        """
        from pyspark.errors import PySparkException

        tasks = self._session.range(0, len(partitions), 1, len(partitions))
        work = partial(_found_in, opening, tuple(partitions), find, tuple(arguments))
        try:
            rows = tasks.mapInArrow(work, _COLUMNS).toArrow()
        except PySparkException as error:
            raise CannotRunNow(f"Spark gave up: {_said(str(error))}") from None
        for row in rows.sort_by([("partition", "ascending"), ("place", "ascending")])["found"].to_pylist():
            found = pickle.loads(row)
            if isinstance(found, PointsLedgerError):
                raise found
            yield found


def _found_in(
    opening: Opening,
    partitions: Sequence[int],
    find: Find,
    arguments: Sequence[Any],
    batches: Iterator[pyarrow.RecordBatch],
) -> Iterator[pyarrow.RecordBatch]:
    """Yield of the partitions whose places come in `batches` what was found, pickled, a row each."""
    for batch in batches:
        for place in batch.column(0).to_pylist():
            partition = partitions[place]
            found = list(_worked(opening, partition, find, arguments))
            rows = [[partition] * len(found), list(range(len(found))), [pickle.dumps(one) for one in found]]
            arrays = [pyarrow.array(values, kind) for values, kind in zip(rows, _FOUND.types, strict=True)]
            yield pyarrow.RecordBatch.from_arrays(arrays, schema=_FOUND)


def _worked(opening: Opening, partition: int, find: Find, arguments: Sequence[Any]) -> Iterator[Any]:
    """Yield what a function finds in a partition, its numbers as one, and as the last the error that ended it.

    An error that may pass is raised: Spark tries the task again, and elsewhere.
    """
    entries, ledger = 0, None
    try:
        ledger = opening.open()
        for found in find(ledger, partition, *arguments):
            if isinstance(found, int):
                entries += found
            else:
                yield found
        yield entries
    except PointsLedgerError as error:
        if error.can_retry:
            raise
        yield error
    finally:
        if ledger is not None:
            ledger.close()  # a worker of Spark is killed when it is no longer needed, and would leave its files


def _said(error: str) -> str:
    """Return what an error says in front of Java's stack, and behind Python's."""
    lines = error.partition("\n\tat ")[0].strip().splitlines() or ["nothing"]
    return lines[-1][:500]


@contextmanager
def on_spark() -> Iterator[OnSpark]:
    """Yield the session of `spark-submit`, or one of this machine's processors or of what Spark's settings say.

    Raises `CannotRunNow` where Spark does not start, and `WrongUse` where it is not installed.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise WrongUse('--on spark needs an extra: pip install "pyspark>=4.1,<4.2" "pandas>=2.2,<3"') from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    running = SparkSession.getActiveSession()
    try:
        session = running or SparkSession.builder.appName("points").getOrCreate()
    except (PySparkException, OSError) as error:
        raise CannotRunNow(f"{' '.join(str(error).split())[:200]}; {_JAVA}") from None
    try:
        yield OnSpark(session)
    finally:
        if running is None:
            with suppress(PySparkException):
                session.stop()
