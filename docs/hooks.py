"""What the site takes from outside docs/ and from the program: README, changelog, the API's and the client's reference.

Links in them are moved to where the pages stand on the site; a link to a file that is no page becomes its text.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar import Litestar
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from service.http import openapi
from service.http.app import HANDLERS
from service.installed import installed_version

ROOT = Path(__file__).resolve().parents[1]
# Pages of the root and their names on the site.
OUTSIDE = {
    "README.md": "index.md",
    "README.zh-CN.md": "index.zh-CN.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CODE_OF_CONDUCT.md": "CODE_OF_CONDUCT.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")
FENCED = re.compile(r"^```.*?^```$|^    [^\n]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
CLIENT = """# The Python client

{readme}

::: points_client

## The calls

Each function below is a method of both clients, with the same arguments: `points.redeem(…)`, `await points.redeem(…)`.

::: points_client.calls

::: points_client.webhooks
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every decision into the navigation."""
    decisions = [f"decisions/{path.name}" for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    for part in config.nav or []:
        if isinstance(part, dict) and "Decisions" in part:
            part["Decisions"] = ["decisions/index.md", *decisions]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    added = {site: (ROOT / name).read_text("utf-8") for name, site in OUTSIDE.items()}
    readme = (ROOT / "client" / "README.md").read_text("utf-8").partition("\n\n")[2]
    added |= {"client.md": CLIENT.format(readme=readme), "api.md": api(), "decisions/index.md": decisions()}
    for name, text in added.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link to where its page stands on the site."""
    site = page.file.src_uri
    original = next((name for name, moved in OUTSIDE.items() if moved == site), f"docs/{site}")
    return moved(markdown, original, site)


def moved(text: str, original: str, site: str) -> str:
    """Return a page's text with the links that hold on the site, but for those in code."""

    def lead(link: re.Match[str]) -> str:
        picture, words, target, anchor = link.groups()
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(original), target))
        there = OUTSIDE.get(meant) or (meant.removeprefix("docs/") if meant.startswith("docs/") else "")
        if there == "decisions":
            there = "decisions/index.md"
        if not there:
            return words
        return f"{picture}[{words}]({posixpath.relpath(there, posixpath.dirname(site) or '.')}{anchor or ''})"

    pieces, end = [], 0
    for code in FENCED.finditer(text):
        if LINK.search(code[0]) is None:
            continue
        pieces += [LINK.sub(lead, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, LINK.sub(lead, text[end:])])


def decisions() -> str:
    """Return the page that lists the decisions by their titles."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [(path.name, path.read_text("utf-8").partition("\n")[0].removeprefix("# ")) for path in files]
    return "# Decisions\n\nWhat was not obvious, and why.\n\n" + "".join(f"- [{t}]({name})\n" for name, t in titles)


def api() -> str:
    """Return the reference of the HTTP API, from its OpenAPI document."""
    app = Litestar(HANDLERS, openapi_config=openapi.config(installed_version()))
    document = openapi.document_of(app)
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).extend(operation_lines(f"{method.upper()} {path}", operation))
    parts = [f"\n## {tag}\n\n" + "".join(lines) for tag, lines in tags.items()]
    head = (
        "# The HTTP API, address by address\n\nFrom the OpenAPI document that a server has at `/schema/openapi.json`. "
    )
    return head + "[The HTTP API](http.md) says how it is used.\n" + "".join(parts)


def operation_lines(name: str, operation: dict[str, Any]) -> Iterator[str]:
    """Yield what the page says of one operation."""
    yield f"### `{name}`\n\n{operation.get('description') or operation.get('summary', '')}\n\n"
    rows = [(p["name"], p["in"], p.get("description", "")) for p in operation.get("parameters", [])]
    if rows:
        yield "| parameter | in | |\n|---|---|---|\n"
        yield "".join(f"| `{n}` | {where} | {cell(text)} |\n" for n, where, text in rows) + "\n"
    kinds = operation.get("requestBody", {}).get("content", {})
    if kinds:
        yield f"Body: {', '.join(f'`{kind}`' for kind in kinds)}\n\n"
    yield "| status | answer |\n|---|---|\n"
    answers = operation["responses"].items()
    yield "".join(f"| {status} | {cell(found.get('description', ''))} |\n" for status, found in answers) + "\n"


def cell(text: str) -> str:
    """Return a text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
