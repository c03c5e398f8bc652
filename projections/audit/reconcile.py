"""The ledger's balances against a list from outside, member by member; each difference is explained from the entries.

The list may be in any order: it is sorted in a temporary file, and then both are read side by side.
"""

import csv
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from ledger.core.account import Account, Purse
from ledger.core.decide import run_to
from ledger.core.evolve import evolve_entry
from ledger.core.pages import PagesInMemory
from ledger.errors import Unusable
from ledger.journal.ledger import Ledger
from ledger.wire.entries import OUTCOMES
from ledger.wire.entry_codec import decode_entry
from ledger.wire.entry_json import fact_head
from ledger.wire.times import Zone, parse_instant, to_text
from projections.answers.shops import without_shop
from projections.side_by_side import side_by_side
from projections.ticking import Progress, ticking

BALANCES: dict[str, Callable[[Purse], int]] = {
    "spendable": lambda purse: purse.spendable(),
    "net": lambda purse: purse.spendable() - purse.debt,
    "total": lambda purse: purse.spendable() + purse.pending() + purse.held(),
}
# The columns of `points export balances` that come to each: those that are added, and those that are taken off.
_EXPORTED = {
    "spendable": (("spendable",), ()),
    "net": (("spendable",), ("debt",)),
    "total": (("spendable", "pending", "held"), ()),
}
MAX_ENTRIES = 100  # that are listed for one difference
MAX_BALANCE = 1 << 53
ROWS = 10_000  # of the list at a time


class BadList(Unusable):
    """A list of balances that cannot be used: the file, the row, and what is wanted."""


class Row(NamedTuple):
    """What the list says: `as_of` is None where the row does not say."""

    member: str
    kind: str
    balance: int
    as_of: int | None


@dataclass(slots=True)
class Reconciliation:
    """What was compared: `total` by kind is what the ledger has more than the list."""

    compared: int = 0
    agree: int = 0
    differ: int = 0
    only_in_list: int = 0
    only_in_ledger: int = 0
    total: dict[str, int] = field(default_factory=dict)


@contextmanager
def balances_in(path: Path, ledger: Ledger, balance: str = "spendable") -> Iterator[Iterator[Row]]:
    """Yield a list from outside, sorted by member and kind on disk. Raises `BadList`.

    A list without a column `balance`, as `points export balances` writes it, is read by the columns that come to
    `balance`, one of `BALANCES`.
    """
    kinds = list(dict.fromkeys(kind for version in ledger.book.versions for kind in version.programme.kinds))
    default = kinds[0] if len(kinds) == 1 else ledger.book.versions[-1].default_kind
    with closing(sqlite3.connect("")) as file:  # a temporary file of its own, which goes with it
        file.execute(
            "CREATE TABLE rows (member TEXT, kind TEXT, balance INTEGER, as_of INTEGER, PRIMARY KEY (member, kind))"
            " WITHOUT ROWID"
        )
        for number, values in _read(path, balance):
            row = _row(path, number, values, kinds, default, ledger.book.offset)
            try:
                file.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                raise BadList(f'{path}:{number}: {row.kind} of "{row.member}" stand in the list twice') from None
        yield map(Row._make, file.execute("SELECT member, kind, balance, as_of FROM rows ORDER BY member, kind"))


