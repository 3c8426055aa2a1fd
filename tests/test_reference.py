"""The reference has all that the code has, and nothing else: read apart from what writes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import typer

from reconciler.cli.explain.code_pages import pages
from reconciler.cli.hints import command_modules
from reconciler.desired.directives.reader import DIRECTIVES
from reconciler.desired.schema.state_schema import schema, settings_schema
from reconciler.kinds import all_kinds
from reconciler.render.json_schemas import SCHEMAS
from tests.test_documented import ROOT
from tests.test_documents_as_typed import root
from tests.test_findings_documented import PACKAGE, codes

REFERENCE = ROOT / "docs" / "reference"
_HEADING = re.compile(r"^(#{2,3}) (.+)$", re.M)
_NAMED = re.compile(r"^ *- `([a-z0-9_]+)`: ", re.M)


def headings(page: str) -> list[tuple[int, str]]:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return [(len(marks), name) for marks, name in _HEADING.findall(text)]


def sections(page: str) -> dict[str, str]:
    """Heading of the second level -> what stands below it."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def keys_of(part: str) -> set[str]:
    """Its headings of the third level, and the keys of tables inside of tables."""
    return set(re.findall(r"^### (.+)$", part, re.M)) | set(_NAMED.findall(part))


def below(own: Any, definitions: Any) -> Iterator[str]:
    """The keys of a property that is a table or holds tables, at any depth."""
    if isinstance(own, list):
        for one in own:
            yield from below(one, definitions)
    elif isinstance(own, dict):
        name = str(own.get("$ref", "")).rpartition("/")[2]
        for key, inner in definitions.get(name, {}).get("properties", {}).items():
            yield key
            yield from below(inner, definitions)
        for word in ("anyOf", "items", "additionalProperties"):
            yield from below(own.get(word), definitions)


def test_every_command_and_each_of_its_options_is_there_and_no_other() -> None:
    there = sections("commands.md")
    told = {name.replace(" ", "") for name in there}
    assert command_modules().keys() - told == set()
    groups = {name.split()[0] for name in there}
    assert groups - root().commands.keys() == set()
    head = (REFERENCE / "commands.md").read_text().partition("\n## ")[0]
    for name, part in there.items():
        command: Any = root()
        for word in name.split():
            command = command.commands[word]
        if isinstance(command, typer.core.TyperGroup):
            continue
        options = {text for one in command.params for text in one.opts if text.startswith("--")}
        written = set(re.findall(r"--[a-z][a-z-]*", "".join(re.findall(r"^- `[^`]+`", part, re.M))))
        common = set(re.findall(r"--[a-z][a-z-]*", "".join(re.findall(r"^- `[^`]+`", head, re.M))))
        assert options - written - common - {"--help"} == set(), name
        assert written - options - {f"--no-{one[2:]}" for one in options} == set(), name


def test_every_key_of_a_kind_is_there_and_no_other() -> None:
    assert {path.stem for path in (REFERENCE / "kinds").glob("*.md")} == all_kinds().keys()
    definitions = schema()["$defs"]
    for name, kind in all_kinds().items():
        inside = {
            one.toml.place.key for one in all_kinds().values() if one.toml.place.inside == name
        }
        wanted = set(definitions[kind.toml.table.__name__]["properties"]) - inside
        told = {text for level, text in headings(f"kinds/{name}.md") if level == 3}
        assert told == wanted, name


def test_every_key_of_the_other_tables_is_there_and_no_other() -> None:
    definitions = schema()["$defs"]
    there = sections("other-tables.md")
    assert there.keys() == {f"[[{name}]]" for name in DIRECTIVES}
    for name, model in DIRECTIVES.items():
        own = definitions[model.__name__]["properties"]
        assert keys_of(there[f"[[{name}]]"]) == own.keys(), name


def test_every_key_of_the_settings_is_there_and_no_other() -> None:
    wanted = settings_schema()
    there = {name.strip("[]"): part for name, part in sections("settings.md").items()}
    assert there.keys() == wanted["properties"].keys()
    for name, own in wanted["properties"].items():
        assert keys_of(there[name]) == set(below(own, wanted["$defs"])), name


def test_every_code_is_there_and_no_other() -> None:
    there = {name for level, name in headings("codes.md") if level == 2}
    assert there == {code for code in pages() if not code.isdecimal()}
    assert codes(PACKAGE) - there == set()


def test_every_json_document_is_there_and_no_other() -> None:
    there = sections("json-documents.md")
    assert there.keys() == SCHEMAS.keys()
    made = {
        str(node.args[0].value)
        for path in (PACKAGE / "render").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "document"
        and isinstance(node.args[0], ast.Constant)
    }
    assert made == SCHEMAS.keys()
    for name, part in there.items():
        fields = set(re.findall(r"^\| `(\w+)` \|", part, re.M))
        assert fields == {"kind", "format", *SCHEMAS[name]["properties"]}, name


def test_every_environment_variable_is_read_somewhere() -> None:
    """That each one that is read is documented, `test_documented` says."""
    text = "".join((ROOT / "docs" / page).read_text() for page in ("settings.md", "sandbox.md"))
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    told = set(re.findall(r"\bPVECTL_[A-Z_]+\b", text))
    assert len(told) > 15
    assert {name for name in told if name not in sources} == set()
