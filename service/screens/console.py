"""The screen that everything with a layout is printed on: text is text on it, never markup."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from projections.answers.plain import visible
from service.languages import told


class Screen(Console):
    """A Rich console that interprets nothing: a string is shown as it is, and what moves a terminal is not passed on.

    Markup is for the product's own words, by `print_markup`.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)

    def print_markup(self, text: str) -> None:
        """Print the product's own words in Rich's markup, in the terminal's language; none of them is from outside."""
        self.print(Text.from_markup(told(text), emoji=False))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is printed, each with visible characters only."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(visible(segment.text, "\n"), segment.style)
