"""Print how large the product is: `python -m benchmarks.size [TREE]`, lines of Python without the demo and the tests.

A line of code is one that holds more than a comment or a docstring.
"""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

PACKAGES = ("ledger", "consumers", "projections", "service", "client", "verifier")
DEMO = ("service/demo/", "consumers/online_retail/", "service/traffic.py")  # now, and where it was before


def files(tree: Path) -> list[Path]:
    """The Python files of the product that git knows, each once: links are left out."""
    listed = subprocess.run(["git", "ls-files", "-s", *PACKAGES], cwd=tree, capture_output=True, text=True, check=False)
    rows = (line.split(maxsplit=3) for line in listed.stdout.splitlines())
    names = (name for mode, _, _, name in rows if mode != "120000" and name.endswith(".py"))
    return [tree / name for name in names if not name.startswith(DEMO)]


def docstring_lines(source: str) -> set[int]:
    """The numbers of the lines on which docstrings stand."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def code_lines(path: Path) -> set[int]:
    """The numbers of the lines on which a token other than a comment stands."""
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found: set[int] = set()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in blank and token.type != tokenize.ENCODING:
                found.update(range(token.start[0], token.end[0] + 1))
    return found


def main() -> None:
    """Print files, lines, lines of code and of docstrings."""
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    lines = code = docs = 0
    found = files(tree)
    for path in found:
        source = path.read_text(encoding="utf-8")
        said = docstring_lines(source)
        lines += source.count("\n")
        docs += len(said)
        code += len(code_lines(path) - said)
    print(f"{len(found)} files, {lines:,} lines: {code:,} of code, {docs:,} of docstrings")


if __name__ == "__main__":
    main()
