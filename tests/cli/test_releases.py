"""Other releases of Proxmox VE than the newest, read, planned and applied over HTTPS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus
from reconciler.pve.release import NEWEST
from reconciler.pve.schema import ParameterValue
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError
from reconciler.sandbox.http.dispatch import call
from tests.cli.site import Site, files_of
from tests.support.command import copy_fixture, pvectl, sandbox

OLD = """
[role.monitors]
privileges = ["VM.Audit", "VM.Monitor"]

[user."anna@pve"]

[[acl]]
roles = ["monitors", "PVEVMUser"]
paths = ["/vms/9000"]
users = ["anna@pve"]
"""
"""What Proxmox VE 8.4 takes, and 9.0 does not."""

FUTURE = {"version": "10.0.1", "roles": {"PVETeleporter": ["VM.Teleport"]}}


@contextmanager
def cluster(tmp_path: Path, release: str = "", **answers: object) -> Iterator[Site]:
    """A cluster just installed that answers as this release, or as `sandbox.json` then says."""
    folder = copy_fixture("fresh", tmp_path / "pve")
    if answers:
        (folder / "sandbox.json").write_text(json.dumps(answers))
    with sandbox(folder, release=release) as served:
        site = Site(tmp_path, served, files_of(folder))
        site.env["PVECTL_HOME"] = str(site.home)
        site.target(**({"release": release} if release else {}))
        yield site


CHAINED: dict[str, ParameterValue | None] = {"path": "/srv/c", "snapshot-as-volume-chain": "1"}


def flat(text: str) -> str:
    """Without the line breaks of a terminal."""
    return " ".join(text.split())


def the_future() -> dict[str, Any]:
    """10.0 with one more privilege in PVEVMUser and a new built-in role."""
    user = [*sorted(NEWEST.roles["PVEVMUser"]), "VM.Teleport"]
    return {**FUTURE, "roles": {"PVETeleporter": ["VM.Teleport"], "PVEVMUser": user}}


def test_an_8_4_cluster_is_planned_applied_and_read_back(tmp_path: Path) -> None:
    with cluster(tmp_path, "8.4") as site:
        site.write("access.toml", OLD)
        planned = site.run("plan", "--state", "state")
        assert planned.status == ExitStatus.OK, planned.err
        assert "UNTESTED_RELEASE" in flat(planned.out)
        assert "the cluster runs Proxmox VE 8.4" in flat(planned.out)
        assert "RELEASE_DIFFERS" not in flat(planned.out)
        assert site.run("apply", "--state", "state", "--yes").status == ExitStatus.OK
        assert "role:monitors:VM.Audit,VM.Monitor:" in site.user_cfg()
        assert "Plan: no changes" in site.run("plan", "--state", "state").out
        held = site.run("who-can", "VM.Monitor", "/vms/9000", "--state", "state")
        assert "anna@pve" in held.out


def test_an_8_4_cluster_is_imported_for_itself_and_judged_for_9_0(tmp_path: Path) -> None:
    with cluster(tmp_path, "8.4") as site:
        site.edit("user.cfg", "", "role:monitors:VM.Audit,VM.Monitor:\n")
        site.target()
        imported = site.run("import", "--state", "state")
        assert imported.status == ExitStatus.OK, imported.err
        assert 'write release = "8.4" in [target]' in flat(imported.err)
        site.target(release="8.4")
        assert site.run("validate", "--state", "state").status == ExitStatus.OK
        assert "Plan: no changes" in site.run("plan", "--state", "state").out
        upgraded = site.run("validate", "--state", "state", "--release", "9.0")
        assert upgraded.status == ExitStatus.FILES_INVALID
        assert "roles.toml:4:" in flat(upgraded.out)
        assert "VM.Monitor is gone in Proxmox VE 9" in flat(upgraded.out)
        assert "VM.GuestAgent" in flat(upgraded.out)


def test_what_8_4_lacks_is_refused_by_the_plan_before_the_cluster_refuses_it(
    tmp_path: Path,
) -> None:
    new = """
[role.agents]
privileges = ["VM.GuestAgent.Audit"]

[user."anna@pve"]

[[acl]]
roles = ["agents"]
paths = ["/sdn/fabrics/f"]
users = ["anna@pve"]

