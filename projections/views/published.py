"""The tables of the view `present` under their public names: views in SQL, with a comment on each column.

They stand in the ledger's schema (`points`) and move to another build in one transaction. Their columns are a promise:
new ones come behind those that there are. An instant is a `timestamptz`, without one where there is none.
"""

from collections.abc import Iterator
from typing import NamedTuple

from psycopg.sql import quote

from projections.views.builtin.present import FIGURES, Present
from projections.views.builtin.statement import MONTHS
from projections.views.view import View

_LAST = 253_402_300_799_999_999  # the end of the year 9999


class Column(NamedTuple):
    """A column of a published table: its name, the SQL that it is, and what it says."""

    name: str
    sql: str
    about: str


class Published(NamedTuple):
    """A published table: its name, what it says, its columns, and SQL behind FROM, with `{at}` for the build."""

    name: str
    about: str
    columns: tuple[Column, ...]
    source: str


def _same(name: str, about: str) -> Column:
    return Column(name, name, about)


def _whole(name: str, about: str, sql: str = "") -> Column:
    return Column(name, f"({sql or name})::bigint", about)


def _instant(name: str, about: str) -> Column:
    said = f"timestamptz 'epoch' + {name} * interval '1 microsecond'"
    return Column(name, f"CASE WHEN {name} BETWEEN 1 AND {_LAST} THEN {said} END", about)


MEMBER = _same("member", "the member's token")
KIND = _same("kind", "the kind of points; KIND@SHOP where it is kept for each shop")
MONTH = _same("month", "YYYY-MM in the ledger's zone")
_MOVED = "earned - spent + given_back - expired - clawed_back - forfeited - given + received"
_SAID_OF_MONTHS = {
    "earned": "points that came in",
    "spent": "points redeemed",
    "given_back": "points redeemed before and given back",
    "expired": "points that expired",
    "clawed_back": "points taken back after returns",
    "forfeited": "points lost by the end of a card or account",
    "given": "points given to other members",
    "received": "points received from other members",
}
_OUTSTANDING = " - ".join(("issued", *FIGURES[1:]))

TABLES: tuple[Published, ...] = (
    Published(
        "standing",
        "where the published tables stand: they come from these entries, at one instant",
        (
            Column("partition", "substr(application_name, 11)::integer", "a partition of the ledger"),
            Column("entries", "notification_id", "how many of its entries are in, from its first one on"),
            _instant("as_of", "the instant for which members were last counted: what fell due by then is in"),
        ),
        "(SELECT application_name, notification_id, latest AS as_of FROM {at}.tracking, {at}.counted) AS t",
    ),
    Published(
        "balances",
        "what each member has of each kind; nothing where all of it is 0",
        (
            MEMBER,
            KIND,
            _whole("spendable", "points that may be redeemed now"),
            _whole("pending", "points that are there and not confirmed yet"),
            _whole("held", "points set aside for redemptions that are not captured yet"),
            _whole("debt", "points owed to the shop"),
        ),
        "{at}.balances",
    ),
    Published(
        "lots",
        "open lots: points with one end",
        (
            MEMBER,
            KIND,
            _same("lot", "the lot, ENTRY or ENTRY.INDEX"),
            _same("rule", "the rule that gave it"),
            _whole("earned", "points that it began with"),
            _whole("points", "points that are left"),
            _instant("earned_at", "when it was earned"),
            _instant("expires_at", "when what is left of it goes; null: never"),
            Column("is_pending", "is_pending = 1", "whether it is pending"),
        ),
        "{at}.lots",
    ),
    Published(
        "scores",
        "the value and tier of each member's scores",
        (
            MEMBER,
            _same("score", "the score; SCORE@SHOP where it is kept for each shop"),
            _whole("value", "what it comes to now", "points"),
            Column("tier", "nullif(tier, '')", "the tier; null: none"),
            MONTH,
        ),
        "{at}.scores",
    ),
    Published(
        "score_parts",
        "what scores are made of; nothing where a part is 0",
        (
            MEMBER,
            _same("score", "the score, as in scores"),
            _same("part", "the part"),
            _whole("points", "what it adds"),
        ),
        "{at}.score_parts",
    ),
    Published(
        "memberships",
        "the current or else the last term of each card that a member ever had",
        (
            MEMBER,
            _same("membership", "the card"),
            _same("state", "how it stands"),
            _same("product", "the product that was bought"),
            _instant("begins_at", "when the term began"),
            _instant("ends_at", "when it ends; null: never"),
        ),
        "{at}.memberships",
    ),
    Published(
        "statement",
        "what came and went by member, kind and month; pending and held points are the member's",
        (
            MEMBER,
            KIND,
            MONTH,
            _whole("opening", "points at the month's beginning", "sum(moved) OVER months - moved"),
            *(_whole(name, about) for name, about in _SAID_OF_MONTHS.items()),
            _whole("closing", "points at the month's end", "sum(moved) OVER months"),
            _whole("debt", "points owed to the shop at the month's end", "sum(owed) OVER months"),
        ),
        f"(SELECT *, {_MOVED} AS moved FROM {{at}}.{MONTHS.name}) AS t"
        " WINDOW months AS (PARTITION BY member, kind ORDER BY month)",
    ),
    Published(
        "liability_by_month",
        "what moved over all members by kind and month of the member's clock, and what was outstanding at its end",
        (
            KIND,
            MONTH,
            _whole("issued", "points issued"),
            _whole("redeemed", "points redeemed, less what came back"),
            _whole("expired", "points that expired"),
            _whole("clawed_back", "points taken back after returns"),
            _whole("forfeited", "points lost by the end of a card or account"),
            _whole("in_transit", "points that left a member and did not reach another yet"),
            _whole("outstanding", "points that members had at the month's end", "sum(left_over) OVER months"),
        ),
        f"(SELECT *, {_OUTSTANDING} AS left_over FROM {{at}}.liability) AS t"
        " WINDOW months AS (PARTITION BY kind ORDER BY month)",
    ),
)


def published(view: View, schema: str, build: str) -> Iterator[str]:
    """Yield the statements that put the published tables of a view in a schema over a build; none of other views."""
    if view.name != Present.name:
        return
    for table in TABLES:
        columns = ", ".join(f"{column.sql} AS {column.name}" for column in table.columns)
        name = f"{schema}.{table.name}"
        yield f"CREATE OR REPLACE VIEW {name} AS SELECT {columns} FROM {table.source.format(at=build)}"
        yield f"COMMENT ON VIEW {name} IS {quote(table.about)}"
        for column in table.columns:
            yield f"COMMENT ON COLUMN {name}.{column.name} IS {quote(column.about)}"
