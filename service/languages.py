"""Which language a reader asks for, and the texts of the command line and the API in it.

A text stands in the code in English. The catalogue of another language, `texts/zh.toml`, has it by that English: with
the names of its figures in braces, or with their numbers, {0} and {1}, where an f-string raises it as an error.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Final

LANGUAGE = "POINTS_LANG"
_LOCALES = (LANGUAGE, "POINTS_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_FIGURE: Final = re.compile(r"\{(\w+)\}")
_LONGEST: Final = 4_000  # characters of a message that is looked up
_FEWEST: Final = 5  # characters beside its figures that tell a message from others


def accepted_languages(accepted: str) -> Iterable[str]:
    """Yield the languages of Accept-Language by two letters, the most wanted first."""
    for name, weight in sorted(map(_weighed, accepted.split(",")), key=lambda one: -one[1]):
        if weight > 0 and (language := _letters(name)):
            yield language


def accepted_language(accepted: str) -> str:
    """Return the most wanted language of Accept-Language by two letters; "" where none is asked for."""
    return next(iter(accepted_languages(accepted)), "")


def wanted_language(accepted: str) -> str:
    """Return the first language of Accept-Language that the texts are in, by two letters; "" for English."""
    wanted = next((one for one in accepted_languages(accepted) if one == "en" or texts(one)), "")
    return "" if wanted == "en" else wanted


def terminal_language() -> str:
    """Return the language that the terminal's reader asks for, by two letters; "" where none is asked for."""
    return _letters(next((os.environ[name] for name in _LOCALES if os.environ.get(name)), ""))


def text(english: str, /, **figures: object) -> str:
    """Return a text of the command line in the terminal's language, with its figures put in."""
    return text_in(terminal_language(), english, **figures)


def text_in(language: str, english: str, /, **figures: object) -> str:
    """Return a text in a language by its English, with its figures put in; integers get separators of thousands."""
    found = texts(language).get(english, english)
    return _filled(found, figures) if figures else found


def told(message: str, language: str | None = None) -> str:
    """Return a message, such as an error's, in a language (None: the terminal's); unchanged where there is none of it.

    It is the template of the most letters that fits. A figure of several words may be a message itself.
    """
    asked = terminal_language() if language is None else language
    known = texts(asked)
    if not known or len(message) > _LONGEST:
        return message
    if message in known:
        return known[message]
    for pattern, names, template in _patterns(asked):
        fits = pattern.fullmatch(message)
        if fits is not None:
            return _filled(template, {name: _inner(fits[n + 1], asked) for n, name in enumerate(names)})
    return message


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return every text of a language by its English; empty for English, and where there is no catalogue."""
    file = resources.files("service") / "texts" / f"{language}.toml"
    if not language or not file.is_file():
        return {}
    found: dict[str, str] = tomllib.loads(file.read_text("utf-8"))
    return found


@cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...]:
    """Return what a text with figures looks like, their names, and the text; the one of the most letters first."""
    found = []
    for english, other in texts(language).items():
        names = tuple(_FIGURE.findall(english))
        fixed = _FIGURE.split(english)[::2]
        if names and sum(map(len, fixed)) >= _FEWEST:
            pattern = re.compile("(.*?)".join(re.escape(one) for one in fixed), re.DOTALL)
            found.append((sum(map(len, fixed)), pattern, names, other))
    found.sort(key=lambda one: -one[0])
    return tuple((pattern, names, other) for _, pattern, names, other in found)


def _inner(figure: str, language: str) -> str:
    """Return what stands in a message: a single word is a name that somebody gave."""
    return told(figure, language) if " " in figure else figure


def _filled(template: str, figures: Mapping[str, object]) -> str:
    return _FIGURE.sub(lambda found: _figure(figures[found[1]]), template)


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


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
