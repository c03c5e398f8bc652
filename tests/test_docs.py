"""The documentation keeps up with the code: every key, type, setting and file it should name is named, and is there."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import msgspec
import pytest
import yaml

from consumers.kafka.settings import KafkaSettings, Security, Topics
from ledger.journal.folder import BOOK, INBOX, LOCK, SETTINGS, FolderSettings
from ledger.journal.postgres import JOURNAL_STEPS
from ledger.rulebook import schema
from ledger.rulebook.checks import parse_programme
from ledger.rulebook.compiled import ProgrammeVersion
from ledger.rulebook.schema import ProgrammeTables, shipped
from ledger.wire import answers
from ledger.wire.facts import FACT_TYPES
from projections.answers.beancount import ACCOUNTS as BEANCOUNT_ACCOUNTS
from projections.answers.postings import POSTINGS
from projections.explaining.book import sentences
from service import errors
from service.http.app import HANDLERS
from service.http.problems import TYPES
from service.keys import GOODWILL, NARROWED_SCOPES, PLAIN_SCOPES
from service.languages import texts
from tests.support import command_page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
# Where the rule book's page lists the keys of each table of the schema.
SECTIONS = {
    "ProgrammeTables": "## The top of the file",
    "Kind": "## `[kinds.NAME]`",
    "Expiry": "### `expiry`",
    "Score": "## `[scores.NAME]`",
    "Tier": "### `tiers`",
    "TierHolding": "### `hold`",
    "Membership": "## `[memberships.NAME]`",
    "Product": "### `products`",
    "Price": "### `price`",
    "CardRefund": "### `refund`",
    "Benefit": "## `[benefits.NAME]`",
    "Allowance": "### `quota`",
    "Opening": "### `open`",
    "BenefitPrice": "### `benefits.price`",
    "Gift": "### `gives`",
    "Saving": "### `saves`",
    "Worth": "### `value`",
    "Award": "## `[[award]]`",
    "Condition": "### `when`",
    "Attribute": "## `[attributes.NAME]`",
    "Who": "### `who`",
    "CardCondition": "### `card`",
    "Give": "### `give`",
    "Step": "### `steps`",
    "Cap": "### `cap`",
    "Times": "### `times`",
    "Pending": "### `pending`",
    "Use": "## `[uses.NAME]`",
    "UseCap": "### `uses.cap`",
    "Transition": "### `transitions`",
    "Campaign": "## `[campaigns.NAME]`",
    "Exchange": "## `[exchanges.NAME]`",
    "ExchangeRate": "### `rate`",
    "Transfer": "## `[transfers.NAME]`",
    "Penalty": "## `[penalties.NAME]`",
    "Exemption": "### `exempt`",
}

# Words that pages use and that the glossary has to explain.
WORDS_USED = """
    account, API key, as of, attribute, backtest, books, breakage, campaign, cap,
    card, chain, change, checkpoint, claim, claw-back, dead letter, duplicate,
    entry, exchange, expiry, fact, front end, gap, grace, hold, inbox, journal,
    kind, known at, ledger, liability, link, lot, membership, offset, origin,
    outcome, owner, partition, penalty, pending, position, posting, programme,
    proof, publish, quota, quote, reason, receipt, recorded, redemption, replay,
    request, rule, rule book, scope, score, seal, shortfall, snapshot, spendable,
    stream, term, tier, tree head, trial, verify, view
