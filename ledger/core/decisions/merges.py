"""Members who become one, and are parted again: all that a name has moves whole, by follow-up facts that may come late.

A name asks to be taken in (`asking`), sends its pages piece by piece and in the end all else at once (`moving`), and is
an alias from then on: what comes to it is handed on (`decisions.forwarding`). Nothing waits for a move until the last
fact of it is out. Parting is the same move, back. Source: two-accounts.md F.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ledger.core.account import Merger, Term
from ledger.core.bundles import of_which, share_text, term_of, term_text
from ledger.core.decisions.forwarding import KEPT
from ledger.core.decisions.orders import apply_early
from ledger.core.fall_due import fall_due
from ledger.core.lots import repay_or_expire, take
from ledger.core.moved_lots import came, moved_lot
from ledger.core.moved_pages import Numbers
from ledger.core.names import MOVING, NamedDraft
from ledger.core.openings import OPENED, opening_of, page_of
from ledger.core.pages import (
    CANCELLED,
    COMPLETED,
    OPEN,
    REJECTED,
    KeptFactPage,
    MovingPage,
    OrderPage,
    decode_page,
    encode_page,
)
from ledger.core.room import MOST_APART, MOST_TOGETHER, largest, may_part
from ledger.core.shops import place_shops_anew
from ledger.core.tiers import place_anew
from ledger.rulebook.compiled import NOT_MEMBERS
from ledger.wire import facts
from ledger.wire.entries import (
    Aliased,
    Awaited,
    DebtMoved,
    HoldCame,
    HoldLeft,
    HoldShifted,
    IdleMoved,
    Merging,
    MovedOut,
    NameCame,
    NameKnown,
    NameLeft,
    TermCame,
    TermLeft,
    TermMoved,
    birth_of,
    lot_key,
    lot_of,
    owner_of,
)
from ledger.wire.facts import MAX_NAMES, PROGRAMME_SUBJECT
from ledger.wire.name_keys import LINE, named, under
from ledger.wire.times import months_later, to_datetime

ASKING, MOVES, BACK = "asking", "moving", "back"  # states of a merger
MOST_KNOWN: Final = 400  # names that one account numbers in all its life
MOST_ENTRIES: Final = 1 << 28  # of an account whose lots others are to number
PIECE_PAGES: Final = 500
PIECE_BYTES: Final = 512 << 10
FRAGMENT_BYTES: Final = 256 << 10  # of a page
_PARTS = "moved/"  # how the key of the page of a part of a move begins
_encode = msgspec.json.Encoder().encode
_decode_moved = msgspec.json.Decoder(facts.Moved).decode


# -- what operators say ------------------------------------------------------------------------------------------------


def merge(draft: NamedDraft, data: facts.Merge) -> None:
    """Decide that a member is to become a name of another one, who is asked."""
    bundle, name = draft.bundle, draft.member
    for one in (name, data.into):
        if one == PROGRAMME_SUBJECT or one.startswith(NOT_MEMBERS):
            draft.decline("not-a-member", member=one)
    if data.into == name:
        draft.decline("merge-cycle", head=name)
    if draft.account.closed:
        draft.decline("account-closed")
    if bundle.merger is not None or bundle.awaited:
        draft.decline("merge-busy")
    if draft.number >= MOST_ENTRIES:
        draft.decline("out-of-range")
    most = largest(draft.account)
    if most > MOST_TOGETHER:
        draft.decline("too-large-together", points=most, most=MOST_TOGETHER)
    names = [name, *bundle.names]
    draft.emit(Merging(ASKING, data.into, draft.number, LINE.join(names)))
    cards = _cards(draft)[-facts.MAX_CARDS_ASKED :]
    ask = facts.MergeAsk(frm=name, names=names, era=draft.number, cards=cards, most=most)
    draft.tell(data.into, facts.MergeAsked, ask)


def unmerge(draft: NamedDraft, data: facts.Unmerge) -> None:
    """Decide that a name is to be a member of its own again, with all names that came through it."""
    bundle = draft.bundle
    taken = bundle.names.get(data.name)
    if taken is None:
        draft.decline("unknown-alias", name=data.name)
    if taken.through:
        draft.decline("merged-through", through=taken.through)
    if bundle.merger is not None or bundle.awaited or draft.account.closed:
        draft.decline("merge-busy")
    if not may_part(draft.account):
        draft.decline("out-of-range", most=MOST_APART)
    names = [data.name]
    for name in names:  # and theirs, however far
        names += [other for other, one in bundle.names.items() if one.through == name]
    draft.emit(Merging(BACK, data.name, taken.era, LINE.join(names)))
    _begin(draft)


# -- who takes in ------------------------------------------------------------------------------------------------------


def asked(draft: NamedDraft, data: facts.MergeAsk) -> None:
    """Decide whether names are taken in."""
    bundle, why = draft.bundle, ""
    if data.frm == draft.member or draft.member in data.names:
        why = "merge-cycle"
    elif draft.account.closed:
        why = "account-closed"
    elif bundle.merger is not None:
        why = "merge-busy"
    elif any(name in bundle.names or name in bundle.awaited for name in data.names):
        why = "already"
    elif len(bundle.names) + len(bundle.awaited) + len(data.names) >= MAX_NAMES or len(bundle.known) > MOST_KNOWN // 2:
        why = "too-many-names"
    elif draft.number >= MOST_ENTRIES:
        why = "out-of-range"
    elif (points := largest(draft.account) + data.most) > MOST_TOGETHER:
        why = "too-large-together"
        draft.figures.update({"points": points, "most": MOST_TOGETHER})
    else:
        same = next((card for card in _cards(draft) if card in data.cards), "")
        why = "same-card" if same else ""
        draft.figures.update({"card": same} if same else {})
    for name in data.names if not why else ():
        draft.emit(Awaited(name, data.frm))
    answer = facts.MergeAnswer(frm=draft.member, yes=not why, era=data.era, by=draft.member, reason=why)
    draft.tell(data.frm, facts.MergeAnswered, answer)
    if why:
        draft.note(why)


def _cards(draft: NamedDraft) -> list[str]:
    """Return the cards of a member's terms, the oldest first; a term is called by its card, whichever name it is of."""
    return [term.card for terms in draft.account.terms.values() for term in terms]


