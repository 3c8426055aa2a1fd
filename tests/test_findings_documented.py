"""People who meet a finding's code can look it up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


def codes(folder: Path) -> set[str]:
    """The first argument of everything that makes a finding."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            makes = ast.unparse(node.func).rpartition(".")[2] in {"Finding", "_error", "_refusal"}
            first = node.args[0]
            if makes and isinstance(first, ast.Constant) and CODE.fullmatch(str(first.value)):
                found.add(str(first.value))
    return found


def documented() -> set[str]:
    rows = re.findall(r"^\| (`[A-Z0-9_`, ]+`) \|", (ROOT / "docs/findings.md").read_text(), re.M)
    return {code for row in rows for code in re.findall(r"\w+", row)}


def test_every_code_that_files_can_give_is_documented() -> None:
    found = codes(ROOT / "reconciler" / "desired")
    assert len(found) > 15
    assert found - documented() == set()


def test_every_code_that_a_plan_of_any_kind_can_give_is_documented() -> None:
    found = codes(ROOT / "reconciler" / "kinds")
    assert len(found) > 15
    assert found - documented() == set()
