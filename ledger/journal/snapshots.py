"""A partition's accounts in memory: hot ones, ready to decide on, and encoded ones; the others wait in the store."""

from dataclasses import dataclass

from ledger.core.account import Account, decode_account, encode_account
from ledger.core.evolve import evolve_entry
from ledger.journal.port import Snapshot
from ledger.journal.sql import Batch
from ledger.wire.entry_codec import decode_entry

SNAPSHOT_EVERY = 64  # entries of one member
SNAPSHOT_ON_EVICTION = 8  # entries that a reload would have to fold
# What a process holds in memory, over all its partitions.
HOT_BYTES = 48 << 20  # by a rough reckoning:
ACCOUNT_BYTES, LOT_BYTES = 5_000, 320
ENCODED_BYTES = 32 << 20
HUGE_BYTES = 1 << 20  # of one account


@dataclass(slots=True)
class CachedAccount:
    """An account in memory, and the entry number that its snapshot in the store stands at."""

    account: Account
    saved: int
    weight: int = 0  # bytes


class AccountCache:
    """The accounts used last, as far as `share` of this process's memory goes."""

    def __init__(self, share: float) -> None:
        self._most_hot = int(HOT_BYTES * share)
        self._most_encoded = int(ENCODED_BYTES * share)
        self.clear()

    def clear(self) -> None:
        """Forget all: after an error an account may be half changed."""
        self._hot: dict[str, CachedAccount] = {}  # in the order of last use, as the next
        self._encoded: dict[str, tuple[int, Snapshot]] = {}  # with the number that its snapshot in the store stands at
        self._hot_bytes = self._encoded_bytes = 0

    def __contains__(self, member: str) -> bool:
        return member in self._hot or member in self._encoded

    def take(self, batch: Batch, member: str) -> CachedAccount:
        """Return a member's account, from memory or else from the store, until it is put back."""
        cached = self._hot.pop(member, None)
        if cached is not None:
            self._hot_bytes -= cached.weight
            return cached
        if member in self._encoded:
            saved, snapshot = self._encoded.pop(member)
            self._encoded_bytes -= len(snapshot.state)
            return CachedAccount(decode_account(snapshot.state), saved)
        return folded(batch, member)

    def put(self, member: str, cached: CachedAccount) -> list[Snapshot]:
        """Put an account back, hot; returns the snapshots that are to be stored.

        The hot ones used longest ago are encoded, and the encoded ones let go: with a snapshot where that pays,
        otherwise their entries are folded when they are needed again. A huge one that was used last stays hot, since
        to encode and decode it for each of its entries would cost more than all else.
        """
        snapshots = []
        account = cached.account
        if account.number - cached.saved >= SNAPSHOT_EVERY:
            cached.saved = account.number
            snapshots.append(Snapshot(member, account.number, encode_account(account)))
        cached.weight = ACCOUNT_BYTES + LOT_BYTES * sum(len(purse.lots) for purse in account.purses.values())
        self._hot[member] = cached
        self._hot_bytes += cached.weight
        least = 1 if cached.weight > HUGE_BYTES else 0
        while self._hot_bytes > self._most_hot and len(self._hot) > least:
            oldest = next(iter(self._hot))
            cached = self._hot.pop(oldest)
            self._hot_bytes -= cached.weight
            try:
                snapshot = Snapshot(oldest, cached.account.number, encode_account(cached.account))
            except OverflowError:
                continue  # of another member than the one that is decided: it is folded when it is needed again
            self._encoded[oldest] = (cached.saved, snapshot)
            self._encoded_bytes += len(snapshot.state)
        while self._encoded_bytes > self._most_encoded:
            saved, snapshot = self._encoded.pop(next(iter(self._encoded)))
            self._encoded_bytes -= len(snapshot.state)
            if snapshot.number - saved >= SNAPSHOT_ON_EVICTION:
                snapshots.append(snapshot)
        return snapshots


def folded(batch: Batch, member: str) -> CachedAccount:
    """Return an account from the store: its snapshot with the later entries folded on top."""
    snapshot = batch.snapshot(member)
    account = decode_account(snapshot.state) if snapshot else Account()
    saved = account.number
    for row in batch.entries_of(member, saved):
        evolve_entry(account, decode_entry(row.state))
    return CachedAccount(account, saved)
