"""What members do besides buying: visits, shares, answers, and what makes a member known."""

from collections.abc import Callable

from ledger.core.awards import apply_rules
from ledger.core.draft import Draft, move_tiers, take_id
from ledger.wire.entries import (
    CreditSet,
    Rated,
)
from ledger.wire.facts import (
    Answer,
    CreditScore,
    Nothing,
    Share,
    ShopVisit,
    SignIn,
    Stars,
)
from ledger.wire.times import EPOCH, SECOND, parse_instant, to_instant


def sign_in(draft: Draft, data: SignIn) -> None:
    apply_rules(draft, draft.version.rules_on("member.signed-in"), data, day=_day_of(data))


def visit_shop(draft: Draft, data: ShopVisit) -> None:
    apply_rules(draft, draft.version.rules_on("shop.visited"), data)


def share_item(draft: Draft, data: Share) -> None:
    take_id(draft, f"share/{data.share}")
    apply_rules(draft, draft.version.rules_on("item.shared"), data, page=data.share)


def answer_question(draft: Draft, data: Answer) -> None:
    take_id(draft, f"answer/{data.answer}")
    apply_rules(draft, draft.version.rules_on("question.answered"), data, page=data.answer)


def complete_profile(draft: Draft, data: Nothing) -> None:
    apply_rules(draft, draft.version.rules_on("profile.completed"), data)


def become_known(on: str) -> Callable[[Draft, Nothing], None]:
    """What is given once for something that makes a member known, and may move the tier at once."""

    def decide_it(draft: Draft, data: Nothing) -> None:
        apply_rules(draft, draft.version.rules_on(on), data)
        move_tiers(draft, draft.version.month(draft.clock), draft.clock)

    return decide_it


def set_credit(draft: Draft, data: CreditScore) -> None:
    draft.emit(CreditSet(data.score))


def rate(draft: Draft, data: Stars) -> None:
    draft.emit(Rated(data.stars))
    move_tiers(draft, draft.version.month(draft.clock), draft.clock)


def _day_of(data: SignIn) -> int | None:
    """The day a sign-in says it is for, in days since 1970-01-01."""
    if not data.day:
        return None
    return (parse_instant(data.day, 0) - to_instant(EPOCH)) // (86_400 * SECOND)
