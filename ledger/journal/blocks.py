"""How a folder keeps its local stream: blocks of records, since a row a record costs three times as much."""

from collections.abc import Iterator
from sqlite3 import Connection

import msgspec


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Records of one partition that stand behind each other, a list a field; `wholes` by their place in the block."""

    recorded: list[int]
    backlog: list[int]
    lines: list[int]
    keys: list[str]
    values: list[bytes]
    wholes: dict[int, tuple[int, bytes]]


encode_block = msgspec.msgpack.Encoder().encode
decode_block = msgspec.msgpack.Decoder(Block).decode


def blocks_after(
    inbox: Connection, partition: int, after: int, last: int | None = None, feed: int | None = None
) -> Iterator[tuple[int, Block]]:
    """The blocks of a partition that hold records behind an offset, each with the offset of its first.

    With `last` those that end by it, with `feed` those of a feed.
    """
    rows = inbox.execute(
        f"SELECT first, block FROM partition_{partition} WHERE last > ? AND last <= coalesce(?, last)"
        " AND feed = coalesce(?, feed) ORDER BY last",
        (after, last, feed),
    )
    for first, block in rows:
        yield first, decode_block(block)
