"""What is checked at the end of a run, when nothing is left to do: the product's own audits, and laws 4 and 6 to 10."""

from pathlib import Path
from random import Random

from ledger.core.account import Account, decode_account, encode_account
from ledger.journal.ledger import Ledger
from ledger.wire.facts import PROGRAMME_SUBJECT
from ledger.wire.times import DAY, to_datetime
from projections.answers.stats import stats
from projections.audit.replay import replay
from projections.audit.transit import transit
from projections.audit.verify import verify
from projections.views.compare import compare
from projections.views.files import Folder
from projections.views.registry import BUILT_IN
from projections.views.runner import rebuild
from projections.views.runner import run as run_views
from projections.views.view import View
from tests.simulator.laws import Laws, Member, PartitionTruth
from tests.simulator.ways import Ways
from tests.support.accounts import alike
from tests.support.oracle_of_members import OracleOfMembers
from tests.support.shop import Shop

LOOKS_BACK = 24  # instants as of which the points with nobody are summed


def check_audits(laws: Laws, ledger: Ledger) -> None:
    """The product's audits find nothing, and every entry is as it was when it was made."""
    ledger.forget_book()
    broken, differences = verify(ledger)["broken"], replay(ledger)["differences"]
    laws.law("law 8", not broken, f"points verify: {broken[:3]}")
    laws.law("law 1", not differences, f"points replay: {differences[:3]}")
    last = max(ledger.journal(partition).head().recorded for partition in ledger.partitions)
    laws.law("law 2", stats(ledger, last + DAY).balanced, "points stats: the books do not balance")
    for partition, truth in laws.truths.items():
        rows = [(row.member, row.number, row.state, row.link) for row in ledger.journal(partition).scan()]
        laws.law(
            "law 9", rows == [told[:4] for told in truth.entries], f"partition {partition}: what was decided changed"
        )


def check_transit(laws: Laws, ledger: Ledger, ways: Ways) -> None:
    """`points audit transit` names what is on its way and no fault, whatever was killed."""
    if not ways.was_any:
        return
    found = transit(ledger)
    laws.law("between", not found.faults, f"points audit transit: {found.faults[:3]}")
    told = (found.on_its_way, found.points_on_their_way, sum(found.in_transit.values()))
    ours = (len(ways.on_their_way), ways.points, ways.points)
    laws.law("between", told == ours, f"points audit transit: {told}, and it is {ours}")


def check_in_transit_as_of(laws: Laws, ledger: Ledger, ways: Ways, random: Random) -> None:
    """As of no instant points are at two members: what is with nobody is never below zero."""
    ledger.forget_book()
    names = [name for truth in laws.truths.values() for name in truth.members if name != PROGRAMME_SUBJECT]
    for instant in sorted(random.sample(sorted(ways.instants), min(LOOKS_BACK, len(ways.instants)))):
        accounts = [ledger.account(name, instant) for name in names]
        purses = [purse for account in accounts if account is not None for purse in account.purses.values()]
        in_transit = sum(purse.gone - purse.come for purse in purses)
        laws.law("between", in_transit >= 0, f"as of {instant} {-in_transit} points had come that had not gone")


def check_oracle(laws: Laws) -> None:
    """The oracle says of every member what a reader sees."""
    for partition, truth in laws.truths.items():
        for name in truth.members.keys() - {PROGRAMME_SUBJECT}:
            laws.compare_with_the_oracle(partition, name)


def check_order_of_members(laws: Laws) -> None:
    """Law 6: facts of one member after those of another make the same accounts."""
    for partition, truth in laws.truths.items():
        if any(item.fact.subject == PROGRAMME_SUBJECT for item in truth.facts):
            continue
        apart = PartitionTruth(partition, laws.ledger, truth.record_at)
        for item in sorted(truth.facts, key=lambda item: item.fact.subject):
            apart.decide(item)
        for name, member in truth.members.items():
            same = alike(apart.members[name].account) == alike(member.account)
            laws.law("law 6", same, f"{name}: the order of other members' facts changes the account")


def without_number(account: Account) -> Account:
    """Return a copy that does not tell how many entries it has."""
    copy = alike(account)
    copy.number = 0
    return copy


def check_way_back(laws: Laws) -> None:
    """Law 10: each spent point is given back by some fact that can still come. Of the shipped jd book."""
    for truth in laws.truths.values():
        if truth.oracle is None or isinstance(truth.oracle, OracleOfMembers):
            continue
        for name, member in truth.members.items():
            laws.law("law 10", left_spent(member) == 0, f"{name}: no fact gives back what was spent")


def left_spent(member: Member) -> int:
    """Return how many points stay spent after all facts that can give any back; the member's pages change."""
    shop = Shop()
    shop.account = decode_account(encode_account(member.account))
    shop.pages = member.pages
    shop.now = to_datetime(shop.account.clock)
    if shop.account.closed:
        shop.is_reopened()
    shop.brings_back_all_that_can_be()
    return sum(purse.redeemed for purse in shop.account.purses.values())


def check_tampering(laws: Laws, ledger: Ledger, random: Random) -> None:
    """Law 8: a byte changed, an entry dropped, two swapped: found. The files are spoiled afterwards."""
    partition = random.choice(list(laws.truths))
    entries = len(laws.truths[partition].entries)
    if entries < 2:
        return
    db = laws.files.journals[partition].db
    at = random.randint(1, entries - 1)
    match random.randrange(3):
        case 0:
            ((state,),) = db.execute("SELECT state FROM stored_events WHERE rowid = ?", (at,)).fetchall()
            place = random.randrange(len(state))
            changed = state[:place] + bytes([state[place] ^ 1 << random.randrange(8)]) + state[place + 1 :]
            db.execute("UPDATE stored_events SET state = ? WHERE rowid = ?", (changed, at))
        case 1:
            db.execute("DELETE FROM stored_events WHERE rowid = ?", (at,))
        case _:
            db.execute("UPDATE stored_events SET rowid = -1 WHERE rowid = ?", (at,))
            db.execute("UPDATE stored_events SET rowid = ? WHERE rowid = ?", (at, at + 1))
            db.execute("UPDATE stored_events SET rowid = ? WHERE rowid = -1", (at + 1,))
    laws.law(
        "law 8", bool(verify(ledger)["broken"]), f"partition {partition}: nobody finds that entry {at} was changed"
    )


class Kept:
    """Some views that are followed now and then while a ledger lives, and rebuilt at the end."""

    def __init__(self, folder: Path, random: Random) -> None:
        self._folder = Folder(folder)
        self._views: list[View] = random.sample(list(BUILT_IN), 2)

    def follow(self, ledger: Ledger) -> None:
        """Bring them to where the journals stand."""
        run_views(ledger, self._folder, self._views)

    def check(self, laws: Laws, ledger: Ledger) -> None:
        """Law 7: a view rebuilt equals the view kept."""
        for view in self._views:
            rebuild(ledger, self._folder, view)
            found = compare(ledger, self._folder, view)
            laws.law("law 7", not found["differences"], f"the view {view.name}: {found['differences'][:3]}")