def pages_came(draft: NamedDraft, data: facts.MemberPagesData) -> None:
    """Decide pages that came: they are kept, and seen once all that moves is here."""
    _keep_pages(draft, data.pages, _numbers(draft, data.known))
    draft.tell(data.frm, facts.MergePieceTaken, facts.MergeTaken(frm=draft.member, era=data.era, i=data.i))


def _keep_pages(draft: NamedDraft, pages: list[facts.MovedPage], numbers: Numbers) -> None:
    state = b""
    for page in pages:
        state += page.state
        if page.more:
            continue
        name = "" if page.name == draft.member else page.name
        draft.named.whole.put(under(name, numbers.key(page.key)), numbers.page(decode_page(state)))
        state = b""


def _numbers(draft: NamedDraft, known: list[str]) -> Numbers:
    """Return the numbers here of the names that another account numbers; those that are new are known from now on."""
    here = []
    for name in known:
        if name == draft.member:
            here.append(0)
            continue
        if name not in draft.bundle.known:
            draft.emit(NameKnown(name))
        here.append(draft.bundle.number_of(name))
    return Numbers(here)


def _known(draft: NamedDraft) -> list[str]:
    return [draft.member, *draft.bundle.known]


# -- who moves ---------------------------------------------------------------------------------------------------------