def reconcile(
    ledger: Ledger,
    listed: Iterator[Row],
    as_of: int,
    balance: str,
    found: Reconciliation,
    progress: Progress = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Return the differences by member, streamed, counted in `found`; `balance` is one of `BALANCES`.

    `as_of` holds where a row does not say otherwise. A member who is in one of both only differs where the balance is
    not 0.
    """
    measure = BALANCES[balance]
    groups = ((member, list(rows)) for member, rows in groupby(listed, key=attrgetter("member")))
    both = side_by_side(ledger.accounts(as_of), groups, key=itemgetter(0))
    for ours_of, theirs_of in ticking(both, progress, every=1_000):
        member = (ours_of or theirs_of or ("",))[0]
        account, rows = ours_of and ours_of[1], theirs_of[1] if theirs_of else []
        said = {row.kind: row for row in rows}
        kinds = [*said, *(kind for kind in (account.purses if account else ()) if kind not in said)]
        for kind in kinds:
            row = said.get(kind)
            moment = as_of if row is None or row.as_of is None else row.as_of
            then = account if moment == as_of else ledger.account(member, moment)
            ours = measure(then.purse(kind)) if then else 0
            theirs = row.balance if row else 0
            if row is not None or ours:
                found.compared += 1
                if ours == theirs:
                    found.agree += 1
            if ours == theirs:
                continue
            where = "both" if row and then else "list" if row else "ledger"
            found.differ += where == "both"
            found.only_in_list += where == "list"
            found.only_in_ledger += where == "ledger"
            found.total[kind] = found.total.get(kind, 0) + ours - theirs
            yield {
                "member": member,
                "kind": kind,
                "as_of": to_text(moment, ledger.book.offset),
                "in": where,
                "ledger": ours if where != "list" else None,
                "list": theirs if where != "ledger" else None,
                "difference": ours - theirs,
                **(_explain(ledger, member, kind, moment, theirs, measure) if where == "both" else {}),
            }


# -- why ---------------------------------------------------------------------------------------------------------------


def _explain(
    ledger: Ledger, member: str, kind: str, as_of: int, theirs: int, measure: Callable[[Purse], int]
) -> dict[str, Any]:
    """When the ledger last stood at what the list says and what moved it since; else which entry fits alone."""
    steps, at_last = _steps(ledger, member, kind, as_of, measure)
    difference = at_last - theirs
    agreed = next((step for step in reversed(steps) if step["balance"] == theirs), None)
    fallen = at_last - (steps[-1]["balance"] if steps else 0)
    if agreed is not None:
        since = [step for step in steps if step["number"] > agreed["number"] and step["points"]]
        last = {name: agreed[name] for name in ("number", "occurred")}
        told = {"agreed_after": last, "since": since[-MAX_ENTRIES:], "since_count": len(since), "fallen_due": fallen}
        return {**told, "text": _since_text(last, since, fallen)}
    missing = [step for step in steps if step["points"] == difference]
    twice = [step for step in steps if step["points"] == -difference]
    told = {"agreed_after": None, "as_if_missing": missing[:MAX_ENTRIES], "as_if_twice": twice[:MAX_ENTRIES]}
    return {**told, "fallen_due": fallen, "text": _alone_text(missing, twice, fallen == difference)}


def _steps(
    ledger: Ledger, member: str, kind: str, as_of: int, measure: Callable[[Purse], int]
) -> tuple[list[dict[str, Any]], int]:
    """Return what each entry did to the balance, and the balance at the instant."""
    account, before = Account(), 0
    steps = []
    for row in ledger.journal(ledger.partition_of(member)).each_entry_of(member):
        entry = decode_entry(row.state)
        if entry.clock > as_of:
            break
        evolve_entry(account, entry)
        after = measure(account.purse(kind))
        head = fact_head(entry)
        steps.append(
            {
                "number": entry.number,
                "type": head.type,
                "id": head.id,
                "occurred": to_text(entry.occurred, ledger.book.offset),
                "outcome": OUTCOMES[entry.outcome],
                "points": after - before,
                "balance": after,
            }
        )
        before = after
    run_to(account, ledger.book_of(member), as_of, PagesInMemory())
    return steps, measure(account.purse(kind))


def _since_text(agreed: dict[str, Any], since: list[dict[str, Any]], fallen: int) -> str:
    moved = [f"entry {step['number']} ({step['type']} {step['id']}) {step['points']:+,}" for step in since[:5]]
    if len(since) > 5:
        moved.append(f"{len(since) - 5:,} more entries")
    if fallen:
        moved.append(f"fell due since {fallen:+,}")
    return f"as the ledger stood after entry {agreed['number']} ({agreed['occurred']}); since then: {', '.join(moved)}"


def _alone_text(missing: list[dict[str, Any]], twice: list[dict[str, Any]], is_due: bool) -> str:
    if is_due:
        return "as if what fell due by then had not"
    for found, how in ((missing, "left out"), (twice, "counted twice")):
        if found:
            step = found[-1]
            others = f" (or {len(found) - 1:,} others)" if len(found) > 1 else ""
            return f"as if entry {step['number']} ({step['type']} {step['id']}, {step['points']:+,}){others} were {how}"
    return "the ledger never stood there, and no entry alone makes up the difference"


# -- the list ----------------------------------------------------------------------------------------------------------


def _read(path: Path, balance: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a list, each with its number in the file. Raises `BadList`."""
    try:
        if path.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(path) as table:
                names = table.schema_arrow.names
                parts = _columns_of(path, names, balance)
                wanted = [name for name in ("member", "kind", "as_of", *parts) if name in names]
                batches = table.iter_batches(ROWS, columns=wanted)
                rows = (values for batch in batches for values in batch.to_pylist())
                yield from ((number, _summed(path, number, row, parts)) for number, row in enumerate(rows, 1))
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            parts = _columns_of(path, reader.fieldnames or [], balance)
            for values in reader:
                yield reader.line_num, _summed(path, reader.line_num, values, parts)
    except (OSError, csv.Error, UnicodeDecodeError, pyarrow.ArrowException) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadList(f"{path}: {said}; give a CSV or Parquet file with member, kind and balance") from None


def _columns_of(path: Path, names: Sequence[str], balance: str) -> dict[str, int]:
    """Return the columns of a list that come to the balance, each with its sign. Raises `BadList`."""
    added, taken = _EXPORTED[balance]
    exported = dict.fromkeys(added, 1) | dict.fromkeys(taken, -1)
    parts = exported if "balance" not in names and exported.keys() <= set(names) else {"balance": 1}
    lacking = [name for name in ("member", *parts) if name not in names]
    if lacking:
        raise BadList(
            f"{path}: has no column {' and none '.join(lacking)}; member, kind, balance and as_of are read, or what"
            " `points export balances` writes"
        )
    return parts


def _summed(path: Path, number: int, values: dict[str, Any], parts: dict[str, int]) -> dict[str, Any]:
    """Return a row with its balance, summed where it stands in several columns. Raises `BadList`."""
    if "balance" in parts:
        return values
    found = (sign * _points(f"{path}:{number}", name, values.get(name)) for name, sign in parts.items())
    return {**values, "balance": sum(found)}


def _points(where: str, name: str, value: Any) -> int:
    """Return a number of points of a list. Raises `BadList`."""
    try:
        points = int(value) if isinstance(value, str) else value
        if isinstance(points, bool) or points is None or int(points) != points or abs(points) > MAX_BALANCE:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadList(f'{where}: {name} is "{str(value)[:64]}"; an integer of points is needed') from None
    return int(points)


def _row(path: Path, number: int, values: dict[str, Any], kinds: list[str], default: str, offset: Zone) -> Row:
    where = f"{path}:{number}"
    member, balance, as_of = values.get("member"), values.get("balance"), values.get("as_of")
    kind = values.get("kind") or default
    if not isinstance(member, str) or not 0 < len(member) <= 128:
        raise BadList(f"{where}: no member; a name of 1 to 128 characters is needed")
    if without_shop(kind) not in kinds:
        raise BadList(f'{where}: kind is "{str(kind)[:64]}"; the book has {", ".join(kinds)}')
    points = _points(where, "balance", balance)
    try:
        text = as_of if isinstance(as_of, str) or as_of is None else as_of.isoformat()
        instant = parse_instant(text, offset) if text else None
    except (AttributeError, ValueError, OverflowError) as error:
        raise BadList(f'{where}: as_of "{str(as_of)[:64]}": {error}; give a date or RFC 3339') from None
    return Row(member, kind, points, instant)
