"""`grant` and `revoke`, killed at every line of the journal and at every write of grants.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.state_folder import grants_file
from reconciler.cli.terminal import output
from reconciler.errors import ExitStatus
from reconciler.execution.journal.journal import Journal
from tests.cli.in_process import ask, ask_json
from tests.support.command import copy_fixture

ALICE = ("alice@pve", "PVEVMAdmin", "/vms/100")
GRANT = ("grant", *ALICE, "--for", "4h", "--reason", "restore", "--yes")
REVOKE = ("revoke", *ALICE, "--yes")
OURS = "# ours\n"
KILLED = 9


class World:
    """Alice is there, and grants.toml with a comment."""

    def __init__(self, folder: Path) -> None:
        self.pve, self.state = copy_fixture("fresh", folder / "pve"), folder / "state"
        self.state.mkdir()
        (self.state / "a.toml").write_text('[user."alice@pve"]\n')
        self.file = self.state / "grants.toml"
        self.file.write_text(OURS)
        assert self.run("apply", "--yes") == ExitStatus.OK

    def run(self, *words: str) -> int:
        return ask(*words, on=self.pve, state=self.state).status

    @property
    def granted(self) -> bool:
        return "alice@pve:PVEVMAdmin" in (self.pve / "user.cfg").read_text()

    @property
    def declared(self) -> str:
        """The end of the grant in the file: in the future, past, or none."""
        tables = tomllib.loads(self.file.read_text()).get("acl", [])
        if not tables:
            return ""
        return "valid" if tables[0]["expires"].timestamp() > self.pve.stat().st_mtime else "past"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return World(tmp_path)


def killed(world: World, words: tuple[str, ...], at: int) -> bool:
    """Run a command in a child that ends before its write `at`; whether it got that far."""
    child = os.fork()
    if not child:
        count = 0

        def counted(write: Callable[..., Any]) -> Callable[..., Any]:
            def one(*given: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == at:
                    os._exit(KILLED)
                return write(*given, **named)

            return one

        try:
            Journal.write = counted(Journal.write)  # type: ignore[method-assign]
            grants_file.write_file = counted(output.write_file)  # type: ignore[attr-defined]
            world.run(*words)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_a_grant_that_is_killed_is_finished_or_undone_with_its_file(there: World, way: str) -> None:
    reached = []
    for at in range(1, 20):
        if not killed(there, GRANT, at):
            break
        status = there.run("status")
        reached.append(status)
        assert there.declared == "valid" or not there.granted
        if status == ExitStatus.OK:
            assert not there.declared
            continue
        assert status == ExitStatus.UNFINISHED
        grant = ask_json("status", on=there.pve, state=there.state)["run"]["grant"]
        assert (grant["who"], grant["file"]) == ("alice@pve", str(there.file))
        assert (grant["ends"], grant["reason"]) == (False, "restore")
        assert there.run(way, "--yes") == ExitStatus.OK
        assert there.granted == bool(there.declared) == (way == "resume")
        if way == "resume":
            assert there.run(*REVOKE) == ExitStatus.OK
        assert there.file.read_text() == OURS
    assert reached.count(ExitStatus.UNFINISHED) > 4
    assert there.granted
    assert there.declared


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_so_is_a_revocation(there: World, way: str) -> None:
    assert there.run(*GRANT) == ExitStatus.OK
    text = there.file.read_text()
    reached = []
    for at in range(1, 20):
        if not killed(there, REVOKE, at):
            break
        status = there.run("status")
        reached.append(status)
        assert there.granted or there.declared != "valid"
        if status == ExitStatus.OK:
            assert (there.granted, there.file.read_text()) == (True, text)
            continue
        assert status == ExitStatus.UNFINISHED
        assert there.run(way, "--yes") == ExitStatus.OK
        assert there.granted == bool(there.declared) == (way == "rollback")
        assert there.file.read_text() == (text if way == "rollback" else OURS)
        if way == "resume":
            assert there.run(*GRANT) == ExitStatus.OK
            text = there.file.read_text()
    assert reached.count(ExitStatus.UNFINISHED) > 4
    assert there.file.read_text() == OURS