def answered(draft: NamedDraft, data: facts.MergeAnswer) -> None:
    """Decide what was answered to a name that asked to be taken in: it begins to move, or stays."""
    merger = draft.bundle.merger
    if merger is None or merger.state != ASKING or merger.era != data.era:
        draft.decline("already")
    if not data.yes:
        draft.emit(Merging(""))
        draft.note(data.reason)
        return
    draft.emit(Merging(MOVES, data.by, merger.era, LINE.join(merger.names)))
    _begin(draft)


def piece_taken(draft: NamedDraft, data: facts.MergeTaken) -> None:
    """Decide that a piece has come to where the names go: the next one leaves, or all else."""
    merger = draft.bundle.merger
    if merger is None or merger.state == ASKING or merger.era != data.era or merger.i != data.i:
        draft.decline("already")
    _send(draft, merger)


def _begin(draft: NamedDraft) -> None:
    merger = draft.bundle.merger
    assert merger is not None
    keys = [key for key in draft.named.all_keys() if _moves(draft, merger, key)]
    draft.named.whole.put(MOVING, MovingPage(keys))
    _send(draft, merger)


def _moves(draft: NamedDraft, merger: Merger, key: str) -> bool:
    """Return True if what is kept under a key moves."""
    name, own = named(key)
    if not name and (own == MOVING or own.startswith((_PARTS, KEPT))):
        return False
    return (name or draft.member) in merger.names


def _send(draft: NamedDraft, merger: Merger) -> None:
    """Send the next piece of the pages; after the last one, all that is left."""
    page = draft.named.whole.get(MOVING)
    assert isinstance(page, MovingPage), "a move has begun"
    if page.sent == len(page.keys):
        _let_go(draft, merger, page.changed)
        return
    found: list[facts.MovedPage] = []
    size = 0
    for key in page.keys[page.sent : page.sent + PIECE_PAGES]:
        one = _moved_page(draft, key)
        if len(one.state) > FRAGMENT_BYTES:  # no fact could hold it: it goes with the rest, which is sent in parts
            if key not in page.changed:
                page.changed.append(key)
        else:
            size += len(one.state) * 4 // 3 + len(one.key) + len(one.name) + 40
            if found and size > PIECE_BYTES:
                break
            found.append(one)
        page.sent += 1
    draft.named.whole.put(MOVING, page)
    piece = merger.i + 1
    draft.emit(Merging(merger.state, merger.to, merger.era, LINE.join(merger.names), piece))
    data = facts.MemberPagesData(frm=draft.member, era=merger.era, i=piece, known=_known(draft), pages=found)
    draft.tell(merger.to, facts.MemberPages, data)


def _moved_page(draft: NamedDraft, key: str) -> facts.MovedPage:
    name, own = named(key)
    page = draft.named.whole.get(key)
    assert page is not None, "a page is kept for ever"
    return facts.MovedPage(name=name or draft.member, key=own, state=encode_page(page))


def _fragments(page: facts.MovedPage) -> Iterator[facts.MovedPage]:
    """Yield a page in fragments that a fact can hold: the page itself where it is small."""
    for start in range(0, len(page.state), FRAGMENT_BYTES):
        end = start + FRAGMENT_BYTES
        yield msgspec.structs.replace(page, state=page.state[start:end], more=end < len(page.state))


def _let_go(draft: NamedDraft, merger: Merger, changed: list[str]) -> None:
    """Let the names go that move, with all they have."""
    is_back = merger.state == BACK
    if is_back:
        _part_holds(draft, merger)
    data = facts.Moved(frm=draft.member, at=to_datetime(draft.clock), era=merger.era, known=_known(draft), back=is_back)
    keys = [*changed, *_describe_lots(draft, merger)]
    data.pages = [one for key in keys if _moves(draft, merger, key) for one in _fragments(_moved_page(draft, key))]
    data.idle = {kind: purse.idle_until for kind, purse in draft.account.purses.items() if purse.idle_until}
    for name in merger.names:
        here = "" if name == draft.member else name
        data.names.append(_name_of(draft, merger, name, here))
        _collect(draft, merger, data, name, here)
    for name in merger.names:
        draft.emit(NameLeft("" if name == draft.member else name, merger.to))
    draft.emit(Merging(""))
    if not is_back:
        draft.emit(Aliased(merger.to, merger.era, LINE.join(merger.names)))
    place_anew(draft, draft.clock)
    if is_back:  # an alias has no cards, and nothing at shops either
        _move_up(draft)
        place_shops_anew(draft)
    for part in _in_parts(data):
        draft.tell(merger.to, facts.MemberMoved, part, draft.clock)


