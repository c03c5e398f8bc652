"""What a call raises: one error a kind of problem, drawn as a tree in the package's docstring."""

from points_client.answers import Problem


class PointsError(Exception):
    """The root of every error of this client."""


class Rejected(PointsError):
    """An answer that is an error; `problem` is what the server said."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem


class Refused(Rejected):
    """The redemption was decided and refused; `problem` has `reason` and `figures`."""


class Conflict(Rejected):
    """A fact of the same source and id came before with other content."""


class BadFact(Rejected):
    """What was given is no fact that can be taken; `problem.reason` is the code."""


class NotAllowed(Rejected):
    """The key is missing, not valid, or lacks a scope."""


class NotFound(Rejected):
    """Nobody knows this member, entry, lot or position."""


class Unavailable(PointsError):
    """No answer, or only errors, after every attempt. What was given may have been taken: give it again."""


class NotVerified(PointsError):
    """A webhook's message that is not signed by the secret, or is too old."""


def error_of(problem: Problem) -> Rejected:
    """Return the error of a problem, by its type or else its status."""
    named = {"refused": Refused, "conflict": Conflict, "bad-fact": BadFact}.get(problem.type.rpartition("/")[2])
    by_status: dict[int, type[Rejected]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound}
    return (named or by_status.get(problem.status, Rejected))(problem)
