"""The oracle of a ledger whose accounts tell each other things, from two-accounts.md alone."""

from datetime import datetime
from typing import Any

from tests.support.oracle import Decision, Member, Oracle, Table, complete, instant
from tests.support.oracle_of_exchanges import Exchanging as Resident

ASKED: Table = {"frm": "", "n": 0, "bucket": 0, "limit": 0, "reason": ""}
SEAT: Table = {"card": "", "product": "", "from": None, "until": None}
# Follow-ups with their fields and defaults.
FOLLOW_UPS: dict[str, Table] = {
    "transfer.arrived": {"frm": "", "at": None, "transfer": "", "rule": "", "kind": "", "lots": [], "points": 0},
    "transfer.returned": {"frm": "", "at": None, "transfer": "", "points": 0, "reason": ""},
    "transfer.recalled": {"frm": "", "transfer": ""},
    "pool.asked": {**ASKED, "ask": "", "membership": "", "benefit": "", "claim": ""},
    "pool.answered": {"frm": "", "ask": "", "yes": False, "reason": ""},
    "pool.returned": {"frm": "", "ask": "", "n": 0},
    "lease.asked": ASKED,
    "lease.answered": ASKED,
    "lease.recalled": ASKED,
    "lease.returned": ASKED,
    "seat.changed": {**SEAT, "frm": "", "n": 0, "membership": "", "later": []},
    "exchange.asked": {"frm": "", "request": "", "kind": "", "points": 0, "expires": None},
    "exchange.answered": {"frm": "", "request": "", "yes": False, "reason": ""},
    "exchange.recalled": {"frm": "", "request": ""},
}


class OracleOfMembers(Oracle):
    """The oracle of a ledger of so many partitions, whose accounts tell each other things."""

    def __init__(self, *tomls: str, partitions: int = 1) -> None:
        super().__init__(*tomls)
        self.partitions = partitions

    def new_member(self, name: str) -> Resident:
        """An account of which nothing is known."""
        found = Resident(name, self.books)
        found.partitions = self.partitions
        return found

    def told_by(self, name: str) -> list[tuple[str, str, Table]]:
        """What the last entry of an account left for others: to whom, of which type, with what."""
        found = self.members[name]
        assert isinstance(found, Resident)
        return found.told

    def take(self, fact: Table, recorded: datetime | None = None) -> Decision:
        """The outcome and the reason; what an account left is never turned away."""
        on = fact["type"].removesuffix(".v1")
        if on not in FOLLOW_UPS:
            return super().take(fact, recorded)
        data, at = complete(fact["data"], FOLLOW_UPS[on]), instant(fact["time"])
        m = self.members.setdefault(fact["subject"], self.new_member(fact["subject"]))
        left = data.get("at")
        m.begin_entry(max(at, instant(left)) if left else at)
        name = fact["source"], fact["id"]
        if name in m.facts:
            return "ignored", "duplicate"
        m.facts[name] = (on, at, data)
        m.source = fact["source"]
        m.book = m.version_at(at)
        said = m.decide(on, data, at)
        assert m.clock is not None
        m.run_to(m.clock)
        return said

    def asked_before(self, m: Member, on: str) -> tuple[str, Any]:
        """The field that names a request of a type, and the names there were."""
        if on == "transfer.requested":
            assert isinstance(m, Resident)
            return "transfer", m.gifts
        return super().asked_before(m, on)
