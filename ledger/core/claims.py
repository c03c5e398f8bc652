"""Claims of benefits that are given back to the quota that counted them."""

from ledger.core.benefits import quota_key
from ledger.core.draft import Draft
from ledger.core.pages import ClaimPage
from ledger.wire.entries import BenefitGivenBack


def give_back(draft: Draft, claim: str, page: ClaimPage) -> None:
    """Give a claim back; where its card's term is dropped, nothing is left that counts it."""
    page.is_returned = True
    draft.pages.put(f"claim/{claim}", page)
    key = quota_key(page.benefit, page.bucket)
    terms = draft.account.terms.get(page.membership, ())
    if any(term.card == page.card and term.used.get(key) for term in terms):
        draft.emit(BenefitGivenBack(page.membership, page.card, page.benefit, page.bucket, claim))
