"""Reports in one HTML file each, which open without a network: every asset is inside."""

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ledger.rules import Book
from service.screens.names import Names, yuan


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("service", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["signed"] = lambda value: f"{value:+,}" if value else "0"
    environment.filters["yuan"] = yuan
    return environment


def backtest_html(found: dict[str, Any], book: Book) -> str:
    """The report of `projections.backtest.backtest`."""
    vendor = resources.files("service").joinpath("assets", "vendor", "uplot")
    return (
        _environment()
        .get_template("backtest.html")
        .render(
            found=found,
            names=Names(book),
            uplot_css=vendor.joinpath("uPlot.min.css").read_text(encoding="utf-8"),
            uplot_js=vendor.joinpath("uPlot.iife.min.js").read_text(encoding="utf-8"),
        )
    )
