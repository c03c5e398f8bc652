"""The console's languages: which one a page is in, and its texts. A file per language has them, by name."""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, get_args

from service.languages import accepted_languages

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
HTML_LANGUAGE: dict[Language, str] = {"zh": "zh-CN", "en": "en"}


def chosen_language(remembered: str | None, accepted: str) -> Language:
    """Return the language that was chosen, else the first of Accept-Language that there is, else English."""
    if remembered in LANGUAGES:
        return remembered
    for wanted in accepted_languages(accepted):
        for language in LANGUAGES:
            if wanted == language:
                return language
    return "en"


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
