"""Where the names of the outside stand: each order, redemption, card, transfer, house … → members and their entries.

A row is one id of one kind under one member and entry, so an entry adds as many rows as its fact has ids, a handful.
Ids are kept as they were given, at most 128 characters, so that the beginning of one finds it. An entry of a house's
account has its id, too.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from ledger.journal.ledger import Ledger
from ledger.rulebook.compiled import HOUSE, NOT_MEMBERS
from ledger.wire.answers import Found, Hit
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import to_text
from projections.answers.tables import Column, Table, columns
from projections.views.snapshot import ViewSnapshot
from projections.views.view import FoldStep, Options, Query, RowDeltas, Snapshot, SumTable, View

Kind = Literal["member", "order", "redemption", "card", "claim", "campaign", "transfer", "exchange", "house"]
KINDS: tuple[Kind, ...] = get_args(Kind)
IDS = SumTable("ids", (Column("kind"), Column("id"), Column("member"), Column("entry", "integer")), ("facts",))
RECENT = SumTable("recent", (Column("recorded", "integer"), Column("member")), ("members",))
MOST_TEXT = 128  # characters of an id
MOST_HITS = 200
_LAST = "\U0010ffff"  # no id has it, and every other character stands before it


class Known(Struct, array_like=True):
    """That a member is known: nothing else is kept of one."""


class _Aim(Struct, gc=False):
    order: str = ""


class _Ids(Struct, gc=False):
    order: str = ""
    redemption: str = ""
    hold: str = ""
    card: str = ""
    claim: str = ""
    campaign: str = ""
    transfer: str = ""
    request: str = ""  # of an exchange
    house: str = ""
    of: _Aim | None = None


class _Named(Struct, gc=False):
    data: _Ids = msgspec.field(default_factory=_Ids)


_named = msgspec.json.Decoder(_Named)


def seen(taken: Snapshot, _: Options) -> Table:
    """A row a member: how many entries, and when the last was recorded."""
    return taken.by_member(
        columns("member entries:integer recorded:instant"),
        lambda known: [(known.subject.member, known.subject.number, known.subject.recorded)],
    )


class Finding(View):
    """An index of ids, and of members by their last entry."""

    name = "finding"
    version = 2
    about = "where a member, order, redemption, card, claim, campaign, transfer, exchange or house is found"
    tables = (IDS, RECENT)
    needs_fact = True
    state = Known
    queries = (Query("seen", "how many entries each member has, and when the last was recorded", seen),)

    def entry(self, step: FoldStep, rows: RowDeltas) -> None:
        """Add the ids of a fact, and move its member to the front."""
        entry, before = step.entry, step.subject.recorded
        assert entry is not None
        ids = _named.decode(entry.fact).data
        own_house = step.member.removeprefix(HOUSE) if step.member.startswith(HOUSE) else ""
        for kind, id in (
            ("order", ids.order or (ids.of.order if ids.of else "")),
            ("redemption", ids.redemption or ids.hold),
            ("card", ids.card),
            ("claim", ids.claim),
            ("campaign", ids.campaign),
            ("transfer", ids.transfer),
            ("exchange", ids.request),
            ("house", ids.house or own_house),
        ):
            if id:
                rows.add(IDS.name, (kind, id, step.member, entry.number), 1)
        if step.subject.number:
            rows.add(RECENT.name, (before, step.member), -1)
        rows.add(RECENT.name, (entry.recorded, step.member), 1)


def find(
    taken: ViewSnapshot, text: str, kinds: Sequence[Kind] = KINDS, members: Sequence[str] | None = None, limit: int = 50
) -> Found:
    """Return what has an id that is or begins with a text, at most `limit` hits a kind, whole matches first.

    `members` are those that may be seen, all where it is None; of some only, an id must be given whole.
    """
    offset, hits, is_more = taken.book.offset, list[Hit](), False
    for kind in kinds:
        if kind == "member":
            found = [
                Hit(kind, member, member, number, number, to_text(recorded, offset))
                for member, number, recorded in _members(taken, text, members, limit + 1)
            ]
        else:
            found = [
                Hit(kind, str(id), str(member), entry, entries)
                for id, member, entry, entries in _ids(taken, kind, text, members, limit + 1)
            ]
        is_more |= len(found) > limit
        hits += found[:limit]
    assert taken.standing is not None
    return Found(text, hits, is_more, taken.standing.behind)


def latest_members(taken: ViewSnapshot, limit: int) -> list[tuple[str, str]]:
    """Return the members whose entries were recorded last, the latest first, each with that instant as text."""
    others = [f"{begins}%" for begins in NOT_MEMBERS]
    wanted = " AND ".join(["member NOT LIKE ?"] * len(others))
    query = f"SELECT member, recorded FROM recent WHERE {wanted} ORDER BY recorded DESC, member DESC LIMIT ?"
    rows = taken.select(query, *others, limit)
    return [(str(member), to_text(recorded, taken.book.offset)) for member, recorded in rows]


def _members(
    taken: ViewSnapshot, text: str, members: Sequence[str] | None, limit: int
) -> Iterator[tuple[str, int, int]]:
    """Members by the beginning of their token; of some only, the one of that name. Their last number and instant."""
    if members is None:
        query = "SELECT member, number, recorded FROM members WHERE member >= ? AND member < ? ORDER BY member LIMIT ?"
        yield from taken.select(query, text, text + _LAST, limit)
    elif text in members:
        yield from taken.select("SELECT member, number, recorded FROM members WHERE member = ?", text)


def _ids(
    taken: ViewSnapshot, kind: str, text: str, members: Sequence[str] | None, limit: int
) -> Iterator[tuple[str, str, int, int]]:
    """Ids of a kind with a member of theirs, the first entry there, and how many entries name the id."""
    head = "SELECT id, member, min(entry), count(*) FROM ids WHERE kind = ?"
    tail = "GROUP BY kind, id, member ORDER BY kind, id, member LIMIT ?"
    if members is None:
        yield from taken.select(f"{head} AND id >= ? AND id < ? {tail}", kind, text, text + _LAST, limit)
    else:
        marks = ", ".join("?" * len(members))
        yield from taken.select(f"{head} AND id = ? AND member IN ({marks}) {tail}", kind, text, *members, limit)


def is_member(ledger: Ledger, text: str) -> bool:
    """Return True if a text is a member's whole token, by the journal itself: no view lags there."""
    return text != PROGRAMME_SUBJECT and bool(ledger.journal(ledger.partition_of(text)).last_number(text))
