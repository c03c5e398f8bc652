"""Attributes of a member: what a book declares, and which values a fact may tell."""

import re
from typing import Any

from ledger.rulebook.schema import Attribute

_MONTH_DAY = re.compile(r"(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01]))?", re.ASCII)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_value(attribute: Attribute, value: Any) -> bool:
    """Return True if a fact may tell this value: of the attribute's type, or the empty text, which removes it.

    A month and day is "08-08", or "08" for the month alone; "02-29" is one.
    """
    if value == "":
        return True
    if attribute.type == "number":
        return type(value) is int
    if not isinstance(value, str):
        return False
    if attribute.type == "text":
        return True
    found = _MONTH_DAY.fullmatch(value)
    return found is not None and (found[2] is None or int(found[2]) <= _DAYS[int(found[1]) - 1])
