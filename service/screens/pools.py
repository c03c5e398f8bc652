"""Budgets and stocks that members share, on a screen."""

from rich.console import Console

from ledger.rulebook.compiled import Programme
from ledger.wire.answers import Pools
from projections.answers.plain import plain
from service.errors import print_plain
from service.languages import text
from service.screens.grid import grid
from service.screens.names import number


def print_pools(console: Console, found: Pools, _book: Programme) -> None:
    """Print what was drawn of each budget and stock, and what is left, a row each."""
    if not found.pools:
        print_plain(text("the rule book has no budget and no stock that members share"))
        return
    right = (text("limit"), text("drawn"), text("left"), text("free in leases"))
    table = grid(text("pool"), text("points of"), text("month"), text("state"), right=right)
    for pool in found.pools:
        free = sum(lease.out - lease.drawn for lease in pool.leases)
        figures = [number(figure) for figure in (pool.limit, pool.drawn, pool.left)]
        in_leases = number(free) if pool.leases else ""
        table.add_row(plain(pool.pool), plain(pool.kind), pool.month, text(pool.state), *figures, in_leases)
    console.print(table)
