"""The oracle of exchanges with another ledger, of ours or of a partner (two-accounts.md E)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.support.oracle import Decision, Lot, Slice, Table, rest_of
from tests.support.oracle_of_houses import Sitting
from tests.support.oracle_of_pools import NEVER

HELD = "exchange/"


@dataclass
class Outside:
    """An exchange with another ledger: "asked", then "given" or "failed", and perhaps "undone"."""

    exchange: str
    ledger: str
    kind: str
    is_partner: bool
    of: list[Slice]  # what was held, of which lots
    state: str = "asked"
    debt: int = 0


class Exchanging(Sitting):
    """An account that exchanges with other ledgers, or gives for what was exchanged there."""

    source = ""  # of the fact that is decided

    def __init__(self, name: str, books: Any) -> None:
        super().__init__(name, books)
        self.outside: dict[str, Outside] = {}
        self.given: dict[
            tuple[str, str, str], Lot | None
        ] = {}  # (ledger, member there, request); None: nothing is left

    # -- who asks

    def is_hold_over(self, table: Table, at: datetime) -> bool:
        assert self.clock is not None
        return "ledger" in table and self._until(table, at) <= self.clock

    def _until(self, table: Table, at: datetime) -> datetime:
        return at + timedelta(days=table["answer_within"]) if "answer_within" in table else NEVER

    def settle_exchange(self, data: Table, table: Table, given: int, at: datetime) -> Decision:
        if "ledger" not in table:
            return super().settle_exchange(data, table, given, at)
        slices, is_partner = self.take_from_lots(table["takes"], data["points"]), "answer_within" in table
        self.holds[HELD + data["request"]] = {
            **{"open": True, "until": self._until(table, at), "slices": slices},
            **{"captured": [], "ended_by": ""},
        }
        of = [[lot, points] for lot, points in slices]
        self.outside[data["request"]] = Outside(data["exchange"], table["ledger"], table["takes"], is_partner, of)
        self.exchanges[data["request"]] = {}
        if not is_partner:
            expires = min(self.end_of(lot) for lot, _ in slices)
            told = {"request": data["request"], "kind": table["gives"], "points": given, "expires": expires}
            self.tell(f"{table['ledger']}/{self.acting}", "exchange.asked", **told)
        return "accepted", "exchange-asked"

    def exchange_confirmed(self, data: Table, at: datetime) -> Decision:
        return self._ends(data["request"], at, is_given=True, is_partner=True)

    def exchange_failed(self, data: Table, at: datetime) -> Decision:
        return self._ends(data["request"], at, is_given=False, is_partner=True)

    def exchange_answered(self, data: Table, at: datetime) -> Decision:
        one = self.outside.get(data["request"])
        if one is not None and one.state == "given":
            if data["yes"]:
                self._undo(one, data["request"], at)
            return "accepted", data["reason"]
        return self._ends(data["request"], at, is_given=data["yes"], is_partner=False)

    def _ends(self, request: str, at: datetime, *, is_given: bool, is_partner: bool) -> Decision:
        one = self.outside.get(request)
        if one is None or one.is_partner != is_partner:
            return "ignored", "unknown-exchange"
        if one.state != "asked":
            return "ignored", "exchange-ended"
        hold = self.holds[HELD + request]
        one.state = "given" if is_given else "failed"
        if not is_given:
            if hold["open"]:
                self.release(hold)
            return "accepted", "exchange-failed"
        if not hold["open"]:
            self._pays_late(one, hold)
            return "accepted", "late-confirmed"
        for lot, points in hold["slices"]:
            self.purse(lot.purse).redeemed += points
            self.stir(lot.purse, at)
        hold["open"], hold["captured"], hold["slices"] = False, hold["slices"], []
        return "accepted", ""

    def _pays_late(self, one: Outside, hold: Table) -> None:
        """What is spendable is spent, the lots of then first; the rest is debt, or written off where it is closed."""
        purse, rest = self.purse(one.kind), rest_of(one.of)
        for lot, points in one.of:
            own = 0 if lot.pending or not self.has(lot) else min(points, lot.left)
            if own:
                lot.left -= own
                rest -= own
                hold["captured"].append([lot, own])
        others = self.take_from_lots(one.kind, rest)
        rest -= rest_of(others)
        hold["captured"] += others
        purse.redeemed += rest_of(hold["captured"])
        if self.is_closed:
            purse.written_off += rest
        else:
            purse.debt += rest
            one.debt = rest

    def _undo(self, one: Outside, request: str, at: datetime) -> None:
        """What was taken comes back; what had become debt is forgiven, or given back where it was repaid."""
        one.state, purse = "undone", self.purse(one.kind)
        owed = min(one.debt, purse.debt)
        purse.debt -= owed
        repaid = one.debt - owed
        if repaid:
            purse.clawed_back -= repaid
            purse.issued -= repaid
            self.open_lot(one.kind, f"exchange.{one.exchange}", repaid, at, None)
        captured = self.holds[HELD + request]["captured"]
        self.restore(captured, rest_of(captured), at)

    def exchange_reversed(self, data: Table, at: datetime) -> Decision:
        one = self.outside.get(data["request"])
        if one is None:
            return super().exchange_reversed(data, at)
        if one.is_partner:
            return "ignored", "given-spent"
        if one.state != "given":
            reasons = {"asked": "exchange-asked", "undone": "already", "failed": "exchange-ended"}
            return "ignored", reasons[one.state]
        self.tell(f"{one.ledger}/{self.acting}", "exchange.recalled", request=data["request"])
        return "accepted", ""

    # -- who is asked

    def exchange_asked(self, data: Table, at: datetime) -> Decision:
        ledger = self.source.split("/")[1]
        key = ledger, data["frm"], data["request"]
        if key in self.given:
            return "ignored", "already"
        self.given[key] = None
        why = "" if data["kind"] in self.book.kinds else "unknown-kind"
        if self.is_closed and not why:
            why = "account-closed"
        if not why:
            ends = self.book.expiry(data["kind"], at)
            ends = min(ends, data["expires"] or NEVER)
            self.stir(data["kind"], at)
            self.given[key] = self.open_lot(data["kind"], f"exchange.{ledger}", data["points"], at, ends)
        self._answers_ledger(key, why)
        return "accepted", ""

    def exchange_recalled(self, data: Table, at: datetime) -> Decision:
        key = self.source.split("/")[1], data["frm"], data["request"]
        lot = self.given.get(key)
        if lot is None:
            return "ignored", "unknown-exchange|already"
        why = "given-spent" if lot.left < lot.earned else ""
        if not why:
            self.purse(lot.purse).clawed_back += lot.left
            lot.left, self.given[key] = 0, None
        self._answers_ledger(key, why)
        return "accepted", why

    def _answers_ledger(self, key: tuple[str, str, str], why: str) -> None:
        ledger, frm, request = key
        more = {"reason": why} if why else {}
        self.tell(f"{ledger}/{frm}", "exchange.answered", request=request, yes=not why, **more)
