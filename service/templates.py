"""Templates of reports and of the console: undefined names are errors, and all values are escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from projections.explaining.words import yuan


def templates_in(package: str, folder: str) -> Environment:
    """Return the templates in a folder of a package, with the filters that all share."""
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["signed"] = lambda value: f"{value:+,}" if value else "0"
    made.filters["yuan"] = yuan
    return made
