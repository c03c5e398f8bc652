"""Every reason code the ledger gives, where it applies, and a sentence for people.

A code stays for ever: people search for it and programs match on it. `<kind>` stands for a kind of points of the book.
"""

from typing import Final, NamedTuple


class Reason(NamedTuple):
    """Where a code applies, and what it means; `also` are the other places where it is said."""

    where: str
    text: str
    also: tuple[str, ...] = ()


ENTRY: Final = "entry"  # refused or ignored because of it
NOTE: Final = "note"  # accepted, and this is to be said of it
WITHHELD: Final = "withheld"  # a rule of an accepted fact gave less, or nothing
TERM: Final = "term"  # why a membership's term was moved
PARKED: Final = "parked"  # no fact: waits among the dead letters

REASONS: Final[dict[str, Reason]] = {
    # refused requests, and facts that contradict what is known
    "<kind>-short": Reason(ENTRY, "More points were asked for than are spendable."),
    "above-most": Reason(ENTRY, "This use takes no more points at once."),
    "above-share": Reason(ENTRY, "Points may pay only a share of the settlement, over all redemptions of the order."),
    "account-closed": Reason(ENTRY, "The account is closed: requests are refused, and of facts only returns count."),
    "account-frozen": Reason(ENTRY, "The account is frozen: it goes on earning, and its requests are refused."),
    "already": Reason(ENTRY, "The same thing came before under another fact id (an order, redemption, card, claim …)."),
    "alias": Reason(ENTRY, "The member is another name of the one that the figure `head` names: say it of that one."),
    "already-reviewed": Reason(ENTRY, "The line has its review; a second one gives nothing."),
    "bad-programme": Reason(ENTRY, "The published rule book cannot be used; the figures say what is wrong with it."),
    "balance-too-small": Reason(ENTRY, "This use needs a larger spendable balance before it takes any points."),
    "below-least": Reason(ENTRY, "This use takes no fewer points at once."),
    "card-ended": Reason(ENTRY, "The card's term is over (or was never laid): there is nothing left to refund."),
    "conflict": Reason(ENTRY, "A fact of the same source and id came before with other content; the first one stands."),
    "duplicate": Reason(ENTRY, "The very same fact came before; `first` names the member's entry that decided it."),
    "exchange-ended": Reason(ENTRY, "The exchange was confirmed or failed before; the first answer stands."),
    "given-spent": Reason(
        ENTRY, "What the exchange gave is not all there any more, or a partner gave it; it cannot be undone.", (NOTE,)
    ),
    "hold-ended": Reason(ENTRY, "The hold was captured, released or had run out before."),
    "hold-over": Reason(ENTRY, "The hold would end before it begins: its `until` is past."),
    "kind-not-taken": Reason(ENTRY, "This use does not take that kind of points."),
    "lapsed": Reason(ENTRY, "The points waited for a claim, and have lapsed."),
    "line-not-completed": Reason(ENTRY, "The line is not one of this member's completed orders."),
    "merge-busy": Reason(ENTRY, "A merge or its undoing is on its way here; say it again when that is over.", (NOTE,)),
    "merge-cycle": Reason(ENTRY, "A member cannot become a name of itself.", (NOTE,)),
    "merged-through": Reason(ENTRY, "The name came with another one, which the figure `through` names: part that one."),
    "no-right": Reason(ENTRY, "The line has no right to this benefit."),
    "not-open": Reason(ENTRY, "The benefit cannot be claimed at this time: the figure `open` says when it can."),
    "right-over": Reason(ENTRY, "The line's right to the benefit has ended."),
    "no-membership": Reason(ENTRY, "No card of that membership holds at this instant.", (NOTE,)),
    "no-seat": Reason(ENTRY, "The member has no seat in this house.", (NOTE,)),
    "no-programme": Reason(ENTRY, "It occurred before the first version of the rule book."),
    "not-a-house": Reason(ENTRY, "The fact is of a house, and its subject is none, or another one."),
    "not-a-member": Reason(ENTRY, "The fact belongs to no member."),
    "not-a-multiple": Reason(ENTRY, "This use takes points in whole multiples only."),
    "not-a-trial": Reason(ENTRY, "The product is a paid card and cannot be started as a trial."),
    "not-approved": Reason(ENTRY, "An adjustment needs the approval of someone other than who made it."),
    "not-closed": Reason(ENTRY, "The account was not closed."),
    "not-entitled": Reason(ENTRY, "It is not for this member: the figure `who` names the condition that fails."),
    "not-exact": Reason(ENTRY, "This use takes exactly one amount of points."),
    "not-for-sale": Reason(ENTRY, "The product is a trial and cannot be bought or coded."),
    "not-frozen": Reason(ENTRY, "The account was not frozen."),
    "not-in-card": Reason(ENTRY, "The card that holds does not include this benefit."),
    "order-cancelled": Reason(ENTRY, "The order was cancelled before; what came later contradicts that."),
    "order-completed": Reason(ENTRY, "The order was completed before; what came later contradicts that."),
    "order-missing": Reason(ENTRY, "This use is for an order, and none is named."),
    "order-rejected": Reason(ENTRY, "The order was refused at the door before; what came later contradicts that."),
    "out-of-range": Reason(ENTRY, "The account's integers cannot hold the points that this would make."),
    "too-long-for-alias": Reason(
        ENTRY, "It is too long to be handed on to the account that has this name now, `head`: send it to that."
    ),
    "too-large-together": Reason(
        ENTRY, "What both accounts count is together more than one may hold: they stay two.", (NOTE,)
    ),
    "points-short": Reason(ENTRY, "More points were asked for than are spendable of all the kinds that the use takes."),
    "quota-used": Reason(ENTRY, "The benefit's quota is used up: of this card, member, shop or line.", (NOTE,)),
    "over": Reason(ENTRY, "The tier would be granted until an instant that is past."),
    "seat-older": Reason(ENTRY, "The house said something later of this seat before; that holds."),
    "seats-full": Reason(ENTRY, "All seats of the card are taken."),
    "redemption-of-an-order": Reason(
        ENTRY, "Points tendered on an order come back by its return or its end, not by hand."
    ),
    "settlement-too-small": Reason(ENTRY, "This use needs a larger settlement."),
    "shop-missing": Reason(ENTRY, "This kind of points is kept for each shop, and the fact names none."),
    "stale": Reason(ENTRY, "The request is older than the ledger takes (`request_max_age_seconds`)."),
    "too-late": Reason(ENTRY, "It occurred longer before the member's clock than the book's `late_days`."),
    "too-many-returns": Reason(ENTRY, "More lines than an order may have came back before any of them completed."),
    "too-many-houses": Reason(ENTRY, "The member was told of 100 houses; no seat in another one is kept."),
    "too-many-grants": Reason(ENTRY, "The member has 1,000 granted tiers that run; withdraw one first."),
    "trial-used": Reason(ENTRY, "A member has one trial, and none beside a card."),
    "unknown-activity": Reason(ENTRY, "This member has no such activity."),
    "unknown-alias": Reason(ENTRY, "This member has no such other name."),
    "unknown-ask": Reason(ENTRY, "This member asked a pool nothing under that name."),
    "unknown-award": Reason(ENTRY, "This member has no such award, or not of that kind of points."),
    "unknown-benefit": Reason(ENTRY, "The rule book has no such benefit."),
    "unknown-card": Reason(ENTRY, "This member has no such card."),
    "unknown-claim": Reason(ENTRY, "This member has no such claim of a benefit that could come back."),
    "unknown-exchange": Reason(ENTRY, "The rule book has no such exchange, or this member never made it."),
    "unknown-grant": Reason(ENTRY, "This member was granted no tier under that name."),
    "unknown-hold": Reason(ENTRY, "This member has no such hold."),
    "unknown-kind": Reason(ENTRY, "The rule book has no such kind of points."),
    "unknown-order": Reason(ENTRY, "This member's order was never seen."),
    "unknown-pool": Reason(ENTRY, "The rule book has no such pool."),
    "unknown-product": Reason(ENTRY, "The rule book has no such card product."),
    "unknown-redemption": Reason(ENTRY, "This member has no such redemption."),
    "unknown-review": Reason(ENTRY, "This member has no such review."),
    "unknown-tier": Reason(ENTRY, "The rule book has no such score, or the score has no such tier."),
    "to-self": Reason(ENTRY, "A member gives to another one."),
    "too-many-lots": Reason(ENTRY, "The points are in more lots than a gift may have: give them in several gifts."),
    "unknown-transfer": Reason(ENTRY, "The rule book has no such transfer, or this member made no such gift."),
    "unknown-use": Reason(ENTRY, "The rule book has no such use for points."),
    # said of accepted facts
    "adjustment-capped": Reason(NOTE, "More was to be taken of an award than it still holds; what it holds is taken."),
    "after-cancellation": Reason(NOTE, "The order was cancelled before and goes on; what came back then stays."),
    "asked": Reason(NOTE, "The claim waits for the answer of the stock or house that members share."),
    "before-completion": Reason(NOTE, "The return came before its order completed; it is applied at completion."),
    "exchange-asked": Reason(
        NOTE, "The points are held until the other ledger, or the partner, has answered to the exchange.", (ENTRY,)
    ),
    "exchange-failed": Reason(NOTE, "The exchange gave nothing, and the points are free again; `why` says why."),
    "exempt": Reason(NOTE, "A membership exempts this rejection from its penalty; it still counts."),
    "forwarded": Reason(NOTE, "The member is a name of another one, whose account decides the fact."),
    "house-closed": Reason(
        NOTE, "The house is closed or frozen, or the claim is of a time long past: nothing was given."
    ),
    "given-up": Reason(NOTE, "What a pool answered to was given up before; what it gave goes back to it."),
    "late-confirmed": Reason(
        NOTE, "The partner gave after the hold was over: what is spendable was taken, and the rest is debt."
    ),
    "not-eligible": Reason(NOTE, "The card is not for this member; it was paid, so it opens all the same."),
    "handed-back": Reason(NOTE, "The name that the fact is for lives here no more: it goes back to who handed it on."),
    "line-completed": Reason(NOTE, "Lines that had completed before are left out; they complete once."),
    "line-returned": Reason(
        NOTE,
        "The whole line came back: rules give nothing for it, no amendment brings it back, its rights are gone.",
        (ENTRY,),
    ),
    "order-ended": Reason(
        NOTE, "A redemption is for an order that had ended (refused where it was cancelled or refused at the door)."
    ),
    "points-capped": Reason(NOTE, "More was to be given back or captured than there was; all there was is taken."),
    "points-differ": Reason(
        NOTE, "The lines' `points` do not add up to the order's redemptions; the redemptions count."
    ),
    "pool-busy": Reason(
        NOTE, "As many wait at this lease of the pool as may; nothing was drawn, and may be asked again."
    ),
    "pool-closed": Reason(
        NOTE, "The budget or stock is closed or frozen, or was of a time long past: nothing was drawn."
    ),
    "pool-empty": Reason(NOTE, "The budget or stock has not as much left: nothing was drawn, and nothing is used up."),
    "rest-cancelled": Reason(NOTE, "The order completes in parts, and what was still to come of it was cancelled."),
    "rest-restored": Reason(NOTE, "The whole order came back, and so did the rest of the points spent on it."),
    "sent-back": Reason(NOTE, "The gift could not be taken and goes back whole; the figure `why` says why."),
    "same-card": Reason(NOTE, "Both accounts have a card of that name, which the figure `card` says: they stay two."),
    "too-many-names": Reason(NOTE, "The member has as many names as one may have; no more are taken in."),
    "unknown-attribute": Reason(NOTE, "The book declares no such attribute, or one of another type; it is not kept."),
    "too-many-shops": Reason(NOTE, "The member has points of this kind at as many shops as may be; none are given."),
    "waits": Reason(NOTE, "The fact is for a name that is on its way here, and is decided when that has come."),
    "price-differs": Reason(NOTE, "The card was paid another price than the book has for this member."),
    "refund-above-price": Reason(NOTE, "More money came back for the card than was paid for it."),
    "refund-not-due": Reason(NOTE, "The book's rule gives no money back: `why` says whether it was used or is late."),
    "unknown-line": Reason(
        NOTE, "The order has no line of that name (an entry all of whose lines are such is ignored)."
    ),
    # a rule that applied, and gave less or nothing
    "already-today": Reason(WITHHELD, "The rule gives once a day for each of these, and it did."),
    "cap-full": Reason(
        WITHHELD,
        "The rule's cap leaves less, or nothing; a redemption that a cap of its use has no room for is refused.",
        (ENTRY,),
    ),
    "card-cap-full": Reason(WITHHELD, "The card's cap has no room for this line; the ordinary rule holds."),
    "not-joined": Reason(WITHHELD, "The member has not joined this shop; what was bought before does not count."),
    "once": Reason(WITHHELD, "The rule gives once, and it did."),
    "too-long-after-completion": Reason(WITHHELD, "It came later after completion than the rule allows."),
    # why a term was moved
    "bought": Reason(TERM, "The trial ends where a card was bought."),
    "laid-behind": Reason(TERM, "A running card was upgraded, and this one, not begun yet, is laid behind it."),
    "given-back": Reason(TERM, "The claim that opened the card was given back."),
    "moved-up": Reason(TERM, "An earlier card was refunded, or left with its name, and this one moves up."),
    "refunded": Reason(TERM, "The card was refunded, and ends there."),
    "upgraded": Reason(TERM, "The card ends where a better one was bought."),
    "taken-out": Reason(TERM, "The card was refunded, or given back, before its term began; nothing of it is left."),
    # no fact
    "bad-fact": Reason(PARKED, "A field is missing, of the wrong type or out of bounds; the detail names it."),
    "empty": Reason(PARKED, "The record has no value (a tombstone); facts are never deleted."),
    "future": Reason(PARKED, "It says it occurred more than five minutes after it was recorded."),
    "no-key": Reason(PARKED, "The record has no key, or one that is not UTF-8; a fact's key is its subject."),
    "not-authorised": Reason(PARKED, "The ledger's settings name no such source for this type of fact."),
    "not-json": Reason(PARKED, "It is not JSON."),
    "not-stamped": Reason(PARKED, "Its timestamp is not the broker's: the topic is to have LogAppendTime."),
    "not-utf8": Reason(PARKED, "It is not UTF-8."),
    "too-deep": Reason(PARKED, "Its JSON is nested deeper than a fact may be."),
    "too-long": Reason(PARKED, "It is longer than a fact may be."),
    "undecidable": Reason(PARKED, "Deciding it failed, which is a bug of this version; the detail says how."),
    "unknown-mode": Reason(PARKED, "A CloudEvent in a mode or an encoding that is not taken; the detail names it."),
    "unknown-type": Reason(PARKED, "There is no such type of fact; `points schema` lists them."),
    "untrusted-backlog": Reason(
        PARKED, "It declares when it was recorded, and this ledger's settings do not take that from the stream."
    ),
    "wrong-key": Reason(PARKED, "The record's key is not the fact's subject."),
    "wrong-partition": Reason(PARKED, "The record stands in a partition that is not its subject's."),
}
