"""The oracle of accounts that give each other points and draw from budgets and stocks, from two-accounts.md alone.

Each account is one of the oracle's members, which leaves follow-ups: to whom, of which type, with what in them. Ids and
the name of the book's version are left to who sends them. A pool and each of its leases is an account of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.oracle import (
    Asking,
    Award,
    Cash,
    Claim,
    Decision,
    Lot,
    Member,
    Slice,
    Table,
    Term,
    instant,
    rest_of,
)

NOT_MEMBERS = ("pool/", "house/")
PRICE = "price of "
NEVER = datetime(3000, 1, 1, tzinfo=UTC)


@dataclass
class Gift:
    """A gift at who gave it: what of each lot is away, in the order in which they were taken."""

    to: str
    parts: list[Slice]
    fee: list[Slice]


@dataclass
class Arrived:
    """A gift at who got it: "taken" with its lots, "sent-back", or "recalled" before it came."""

    state: str
    purse: str = ""
    lots: list[Lot] = field(default_factory=list)


@dataclass
class Ask:
    """What was asked of a pool: for a lot, or for a claim; "asked", then "yes", "given-up" or "over"."""

    to: str
    n: int
    refill: bool
    lot: Lot | None = None
    award: Award | None = None
    claim: Table | None = None
    state: str = "asked"
    back: int = 0


@dataclass
class Bucket:
    """What a pool or a lease has given in a bucket, and what each lease has of it; at a lease who waits."""

    drawn: int = 0
    out: dict[str, int] = field(default_factory=dict)
    asked: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # (member, ask): [given, back]
    queue: list[tuple[str, str, int]] = field(default_factory=list)
    is_asking: bool = False
    limit: tuple[datetime, int] | None = None
    is_leased: bool = False


class Resident(Member):
    """One account of a ledger that has others; `told` is what its last entry left for them."""

    partitions = 1

    def __init__(self, name: str, books: Any) -> None:
        super().__init__(name, books)
        self.told: list[tuple[str, str, Table]] = []
        self.gifts: dict[str, Gift] = {}
        self.arrived: dict[tuple[str, str], Arrived] = {}
        self.asks: dict[str, Ask] = {}
        self.pool: dict[int, Bucket] = {}

    def asked_before(self, on: str) -> tuple[str, Any]:
        return ("transfer", self.gifts) if on == "transfer.requested" else super().asked_before(on)

    def handler(self, on: str) -> Callable[[Table, datetime], Decision]:
        own: Callable[[Table, datetime], Decision] | None = getattr(self, on.replace(".", "_"), None)
        return own if own is not None else super().handler(on)

    def begin_entry(self, at: datetime) -> None:
        self.told = []
        super().begin_entry(at)

    def tell(self, to: str, type_: str, *, with_points: bool = False, **data: Any) -> None:
        if with_points:
            assert self.clock is not None
            data["at"] = self.clock
        self.told.append((to, type_, {"frm": self.acting, **data}))

    def is_self(self, name: str) -> bool:
        """Whether a name is this member's."""
        return name == self.name

    def has(self, lot: Lot) -> bool:
        """Whether a lot is of a name that lives here."""
        return True

    # -- gifts

    def transfer_requested(self, data: Table, at: datetime) -> Decision:
        table = self.book.tables.get("transfers", {}).get(data["rule"])
        if table is None:
            return "refused", "unknown-transfer"
        kind, points = self.book.kind_named(data["kind"]), data["points"]
        if kind != table["kind"]:
            return "refused", "unknown-kind"
        if data["to"] == "programme" or data["to"].startswith(NOT_MEMBERS):
            return "refused", "not-a-member"
        if self.is_self(data["to"]):
            return "refused", "to-self"
        if not self.is_one(table.get("who"), at):
            return "refused", "not-entitled"
        above, below = map(int, table.get("fee", "0/1").split("/"))
        fee = -(-points * above // below)
        if fee >= points:
            return "refused", "below-least"
        counted = self.use_buckets(table, f"transfer {data['rule']}", at)
        caps = {counted[cap["per"]]: cap["points"] for cap in table.get("cap", [])}
        if any(self.counts.get(key, 0) + points > most for key, most in caps.items()):
            return "refused", "cap-full"
        if self.spendable(kind) < points:
            return "refused", f"{kind}-short"
        for key in caps:
            self.counts[key] = self.counts.get(key, 0) + points
        gift, rest = Gift(data["to"], [], []), points - fee
        for lot, amount in self.take_from_lots(kind, points):
            goes = min(amount, rest)
            rest -= goes
            if goes:
                gift.parts.append([lot, goes])
            if amount > goes:
                gift.fee.append([lot, amount - goes])
        self.stir(kind, at)
        self.purse(kind).gone += points - fee
        self.purse(kind).redeemed += fee
        self.gifts[data["transfer"]] = gift
        latest = None if table.get("keeps_expiry", True) else self.book.expiry(kind, at)
        lots = [
            {
                "points": amount,
                "rule": lot.rule,
                "earned_at": lot.earned_at,
                "expires_at": lot.ends if latest is None else min(lot.ends, latest),
            }
            for lot, amount in gift.parts
        ]
        named = {"transfer": data["transfer"], "rule": data["rule"], "kind": kind}
        self.tell(data["to"], "transfer.arrived", with_points=True, **named, lots=lots, points=points - fee)
        return "accepted", ""

    def transfer_arrived(self, data: Table, at: datetime) -> Decision:
        key, purse = (data["frm"], data["transfer"]), self.purse(data["kind"])
        known = self.arrived.get(key)
        if known is not None and known.state != "recalled":
            return "ignored", "already"
        if self.is_closed or known is not None:
            self.arrived[key] = Arrived("sent-back")
            reason = "account-closed" if self.is_closed else "recalled"
            self._sends_back(data, data["points"], reason)
            return "accepted", "sent-back"
        taken = self.arrived[key] = Arrived("taken", data["kind"])
        self.stir(data["kind"], at)
        for given in data["lots"]:
            ends = instant(given["expires_at"]) if given.get("expires_at") else None
            rule, earned_at = given.get("rule", ""), instant(given["earned_at"])
            lot = self.open_lot(data["kind"], rule, given["points"], earned_at, ends)
            purse.issued -= given["points"]
            purse.come += given["points"]
            taken.lots.append(lot)
        return "accepted", ""

    def _sends_back(self, data: Table, points: int, reason: str) -> None:
        self.tell(
            data["frm"], "transfer.returned", with_points=True, transfer=data["transfer"], points=points, reason=reason
        )

    def transfer_returned(self, data: Table, at: datetime) -> Decision:
        gift = self.gifts[data["transfer"]]
        rest = data["points"]
        for piece in reversed(gift.parts):
            back = min(rest, piece[1])
            if back:
                rest -= back
                piece[1] -= back
                purse = piece[0].purse
                self.purse(purse).come += back
                if not piece[0].ended_idle:
                    self.stir(purse, at)
                self.make_spendable(piece[0], back)
        if not rest_of(gift.parts):
            self.restore(gift.fee, rest_of(gift.fee), at)
        return "accepted", ""

    def transfer_reversed(self, data: Table, at: datetime) -> Decision:
        gift = self.gifts.get(data["transfer"])
        if gift is None:
            return "ignored", "unknown-transfer"
        if not rest_of(gift.parts):
            return "ignored", "already"
        self.tell(gift.to, "transfer.recalled", transfer=data["transfer"])
        return "accepted", ""

    def transfer_recalled(self, data: Table, at: datetime) -> Decision:
        key = data["frm"], data["transfer"]
        gift = self.arrived.setdefault(key, Arrived("recalled"))
        points = 0
        if gift.state == "taken":
            for lot in gift.lots:
                points += lot.left
                lot.left = 0
        if points:
            self.purse(gift.purse).gone += points
            self._sends_back(data, points, "recalled")
        return "accepted", ""

    # -- what a member asks of a pool

    def ask_pool(self, pool: str, table: Table, ask: Ask, name: str, bucket: int = 0) -> None:
        limit = table["budget"] if "budget" in table else table["stock"]
        born = partition_of(self.acting, self.partitions)
        ask.to = lease_of(pool, born, self.partitions) if "lease" in table else pool
        self.asks[name] = ask
        self.tell(ask.to, "pool.asked", ask=name, n=ask.n, bucket=bucket, limit=limit)

    def give(self, rule: Table, asking: Asking, line: Any, left_out: set[str]) -> Award | None:
        campaign = self.book.tables.get("campaigns", {}).get(rule.get("campaign"), {})
        if "from" in campaign and asking.at < self.book.moment(campaign["from"]):
            return None
        if "until" in campaign and asking.at >= self.book.moment(campaign["until"]):
            return None
        if not self.is_one(campaign.get("who"), asking.at, asking.shop):
            return None
        return super().give(rule, asking, line, left_out)

    def room(self, rule: Table, asking: Asking, term: Term | None, fields: Table, points: int) -> int:
        return self._room_of_member(rule, super().room(rule, asking, term, fields, points))

    def give_more(self, rule: Table, award: Award, asking: Asking, line: Any, at: datetime, more: int) -> int:
        return super().give_more(rule, award, asking, line, at, self._room_of_member(rule, more))

    def _room_of_member(self, rule: Table, points: int) -> int:
        campaign = self.book.tables.get("campaigns", {}).get(rule.get("campaign"), {})
        if "each_member" in campaign:
            points = min(points, campaign["each_member"] - self.counts.get(("campaign", rule["campaign"]), 0))
        return max(points, 0)

    def hand_out(self, rule: Table, award: Award, term: Term | None) -> None:
        name = rule.get("campaign")
        if name is None:
            super().hand_out(rule, award, term)
            return
        key, table = ("campaign", name), self.book.tables["campaigns"][name]
        self.counts[key] = self.counts.get(key, 0) + award.given
        self.stir(award.purse, award.at)
        lot = self.open_lot(award.purse, award.rule, award.given, award.at, None, "pool")
        award.lots = [[lot, award.given]]
        self.aimed[lot] = award
        ask = Ask("", award.given, table.get("refill", False), lot=lot, award=award)
        self.ask_pool(f"pool/campaigns.{name}", table, ask, lot.name)

    def settle_claim(
        self, data: Table, claim: Claim, table: Table, price: tuple[str, int] | None, at: datetime
    ) -> Decision:
        if "stock" not in table:
            return super().settle_claim(data, claim, table, price, at)
        if price is not None:
            slices = self.take_from_lots(*price)
            self.holds[PRICE + data["claim"]] = {"open": True, "until": NEVER, "slices": slices, "ended_by": ""}
        self.opened_lots += 1  # whose name the ask has, so that two of one entry have two
        bucket = self.book.month(at) if table.get("stock_per") == "month" else 0
        ask = Ask("", 1, table.get("refill", False), claim=data)
        self.ask_pool(f"pool/benefits.{data['benefit']}", table, ask, self.newest_name(), bucket)
        return "accepted", "asked"

    def ask_of(self, claim: str) -> tuple[str, Ask] | None:
        return next(((n, ask) for n, ask in self.asks.items() if ask.claim and ask.claim["claim"] == claim), None)

    def give_claim_back(self, claim_id: str, at: datetime) -> None:
        found = self.ask_of(claim_id)
        if found is not None and found[1].state == "asked":
            found[1].state = "given-up"
            self.ends_claim(claim_id)
            return
        if found is not None and found[1].state == "yes" and found[1].refill:
            self.put_back(*found, 1)
        super().give_claim_back(claim_id, at)

    def ends_claim(self, claim_id: str) -> None:
        """A claim that was given nothing: its quota and its price are as if it had not been."""
        claim = self.claims[claim_id]
        claim.is_returned = True
        self.count_claim(claim, -1)
        if PRICE + claim_id in self.holds:
            self.release(self.holds.pop(PRICE + claim_id))

    def claw_back_of(self, lot: Lot, points: int, cash: Cash) -> None:
        super().claw_back_of(lot, points, cash)
        for name, ask in self.asks.items():
            if ask.lot is not lot:
                continue
            if ask.state == "asked" and not lot.left:
                ask.state = "given-up"
            elif ask.state == "yes" and ask.refill:
                self.put_back(name, ask, points)

    def put_back(self, name: str, ask: Ask, n: int) -> None:
        n = min(n, ask.n - ask.back)
        if n > 0:
            ask.back += n
            self.tell(ask.to, "pool.returned", ask=name, n=n)

    def account_closed(self, data: Table, at: datetime) -> Decision:
        if not self.is_closed:
            for ask in self.asks.values():
                if ask.state == "asked":
                    ask.state = "given-up"
                    if ask.claim is not None:
                        self.ends_claim(ask.claim["claim"])
            self._stop()
        return super().account_closed(data, at)

    def account_frozen(self, data: Table, at: datetime) -> Decision:
        self._stop()  # Reading: again, too, since a block may have come to a lease behind what called it back
        return super().account_frozen(data, at)

    def pool_answered(self, data: Table, at: datetime) -> Decision:
        name, ask = data["ask"], self.asks[data["ask"]]
        if ask.state not in ("asked", "given-up"):
            return "ignored", "already"
        if ask.state == "given-up":
            ask.state = "over"
            if data["yes"]:
                self.put_back(name, ask, ask.n)
            return "accepted", "given-up"
        ask.state = "yes" if data["yes"] else "over"
        if ask.claim is not None:
            self._claim_answered(ask.claim, data, at)
            return "accepted", "" if data["yes"] else data["reason"]
        lot = ask.lot
        assert lot is not None
        left = lot.left
        if not data["yes"]:
            self.lapse(lot)
            lot.expired = 0  # it counts as nothing in later returns
            whole = self.aimed[lot]  # of a line that was amended it gave more than this lot
            whole.less += ask.n  # Reading: an amendment asks for no more than what goes beyond it
            whole.given, whole.held = max(0, whole.given - ask.n), max(0, whole.held - left)
            whole.lots = [piece for piece in whole.lots if piece[0] is not lot]
            return "accepted", data["reason"]
        self.confirm(lot)
        if ask.refill:
            self.put_back(name, ask, ask.n - left)
        return "accepted", ""

    def _claim_answered(self, data: Table, answer: Table, at: datetime) -> None:
        claim, held = self.claims[data["claim"]], self.holds.get(PRICE + data["claim"])
        if not answer["yes"]:
            self.ends_claim(data["claim"])
            return
        if held is not None:
            del self.holds[PRICE + data["claim"]]
            claim.burned = held["slices"]
            for lot, points in claim.burned:
                self.purse(lot.purse).redeemed += points
                self.stir(lot.purse, at)
        table = self.book.benefit(data["benefit"])[0]
        assert table is not None
        self.on = "benefit.claimed"
        self.judge(self.asking_of(self.on, data, at, None))
        self.give_claim(data, claim, table, at)

    # -- a pool and its leases

    @property
    def root(self) -> str:
        return self.name.partition("@")[0]

    def _table(self) -> Table:
        """What the version of then says of the pool."""
        kind, _, name = self.root.removeprefix("pool/").partition(".")
        found: Table = self.book.tables.get(kind, {}).get(name, {})
        return found

    def _bucket(self, data: Table) -> Bucket:
        return self.pool.setdefault(data.get("bucket", 0), Bucket())

    def _limit(self, data: Table, at: datetime, *, is_leased: bool) -> int:
        """The limit of an ask; where it is lower than the last one's, leases give back what is free."""
        table, bucket = self._table(), self._bucket(data)
        limit = now = int(table.get("budget", table.get("stock", 0)))
        known, was_leased = bucket.limit, bucket.is_leased
        is_lower = False
        if known is not None and at < known[0]:
            limit = min(limit, known[1])
        else:
            is_lower = known is not None and now < known[1]
            bucket.limit = at, now
        bucket.is_leased = is_leased
        if self.name == self.root:
            if is_lower or (was_leased and not is_leased):
                self._recalls(data.get("bucket", 0))
        elif is_lower:
            self._gives_block_back(data.get("bucket", 0))
        return limit

    def _stop(self) -> None:
        if self.name.startswith("pool/"):
            for bucket in sorted(self.pool):
                if self.name == self.root:
                    self._recalls(bucket)
                else:
                    self._gives_block_back(bucket)

    def _recalls(self, bucket: int) -> None:
        for lease, out in self.pool[bucket].out.items():
            if out > 0:
                self.tell(lease, "lease.recalled", bucket=bucket)

    def _gives_block_back(self, number: int) -> None:
        bucket = self.pool.setdefault(number, Bucket())
        free = self._free(bucket)
        if free > 0:
            bucket.out[self.name] -= free
            self.tell(self.root, "lease.returned", n=free, bucket=number)

    def _free(self, bucket: Bucket) -> int:
        return bucket.out.get(self.name, 0) - bucket.drawn

    def _room(self, bucket: Bucket, limit: int) -> int:
        return limit - bucket.drawn - sum(bucket.out.values())

    def _answers(self, data: Table, who: tuple[str, str], n: int, why: str = "") -> None:
        bucket = self._bucket(data)
        if why:
            self.say(why)
        else:
            bucket.drawn += n
        bucket.asked[who] = [0 if why else n, 0]
        self.tell(who[0], "pool.answered", ask=who[1], yes=not why, **({"reason": why} if why else {}))

    def pool_asked(self, data: Table, at: datetime) -> Decision:
        bucket, who, n = self._bucket(data), (data["frm"], data["ask"]), data["n"]
        limit = self._limit(data, at, is_leased=False)
        if self.is_closed or self.is_frozen:
            self._answers(data, who, n, "pool-closed")
        elif self.name == self.root:
            self._answers(data, who, n, "" if self._room(bucket, limit) >= n else "pool-empty")
        else:
            bucket.queue.append((*who, n))
            if len(bucket.queue) == 1 or not bucket.is_asking:
                self._serve(data, limit)
        return "accepted", ""

    def _serve(self, data: Table, limit: int, *, why_not: str = "") -> None:
        bucket = self._bucket(data)
        while bucket.queue and (why_not or self._free(bucket) >= bucket.queue[0][2]):
            frm, ask, n = bucket.queue.pop(0)
            self._answers(data, (frm, ask), n, "" if self._free(bucket) >= n else why_not)
        if bucket.queue and not bucket.is_asking:
            bucket.is_asking = True
            n = max(self._table().get("lease", 0), bucket.queue[0][2])
            self.tell(self.root, "lease.asked", n=n, bucket=data.get("bucket", 0), limit=limit)

    def pool_returned(self, data: Table, at: datetime) -> Decision:
        who = data["frm"], data["ask"]
        number = next((number for number, one in self.pool.items() if who in one.asked), None)
        if number is None:
            return "ignored", "unknown-ask"
        bucket = self.pool[number]
        given = bucket.asked[who]
        back = min(data["n"], given[0] - given[1])
        if not back:
            return "ignored", "unknown-ask"
        given[1] += back
        bucket.drawn -= back
        if self.name != self.root:
            self._serve({"bucket": number}, bucket.limit[1] if bucket.limit else 0)
        return "accepted", ""

    def lease_asked(self, data: Table, at: datetime) -> Decision:
        bucket, limit = self._bucket(data), self._limit(data, at, is_leased=True)
        is_stopped = self.is_closed or self.is_frozen
        n = 0 if is_stopped else max(0, min(data["n"], self._room(bucket, limit)))
        if n:
            bucket.out[data["frm"]] = bucket.out.get(data["frm"], 0) + n
        why = "pool-closed" if is_stopped else ""
        self.tell(data["frm"], "lease.answered", n=n, bucket=data.get("bucket", 0), reason=why)
        return "accepted", ""

    def lease_answered(self, data: Table, at: datetime) -> Decision:
        bucket, n = self._bucket(data), data.get("n", 0)
        bucket.is_asking = False
        bucket.out[self.name] = bucket.out.get(self.name, 0) + n
        self._serve(data, bucket.limit[1] if bucket.limit else 0, why_not="" if n else data["reason"] or "pool-empty")
        return "accepted", ""

    def lease_recalled(self, data: Table, at: datetime) -> Decision:
        self._gives_block_back(data.get("bucket", 0))
        return "accepted", ""

    def lease_returned(self, data: Table, at: datetime) -> Decision:
        self._bucket(data).out[data["frm"]] -= data["n"]
        return "accepted", ""


def lease_of(pool: str, partition: int, partitions: int) -> str:
    """The lease of a pool for a partition: the first of its names that lies there."""
    number = 0
    while partition_of(f"{pool}@{partition}.{number}", partitions) != partition:
        number += 1
    return f"{pool}@{partition}.{number}"


def partition_of(key: str, partitions: int) -> int:
    """Where Kafka's own producers put a key: murmur2 without its sign, by the number of partitions."""
    data, most, by = key.encode(), 1 << 32, 0x5BD1E995
    found = 0x9747B28C ^ len(data)
    for at in range(0, len(data) - 3, 4):
        part = int.from_bytes(data[at : at + 4], "little") * by % most
        found = found * by % most ^ (part ^ part >> 24) * by % most
    rest = data[len(data) // 4 * 4 :]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * by % most
    found = (found ^ found >> 13) * by % most
    return ((found ^ found >> 15) & 0x7FFFFFFF) % partitions
