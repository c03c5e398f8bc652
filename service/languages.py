"""Which language a reader asks for: in the header Accept-Language, or by a terminal's locale."""

import os
from collections.abc import Iterable

LANGUAGE = "POINTS_LANGUAGE"
_LOCALES = (LANGUAGE, "LC_ALL", "LC_MESSAGES", "LANG")


def accepted_languages(accepted: str) -> Iterable[str]:
    """Yield the languages of Accept-Language by two letters, the most wanted first."""
    for name, weight in sorted(map(_weighed, accepted.split(",")), key=lambda one: -one[1]):
        if weight > 0 and (language := _letters(name)):
            yield language


def accepted_language(accepted: str) -> str:
    """Return the most wanted language of Accept-Language by two letters; "" where none is asked for."""
    return next(iter(accepted_languages(accepted)), "")


def terminal_language() -> str:
    """Return the language that the terminal's reader asks for, by two letters; "" where none is asked for."""
    return _letters(next((os.environ[name] for name in _LOCALES if os.environ.get(name)), ""))


def _letters(name: str) -> str:
    language = name.partition(".")[0].partition("_")[0].partition("-")[0].strip().lower()
    return language if len(language) == 2 and language.isascii() and language.isalpha() else ""


def _weighed(one: str) -> tuple[str, float]:
    """Return a language of Accept-Language and its weight, 0 where that cannot be read."""
    name, _, weight = one.strip().lower().partition(";")
    try:
        return name.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name, 0.0
