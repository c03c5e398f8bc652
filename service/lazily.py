"""The one place where code is imported late: a command when it is called, a screen when somebody looks at it."""

from importlib import import_module
from typing import Any


def load(reference: str) -> Any:
    """Return what a reference names, such as ``service.screens.books:print_stats``."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
