"""Text from outside is text on every screen, in every table and in every log: no command interprets any of it."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from typer.core import TyperGroup

from consumers.runtime.events import Failed
from ledger.rulebook.schema import shipped
from projections.answers.plain import escaped, plain, visible
from projections.answers.tables import TABLES
from projections.views.registry import all_views
from service.cli import command_of, run
from service.commands import PANELS
from service.consumer_log import ConsumerLog
from tests.cli.test_cli import draw, fact, order
from tests.support.hostile import HOSTILE, interpreted
from tests.support.ledgers import scratch

# Commands that show nothing from outside but what a broker says, or go on until they are stopped; and the demo, which
# has its own facts: a screen of it is a member's and the books'.
ELSEWHERE = {"consume", "produce", "topics create", "topics check", "serve", "demo"}
BARE = re.compile(r"(?<![\w.])print\(|sys\.stderr\.write\(")
NAME = "[link=https://evil.example]bean[/link]\u202e[/]"  # that a rule book gives to things


class Terminal(io.TextIOWrapper):
    """A terminal of 100 columns, and what it was sent."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def sent(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Return the exit code of a command and all that it sent to its terminal."""
    out, err = Terminal(), io.StringIO()  # a terminal's standard error gets a bar that moves it
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    sent = out.sent + err.getvalue()
    assert "Traceback" not in sent and "POINTS_DEBUG=1" not in sent, (arguments, sent)
    assert interpreted(sent) == [], arguments
    return code, sent


def life_of(member: str) -> list[bytes]:
    """What a member did: every id is the member's own token."""
    card = {"card": member, "product": "plus.annual", "paid_fen": 19_900}
    lines = [{"line": member, "sku": member, "category": member, "quantity": 1, "paid_fen": 80_000}]
    back = [{"line": member, "quantity": 1, "refund_fen": 80_000}]
    made = fact("order.completed", member, member=member, order=member, lines=lines)
    return [
        fact("card.purchased", f"c{member}"[:128], "2025-11-01T00:00:00+08:00", member, **card),
        made,
        order("O2", member=member),
        draw(f"R{member}", member=member),
        fact("redemption.requested", f"S{member}", member=member, redemption=f"S{member}", points=9_999, use="draw"),
        fact("order.returned", f"B{member}", "2025-11-20T00:00:00+08:00", member, order=member, lines=back)
        .replace(b'"data": {', b'"data": {"return": ' + json.dumps(f"B{member}").encode() + b", "),
        f'{{"specversion":"1.0","id":{json.dumps(member)},"subject":{json.dumps(member)},"oh":1}}'.encode(),
    ]  # fmt: skip


