"""Reports in one HTML file each, which open without a network: every asset is inside."""

from functools import partial
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape
from msgspec import to_builtins

from ledger.rulebook.compiled import Programme
from projections.answers.plain import visible
from projections.what_if.reports import Report
from service.languages import text_in, texts
from service.screens.names import Names


def backtest_html(found: Report, book: Programme, language: str) -> str:
    """Return the report of a backtest's document as one HTML page, in a language by two letters, else in English."""
    vendor = resources.files("service").joinpath("assets", "vendor", "uplot")
    return (
        templates_in("service", "reports")
        .get_template("backtest.html")
        .render(
            found=found,
            months=to_builtins(found.months),
            names=Names(book, language),
            t=partial(text_in, language),
            language=language if texts(language) else "en",
            uplot_css=vendor.joinpath("uPlot.min.css").read_text(encoding="utf-8"),
            uplot_js=vendor.joinpath("uPlot.iife.min.js").read_text(encoding="utf-8"),
        )
    )


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: text without what nobody sees, which could turn the words around it."""
    return visible(value, "\n\t") if type(value) is str else value


def templates_in(package: str, folder: str) -> Environment:
    """Return the templates of reports or of the console: undefined names are errors, and all values are escaped.

    A page shows visible characters alone; what a form has to send back unchanged is given by the filter `exactly`.
    """
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["exactly"] = escape
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["signed"] = lambda value: f"{value:+,}" if value else "0"
    return made
