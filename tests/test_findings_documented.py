"""People who meet a finding's code can look it up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from reconciler.cli.explain.code_pages import pages
from reconciler.planning.lint import WAIVABLE

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


MAKERS = {"Finding", "Rule", "_error", "refusal", "_refusal", "_warn"}
ENUMERATIONS = {"UnexpectedCause"}


def codes(folder: Path) -> set[str]:
    """The first argument of everything that makes a finding, and enumerations of codes."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                if ast.unparse(node.func).rpartition(".")[2] in MAKERS:
                    found |= named(node.args[0])
            elif isinstance(node, ast.ClassDef) and node.name in ENUMERATIONS:
                assigned = (one.value for one in node.body if isinstance(one, ast.Assign))
                found.update(*map(named, assigned))
    return found


def named(value: ast.expr) -> set[str]:
    """The codes in an expression: texts, and constants that are called as what they hold."""
    texts = {str(one.value) for one in ast.walk(value) if isinstance(one, ast.Constant)}
    names = {one.id for one in ast.walk(value) if isinstance(one, ast.Name)}
    return {text for text in texts | names if CODE.fullmatch(text)}


def documented() -> set[str]:
    rows = re.findall(r"^\| (`[A-Z0-9_`, ]+`) \|", (ROOT / "docs/findings.md").read_text(), re.M)
    return {code for row in rows for code in re.findall(r"\w+", row)}


def test_every_code_is_documented() -> None:
    found = codes(PACKAGE)
    assert {"REACHES_MORE", "UNDECLARED_MEMBER", "LINT_ORPHAN", "MISSING_PRIVILEGE"} <= found
    assert found - documented() == set()


def test_every_warning_and_note_can_be_waived_but_for_those_that_other_code_acts_on() -> None:
    told = (ROOT / "docs/findings.md").read_text()
    rows = re.findall(r"^\| (`[A-Z0-9_`, ]+`) \| [^|]*(?:warning|note)[^|]* \|", told, re.M)
    found = {code for row in rows for code in re.findall(r"\w+", row)}
    stands = {"WEAKER_POLICY", "PARTIAL", "MISSING_PRIVILEGE", "SECRET_MISSING", "SECRET_READABLE"}
    stands |= {
        "DRIFT",
        "UNDECLARED",
        "NOT_IMPORTED",
        "FILE_TOO_LARGE",
    }  # of validate, import; an error
    stands |= {"NO_MERGE_BASE", "RULE_NAME"}  # stands for the codes of all [[rule]]
    assert found - WAIVABLE == stands
    assert found >= WAIVABLE


def test_every_code_that_is_documented_can_be_looked_up() -> None:
    assert documented() - pages().keys() == set()