def _move_up(draft: NamedDraft) -> None:
    """Let terms that waited behind those that left begin where what is here ends, or now."""
    for membership, terms in draft.account.terms.items():
        end = draft.clock
        for term in terms:
            if term.start > end:
                length = term.until - term.start
                until = months_later(end, term.months, draft.version.offset) if term.months else end + length
                draft.emit(TermMoved(membership, term.card, end, until, "moved-up"))
            end = max(end, term.until)


def _describe_lots(draft: NamedDraft, merger: Merger) -> list[str]:
    """Keep of each lot that moves, and was opened here, how it was: where it goes, nobody else could say.

    Returns the keys of the pages. Of a lot that is used up nothing is kept: what opened it may be in an archive.
    """
    found = []
    for purse in draft.account.purses.values():
        for key in sorted(purse.lots):
            name = draft.named.owner(key)
            earned = opening_of(draft, key) if (name or draft.member) in merger.names and not birth_of(key) else None
            if earned is not None:
                found.append(under(name, f"{OPENED}{key}"))
                draft.named.whole.put(found[-1], page_of(earned))
    return found


def _name_of(draft: NamedDraft, merger: Merger, name: str, here: str) -> facts.MovedName:
    taken = draft.bundle.names.get(here)
    if merger.state == BACK:
        assert taken is not None
        through = "" if name == merger.to or taken.through == merger.to else taken.through
    else:
        through = "" if not here else (taken.through if taken is not None else "") or draft.member
    era = taken.era if taken is not None else merger.era
    return facts.MovedName(name=name, era=era, through=through, share=share_text(draft.account, here))


def _collect(draft: NamedDraft, merger: Merger, data: facts.Moved, name: str, here: str) -> None:
    """Take out what a name has, into the fact that it moves with."""
    account, bundle = draft.account, draft.bundle
    owner = bundle.number_of(here) if here else 0
    for hold, held in list(account.holds.items()):
        of, own = of_which(account, hold)
        if of == here:
            for key, points in held.parts.items():
                one = facts.MovedHold(name=name, hold=own, kind=held.kind, lot=key, points=points, until=held.until)
                data.holds.append(one)
            draft.emit(HoldLeft(hold))
    for kind, purse in account.purses.items():
        for key, lot in sorted(purse.lots.items()):
            if owner_of(key) == owner:
                data.lots.append(moved_lot(kind, key, lot))
                data.points += lot.left + lot.held
                draft.emit(MovedOut(kind, key, lot.left, lot.held, merger.to))
        debt = bundle.shares[here].purse(kind).debt if bundle.shares else purse.debt
        if debt:
            data.debts.append(facts.MovedDebt(name=name, kind=kind, points=debt))
            draft.act_as(here)
            draft.emit(DebtMoved(kind, -debt))
            draft.act_as("")
    for membership, terms in list(account.terms.items()):
        for term in list(terms):
            if bundle.cards.get(f"{membership}/{term.card}", "") == here:
                of, own = named(term.card)
                card = own if here and of == here else term.card
                text = term_text(msgspec.structs.replace(term, card=card))
                data.terms.append(facts.MovedTerm(name=name, membership=membership, card=card, term=text))
                draft.emit(TermLeft(membership, term.card))


