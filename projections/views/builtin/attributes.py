"""What is known of each member: the attributes of the book, as facts told them last."""

from collections.abc import Iterator

from ledger.core.account import Account
from ledger.core.bundles import OF_SHARES
from ledger.core.who import attribute_of
from ledger.wire.entries import AttributeTold, CreditSet, Rated
from projections.answers.tables import Row, Table, columns
from projections.views.view import Known, Options, Query, Snapshot, View

ATTRIBUTES = columns("member attribute value")


def attributes(taken: Snapshot, _: Options) -> Table:
    """A row a member and attribute of the book that is known of the member; a number is told as a text."""

    def rows(known: Known) -> Iterator[Row]:
        version = taken.version_of(known.subject.member)
        for name in version.programme.attributes:
            value = attribute_of(known.subject.state, version, name)
            if value is not None:
                yield known.subject.member, name, str(value)

    return taken.by_member(ATTRIBUTES, rows)


def values_of(taken: Snapshot, name: str) -> Iterator[tuple[str, str]]:
    """Yield each member with the value of an attribute, "" where it is unknown, in order of the members."""
    for known in taken.members():
        value = attribute_of(known.subject.state, taken.version_of(known.subject.member), name)
        yield known.subject.member, "" if value is None else str(value)


class Attributes(View):
    """What was told of each member."""

    name = "attributes"
    version = 2
    about = "what is known of each member, and what other views are grouped by (--by)"
    changes = OF_SHARES | {AttributeTold, CreditSet, Rated}
    state = Account
    queries = (Query("attributes", "what is known of each member, by attribute of the book", attributes),)
