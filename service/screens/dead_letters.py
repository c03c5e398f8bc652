"""Dead letters on a screen."""

from base64 import b64decode
from hashlib import sha256

from msgspec import to_builtins
from rich.console import Console
from rich.text import Text

from ledger.wire.answers import DeadLetter
from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text, told
from service.screens.grid import grid

PREVIEW = 60  # characters of the bytes


def print_dead_letters(console: Console, letters: list[DeadLetter]) -> None:
    """Print dead letters, a row each, with the beginning of their bytes."""
    if not letters:
        print_plain("there are no dead letters")
        return
    table = grid("position", "reason", "what is wrong", "bytes")
    table.columns[0].no_wrap = True
    for letter in letters:
        kept = b64decode(letter.bytes)
        beginning = kept[:PREVIEW].decode("utf-8", "replace") + ("…" if letter.length > PREVIEW and kept else "")
        state = next((f" ({text(state)})" for state in ("retried", "dropped") if getattr(letter, state)), "")
        texts = (letter.position, letter.reason + state, told(letter.detail), beginning)
        table.add_row(*(Text(plain(one)) for one in texts))
    console.print(table)


def print_dead_letter(_console: Console, letter: DeadLetter) -> None:
    """Print one dead letter whole."""
    kept = b64decode(letter.bytes)
    for name, value in to_builtins(letter).items():
        if name != "bytes":
            print_plain(f"{name:>9}  {plain(told(value) if name == 'detail' else str(value))}")
    is_whole = len(kept) == letter.length and sha256(kept).hexdigest() == letter.sha256
    more = f"  (the first {len(kept):,} bytes)" if kept and not is_whole else ""
    print_plain(f"{'bytes':>9}  {plain(kept.decode('utf-8', 'replace'))}{more}")
