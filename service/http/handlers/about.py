"""What the API says of itself: where things are, its reference for people, types of problems, and every code."""

import json
from functools import cache
from importlib import resources
from typing import Annotated, Any

from jinja2 import Environment, Template
from litestar import Response, get
from litestar.params import PathParameter
from litestar.response import Redirect

from ledger.wire.answers import Place
from projections.answers.codes import Codes, codes
from projections.answers.to_json import to_json
from service.console.pages import HEADERS, HTML
from service.console.requests import HOME
from service.http import problems
from service.http.access import caller_of
from service.http.answers import JSON, answer, plain_answer
from service.http.openapi import document_of
from service.http.operations import AnyRequest, Subject
from service.http.problems import Problem
from service.http.state import served_by
from service.languages import accepted_language, told

DOCS, OPENAPI = "/docs", "/schema/openapi.json"
_ABOUT = Subject("About")
_WORDS = {
    "en": {
        "title": "Points Ledger API",
        "parameters": "Parameters",
        "body": "Body",
        "answers": "Answers",
        "problems": "Problems",
        "example": "Example",
        "document": "The OpenAPI document",
        "console": "The console",
        "required": "required",
    },
    "zh": {
        "title": "京豆账本 API",
        "parameters": "参数",
        "body": "请求体",
        "answers": "响应",
        "problems": "错误类型",
        "example": "示例",
        "document": "OpenAPI 文档",
        "console": "控制台",
        "required": "必填",
    },
}


@get("/", include_in_schema=False)
async def get_root(request: AnyRequest) -> Response[Any]:
    """The console for a browser; for a program the addresses of everything else. No key is needed."""
    if HTML in request.headers.get("accept", ""):
        return Redirect(HOME, status_code=303, headers=HEADERS)
    place = Place(request.app.openapi_schema.info.version, HOME, DOCS, OPENAPI, "/health/ready")
    return plain_answer(place)


@get(DOCS, include_in_schema=False)
async def get_docs(request: AnyRequest) -> Response[bytes]:
    """The reference of the API for people, from the OpenAPI document. No key is needed."""
    language = accepted_language(request.headers.get("accept-language", ""))
    language = language if language in _WORDS else "en"
    return Response(_docs(document_of(request.app), language), media_type=HTML, headers=HEADERS)


@get("/problems/{name:str}", include_in_schema=False)
async def get_problem(
    request: AnyRequest, name: Annotated[str, PathParameter(description="Its name.", max_length=64)]
) -> Response[Any]:
    """What a `type` of a problem stands for, and its status. No key is needed."""
    found = problems.TYPES.get(name)
    if found is None:
        raise Problem("not-found", "there is no such type of problem; /docs lists them")
    if HTML in request.headers.get("accept", ""):
        return Redirect(f"{DOCS}#problem-{name}", status_code=303, headers=HEADERS)
    return Response(to_json(problems.described(name)), media_type=JSON)


@_ABOUT.get("/v1/codes", "getCodes", "Reason codes and rules")
async def get_codes(request: AnyRequest) -> Response[Codes]:
    """Every reason code and every rule, each with a sentence, in the language that is asked for. Any key will do."""
    caller_of(request)
    language = accepted_language(request.headers.get("accept-language", ""))
    found = await served_by(request).readers.read(lambda ledger: codes(ledger.book, language))
    return answer(request, found)


def _docs(document: dict[str, Any], language: str) -> bytes:
    """Return the page of an OpenAPI document."""
    tags: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = {**operation, "path": path, "method": method.upper()}
            shown["summary"] = told(operation["summary"], language)
            shown["bodies"] = [
                (kind, _example_of(body)) for kind, body in operation.get("requestBody", {}).get("content", {}).items()
            ]
            shown["examples"] = [
                (status, _example_of(content))
                for status, response in operation["responses"].items()
                for content in response.get("content", {}).values()
                if "example" in content
            ]
            tags.setdefault(told(operation["tags"][0], language), []).append(shown)
    words = _WORDS[language]
    rendered = _template().render(
        tags=tags,
        words=words,
        language=language,
        types={name: (kind.status, told(kind.title, language)) for name, kind in problems.TYPES.items()},
        version=document["info"]["version"],
    )
    return rendered.encode()


def _example_of(body: dict[str, Any]) -> str:
    """Return the first example of a body, indented; "" where there is none."""
    examples = list(body.get("examples", {}).values())
    found = body.get("example") or (examples[0].get("value") if examples else None)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=2) if found else ""


@cache
def _template() -> Template:
    text = resources.files("service.http").joinpath("docs.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


HANDLERS = (get_root, get_docs, get_problem, get_codes)
