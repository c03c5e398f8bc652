"""The console's languages: which one a page is in, and its texts. A file per language has them, by name."""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, get_args

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
HTML_LANGUAGE: dict[Language, str] = {"zh": "zh-CN", "en": "en"}


def chosen_language(remembered: str | None, accepted: str) -> Language:
    """Return the language that was chosen, else the first of Accept-Language that there is, else English."""
    if remembered in LANGUAGES:
        return remembered
    for name in sorted(map(_weighed, accepted.split(",")), key=lambda one: -one[1]):
        for language in LANGUAGES:
            if name[1] > 0 and name[0].partition("-")[0] == language:
                return language
    return "en"


def _weighed(one: str) -> tuple[str, float]:
    """Return a language of Accept-Language and its weight, 0 where that cannot be read."""
    name, _, weight = one.strip().lower().partition(";")
    try:
        return name.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name, 0.0


def words_in(language: Language) -> Callable[..., str]:
    """Return what gives the text of a name, with its figures put in. It raises `KeyError` for a name there is not."""
    words = translations(language)

    def text(name: str, **figures: object) -> str:
        return words[name].format(**figures)

    return text


@cache
def translations(language: Language) -> Mapping[str, str]:
    """Return every text of a language by its name."""
    file = resources.files("service.console").joinpath("translations", f"{language}.toml")
    found: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))
    return found
