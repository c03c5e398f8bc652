"""How a folder keeps its local stream: blocks of records, since a row a record costs three times as much."""

from collections.abc import Iterator
from sqlite3 import Connection

import msgspec

from ledger.journal.port import Damaged
from ledger.wire.unreadable import UNREADABLE


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Records of one partition that stand behind each other, a list a field; `wholes` by their place in the block.

    So is `pushed`: by how many microseconds `recorded` is later than the clock said, where it is.
    """

    recorded: list[int]
    backlog: list[int]
    lines: list[int]
    keys: list[str]
    values: list[bytes]
    wholes: dict[int, tuple[int, bytes]]
    pushed: dict[int, int] = {}


encode_block = msgspec.msgpack.Encoder().encode
decode_block = msgspec.msgpack.Decoder(Block).decode


def inbox_id(inbox: Connection) -> str:
    """Return what tells an inbox from others: eight hexadecimal digits; "" for one that was given none yet.

    It stands in the file's header as SQLite's `application_id`.
    """
    number = inbox.execute("PRAGMA application_id").fetchone()[0]
    return f"{number:08x}" if number else ""


def blocks_after(
    inbox: Connection, partition: int, after: int, last: int | None = None, feed: int | None = None
) -> Iterator[tuple[int, Block]]:
    """Return the blocks of a partition that hold records behind an offset, each with the offset of its first.

    With `last` those that end by it, with `feed` those of a feed. Raises `Damaged` for a block that cannot be read or
    is not what its row says of it.
    """
    rows = inbox.execute(
        f"SELECT first, block, last, recorded FROM partition_{partition} WHERE last > ? AND last <= coalesce(?, last)"
        " AND feed = coalesce(?, feed) ORDER BY last",
        (after, last, feed),
    )
    for first, content, ends_at, recorded in rows:
        try:
            block = decode_block(content)
        except (*UNREADABLE, TypeError) as error:
            where = f"inbox: the records of partition {partition} up to {ends_at}"
            raise Damaged(f"{where} cannot be read: {error}") from None
        count = ends_at - first + 1
        columns = (block.recorded, block.backlog, block.lines, block.keys, block.values)
        if any(len(column) != count for column in columns) or block.recorded[-1] != recorded:
            raise Damaged(f"inbox: the records of partition {partition} up to {ends_at} are not what their row says")
        yield first, block
