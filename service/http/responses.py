"""The errors of each address, for the OpenAPI document."""

from litestar.openapi.datastructures import ResponseSpec

from service.http.problems import MEDIA_TYPE, TYPES
from service.http.shapes import Problem

Responses = dict[int, ResponseSpec]


def problems(*names: str) -> Responses:
    """The answers that problems of these types are."""
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(TYPES[name].status, []).append(f"`{name}`: {TYPES[name].title}")
    return {
        status: ResponseSpec(Problem, description="; ".join(lines), media_type=MEDIA_TYPE, generate_examples=False)
        for status, lines in found.items()
    }


# What any address may answer.
PROBLEMS = problems(
    "bad-request", "no-key", "wrong-scope", "wrong-origin", "too-slow", "too-many-requests", "busy", "took-too-long"
)
