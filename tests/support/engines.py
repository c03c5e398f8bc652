"""The two engines side by side: what the core makes of a history and what the native engine does, byte for byte."""

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ledger.core.account import Account, decode_account
from ledger.core.decide import Limits, Repetition, decide, entry_of
from ledger.core.draft import OutOfRange
from ledger.core.pages import PagesInMemory, encode_page
from ledger.journal.engines import native_module
from ledger.journal.native import published_by
from ledger.journal.partition import FactRecord
from ledger.rulebook.compiled import Programme
from ledger.rulebook.plain import plain_version
from ledger.wire.entry_codec import decode_entry, encode_entry
from ledger.wire.entry_json import describe_published
from ledger.wire.fact_codec import BadFact, canonical, decode
from ledger.wire.facts import PROGRAMME_SUBJECT
from tests.support.histories import encode


@pytest.fixture(scope="session")
def native() -> Any:
    """The native engine's module."""
    found = native_module()
    if found is None and os.environ.get("POINTS_TEST_ENGINE") != "required":
        pytest.skip("no native engine of this code is installed; make engine builds it")
    assert found is not None
    return found


class Kept:
    """What a journal would keep of one member."""

    def __init__(self) -> None:
        self.states: list[bytes] = []
        self.written: dict[str, bytes] = {}

    def accounts(self, members: Sequence[str]) -> list[tuple[bytes | None, list[bytes]]]:
        return [(None, list(self.states)) for _ in members]

    def pages(self, asked: Sequence[tuple[str, str]]) -> list[tuple[str, str, bytes]]:
        return [(key, member, self.written[key]) for key, member in asked if key in self.written]

    def page(self, _member: str, key: str) -> bytes | None:
        return self.written.get(key)

    def entry(self, _member: str, number: int) -> bytes | None:
        return self.states[number - 1] if 0 < number <= len(self.states) else None


def difference(native: Any, book: Programme, facts: Sequence[dict[str, Any]], batch: int, most: int) -> str:
    """Decide a member's facts by both engines; return what differs, empty where nothing does.

    The native engine decides `batch` facts a call, and holds members of about `most` bytes.
    """
    engine = native.Engine(0, Limits().request_max_age, most)
    engine.take_programme([plain_version(version) for version in book.versions])
    account, pages, kept = Account(), PagesInMemory(), Kept()
    first: dict[tuple[str, str], tuple[int, bytes]] = {}
    waiting: list[tuple[FactRecord, bytes]] = []
    repeats: dict[int, tuple[int, bool]] = {}

    told_by = published_by(native, book.offset)

    def compare() -> str:
        _, _, states, rows, snapshots, handed_back = engine.decide([item for item, _ in waiting], repeats, kept)
        if handed_back:
            return f"handed back: {handed_back}"
        for state, (item, wanted) in zip(states, waiting, strict=True):
            if state != wanted:
                decoded = [msgspec.msgpack.decode(each) for each in (wanted, state)]
                return f"of {item.canonical!r}\n   the core makes {decoded[0]}\n   the native engine {decoded[1]}"
            kept.states.append(state)
            is_home = len(state) % 2 == 0
            told = describe_published(7, decode_entry(state), bytes(32), book.offset, is_copy=not is_home)
            if told_by([(7, PROGRAMME_SUBJECT, 1, state, bytes(32))], is_home) != [msgspec.json.encode(told)]:
                return f"told otherwise: {told}"
        kept.written |= {key: page for key, _, page in rows}
        waiting.clear()
        repeats.clear()
        wrong = [key for key, page in kept.written.items() if page != encode_page(pages[key])]
        for _, number, state in snapshots:
            if number == account.number and _without_marks(decode_account(state)) != _without_marks(account):
                wrong.append(f"the account at {number}")
        return f"differ: {wrong}" if wrong else ""

    for offset, told in enumerate(facts):
        raw = encode(told)
        try:
            fact, occurred = decode(raw)
        except BadFact:
            continue
        kept_as = canonical(fact)
        number, same = first.setdefault((fact.source, fact.id), (account.number + 1, kept_as))
        repeats_now = None if number > account.number else Repetition(number, same == kept_as)
        try:
            decision = decide(account, pages, fact, occurred, book, recorded=occurred, repeats=repeats_now)
        except OutOfRange:
            return "the core needs care"
        account.number += 1
        entry = entry_of(
            decision,
            member=fact.subject,
            number=account.number,
            partition=0,
            offset=offset,
            occurred=occurred,
            recorded=occurred,
            backlog=False,
            fact=kept_as,
            received=sha256(raw).digest(),
        )
        if repeats_now is not None:
            repeats[len(waiting)] = repeats_now.first, repeats_now.is_same
        item = FactRecord(offset, occurred, False, fact, occurred, kept_as, entry.received)
        waiting.append((item, encode_entry(entry)))
        if len(waiting) >= batch and (problem := compare()):
            return problem
    problem = compare() if waiting else ""
    missing = pages.keys() - kept.written.keys()
    return problem or (f"no page of {sorted(missing)}" if missing else "")


def _without_marks(account: Account) -> tuple[Any, dict[str, set[str]]]:
    """An account to be compared: sets have no order, and the due instants may be early."""
    plain = msgspec.structs.asdict(account)
    for name in ("next_due_at", "next_month_at"):
        plain.pop(name)
    return plain, plain.pop("marks")
