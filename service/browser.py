"""The reader's own browser."""

import os
import sys
import webbrowser

from service.errors import say


def open_browser(address: str) -> bool:
    """Return True if a browser was asked to show an address; where there is none, say the address instead."""
    if _has_screen():
        try:
            if webbrowser.open(address):
                return True
        except OSError:
            pass  # it is there and does not start
    say(f"no browser can be opened here; open {address} yourself")
    return False


def _has_screen() -> bool:
    """Return False where a browser could only be one in this terminal, which the server writes to."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
