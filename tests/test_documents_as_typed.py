"""Every command line in the documents is one that pvectl takes; every table fits its schema."""

from __future__ import annotations

import ast
import html
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from reconciler.cli import commands
from reconciler.cli.app import app
from reconciler.cli.hints import command_modules
from reconciler.desired.schema.state_schema import schema, settings_schema
from tests.desired.test_state_folders import as_json
from tests.test_documented import DOCUMENTS, ROOT

_BLOCK = re.compile(r"^```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S)
_SHELL = {"", "sh", "bash", "console"}
_USAGE = re.compile(r"\[OPTIONS\]|\bCOMMAND\b")


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    for found in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield found["kind"], found["body"]


def command_lines(document: Path) -> Iterator[str]:
    """What is typed behind `pvectl`, one command each."""
    for kind, body in blocks(document):
        if kind not in _SHELL:
            continue
        for line in body.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s*(?:&&|\|\||;|\|)\s*", line.removeprefix("$ ")):
                words = re.sub(r"(^|\s)#.*|\s\d?>.*", "", re.sub(r"^(\w+=\S+ )+", "", part.strip()))
                if words.startswith("pvectl ") and not _USAGE.search(words):
                    yield words.removeprefix("pvectl ")


@cache
def root() -> Any:
    for module in command_modules().values():
        importlib.import_module(f"{commands.__name__}.{module}")
    return typer.main.get_command(app)


def inline(document: Path) -> Iterator[str]:
    """What stands behind `pvectl` in running text, if more than a command's name."""
    for line in re.findall(r"`pvectl ([^`]+)`", _BLOCK.sub("", document.read_text("utf-8"))):
        if " " in line and not _USAGE.search(line):
            yield " ".join(line.split()).replace("--fence N", "--fence 7")


LINES = [(path, line) for path in DOCUMENTS for line in command_lines(path)]
TABLES = [(path, body) for path in DOCUMENTS for kind, body in blocks(path) if kind == "toml"]
TRUSTED = ROOT / "examples" / "ci" / "settings.toml"
TABLES.append((TRUSTED, re.sub(r"^# (?=\[|\w+ = )", "", TRUSTED.read_text("utf-8"), flags=re.M)))


def test_every_command_line_is_taken() -> None:
    wrong = []
    pages = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
    pages += sorted((ROOT / "reconciler" / "pages").glob("*.md"))
    spoken = [(path, line) for path in pages for line in inline(path)]
    assert len(spoken) > 100
    for path, line in (*LINES, *spoken):
        name, *words = shlex.split(line)
        if name == "--version":
            continue
        try:
            root().commands[name].make_context(name, words)
        except Exception as error:
            wrong.append(f"{path.relative_to(ROOT)}: pvectl {line}: {error!r}")
    assert wrong == []
    assert len(LINES) > 30


@pytest.mark.parametrize(("path", "body"), TABLES, ids=lambda one: getattr(one, "stem", ""))
def test_every_table_fits_its_schema(path: Path, body: str) -> None:
    found = as_json(tomllib.loads(body))
    settings = settings_schema()
    of_settings = found.keys() <= settings["properties"].keys()
    errors = Draft202012Validator(settings if of_settings else schema()).iter_errors(found)
    assert [f"{path.name}: {error.message}" for error in errors] == []


def _messages() -> Iterator[tuple[str, str]]:
    """Every text of the sources that quotes a command, `x` for what is filled in, and every
    golden."""
    for module in sorted((ROOT / "reconciler").rglob("*.py")):
        text = module.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "pvectl " in text else ():
            place = f"{module.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield place, node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (one.value if isinstance(one, ast.Constant) else "7" for one in node.values)
                yield place, "".join(map(str, parts))
    for golden in sorted((ROOT / "tests" / "golden").iterdir()):
        yield golden.name, html.unescape(golden.read_text("utf-8"))


_BARE = re.compile(r"(?<![-\w/.`'])pvectl ([a-z][-a-z]*)((?: [^\s`;,]+)*)")


def test_every_command_in_messages_and_goldens_is_taken() -> None:
    """Between backquotes it is whole, or the name of a command in a sentence; without them, its
    options exist."""
    wrong, quoted, bare = [], 0, 0
    for place, text in _messages():
        if "pvectl " not in text:
            continue
        for line in re.findall(r"`pvectl ([^`|\\]+)`", text):
            words = shlex.split(line)
            quoted += 1
            if not words[0].isalpha() or (len(words) == 1 and words[0] in root().commands):
                continue  # a sentence about it
            try:
                root().commands[words[0]].make_context(words[0], words[1:])
            except Exception as error:
                wrong.append(f"{place}: pvectl {line}: {error!r}")
        for name, rest in _BARE.findall(text):
            options = re.findall(r"(?<= )--[a-z][-a-z]*", rest)
            if name not in root().commands:
                wrong += [f"{place}: pvectl {name}{rest}"] if options else []
                continue
            bare += 1
            known = {one for param in root().commands[name].params for one in param.opts}
            wrong += [f"{place}: pvectl {name} {one}" for one in options if one not in known]
    assert wrong == []
    assert min(quoted, bare) > 50
