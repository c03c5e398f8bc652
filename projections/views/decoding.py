"""Entries decoded only as far as a fold looks: what it does not name is skipped over and never becomes an object."""

from collections.abc import Callable, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any, cast, get_args, get_type_hints

import msgspec

from ledger.journal.port import Damaged, EntryRow
from ledger.wire.entries import Change, Entry
from ledger.wire.unreadable import UNREADABLE
from projections.views.view import BY_TIME, View

_AFTER_CHANGES = ("fact", "received", "pushed")


def decoder_for(views: Sequence[View]) -> Callable[[bytes], Entry]:
    """Return a decoder of what any of some views looks at."""
    changes: frozenset[type[Any]] = frozenset().union(*(view.changes for view in views))
    return _decoder_of(changes, any(view.needs_fact for view in views))


def decoded(decode: Callable[[bytes], Entry], row: EntryRow) -> Entry:
    """An entry as far as a fold looks at it. Raises `Damaged` that names its place."""
    try:
        return decode(row.state)
    except UNREADABLE as error:
        raise unreadable(row.sequence, row.member, row.number, error) from None


def unreadable(sequence: int, member: str, number: int, error: Exception) -> Damaged:
    """Return the error that names the place of an entry that cannot be read."""
    return Damaged(f"entry {number} of {member} (place {sequence}) cannot be read: {error}")


@cache
def _decoder_of(changes: frozenset[type[Any]], needs_fact: bool) -> Callable[[bytes], Entry]:
    """A decoder of entries whose other changes are empty objects, without figures, and without the fact unless needed.

    The structs it decodes into have the fields of `Entry` up to there, which is all that a fold may touch.
    """
    kept = changes | BY_TIME.keys()  # these have to be seen to know where the decision begins
    union = reduce(or_, (change if change in kept else _skipped(change) for change in get_args(Change)))
    hints: dict[str, Any] = {**get_type_hints(Entry), "figures": msgspec.Raw, "changes": list[union]}  # type: ignore[valid-type]
    if not changes:
        hints["changes"] = msgspec.Raw
    names = [name for name in Entry.__struct_fields__ if name not in _AFTER_CHANGES or (name == "fact" and needs_fact)]
    partial = msgspec.defstruct(
        "PartialEntry", [(name, hints[name]) for name in names], array_like=True, frozen=True, gc=False
    )
    return cast("Callable[[bytes], Entry]", msgspec.msgpack.Decoder(partial).decode)


def _skipped(change: type[Any]) -> Any:
    tag = change.__struct_config__.tag
    return msgspec.defstruct(f"Skipped{change.__name__}", [], tag=tag, array_like=True, frozen=True, gc=False)
