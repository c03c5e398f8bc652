"""Text that somebody would like to be more than text, and how to see that it was not."""

import re

from projections.answers.plain import is_visible

# Members' tokens, ids and names as an attacker chooses them; each is a valid token of a fact.
HOSTILE = (
    "[/]",
    "[bold red]m[/bold red]",
    "[link=https://evil.example]m[/link]",
    ":pile_of_poo:",
    "m\x1b[2J",
    "m\x1b]8;;https://evil.example\x07m\x1b]8;;\x07",
    "m\x9b2J",
    "m\u202e100\u202c",
    "m\u200b\u2066",
    "m\u3164",
    "m\u2028n",
    "m\r\nn",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'m",
    "<img src=x onerror=window.ran=1>",
    "{{7*7}}",
    "](https://evil.example)",
)
_COLOUR = re.compile("\x1b\\[[0-9;]*m")  # what a screen may send to a terminal


def interpreted(shown: str) -> list[str]:
    """Return the characters of a terminal's output that are neither seen nor an end of a line nor a colour."""
    return [repr(c) for c in _COLOUR.sub("", shown) if c != "\n" and not is_visible(c)]
