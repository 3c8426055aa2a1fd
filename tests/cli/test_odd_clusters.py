"""Commands on clusters with leftovers, and on settings with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.support.command import pvectl
from tests.support.engine import cluster

LEFTOVERS = """user:root@pam:1:0:::root@example.invalid:::
user:a|b@pve:1:0::::::
user:new@nowhere:1:0::::::

group:a.b:new@nowhere::



acl:1:/dc/x:@a.b:PVEVMUser:
acl:1:/vms/9001:a|b@pve,ghost@pve:PVEVMUser:
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder of such a cluster."""
    cluster(tmp_path / "pve", LEFTOVERS)
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "pvectl.toml").write_text('[target]\nendpoint = "sandbox:../pve"\n')
    return folder


def test_an_imported_cluster_with_leftovers_plans_to_no_change(state: Path) -> None:
    imported = pvectl("import", cwd=state.parent)
    assert imported.status == ExitStatus.OK
    assert "acl./dc/x|group:a.b|PVEVMUser is in no file" in imported.out
    plan = pvectl("plan", "--detailed-exitcode", cwd=state.parent)
    assert (plan.status, plan.err) == (0, "")


def test_a_copy_of_a_cluster_holds_what_no_cluster_takes_again(state: Path) -> None:
    copied = pvectl("snapshot", "--out", "copy", cwd=state.parent)
    assert copied.status == ExitStatus.OK
    assert "left out" not in copied.err
    users = (state.parent / "copy" / "user.cfg").read_text()
    assert "acl:1:/vms/9001:a|b@pve,ghost@pve:PVEVMUser:" in users
    assert "acl:1:/dc/x:@a.b:PVEVMUser:" in users


def test_an_import_with_wrong_settings_says_what_is_wrong(state: Path) -> None:
    (state / "pvectl.toml").write_text(
        '[target]\nendpoint = "https://pve.example.invalid"\ntoken_id = "a@pve!b2"\n'
        'fingerprint = "AB:CD"\n'
    )
    for command in (("import",), ("snapshot", "--out", "copy")):
        ended = pvectl(*command, cwd=state.parent)
        assert ended.status == ExitStatus.FILES_INVALID
        assert "pvectl.toml:4" in ended.err


def test_a_plan_that_cannot_be_saved_is_not_a_bug(state: Path) -> None:
    ended = pvectl("plan", "--out", "no/such/folder/plan.json", cwd=state.parent)
    assert ended.status == ExitStatus.USAGE
    assert "plan.json cannot be written" in ended.err
