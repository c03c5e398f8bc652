"""The version of this program."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of points that runs."""
    try:
        return version("points-ledger")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0.1.0+checkout"
