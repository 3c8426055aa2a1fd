"""What a shell offers: names of the files, codes, privileges, formats; without any network."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from reconciler.cli.completion import offer_for
from tests.support.command import pvectl

STATE = """
[role.Own]
privileges = ["VM.Audit"]
[user."ann@pve".token.ci]
[backup.nightly]
schedule = "02:30"
storage = "local"
guests = [100]
[[acl]]
roles = ["Own"]
paths = ["/vms/100"]
tokens = ["ann@pve!ci"]
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "all.toml").write_text(STATE)
    (tmp_path / "pvectl.toml").write_text(
        '[target.one]\nendpoint = "https://a.example.com:8006"\ntoken_id = "x@pve!t"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    ("command", "parameter", "option", "typed", "offered"),
    [
        ("rotate", "token", "", "", ["ann@pve!ci"]),
        ("explain", "subject", "", "LIMIT_", ["LIMIT_DELETE", "LIMIT_TOTAL"]),
        ("explain", "privilege", "", "VM.B", ["VM.Backup"]),
        ("explain", "path", "", "/", ["/vms/100"]),
        ("grant", "role", "", "Ow", ["Own"]),
        ("backup", "job", "", "n", ["nightly"]),
        ("kinds", "name", "", "b", ["backup"]),
        ("import", "what", "", "token", ["token", "token.ann@pve!ci"]),
        ("plan", "target", "--target", "backup", ["backup.nightly"]),
        ("plan", "allow", "--allow", "LIMIT_D", ["LIMIT_DELETE="]),
        ("drift", "format_", "--format", "n", ["nagios"]),
        ("plan", "format_", "--format", "n", []),
        ("plan", "on", "--on", "", ["all", "one"]),
    ],
)
def test_values_are_offered(
    state: Path, command: str, parameter: str, option: str, typed: str, offered: list[str]
) -> None:
    offer = offer_for(command, parameter, [option] if option else [])
    assert offer is not None
    context = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)))
    context.params["state"] = state
    assert offer(context, typed) == offered
    (state / "all.toml").write_text("[broken")
    assert isinstance(offer(context, typed), list)


@pytest.mark.parametrize(
    ("line", "offered"),
    [("rotate ", "ann@pve!ci"), ("apply --target role", "role.Own"), ("plan --on o", "one")],
)
def test_a_shell_gets_them(state: Path, line: str, offered: str) -> None:
    words = line.split(" ")
    env = {
        "COMP_WORDS": f"pvectl {line}",
        "COMP_CWORD": str(len(words)),
        "_PVECTL_COMPLETE": "complete_bash",
        "PVECTL_STATE": str(state),
    }
    assert pvectl(cwd=state, env=env).out.split() == [offered]
