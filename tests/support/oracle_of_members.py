"""The oracle of a ledger whose accounts tell each other things, from two-accounts.md alone."""

from datetime import datetime
from typing import Any

from tests.support.oracle import Decision, Oracle, Table, complete, instant
from tests.support.oracle_of_merges import FOLLOW_UPS
from tests.support.oracle_of_merges import Merging as Resident


class Carried(dict[str, Any]):
    """By the ids of follow-ups what goes beside them; whoever is copied shares it."""

    def __deepcopy__(self, memo: Table) -> "Carried":
        return self


class OracleOfMembers(Oracle):
    """The oracle of a ledger of so many partitions, whose accounts tell each other things."""

    def __init__(self, *tomls: str, partitions: int = 1) -> None:
        super().__init__(*tomls)
        self.partitions = partitions
        self.carried = Carried()

    def new_member(self, name: str) -> Resident:
        """An account of which nothing is known."""
        found = Resident(name, self.books)
        found.partitions, found.carried = self.partitions, self.carried
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
        assert isinstance(m, Resident)
        left = data.get("at")
        m.begin_entry(max(at, instant(left)) if left else at)
        name = fact["source"], fact["id"]
        if name in m.facts:
            return "ignored", "duplicate"
        m.facts[name] = (on, at, data)
        m.book = m.version_at(at)
        said = m.hears(fact, on, data, at)
        assert m.clock is not None
        m.run_to(m.clock)
        return said
