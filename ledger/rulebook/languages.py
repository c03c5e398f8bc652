"""Names and texts of a rule book in several languages: ``name = { zh = "积分", en = "Points" }``.

The schema knows one text for each; the others stand beside it by the place of the text in the book.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from ledger.rulebook.schema import BadProgramme

FIRST: Final = "zh"  # the text that stands where no language is asked for, before the first that is given
MAX_TEXT: Final = 400
_LANGUAGE = re.compile(r"[a-z]{2}")
_TEXTS = frozenset({"name", "text"})

Languages = Mapping[str, Mapping[str, str]]  # place, such as ``kinds.KIND.name`` -> language -> text


def take_languages(document: dict[str, Any], where: str) -> Languages:
    """Put one text in the place of each table of texts by language, and return the tables by their places.

    A rule's place is ``award.RULE.name``. Raises `BadProgramme`.
    """
    found: dict[str, dict[str, str]] = {}
    _take(document, "", where, found)
    return found


def text_in(languages: Languages, place: str, language: str, otherwise: str) -> str:
    """Return a text of a book in a language, or `otherwise` where the book has none in it."""
    return languages.get(place, {}).get(language, otherwise)


def _take(table: dict[str, Any], at: str, where: str, found: dict[str, dict[str, str]]) -> None:
    for key, value in table.items():
        place = f"{at}.{key}" if at else key
        if isinstance(value, dict):
            is_text = key in _TEXTS or at.endswith(".parts")
            if is_text and value and all(_LANGUAGE.fullmatch(name) for name in value):
                for name, text in value.items():
                    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
                        raise BadProgramme(f"{where}: {place}.{name}: a text of 1 to {MAX_TEXT} characters is needed")
                found[place] = value
                table[key] = value.get(FIRST) or next(iter(value.values()))
            else:
                _take(value, place, where, found)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    rule = item.get("rule")
                    name = f"{place}.{rule}" if isinstance(rule, str) else f"{place}[{number}]"
                    _take(item, name, where, found)
