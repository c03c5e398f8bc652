"""A table by member summed by what is known of the members: the average score of a region, what its members have."""

from collections.abc import Iterator

from ledger.errors import WrongUse
from ledger.rulebook.compiled import ProgrammeVersion
from projections.answers.tables import Column, Row, Table

AVERAGE = "_average"
MOST_GROUPS = 10_000


def attribute_to_group_by(version: ProgrammeVersion, name: str) -> str:
    """Return the name of an attribute of the book. Raises `WrongUse` where it is none."""
    attributes = version.programme.attributes
    if name in attributes:
        return name
    there = f"there are {', '.join(attributes)}" if attributes else "it has none"
    raise WrongUse(f'--by "{name}" is no attribute of the book; {there}')


def by_attribute(table: Table, keys: tuple[str, ...], values: Iterator[tuple[str, str]], name: str) -> Table:
    """Return a table whose first column is the member, summed by the value of an attribute and the columns in `keys`.

    A row says how many members it is of; each column of integers is their sum and, rounded down, the average over them.
    Both come in order of the members; of a member that `values` has not, the attribute is unknown: "". The rows raise
    `WrongUse` where they are more than `MOST_GROUPS`.
    """
    places = [index for index, column in enumerate(table.columns) if column.name in keys]
    sums = [index for index, column in enumerate(table.columns) if column.form == "integer"]
    shown = [Column(name), *(table.columns[place] for place in places), Column("members", "integer")]
    for place in sums:
        column = table.columns[place]
        shown += [column, Column(f"{column.name}{AVERAGE}", "integer")]

    def rows() -> Iterator[Row]:
        found: dict[tuple[str, ...], list[int]] = {}
        last: dict[tuple[str, ...], str] = {}  # the member that a group counted last
        known = next(values, None)
        for row in table.rows:
            member = str(row[0])
            while known is not None and known[0] < member:
                known = next(values, None)
            value = known[1] if known is not None and known[0] == member else ""
            key = (value, *(str(row[place]) for place in places))
            group = found.setdefault(key, [0] * (len(sums) + 1))
            if len(found) > MOST_GROUPS:
                raise WrongUse(
                    f"--by {name} makes more than {MOST_GROUPS:,} rows; an attribute with few values makes fewer"
                )
            group[0] += last.get(key) != member
            last[key] = member
            for index, place in enumerate(sums, 1):
                group[index] += row[place] or 0
        for key in sorted(found):
            members, *amounts = found[key]
            yield *key, members, *(figure for amount in amounts for figure in (amount, amount // members))

    return Table(tuple(shown), rows(), table.offset)
