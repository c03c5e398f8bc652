"""The version of this program."""

from pkgutil import resolve_name


def installed_version() -> str:
    """Return the version of points that runs."""
    try:
        return str(resolve_name("importlib.metadata:version")("points-ledger"))  # which takes 10 ms to import
    except ModuleNotFoundError:  # run from a checkout that is not installed
        return "0.1.0+checkout"
