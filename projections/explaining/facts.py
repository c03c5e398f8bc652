"""What a fact was, in one sentence; where points came from by it, and what it caused."""

from typing import Any

from ledger.wire.facts import (
    FACT_TYPES,
    BenefitClaimed,
    Fact,
    FollowUp,
    MemberDescribed,
    OrderAmended,
    OrderCompleted,
    OrderPaid,
    OrderReturned,
)
from projections.explaining.history import History, LotStory, Step
from projections.explaining.words import Words

MOST_LINES = 3  # of a return that are told one by one


_NAMES = {found: str(found.__struct_config__.tag).rsplit(".", 1)[0] for found in FACT_TYPES}


def name_of(fact: Fact) -> str:
    """The type of a fact without its version, such as ``order.completed``."""
    return _NAMES[type(fact)]


def business_id(fact: Fact) -> tuple[str, str]:
    """What a fact is about, by the first field of its data: ("order", "O1"); empty where it has none."""
    names = [name for name in fact.data.__struct_fields__ if name not in FollowUp.__struct_fields__][:1]
    return (names[0], str(getattr(fact.data, names[0]))) if names else ("", "")


def fact_text(fact: Fact, words: Words) -> str:
    """The sentence."""
    more: dict[str, Any] = {}
    match fact:
        case OrderPaid() | OrderCompleted() | OrderAmended():
            lines = fact.data.lines
            paid, points = sum(line.paid_fen for line in lines), sum(line.points for line in lines)
            more["basket"] = words.say("basket", fact.data, lines=len(lines), paid=paid, points=points)
        case OrderReturned():
            told, rest = fact.data.lines[:MOST_LINES], fact.data.lines[MOST_LINES:]
            texts = [words.say("return-line", line) for line in told]
            if rest:
                texts.append(words.say("return-rest", lines=len(rest), fen=sum(line.refund_fen for line in rest)))
            more["back"] = words.speech.semicolon.join(texts)
        case MemberDescribed():
            told_of = (f"{name} {value}".rstrip() for name, value in fact.data.attributes.items())
            more["told"] = words.speech.comma.join(told_of)
        case BenefitClaimed():
            more["name"] = words.benefit_name(fact.data.benefit)
    return words.say(f"fact.{name_of(fact)}", fact.data, **more)


def told_text(step: Step, words: Words) -> str:
    """The sentence of an entry's fact; of one that came for another name, the fact within and that name."""
    what = fact_text(step.decided, words)
    return words.say("fact.under", name=step.name, what=what) if step.name else what


def origin_text(story: LotStory, words: Words) -> str:
    """Where a lot came from, briefly: 购物返豆 for line 1 of order O1."""
    earned, fact = story.earned, story.origin.decided
    rule = words.rule_name(earned.rule) or earned.rule
    return words.say(f"origin.{name_of(fact)}", fact.data, rule=rule, line=earned.line)


def cause_text(fact: Fact, words: Words) -> str:
    """The fact that moved points in or out of a lot, briefly: return T1 of order O1."""
    what = name_of(fact)
    return words.say(f"cause.{what}", fact.data, what=what, id=business_id(fact)[1])


def redemption_text(history: History, redemption: str, words: Words) -> str:
    """What a redemption was for: order O9 by offset (抵现)."""
    if redemption.startswith("exchange/"):
        return words.say("redemption.exchange", request=redemption.removeprefix("exchange/"))
    if redemption.startswith("transfer/"):
        return words.say("redemption.transfer", transfer=redemption.removeprefix("transfer/"))
    if redemption.startswith("claim/"):
        return words.say("redemption.claim", claim=redemption.removeprefix("claim/"))
    data = history.redemptions.get(redemption)
    if data is None:
        return words.say("redemption", redemption=redemption)
    return words.say("redemption.order" if data.order else "redemption.other", data)