def _part_holds(draft: NamedDraft, merger: Merger) -> None:
    """Let what a hold of one name keeps of another's lot be the hold's own name's, where the two part."""
    bundle = draft.bundle
    for hold, held in list(draft.account.holds.items()):
        name = of_which(draft.account, hold)[0]
        for lot, points in list(held.parts.items()):
            owner = owner_of(lot)
            of = bundle.known[owner - 1] if owner else ""
            if (name in merger.names) != (of in merger.names):
                own = lot_key(draft.number, draft.lots)
                draft.lots += 1
                to = lot_of(bundle.number_of(name), 0, own) if name else own
                draft.emit(HoldShifted(held.kind, lot, to, points, hold))


def _in_parts(data: facts.Moved) -> Iterator[facts.Moved]:
    """Yield what moves in facts of about `PIECE_BYTES` each, their order that of the fields."""
    head = msgspec.structs.replace(data, points=0, names=[], lots=[], holds=[], debts=[], terms=[], pages=[])
    parts, size = [head], len(_encode(head))
    for field in ("names", "lots", "holds", "debts", "terms", "pages"):
        for one in getattr(data, field):
            length = len(_encode(one)) + 1
            if size + length > PIECE_BYTES:
                parts.append(facts.Moved(frm=data.frm, at=data.at, era=data.era, known=data.known, back=data.back))
                size = len(_encode(parts[-1]))
            getattr(parts[-1], field).append(one)
            size += length
            if field == "lots":
                parts[-1].points += one.points + one.held
    for place, part in enumerate(parts):
        part.part, part.parts = place, len(parts)
    return iter(parts)


# -- who comes ---------------------------------------------------------------------------------------------------------


def moved(draft: NamedDraft, data: facts.Moved) -> bool:
    """Decide names that come with all they have. Returns False where other parts of them are still on their way."""
    bundle = draft.bundle
    alias = bundle.alias
    is_awaited = alias is not None and alias.era == data.era if data.back else data.frm in bundle.awaited.values()
    if not is_awaited:
        draft.decline("already")
    parts = _parts(draft, data)
    if parts is None:
        draft.figures["part"] = data.part
        return False
    numbers = _numbers(draft, data.known)
    _keep_pages(draft, [page for part in parts for page in part.pages], numbers)
    if data.back:
        draft.emit(Aliased(""))
    names = [name for part in parts for name in part.names]
    for name in names:
        draft.emit(NameCame(_here(draft, name.name), name.era, name.through, name.share))
        if name.name in draft.bundle.awaited:
            draft.emit(Awaited(name.name, ""))
        if _here(draft, name.name) and name.name not in draft.bundle.known:
            draft.emit(NameKnown(name.name))
    for part in parts:
        _take_in(draft, part, numbers)
    _take_terms(draft, [term for part in parts for term in part.terms])
    fall_due(draft, draft.clock)
    _repay(draft)
    _meet_orders(draft, {_here(draft, name.name) for name in names})
    place_anew(draft, draft.clock)
    place_shops_anew(draft)
    return True


def _meet_orders(draft: NamedDraft, came_now: set[str]) -> None:
    """Let returns that one name remembers of an order it never saw meet that order, which another name knows."""
    if not draft.bundle.names:
        return
    for key in draft.named.all_keys():
        name, own = named(key)
        if name not in came_now or not own.startswith("order/"):
            continue
        there = draft.named.whole.get(key)
        for other in ("", *draft.bundle.names):
            here = draft.named.whole.get(under(other, own))
            if other != name and isinstance(here, OrderPage) and isinstance(there, OrderPage):
                _meet(draft, other, here, name, there, own)
                _meet(draft, name, there, other, here, own)
    draft.act_as("")


def _meet(draft: NamedDraft, frm: str, remembered: OrderPage, to: str, known: OrderPage, key: str) -> None:
    """Let what one name's page remembers count on the page of the name that knows the order."""
    if _is_seen(remembered) or not remembered.early or not _is_seen(known):
        return
    if known.status not in (CANCELLED, REJECTED):  # an order that ended so drops them
        known.early = [*known.early, *remembered.early]
    remembered.early = []
    draft.act_as(to)
    if known.status == COMPLETED:
        apply_early(draft, known)
    draft.named.store(under(frm, key), remembered)
    draft.named.store(under(to, key), known)