def book_with_names(where: Path) -> Path:
    """The shipped rule book, with hostile names of what a screen names."""
    text = (
        shipped("jd")
        .replace('name = { zh = "京豆", en = "Beans" }', f"name = {json.dumps(NAME)}")
        .replace("2000-01-01", "2025-11-15")
    )
    assert NAME.partition("\u202e")[0] in text
    where.write_text(text, encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def there() -> Iterator[Path]:
    """A folder with a ledger of hostile members, dead letters and names, and files with such names."""
    with scratch() as folder:
        name = "facts[bold]\u202e.ndjson"
        (folder / name).write_bytes(b"".join(line + b"\n" for member in HOSTILE for line in life_of(member)))
        code, said = on_a_terminal("--ledger", folder / "ledger", "ingest", "--backlog", folder / name)
        assert code == 0, said
        yield folder


@pytest.fixture
def shop(there: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(there)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "400")  # so that no word is broken
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("POINTS_LEDGER", str(there / "ledger"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(there / "settings"))
    return there


def _member(member: str) -> list[list[object]]:
    return [
        ["show", "--", member],
        ["show", "--lots", "--as-of", "2025-12-01", "--", member],
        ["entries", "--", member],
        ["explain", "--", member],
        *(["explain", "--", member, what] for what in ("1", "2", "3", "4", "5", "6", "2.1")),
        ["quote", "--", member],
        ["savings", "--", member],
    ]


def _all_members(shop: Path) -> list[list[object]]:
    draft = book_with_names(shop / "draft[bold].toml")
    listed = shop / "list[bold].csv"
    rows = "".join(f'"{member}",beans,7\n' for member in HOSTILE)
    listed.write_text(f"member,kind,balance\n{rows}", encoding="utf-8", newline="")
    (shop / "bad[bold].ndjson").write_bytes(b"\x1b[2J{\n")
    (shop / "more[bold].ndjson").write_bytes(order("O3", member="m[/]") + b"\n")
    tables = [*TABLES, "postings"]
    letters = [one["position"] for one in json.loads(on_a_terminal("dead-letters", "list", "--json")[1])]
    assert len(letters) >= len(HOSTILE)
    queries = [query.name for view in all_views(None).values() for query in view.queries]
    return [
        *(["export", table, *form] for table in tables for form in ([], ["--format", "ndjson"])),
        ["export", "postings", "--format", "beancount"],
        ["stats"],
        ["replay"],
        ["replay", "--from-topic"],
        ["verify"],
        ["reconcile", listed, "--as-of", "2025-12-01"],
        ["reconcile", listed, "--as-of", "2025-12-01", "--json"],
        ["backtest", draft],
        ["backtest", draft, "--html", shop / "report.html", "--json"],
        ["signing-key", "new"],
        ["checkpoint", "-o", shop / "a[bold].checkpoint"],
        ["prove", "[/]", "1", "-o", shop / "a[bold].proof"],
        ["views", "list"],
        ["views", "run"],
        ["views", "status"],
        *(["views", "show", query] for query in queries),
        *(["views", "show", query, "--format", form] for query in queries for form in ("csv", "ndjson")),
        *(["views", "show", query, "--json"] for query in queries),
        ["views", "show", "statement", "--member", "[/]"],
        ["views", "close", "2025-11"],
        ["views", "rebuild", "books"],
        ["views", "compare", "books"],
        ["views", "switch", "books"],
        ["codes"],
        ["check", shop / "bad[bold].ndjson"],
        ["schema"],
        ["traffic", "--facts", "10"],
        ["keys", "new", "[/]", "--scope", "member:read:[/]", "--scope", "facts:write:[bold]"],
        ["keys", "list"],
        ["keys", "revoke", "[/]"],
        ["find", "[/]"],
        ["doctor"],
        ["webhooks", "add", "[bold]x", "https://shop.example/[bold]", "--private"],
        ["webhooks", "list"],
        ["webhooks", "test", "[red]\x1b[2J"],
        ["webhooks", "enable", "[bold]x"],
        ["webhooks", "rotate", "[bold]x"],
        ["webhooks", "remove", "[bold]x"],
        ["people", "list"],
        ["people", "sign-out", "[bold]x\u202e", "--reason", "[/]"],
        ["people", "block", "[bold]x\u202e", "--reason", "[/]"],
        ["people", "unblock", "[bold]x\u202e", "--reason", "[/]"],
        ["dead-letters", "list"],
        *(["dead-letters", "show", position, *more] for position in letters for more in ([], ["--raw"], ["--json"])),
        ["dead-letters", "show", "0:999"],
        ["dead-letters", "retry", "--all"],
        ["dead-letters", "drop", "--all"],
        ["programme", "check", draft],
        ["programme", "drafts"],
        ["pool", "[/]"],
        ["house", "[/]"],
        ["transit", "send"],
        ["audit", "transit"],
        ["transit", "resend", "[bold]x"],
        ["programme", "diff", "jd", draft],
        ["programme", "publish", draft, "--by", NAME],
        ["programme", "list"],
        ["programme", "list", "--shipped"],
        ["programme", "show", draft, "--language", "zh"],
        ["programme", "show", draft, "--language", "en"],
        ["init", "--ledger", shop / "made[bold]\u202e", "--book", "jd"],
        ["stats"],
        ["codes"],
        ["ingest", shop / "more[bold].ndjson"],
        ["ingest", shop / "more[bold].ndjson"],
        ["store", "migrate"],
        ["partitions", "list"],
        ["partitions", "move", "1", "--to", "[bold]x\u202e"],
        ["store", "settings"],
        ["version"],
        ["backup", shop / "backup[bold]\u202e"],
        ["restore", shop / "backup[bold]\u202e", "--ledger", shop / "restored[bold]\x1b[2J"],
        ["archive", "export", shop / "archive[bold]\u202e"],
        ["archive", "import", shop / "archive[bold]\u202e", "--ledger", shop / "imported[bold]\x1b[2J"],
        ["archive", "publish", shop / "archive[bold]\u202e", "--catalog", "[bold]x\u202e"],
        ["replay", "--from-archive", shop / "archive[bold]\u202e"],
        ["archive", "prune", shop / "archive[bold]\u202e", "--before", "2025-12", "--reason", "[/]\x1b[2J"],
        ["split", "--times", "2"],
        # wrong use, with what was given in it
        ["show", "nobody[/]\x1b[2J"],
        ["export", "x[/]\x1b[2J"],
        ["views", "show", "x[/]\x1b[2J"],
        ["x[/]\x1b[2J"],
        ["stats", "--as-of", "[/]\x1b[2J"],
        ["--ledger", "none[/]\x1b[2J", "stats"],
        ["stats", "--x[/]\x1b[2J"],
    ]  # fmt: skip


def test_no_command_interprets_what_comes_from_outside(shop: Path) -> None:
    walked: set[str] = set()
    for member in HOSTILE:
        for arguments in _member(member):
            code, sent = on_a_terminal(*arguments)
            assert code == 0 or arguments[0] == "explain", (arguments, sent)
            if arguments[0] in ("show", "explain", "quote", "savings") and code == 0:
                assert plain(member) in plain(sent.replace("\x1b", "")) or visible(member) in sent, (arguments, sent)
            walked.add(str(arguments[0]))
    for arguments in _all_members(shop):
        code, sent = on_a_terminal(*arguments)
        assert code in (0, 1, 2, 3), (arguments, sent)
        walked |= {str(arguments[0]), " ".join(map(str, arguments[:2]))}
    assert set(every_command()) - ELSEWHERE <= walked


def every_command() -> Iterator[str]:
    for name in (name for texts in PANELS.values() for name in texts):
        found = command_of(name)
        if isinstance(found, TyperGroup):
            yield from (f"{name} {inner}" for inner in found.commands)
        else:
            yield name


def test_lines_for_people_are_printed_in_one_place() -> None:
    service = Path(__file__).parents[2] / "service"
    own = {service / "errors.py", service / "cli.py", service / "demo" / "online_retail" / "__main__.py"}
    bare = [path for path in service.rglob("*.py") if path not in own and BARE.search(path.read_text(encoding="utf-8"))]
    assert bare == [], "print_plain of service.errors prints what a terminal must not interpret"


def test_names_of_a_book_are_text(shop: Path) -> None:
    book = book_with_names(shop / "names.toml")
    born = shop / "born"
    facts = shop / "born.ndjson"
    facts.write_bytes(order("O1", time="2025-11-20T00:00:00+08:00", member="m[/]") + b"\n")
    assert on_a_terminal("--ledger", born, "ingest", "--backlog", "--book", book, facts)[0] == 0
    for arguments in (["show", "m[/]"], ["explain", "m[/]"], ["entries", "m[/]"], ["stats"], ["codes"]):
        code, sent = on_a_terminal("--ledger", born, *arguments)
        assert code == 0
        if arguments[0] in ("show", "stats"):
            assert visible(NAME) in sent, sent


def test_a_log_of_a_consumer_holds_no_character_that_nobody_sees() -> None:
    err = io.StringIO()
    with redirect_stderr(err):
        log = ConsumerLog()
        for text in HOSTILE:
            log.info("started", ledger=text)
            log.observe(Failed("deciding", text))
    lines = err.getvalue().splitlines()
    assert len(lines) == 2 * len(HOSTILE)
    assert [json.loads(line)["ledger"] for line in lines[::2]] == list(HOSTILE)
    assert all(interpreted(line) == [] for line in lines)


@pytest.mark.parametrize("cleans", [plain, visible, escaped])
def test_text_that_is_seen_stays_as_it_is(cleans: Callable[[str], str]) -> None:
    for text in ("京豆 beans", "¥12.50 — “ok”", "m-17850", "Ünïcödé", "नमस्ते", "😀", ""):
        assert cleans(text) == text


def test_escapes_leave_the_value_of_json() -> None:
    for text in (*HOSTILE, "\U000e0101", "\u2028", "京"):
        document = json.dumps(text, ensure_ascii=False)
        assert json.loads(escaped(document)) == text
        assert interpreted(escaped(document)) == []