[storage.chained]
type = "dir"
path = "/srv/chained"
snapshot_as_volume_chain = true
"""
    with cluster(tmp_path, "8.4") as site:
        site.settings = '[lockout]\nkeep_self = ["VM.Replicate on /"]'
        site.target()
        site.write("access.toml", new)
        refused = site.run("plan", "--state", "state")
        assert refused.status == ExitStatus.REFUSED
        assert refused.out.count("NOT_IN_RELEASE") == 5
        assert "NOT_IN_RELEASE access.toml:2:" in flat(refused.out)
        assert "does not know snapshot_as_volume_chain (since 9.0)" in flat(refused.out)
        assert "VM.Replicate on /, which protects nothing here" in flat(refused.out)
        assert "Proxmox VE 8.4 has no privilege VM.GuestAgent.Audit" in flat(refused.out)
        assert "Proxmox VE 8.4 has no ACL path /sdn/fabrics/f" in flat(refused.out)
        site.target(release="8.4")
        told = site.run("validate", "--state", "state")
        assert told.status == ExitStatus.FILES_INVALID
        assert "it is in 9.0 and later" in flat(told.out)
        assert "Proxmox VE 8.4 accepts no entry on '/sdn/fabrics/f'" in flat(told.out)
        assert "access.toml:15:1: error NOT_IN_RELEASE Proxmox VE 8.4 does not know" in told.out
        assert "pvectl.toml:7:14: error NOT_IN_RELEASE" in told.out
        assert 'write release = "9.2" in [target] of pvectl.toml' in flat(told.err)
        assert site.untouched


def test_a_key_that_an_update_brought_is_sent_where_that_is_allowed(tmp_path: Path) -> None:
    """The package that brings a key is older than the release that shipped it."""
    key = '[storage.lv]\ntype = "lvm"\nvgname = "lv"\nsaferemove_stepsize = 8\n'
    with cluster(tmp_path, "9.0") as site:
        site.target()
        site.write("storages.toml", key)
        assert site.run("plan", "--state", "state").status == ExitStatus.REFUSED
        flag = ("--allow", "NOT_IN_RELEASE=storage.lv")
        planned = site.run("plan", "--state", "state", *flag)
        assert planned.status == ExitStatus.OK, planned.err
        refused = site.run("apply", "--state", "state", "--yes", *flag)
        assert refused.status == ExitStatus.RESTORED
        assert "saferemove-stepsize: property is not defined in schema" in flat(refused.out)
        assert b"lvm: lv" not in files_of(site.cluster.folder)["storage.cfg"]


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_files_of_another_release_are_told_which_one(tmp_path: Path, command: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "pvectl.toml").write_text(
        '[target.old]\nendpoint = "sandbox:pve"\n[lockout]\nkeep_self = ["VM.Monitor on /"]\n'
    )
    (state / "access.toml").write_text('[role.old]\nprivileges = ["VM.Monitor"]\n')
    told = pvectl(command, "--state", "state", cwd=tmp_path)
    assert told.status == ExitStatus.FILES_INVALID
    assert 'valid for Proxmox VE 8.4: if the cluster runs it, write release = "8.4" in' in told.err
    assert "[target.old] of pvectl.toml" in told.err
    (state / "more.toml").write_text('[role.new]\nprivileges = ["VM.Replicate"]\n')
    assert "valid for" not in pvectl(command, "--state", "state", cwd=tmp_path).err


def test_a_9_0_cluster_is_supported_without_a_word(tmp_path: Path) -> None:
    with cluster(tmp_path, "9.0") as site:
        site.write("access.toml", OLD.replace("VM.Monitor", "VM.GuestAgent.Audit"))
        planned = site.run("plan", "--state", "state")
        assert planned.status == ExitStatus.OK, planned.err
        assert "RELEASE" not in flat(planned.out)
        assert site.run("apply", "--state", "state", "--yes").status == ExitStatus.OK
        assert "Plan: no changes" in site.run("plan", "--state", "state").out


def test_a_release_of_the_future_is_seen_evaluated_shown_and_told(tmp_path: Path) -> None:
    with cluster(tmp_path, **the_future()) as site:
        site.write("access.toml", OLD.replace("VM.Monitor", "VM.Backup"))
        planned = site.run("plan", "--state", "state")
        assert planned.status == ExitStatus.OK, planned.err + planned.out
        for told in ("UNTESTED_RELEASE", "Proxmox VE 10.0", "RELEASE_DIFFERS"):
            assert told in flat(planned.out)
        assert "new built-in role PVETeleporter" in flat(planned.out)
        assert "PVEVMUser also holds VM.Teleport" in flat(planned.out)
        number = len(NEWEST.roles["PVEVMUser"]) + 1
        assert f"anna@pve gains the {number} privileges of PVEVMUser" in flat(planned.out)
        assert site.run("apply", "--state", "state", "--yes").status == ExitStatus.OK
        able = site.run("who-can", "VM.Teleport", "/vms/9000", "--state", "state")
        assert "anna@pve" in able.out
        why = site.run("explain", "anna@pve", "/vms/9000", "VM.Teleport", "--state", "state")
        assert "PVEVMUser" in why.out
        assert "no privilege" not in why.err
        report = site.run("report", "--state", "state")
        assert report.status == ExitStatus.OK, report.err
        assert "VM.Teleport" in report.out


def test_a_role_that_is_new_in_the_future_may_be_granted(tmp_path: Path) -> None:
    with cluster(tmp_path, **the_future()) as site:
        site.write(
            "access.toml",
            OLD.replace('"monitors", "PVEVMUser"', '"PVETeleporter"').replace(
                "VM.Monitor", "VM.Backup"
            ),
        )
        planned = site.run("plan", "--state", "state")
        assert "anna@pve gains VM.Teleport on /vms/9000" in flat(planned.out), planned.out
        assert site.run("apply", "--state", "state", "--yes").status == ExitStatus.OK
        able = site.run("who-can", "VM.Teleport", "/vms/9000", "--state", "state")
        assert "anna@pve" in able.out
        unknown = site.run("who-can", "VM.Telepor", "/vms/9000", "--state", "state")
        assert unknown.status == ExitStatus.USAGE
        assert "did you mean VM.Teleport?" in unknown.err


@pytest.mark.parametrize("text", ["9.7", "8.4.1", "newest"])
def test_an_unknown_release_is_refused_with_the_known_ones(site: Site, text: str) -> None:
    asked = site.run("validate", "--state", "state", "--release", text)
    assert asked.status == ExitStatus.USAGE
    assert "7.4, 8.0, 8.1, 8.2, 8.3, 8.4, 9.0, 9.1, 9.2" in asked.err
    site.target(release=text)
    written = site.run("validate", "--state", "state")
    assert written.status == ExitStatus.FILES_INVALID
    assert "pvectl.toml:5:" in written.out
    assert "7.4, 8.0, 8.1, 8.2, 8.3, 8.4, 9.0, 9.1, 9.2" in written.out


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": "nine"}', '{"roles": {"PVEX": "VM.Audit"}}', '{"colour": 1}']
)
def test_a_sandbox_json_that_is_not_understood_is_named(tmp_path: Path, text: str) -> None:
    folder = copy_fixture("fresh", tmp_path / "pve")
    (folder / "sandbox.json").write_text(text)
    state = tmp_path / "state"
    state.mkdir()
    (state / "pvectl.toml").write_text('[target]\nendpoint = "sandbox:../pve"\n')
    ended = pvectl("plan", "--state", "state", cwd=tmp_path)
    assert ended.status == ExitStatus.USAGE
    assert "sandbox.json is not understood" in ended.err


def test_the_sandbox_as_8_4_refuses_what_8_4_does_not_know(tmp_path: Path) -> None:
    store = Store(copy_fixture("fresh", tmp_path / "pve"), version="8.4")
    ctx = Context(store, "root@pam")
    assert call(ctx, "GET", "/version", {})["release"] == "8.4"
    call(ctx, "POST", "/access/roles", {"roleid": "old", "privs": "VM.Monitor"})
    assert call(ctx, "GET", "/access/roles/old", {}) == {"VM.Monitor": 1}
    entry: dict[str, ParameterValue | None] = {"users": "root@pam", "roles": "old"}
    refused: list[tuple[str, str, dict[str, ParameterValue | None]]] = [
        ("POST", "/access/roles", {"roleid": "new", "privs": "VM.GuestAgent.Audit"}),
        ("PUT", "/access/acl", {**entry, "path": "/sdn/fabrics/f"}),
        ("POST", "/storage", {**CHAINED, "storage": "chained", "type": "dir"}),
    ]
    for method, path, given in refused:
        with pytest.raises(ApiError) as error:
            call(ctx, method, path, given)
        assert error.value.status == 400
        call(Context(Store(store.folder, version="9.0"), "root@pam"), method, path, given)


def test_a_schema_has_the_privileges_of_its_release(site: Site) -> None:
    old = site.run("schema", "--release", "8.4").out
    assert '"VM.Monitor"' in old
    assert '"VM.GuestAgent.Audit"' not in old
    assert '"snapshot_as_volume_chain"' not in old
    assert '"query_userinfo"' in old
    assert '"VM.Monitor"' not in site.run("schema").out


def test_the_state_folder_names_the_release_of_a_trusted_target(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "pve").mkdir()
    (tmp_path / "settings.toml").write_text('[target]\nendpoint = "sandbox:pve"\n')
    (state / "pvectl.toml").write_text('[target]\nrelease = "8.4"\n')
    (state / "access.toml").write_text('[role.old]\nprivileges = ["VM.Monitor"]\n')
    command = ("validate", "--state", "state", "--settings", "settings.toml")
    assert pvectl(*command, cwd=tmp_path).status == ExitStatus.OK
    newer = pvectl(*command, "--release", "9.1", cwd=tmp_path)
    assert newer.status == ExitStatus.FILES_INVALID
