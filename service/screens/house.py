"""A house, whose members share cards, on a screen."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ledger.wire.answers import House
from projections.answers.plain import plain
from service.languages import text
from service.screens.member import membership_block
from service.screens.names import Names, short_time


def print_house(console: Console, house: House, names: Names) -> None:
    """Print the document of `points house`: each card with what is left of its quotas, and who sits there."""
    head = Text.assemble((plain(house.house), "bold cyan"), (f"   {text('as of')} ", "dim"), short_time(house.as_of))
    if house.state != "open":
        head.append(f"   {text(house.state)}", style="bold red")
    console.print(head)
    for name, term in house.memberships.items():
        console.print(Text(), membership_block(name, term, names))
        seats = house.seats[name]
        taken = text("{taken} of {most} seats taken", taken=len(seats.members), most=seats.most)
        if seats.members:
            taken += text(": ") + plain(text(", ").join(seats.members))
        console.print(Padding(Text(taken), (0, 0, 0, 2)))
