"""Every reason that the code gives is in the registry with a sentence, and the registry has no other."""

import ast
from pathlib import Path

from ledger.rulebook.compiled import Programme
from ledger.rulebook.schema import shipped
from ledger.wire.reasons import REASONS
from projections.answers.codes import codes, reason_text, reasons_in

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "ledger").rglob("*.py")), *sorted((ROOT / "consumers").rglob("*.py"))]
# Which argument of a call is a reason.
CALLS = {
    "decline": 0,
    "note": 0,
    "BadFact": 0,
    "Decision": 1,
    "Withheld": 1,
    "withhold": 2,
    "TermMoved": 4,
    "_answer": 5,
}


def strings_in(node: ast.expr, module: ast.Module) -> set[str]:
    """The strings an expression may come to: constants, choices, parts of a name, values of a table of the module."""
    match node:
        case ast.Constant(value=str(text)):
            return {text} if text else set()
        case ast.IfExp(body=body, orelse=orelse):
            return strings_in(body, module) | strings_in(orelse, module)
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=ending)]):
            return {f"<kind>{ending}"}
        case ast.Call(func=ast.Name(id=name)):  # what a function of the module returns
            functions = (n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name)
            returns = (n.value for one in functions for n in ast.walk(one) if isinstance(n, ast.Return))
            return {text for value in returns if value is not None for text in strings_in(value, module)}
        case ast.Subscript(value=ast.Name(id=name)):
            tables = (n.value for n in module.body if isinstance(n, ast.Assign) and n.targets[0].id == name)  # type: ignore[attr-defined]
            return {c.value for table in tables for c in ast.walk(table) if isinstance(c, ast.Constant)}
        case ast.Attribute(attr="fault"):  # what a stream says of a record that it cannot take
            stream = ast.parse((ROOT / "consumers" / "stream.py").read_text(encoding="utf-8"))
            tuples = (n.value for n in stream.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Tuple))
            return {c.value for one in tuples for c in one.elts if isinstance(c, ast.Constant)}  # type: ignore[misc]
        case ast.Call(func=ast.Name(id=name)):  # what a function of the same file returns
            functions = (n for n in ast.walk(module) if isinstance(n, ast.FunctionDef) and n.name == name)
            returned = (n.value for one in functions for n in ast.walk(one) if isinstance(n, ast.Return) and n.value)
            return {text for value in returned for text in strings_in(value, module)}
        case ast.Name(id=name):
            assigned = (
                n.value for n in ast.walk(module) if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name
            )
            return {text for value in assigned if not isinstance(value, ast.Name) for text in strings_in(value, module)}
    return set()


def reasons_in_the_code() -> set[str]:
    found = set()
    for path in SOURCES:
        module = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                place = CALLS.get(name)
                if place is not None and len(node.args) > place:
                    found |= strings_in(node.args[place], module)
    return found


def test_every_reason_that_the_code_gives_has_a_sentence() -> None:
    found = reasons_in_the_code()
    assert {"above-share", "not-utf8", "cap-full", "order-cancelled", "duplicate", "<kind>-short", "moved-up"} <= found
    assert found - set(REASONS) == set()


def test_the_registry_has_no_reason_that_nothing_gives() -> None:
    assert set(REASONS) - reasons_in_the_code() == set()


def test_codes_lists_a_reason_for_each_kind_and_every_rule_of_the_book() -> None:
    found = codes(Programme([shipped("jd")]))
    assert "beans-short" in {reason.code for reason in found.reasons}
    assert {"purchase.beans", "penalty.rejection", "campaign"} <= {rule.rule for rule in found.rules}
    assert all(item.text for item in [*found.reasons, *found.rules])


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    chinese = reasons_in("zh")
    assert set(chinese) == set(REASONS)
    for code, reason in REASONS.items():
        assert reason.text.endswith("."), code
        assert chinese[code].endswith("。") and any("一" <= letter <= "鿿" for letter in chinese[code]), code
    assert reason_text("coins-short", "zh") == chinese["<kind>-short"]
    assert reason_text("coins-short", "fr") == REASONS["<kind>-short"].text
    assert {one.text for one in codes(Programme([shipped("jd")]), "zh").reasons} == set(chinese.values())
