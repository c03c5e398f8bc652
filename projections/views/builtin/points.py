"""What the views on points share: each member's whole account, for time gives points as well as it takes them.

A tier that is reached as a month begins may give points: so no part of an account can be left out.
"""

from typing import ClassVar

from msgspec import Struct

from ledger.core.account import Account
from ledger.core.evolve import APPLY
from projections.views.view import View


class PointsView(View):
    """A view that keeps the account of each member."""

    changes = frozenset(APPLY)
    state: ClassVar[type[Struct] | None] = Account
