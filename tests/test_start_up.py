"""`pvectl --version` answers at once: it imports next to nothing."""

from __future__ import annotations

import subprocess
import sys

_MODULES = """
import sys
before = set(sys.modules)
sys.argv = ["pvectl", "--version"]
from reconciler.__main__ import main
main()
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""

OWN = {
    "reconciler",
    "reconciler.__main__",
    "reconciler.cli",
    "reconciler.cli.streams",
    "reconciler.cli.turn",
}
SLOW = {"asyncio", "dataclasses", "inspect", "pydantic", "requests", "rich", "typer"}


def test_the_version_imports_next_to_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _MODULES], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("pvectl ")
    imported = set(ended.stderr.split())
    assert {name for name in imported if name.startswith("reconciler")} == OWN
    assert not imported & SLOW


def test_the_help_of_a_plan_imports_nothing_that_makes_one() -> None:
    code = _MODULES.replace('"--version"', '"plan", "--help"')
    code = code.replace("\nmain()\n", "\ntry:\n    main()\nexcept SystemExit:\n    pass\n")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--detailed-exitcode" in ended.stdout
    assert not {"reconciler.kinds", "reconciler.planning"} & set(ended.stderr.split())
