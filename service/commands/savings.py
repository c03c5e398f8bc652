"""What a member saved, and what cards would have saved."""

from projections.answers.savings import savings as savings_of
from service.commands.options import AsOfOption, MemberArgument
from service.shell import Answer, Shell, command, instant


@command
def savings(shell: Shell, member: MemberArgument, as_of: AsOfOption = None) -> Answer:
    """What benefits saved this member, against what the cards cost, and what a card would have saved without one.

    By what the rule book says that benefits save; nothing is decided by it.

    points savings m-17850

    points savings m-17850 --as-of 2025-12-01
    """
    with shell.reading() as opened:
        found = savings_of(opened, member, instant(as_of, "--as-of", opened.book))
        return Answer(found, "savings:print_savings", opened.book)