"""
# Words that pages used once, and what is said now.
RETIRED = {
    "parked": "dead-lettered, a dead letter",
    "driven again": "redriven",
    "shard": "partition",
    "doorman": "dispatcher",
    "she": "the member",
    "her": "the member's",
    "hers": "the member's",
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands between a heading and the next one."""
    assert f"{heading}\n" in text, f"there is no heading {heading!r}"
    return re.split(r"^##", text.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """The names in backticks that begin the rows of a table."""
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def fields(struct: type[Any]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def tables() -> dict[str, type[Any]]:
    """Every table of the rule book's schema."""
    found = vars(schema).items()
    return {n: s for n, s in found if isinstance(s, type) and issubclass(s, schema._Table) and n != "_Table"}


@pytest.mark.parametrize("name", sorted(tables()))
def test_every_key_of_a_rule_book_is_on_its_page_and_no_other(name: str) -> None:
    keys = first_column(section(page("rule-book.md"), SECTIONS[name]))
    assert sorted(keys) == sorted(fields(tables()[name]))


def test_the_examples_of_the_rule_books_page_are_a_book_that_works() -> None:
    text = "\n".join(re.findall(r"^```toml\n(.*?)^```", page("rule-book.md"), flags=re.MULTILINE | re.DOTALL))
    books = [f"programme ={book}" for book in re.split(r"^programme =", text, flags=re.MULTILINE)[1:]]
    for book in books:
        ProgrammeVersion(book, "docs/rule-book.md")
    used = [keys_used(tomllib.loads(book), parse_programme(book)) for book in books]
    missing = {
        name: sorted(fields(struct) - {key for keys in used for key in keys[name]}) for name, struct in tables().items()
    }
    assert not {name: keys for name, keys in missing.items() if keys}, "these keys have no example"


def keys_used(document: dict[str, Any], book: ProgrammeTables) -> dict[str, set[str]]:
    """By table of the schema, the keys that a book uses."""
    used: dict[str, set[str]] = {name: set() for name in tables()}

    def walk(raw: Any, made: Any) -> None:
        if isinstance(made, schema._Table):
            used[type(made).__name__] |= set(raw)
            for field in msgspec.structs.fields(type(made)):
                if field.encode_name in raw:
                    walk(raw[field.encode_name], getattr(made, field.name))
        elif isinstance(made, dict):
            for key, value in made.items():
                walk(raw[key], value)
        elif isinstance(made, tuple):
            for one, value in zip(raw, made, strict=True):
                walk(one, value)

    walk(document, book)
    return used


def test_every_type_of_fact_is_on_its_page_with_every_field() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9.-]+)` \| (.*) \|$", page("facts.md"), flags=re.MULTILINE))
    data = {fact.__struct_config__.tag: msgspec.structs.fields(fact)[-1].type for fact in FACT_TYPES}
    assert list(rows) == list(data)
    for kind, struct in data.items():
        named = rows[kind].partition(" [")
        required = {field.encode_name for field in msgspec.structs.fields(struct) if field.required}
        found = {where: set(re.findall(r"`(\w+)`", text)) for where, text in (("all", rows[kind]), ("first", named[0]))}
        assert found["all"] == fields(struct), kind
        if required:
            assert found["first"] == required, kind


def test_every_setting_file_and_exit_code_is_in_the_operators_page() -> None:
    text = page("operations.md")
    assert set(first_column(text)) >= fields(FolderSettings) | {SETTINGS, BOOK, INBOX, LOCK}
    codes = set(re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE))
    named = (errors.BAD_NEWS, errors.WRONG_USE, errors.BAD_INPUT, errors.CANNOT_NOW, errors.STOPPED)
    assert codes == {"0", *map(str, named)}


def test_every_setting_of_kafka_is_on_its_page_and_no_other() -> None:
    text = page("kafka.md")
    for table, struct in (("kafka", KafkaSettings), ("kafka.topics", Topics), ("kafka.security", Security)):
        rows = text.partition(f"| `[{table}]` |")[2].partition("\n\n")[0]
        assert sorted(first_column(rows)) == sorted(fields(struct))


def test_every_table_of_a_journal_is_in_the_architecture(tmp_path: Path) -> None:
    import sqlite3

    from ledger.journal.sqlite import SQLiteJournal

    SQLiteJournal(tmp_path / "journal.db", create=True).close()
    database = sqlite3.connect(tmp_path / "journal.db")
    names = {n for (n,) in database.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")}
    assert set(first_column(section(page("architecture.md"), "## The journal's tables"))) == names
    in_a_schema = re.findall(r"CREATE TABLE \{schema\}\.(\w+)", " ".join(chain.from_iterable(JOURNAL_STEPS)))
    in_a_file = {*in_a_schema, "by_member"} - {"inbox", "inbox_end", "inbox_spans"}  # which is a file of its own
    assert in_a_file == names, "both stores have the same tables"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_and_test_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:ledger|consumers|projections|service|tests|benchmarks|examples)/[\w/.-]*\w)", text):
        assert (ROOT / name).exists() or not Path(name).suffix, f"{path.name} names {name}"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (path.parent / link).exists(), f"{path.name} links to {link}"
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, f"{path.name} names {name}"


def test_every_problem_of_the_api_has_its_row_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+) \|", page("http.md"), flags=re.MULTILINE))
    assert rows == {name: str(kind.status) for name, kind in TYPES.items()}


def test_every_address_of_the_api_is_in_its_page() -> None:
    text = page("http.md")
    for handler in HANDLERS:
        for path in handler.paths:
            named = re.sub(r":\w+\}", "}", path).replace("adjustments/{name}", "adjustments/{id}")
            parts = named.rpartition("/v1/members/{member}")[2] if "{member}/" in named else named
            assert parts in text, named


def test_every_account_of_a_posting_is_in_its_page() -> None:
    rows = [line.split("`")[1::2] for line in page("postings.md").splitlines() if line.startswith("| `")]
    assert {row[0]: row[1] for row in rows if len(row) > 1 and ":" in row[1]} == BEANCOUNT_ACCOUNTS
    named = {name for row in rows for name in row}
    assert {column.name for column in POSTINGS} <= named


def test_every_scope_is_in_the_page_of_the_api() -> None:
    scopes = first_column(section(page("http.md"), "## Keys"))
    assert {scope for scope in scopes if not scope.endswith((":PREFIX", ":MEMBER", ":POINTS"))} == set(PLAIN_SCOPES)
    assert {scope.replace("PREFIX", "").replace("MEMBER", "") for scope in scopes} >= set(NARROWED_SCOPES)
    assert f"{GOODWILL}POINTS" in scopes


def test_the_reference_of_the_command_line_is_what_the_commands_say() -> None:
    """Run `python -m tests.support.command_page` after a change that is meant."""
    assert command_page.PAGE.read_text(encoding="utf-8") == command_page.page()


def glossary() -> list[list[str]]:
    """The rows of the glossary: word, Chinese, meaning."""
    rows = re.findall(r"^\| (?!word |-)(.+) \|$", page("glossary.md"), flags=re.MULTILINE)
    return [row.split(" | ") for row in rows]


def test_every_word_of_the_glossary_has_its_chinese_and_its_meaning_once() -> None:
    rows = glossary()
    assert all(len(row) == 3 and all(row) for row in rows)
    words = [word.strip() for row in rows for word in row[0].split(",")]
    assert len(words) == len(set(words)) > 80


# Words of the field that the pages, the rule book and the interfaces use: each is explained in the glossary.
@pytest.mark.parametrize("word", sorted(re.split(r",\s+", WORDS_USED.strip())))
def test_a_word_that_pages_use_is_in_the_glossary(word: str) -> None:
    assert word in {part.strip() for row in glossary() for part in row[0].split(",")}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_uses_a_word_that_was_retired(path: Path) -> None:
    if path.name in ("CHANGELOG.md",) or path.parent.name == "decisions":
        return  # history speaks as it spoke
    text = re.sub(r"`[^`]*`|```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = {word: new for word, new in RETIRED.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)}
    assert not found, f"{path.name} uses retired words; say instead: {found}"


# The layers from the outside inwards: imports and the architecture's paths run in this order and never back.
LAYERS = (
    "service/",
    "consumers/",
    "projections/",
    "ledger/journal/",
    "ledger/core/",
    "ledger/rulebook/",
    "ledger/wire/",
)


@pytest.mark.parametrize("heading", ["A fact", "A redemption over HTTP", "An explanation", "A rebuild of a view"])
def test_a_path_through_the_files_runs_downhill_and_visits_nothing_twice(heading: str) -> None:
    path = re.findall(r"^\d+\. `([^`]+)`", section(page("architecture.md"), f"### {heading}"), flags=re.MULTILINE)
    depths = [next(depth for depth, layer in enumerate(LAYERS) if file.startswith(layer)) for file in path]
    assert len(path) == len(set(path)) > 10
    assert depths == sorted(depths)


def test_every_field_of_an_answer_is_explained_and_no_other() -> None:
    structs = [kind for kind in vars(answers).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    assert first_column(page("answers.md")) == sorted({name for kind in structs for name in fields(kind)})


def modules() -> Iterator[Any]:
    """Every module of the product and its client, but the demo's."""
    for room in ("ledger", "consumers", "projections", "service", "points_client"):
        for found in walk_packages(import_module(room).__path__, f"{room}."):
            if not found.name.startswith("service.demo") and not found.name.endswith("__main__"):
                yield import_module(found.name)


def test_every_public_method_says_what_it_does_itself_or_by_what_it_implements() -> None:
    classes = [
        each
        for module in modules()
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and not name.startswith("_")
    ]
    silent = [
        f"{each.__module__}.{each.__name__}.{name}"
        for each in classes
        for name, member in vars(each).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(each, name))
    ]
    assert len(classes) > 300 and silent == []


def test_every_place_that_the_coverage_of_the_field_names_is_in_its_shipped_book() -> None:
    for book, place in re.findall(r"`([a-z0-9-]+): ([^`]+)`", page("coverage.md")):
        assert place in places_of(book), f"{book}: {place}"


@cache
def places_of(book: str) -> set[str]:
    """The tables of a shipped book by their names, as its sentences have them."""
    version = ProgrammeVersion(shipped(book))
    found = {one.table for one in sentences(version, "en")} | {f"award {rule}" for rule in version.rules}
    cards = version.programme.memberships.items()
    return found | {f"memberships.{name}.products.{product}" for name, card in cards for product in card.products}


def test_every_page_has_its_place_on_the_site_once() -> None:
    """`make docs` builds it, which the tests do not: links and anchors are checked there."""
    parts = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    places = [each for part in parts for each in (chain(*part.values()) if isinstance(part, dict) else [part])]
    in_docs = {path.name for path in DOCS.glob("*.md")}
    elsewhere = {"index.md", "index.zh-CN.md", "api.md", "client.md"}  # README, its Chinese, and what is generated
    at_the_root = {path.name for path in ROOT.glob("*.md") if not path.name.startswith("README")}
    assert sorted(places) == sorted(in_docs | elsewhere | at_the_root)


def test_each_text_of_the_catalogue_stands_there_once() -> None:
    assert texts("zh")  # two of a key, as where two people added it, make the file unreadable


def test_chinese_texts_have_the_words_of_the_glossary() -> None:
    table = (ROOT / "docs/glossary.md").read_text("utf-8").split("Words that the Chinese texts do not use")[1]
    wrong = [word for row in re.findall(r"^\| ([^|a-z-]+) \|", table, re.MULTILINE) for word in row.split("、")]
    assert "事实" in wrong and len(wrong) >= 8
    found = [f"{place}: {word}" for place, line in chinese_lines() for word in wrong if word in line]
    assert not found, found


def chinese_lines() -> Iterator[tuple[str, str]]:
    """Every line of the Chinese texts that people read, and where it stands."""
    phrases = ROOT / "projections" / "explaining" / "chinese.toml"
    catalogues = [*ROOT.glob("service/**/zh.toml"), *ROOT.glob("projections/**/*zh.toml"), phrases]
    for file in sorted([*catalogues, *ROOT.glob("*.zh-CN.md"), *DOCS.glob("*.zh-CN.md")]):
        text = file.read_text("utf-8")
        if file.suffix == ".md":  # what commands print and what is a name has its own rules
            text = re.sub(r"```.*?```|\]\([^)]*\)", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("#") and file.suffix == ".toml":
                continue
            chinese = line.rpartition('" = ' if line.startswith('"') else " = ")[2] if file.suffix == ".toml" else line
            yield f"{file.name}:{number}", "" if "⌊" in chinese else re.sub(r"`[^`]*`", "`", chinese)


def test_chinese_texts_have_full_width_punctuation() -> None:
    half = re.compile(r"[\u4e00-\u9fff}] ?([,;!?(]|: |:\"?$)|[\u4e00-\u9fff]\)|[,;!?)] ?[\u4e00-\u9fff]")
    names = re.compile(r"\{\w*(:\w+)?( |(?=\}))")  # of a figure, and how it is written
    found = [place for place, line in chinese_lines() if half.search(names.sub("{", line))]
    assert not found, found


def test_the_chinese_page_of_the_console_has_what_the_english_one_has() -> None:
    english = page("console.md").partition("## Where things are")[0]
    chinese = page("console.zh-CN.md").replace(".zh-CN.png", ".png")  # its pictures are in Chinese
    for mark in (
        r"^!\[[^\]]*\]\((.*)\)",
        r"^## ()",
        r"^\|()",
        r"^    (points \w+)",
        r"(?<=\| )(`[a-z:A-Z`、, ]+`)(?= \|)",
    ):
        found = [
            [re.sub("、", ", ", one) for one in re.findall(mark, text, re.MULTILINE)] for text in (english, chinese)
        ]
        assert found[0] == found[1], mark


def test_the_chinese_page_between_members_says_what_the_english_one_says() -> None:
    """Part by part: rows in their order with the same codes, and the same names and links in the text."""
    parts = [
        re.split(r"^## .*\n", page(name), flags=re.MULTILINE)[1:]
        for name in ("between-members.md", "between-members.zh-CN.md")
    ]
    assert len(parts[0]) == len(parts[1])
    for english, chinese in zip(*parts, strict=True):
        rows = [[words_of(row) for row in re.findall(r"^\|.*", text, re.MULTILINE)] for text in (english, chinese)]
        assert rows[0] == rows[1]
        assert words_of(english) == words_of(chinese)
        assert re.findall(r"```json.*?```", english, re.DOTALL) == re.findall(r"```json.*?```", chinese, re.DOTALL)


def words_of(text: str) -> list[str]:
    """Return the names of a text as the code has them, and the links, in the order of the alphabet."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    names = [one for one in re.findall(r"`([^`]+)`", text) if "<" not in one]
    return sorted({*names, *re.findall(r"\]\(([^)]*\.md[^)]*)\)", text)})
