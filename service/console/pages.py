"""Rendering: templates, what each of them may use, and the headers that keep a page to itself."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment
from litestar import Response
from rich.text import Text

from ledger.rulebook.compiled import Programme
from ledger.wire.times import to_text
from projections.answers.codes import reason_text
from service.console.language import HTML_LANGUAGE, LANGUAGES, translations, words_in
from service.console.requests import AnyRequest, Visitor, address_of, visitor_of
from service.http.state import served_by
from service.languages import told
from service.reports import templates_in
from service.screens.names import Names, short_time

HTML = "text/html"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # With `no-referrer` a browser sends forms from the origin "null", which nobody can tell from another site's.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie",
}
# The pages of the menu: name of the words, address, scope.
MENU = (
    ("overview", "/console", "books:read"),
    ("member", "/console/member", "members:read"),
    ("liability", "/console/liability", "books:read"),
    ("programmes", "/console/programmes", "books:read"),
    ("audits", "/console/audits", "books:read"),
    ("adjustments", "/console/adjustments", "operate"),
    ("letters", "/console/dead-letters", "operate"),
    ("people", "/console/people", "operate"),
)


@cache
def environment() -> Environment:
    """Return the templates. Whatever is put into one is escaped."""
    made = templates_in("service.console", "templates")
    made.filters["time"] = short_time
    made.filters["instant"] = to_text
    made.filters["signed_at"] = lambda text: short_time(text) if is_instant(text) else text  # nobody checked it
    made.filters["percent"] = percent
    made.filters["day"] = lambda text: text[:10]
    made.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    made.tests["midnight"] = lambda text: datetime.fromisoformat(text).time() == datetime.min.time()
    return made


def is_instant(text: str) -> bool:
    """Return True if a text is an instant of RFC 3339."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def percent(hundredths: int) -> str:
    """Return hundredths of a percent as a text with one place behind the point."""
    sign, tenths = "-" if hundredths < 0 else "", abs(hundredths) // 10
    return f"{sign}{tenths // 10:,}.{tenths % 10}%"


class Labels:
    """What the book calls things in the visitor's language: parts for a template."""

    def __init__(self, book: Programme, language: str) -> None:
        self._names = Names(book, language)

    def __getattr__(self, what: str) -> Any:
        found = getattr(self._names, what)

        def named(*codes: str) -> str:
            value = found(*codes)
            return value.plain if isinstance(value, Text) else value

        return named


async def labels(request: AnyRequest) -> Labels:
    """Return what the served ledger's book calls things. Raises `Busy`."""
    language = visitor_of(request).language
    return await served_by(request).readers.read(lambda ledger: Labels(ledger.book, language))


def page(
    request: AnyRequest, template: str, /, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> Response[bytes]:
    """Return a page, or a part of one, in the visitor's language; `address` is its own where it answers a form."""
    visitor = visitor_of(request)
    text = render(visitor, template, **{"address": address_of(request), **values})
    return Response(text.encode(), status_code=status, media_type=HTML, headers={**HEADERS, **(headers or {})})


def render(visitor: Visitor, template: str, /, **values: Any) -> str:
    """Return the text of a template."""
    t, words = words_in(visitor.language), translations(visitor.language)

    def said(prefix: str, code: str) -> str:
        """Return the words for a code, or the code where there are none."""
        name = f"{prefix}.{code}"
        return t(name) if name in words else code

    return (
        environment()
        .get_template(template)
        .render(
            t=t,
            said=said,
            reason=lambda code: reason_text(code, visitor.language),
            say=lambda message: told(message, visitor.language),
            visitor=visitor,
            language=HTML_LANGUAGE[visitor.language],
            other_language=next(one for one in LANGUAGES if one != visitor.language),
            menu=[(name, where) for name, where, scope in MENU if visitor.may(scope)],
            **values,
        )
    )


def asset(name: str) -> bytes | None:
    """Return a file of the console or of its vendored libraries."""
    return _assets().get(name)


@cache
def _assets() -> dict[str, bytes]:
    vendor = resources.files("service").joinpath("assets", "vendor")
    own = resources.files("service.console").joinpath("static")
    places = {
        "console.css": own,
        "console.js": own,
        "icon.svg": own,
        "htmx.min.js": vendor.joinpath("htmx"),
        "uPlot.iife.min.js": vendor.joinpath("uplot"),
        "uPlot.min.css": vendor.joinpath("uplot"),
    }
    return {name: place.joinpath(name).read_bytes() for name, place in places.items()}