def _is_seen(page: OrderPage) -> bool:
    """Return True if an order is known by more than returns that came before all else."""
    return page.status != OPEN or bool(page.redemptions)


def _here(draft: NamedDraft, name: str) -> str:
    """Return a name as the account calls it: its own is empty."""
    return "" if name == draft.member else name


def _parts(draft: NamedDraft, data: facts.Moved) -> list[facts.Moved] | None:
    """Return all parts of what moves, None where some are not here yet: this one is kept."""
    if data.parts == 1:
        return [data]
    found = []
    for number in range(data.parts):
        key = f"{_PARTS}{data.era}/{number}/{data.frm}"
        if number == data.part:
            draft.named.whole.put(key, KeptFactPage(_encode(data).decode()))
        page = draft.named.whole.get(key)
        if isinstance(page, KeptFactPage):
            found.append(_decode_moved(page.data))
    return found if len(found) == data.parts else None


def _take_in(draft: NamedDraft, data: facts.Moved, numbers: Numbers) -> None:
    for lot in data.lots:
        draft.emit(came(lot, numbers, data.frm))
    for hold in data.holds:
        key = under(_here(draft, hold.name), hold.hold)
        draft.emit(HoldCame(hold.kind, numbers.lot(hold.lot), hold.points, key, hold.until))
    for debt in data.debts:
        draft.act_as(_here(draft, debt.name))
        draft.emit(DebtMoved(debt.kind, debt.points))
    draft.act_as("")
    for kind, until in data.idle.items():
        if until > draft.account.purse(kind).idle_until:
            draft.emit(IdleMoved(kind, until))


def _take_terms(draft: NamedDraft, terms: list[facts.MovedTerm]) -> None:
    """Lay cards that come, those of all names in the order in which they were laid."""
    for moved_term, term in sorted(((one, term_of(one.term)) for one in terms), key=lambda pair: pair[1].start):
        draft.act_as(_here(draft, moved_term.name))
        laid = _laid_behind(draft, moved_term.membership, term)
        if any(other.card == moved_term.card for other in draft.account.terms.get(moved_term.membership, ())):
            laid.card = under(draft.named.acting, moved_term.card)  # bought since the head said it had no such card
        draft.emit(TermCame(moved_term.membership, laid.card, term_text(laid)))
    draft.act_as("")


def _laid_behind(draft: NamedDraft, membership: str, term: Term) -> Term:
    """Return a term that came as it is laid here: what is left of it behind those that are not over."""
    now = draft.clock
    if term.until <= now:
        return term
    others = draft.account.terms.get(membership, [])
    last = max((other.until for other in others if other.until > now), default=0)
    if not last:
        if term.start > now:  # what it was laid behind is not here
            term.start, term.until = now, now + (term.until - term.start)
        return term
    begins = max(term.start, now)
    if last > begins:
        term.months = term.months if term.start >= now else 0  # what is left of it is counted by the day
        term.start, term.until = last, last + (term.until - begins)
    return term


def _repay(draft: NamedDraft) -> None:
    """Let debt that came meet the lots, in burn order."""
    for kind, purse in draft.account.purses.items():
        while purse.debt > 0 and purse.spendable():
            key = take(draft, kind, 1)[0][0]
            repay_or_expire(draft, kind, key, draft.clock)


def returned(draft: NamedDraft, data: facts.LotReturn) -> None:
    """Decide points that came back to a lot of a name that lives here: they are in it again."""
    change = came(data.lot, _numbers(draft, data.known), data.frm)
    draft.emit(change)
    repay_or_expire(draft, change.kind, change.lot, draft.clock)
