"""The console's words in both languages. `words.py` has them; a page asks for one by its name."""

from collections.abc import Callable
from typing import Literal, get_args

from service.console.translations import WORDS

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
HTML_LANGUAGE: dict[Language, str] = {"zh": "zh-CN", "en": "en"}


def chosen_language(remembered: str | None, accepted: str) -> Language:
    """The language that was chosen, else the first of Accept-Language that there is, else English."""
    if remembered in LANGUAGES:
        return remembered
    for name in sorted(map(_weighed, accepted.split(",")), key=lambda one: -one[1]):
        for language in LANGUAGES:
            if name[1] > 0 and name[0].partition("-")[0] == language:
                return language
    return "en"


def _weighed(one: str) -> tuple[str, float]:
    """A language of Accept-Language and its weight, 0 where that cannot be read."""
    name, _, weight = one.strip().lower().partition(";")
    try:
        return name.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name, 0.0


def words_in(language: Language) -> Callable[..., str]:
    """Gives the text of a name in a language, with its figures put in. Raises `KeyError` for a name there is not."""
    place = LANGUAGES.index(language)

    def text(name: str, **figures: object) -> str:
        return WORDS[name][place].format(**figures)

    return text
