"""The question before an apply, and the name of the cluster in what is printed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.cli.site import files_of
from tests.support.command import Ended, copy_fixture

STATE = """
[group.ops]
[user."new@pve"]
[[removed]]
address = "user.svc-terraform@pve"
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder for a cluster called Vienna."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    folder = copy_fixture("team", tmp_path / "pve")
    state = tmp_path / "state"
    state.mkdir()
    (state / "pvectl.toml").write_text(
        f'[target]\nname = "Vienna"\nendpoint = "sandbox:{folder}"\n'
    )
    (state / "all.toml").write_text(STATE)
    return tmp_path


def answered(place: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> Ended:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    return ask("apply", "--allow", "IRREVERSIBLE=*", state=place / "state")


@pytest.mark.parametrize("answer", ["no\n", "", "y\n", "YES\n"])
def test_it_says_how_much_where_and_what_is_final_and_declining_is_not_an_error(
    place: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(place / "pve")
    ended = answered(place, answer, monkeypatch)
    assert ended.status == ExitStatus.OK, ended
    number = ask_json("plan", "--allow", "IRREVERSIBLE=*", state=place / "state")["counts"]
    changes = sum(number[name] for name in ("create", "update", "delete"))
    asked, told = ended.err.strip().rsplit("confirm: ", 1)
    assert (
        f"Apply {changes} changes to Vienna (sandbox:{place / 'pve'})? Cannot be undone: " in asked
    )
    assert "delete user.svc-terraform@pve" in asked
    assert told.strip() == "Cancelled: nothing was sent."
    assert files_of(place / "pve") == before


def test_yes_applies(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = answered(place, "yes\n", monkeypatch)
    assert ended.status == ExitStatus.OK, ended
    assert "Apply complete" in ended.out


@pytest.mark.parametrize("command", ["plan", "drift", "report", "log", "escalation", "verify"])
def test_the_name_of_a_cluster_is_in_every_report(place: Path, command: str) -> None:
    (place / "state" / "all.toml").write_text(
        '[[expect]]\nwho = "alice@pve"\npath = "/"\ncannot = ["VM.Audit"]\n'
    )
    out = ask(command, state=place / "state").out
    assert f"Vienna (sandbox:{place / 'pve'})" in " ".join(out.split())


def test_a_name_that_would_steer_a_terminal_is_refused(place: Path) -> None:
    settings = place / "state" / "pvectl.toml"
    settings.write_text(settings.read_text().replace("Vienna", "\\u001b[31mred"))
    ended = ask("validate", state=place / "state")
    assert ended.status == ExitStatus.FILES_INVALID
    assert "pvectl.toml:2:1" in ended.out
    assert "a name has 1 to 60 printable characters" in ended.out
