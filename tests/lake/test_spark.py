"""Spark runs the audits of an archive and comes to what one machine does: the same answer, the same differences."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyspark
import pytest
from pyspark.sql import SparkSession

from projections.audit.verify import verify_partition
from service.archive.ledger import ArchivedLedger
from service.spark import running, submit
from tests.journal.test_archive import Shelf
from tests.journal.test_archive_audits import QUESTIONS, asked, whole
from tests.journal.test_archive_grows import FACTS, THIRD, feed

pytestmark = [pytest.mark.lake, pytest.mark.timeout(900)]  # Java starts slowly on a busy machine


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_spark_answers_as_one_machine_does(made: Shelf, spark: SparkSession, question: list[str]) -> None:
    of_archive = asked(made, question, "--from-archive", made.archive)
    assert asked(made, question, "--from-archive", made.archive, "--on", "spark") == of_archive
    assert of_archive == asked(made, question)


def test_spark_answers_of_a_ledger_that_was_split(shelf: Shelf, spark: SparkSession) -> None:
    shelf.points("split", "--times", 2)
    feed(shelf, FACTS[2 * THIRD :], "third")
    shelf.points("archive", "export", shelf.archive)
    for question in (["verify"], ["replay"], ["stats", "--as-of", "2026-01-01"]):
        of_spark = asked(shelf, question, "--from-archive", shelf.archive, "--on", "spark")
        assert of_spark == asked(shelf, question)


def test_nothing_is_left_on_an_executor(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ledger = ArchivedLedger.at(str(made.archive))
    opening = ledger.opening()
    ledger.close()
    places = pyarrow.RecordBatch.from_pydict({"id": [0, 1]})
    assert list(running._found_in(opening, (0, 1), verify_partition, ((),), iter([places])))
    assert list(tmp_path.iterdir()) == []


def test_what_was_planted_is_named_alike(shelf: Shelf, spark: SparkSession) -> None:
    count = 0

    def cut(state: bytes) -> bytes:
        nonlocal count
        count += 1
        return state[:-1] if count in (4, 9) else state

    whole(shelf)(cut)
    for question, field in ((["replay"], "differences"), (["verify"], "broken")):
        here, there = (
            asked(shelf, question, "--from-archive", shelf.archive, *on, code=1) for on in ([], ["--on", "spark"])
        )
        assert here == there and len(here[field]) >= 2


def test_a_file_that_was_changed_is_named_alike(shelf: Shelf, spark: SparkSession) -> None:
    path = sorted((shelf.archive / "entries").glob("*/*.parquet"))[-1]
    path.write_bytes(path.read_bytes()[:-1])
    said = [shelf.points("replay", "--from-archive", shelf.archive, *on, code=3).err for on in ([], ["--on", "spark"])]
    assert said[0] == said[1] and f"{path}: has " in said[0]


@pytest.mark.parametrize("home", ["s3", "hdfs"], indirect=True)
def test_spark_reads_a_place(made: Shelf, spark: SparkSession, home: str) -> None:
    made.points("archive", "export", home)
    assert asked(made, ["replay"], "--from-archive", home, "--on", "spark") == asked(made, ["replay"])


def test_spark_submit_runs_the_same_command(made: Shelf) -> None:
    program = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    settings = ["--master", "local[1]", "--driver-memory", "512m", "--conf", "spark.ui.enabled=false"]
    words = ["replay", "--from-archive", made.archive, "--on", "spark", "--json"]
    command = [program, *settings, Path(submit.__file__), *words]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=600)
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert {**json.loads(ran.stdout), "seconds": 0} == asked(made, ["replay"])


def test_a_spark_that_does_not_start_says_so(made: Shelf, tmp_path: Path) -> None:
    environment = {**os.environ, "JAVA_HOME": str(tmp_path), "PATH": "/nowhere"}
    command = [sys.executable, "-m", "service.cli", "replay", "--from-archive", made.archive, "--on", "spark"]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=120)
    assert ran.returncode == 4 and "Java 17" in ran.stderr
