"""The one layout of a table on a screen."""

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

from service.languages import text

NARROW = 60  # columns of a screen on which no column keeps its least width
WORD = 10  # columns that are enough for a column of texts


class Grid(Table):
    """A table that is printed row by row, a line for each column, where the screen is too narrow for it.

    Nothing is cut: a column is as wide as its longest word, or as its longest cell where it has `no_wrap`; a word of
    more than `WORD` columns may be folded. A table without a header is always folded.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its rows as records."""
        if not self.show_header:
            if options.max_width < NARROW:
                for column in self.columns:
                    column.min_width = None
                self.columns[0].no_wrap, self.columns[0].overflow = False, "fold"
            yield from super().__rich_console__(console, options)
            return
        for gap in (2, 1):  # columns between two of the table
            self.padding = (0, gap, 0, 0)
            if self._least(console, options) <= options.max_width:
                yield from super().__rich_console__(console, options)
                return
        for number in range(self.row_count):
            record = pairs()
            record.columns[0].style, record.columns[0].max_width = "dim", options.max_width // 3
            for column in self.columns:
                record.add_row(column.header, list(column.cells)[number])
            if number:
                yield ""
            yield record

    def _least(self, console: Console, options: ConsoleOptions) -> int:
        """Return how many columns the table takes at the least, and keep each from becoming narrower."""
        unbound, least = options.update(width=10_000), len(self.columns) - 1  # the box puts a blank between two columns
        for column in self.columns:
            column.min_width = None
            width = self._measure_column(console, unbound, column).minimum
            gap = self.padding[1]
            column.min_width = width - gap if column.no_wrap else min(width - gap, WORD)
            least += column.min_width + gap
        return least

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return how wide it is; as records it takes what there is."""
        found = super().__rich_measure__(console, options)
        return found.with_maximum(options.max_width)


def grid(*left: str, right: tuple[str, ...] = (), header: bool = True) -> Grid:
    """Return an empty table with columns that lean to the left, then those of figures, under a dim header.

    Where the screen is narrow, what leans to the left is folded: a figure is never cut.
    """
    table = Grid(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=header
    )
    for name in left:
        table.add_column(text(name), overflow="fold")
    for name in right:
        table.add_column(text(name), justify="right", no_wrap=True)
    return table


def pairs(width: int | None = None) -> Grid:
    """Return an empty table of two columns without a header: names, of so many columns at least, and texts."""
    table = Grid(box=None, show_header=False, pad_edge=False, collapse_padding=True, padding=(0, 2))
    table.add_column(min_width=width, no_wrap=True)
    table.add_column(overflow="fold")  # with the default, rich cuts a line of Chinese one word short
    return table
