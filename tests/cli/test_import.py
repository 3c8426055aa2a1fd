"""From a cluster to files: init, import, snapshot."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import ExitStatus
from tests.cli.site import ROOT_TOKEN, SELF_BACKUP, Site, clear
from tests.support.command import copy_fixture


def test_a_first_folder_is_made_once(site: Site, tmp_path: Path) -> None:
    made = site.run("init", "--state", "first", "--endpoint", site.cluster.url)
    assert made.status == ExitStatus.OK
    folder = tmp_path / "first"
    before = {path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    assert {"pvectl.toml", "access.toml"} <= before.keys()
    assert site.run("validate", "--state", "first").status == ExitStatus.OK
    assert site.run("fmt", "--check", "--state", "first").status == ExitStatus.OK
    again = site.run("init", "--state", "first")
    assert again.status == ExitStatus.USAGE
    assert {
        path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()
    } == before


def test_what_is_imported_plans_to_no_change(site: Site, tmp_path: Path) -> None:
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    imported = site.run("import", "--out", "imported")
    assert imported.status == ExitStatus.OK, imported
    folder = tmp_path / "imported"
    site.write("a.toml", "")
    for path in folder.glob("*.toml"):
        site.write(path.name, path.read_bytes())
    plan = site.run("plan", "--detailed-exitcode")
    assert plan.status == ExitStatus.OK, plan
    assert "felhom-ctl@pve!ctl" in (folder / "access.toml").read_text()
    assert "secrets/" in (folder / ".gitignore").read_text().splitlines()
    secret = (site.state / "secrets" / "felhom-ctl").read_text().strip()
    assert not [
        path for path in folder.rglob("*.*") if path.is_file() and secret in path.read_text()
    ]


def test_an_import_overwrites_nothing(site: Site, tmp_path: Path) -> None:
    folder = clear(tmp_path / "imported")
    (folder / "users.toml").write_text("# mine\n[group.mine]\n")
    ended = site.run("import", "--out", "imported")
    assert ended.status == ExitStatus.USAGE
    assert "users.toml" in ended.err
    assert [path.name for path in folder.iterdir()] == ["users.toml"]


def test_a_first_folder_is_filled_with_what_is_there(site: Site, tmp_path: Path) -> None:
    """Comments stay where they are."""
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    trust = ("--fingerprint", site.cluster.fingerprint, "--token-id", ROOT_TOKEN)
    site.run("init", "--state", "first", "--endpoint", site.cluster.url, *trust)
    first = (tmp_path / "first" / "access.toml").read_text()
    imported = site.run("import", "--state", "first")
    assert imported.status == ExitStatus.OK, imported
    text = (tmp_path / "first" / "access.toml").read_text()
    assert text.startswith(first)
    assert "felhom-ctl@pve!ctl" in text
    assert site.run("fmt", "--check", "--state", "first").status == ExitStatus.OK
    assert site.run("plan", "--state", "first", "--detailed-exitcode").status == ExitStatus.OK


def test_a_first_folder_finds_its_sandbox(site: Site, tmp_path: Path) -> None:
    """The folder is named from where the command runs, and written as seen from the settings."""
    copy_fixture("fresh", tmp_path / "pve")
    assert (
        site.run("init", "--state", "some/where", "--endpoint", "sandbox:pve").status
        == ExitStatus.OK
    )
    planned = site.run("plan", "--state", "some/where")
    assert planned.status == ExitStatus.OK, planned
    assert "root@pam" in planned.out


def test_a_snapshot_serves_plans_without_credentials(site: Site, tmp_path: Path) -> None:
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    secret = (site.state / "secrets" / "felhom-ctl").read_text().strip()
    assert site.run("snapshot", "--out", "copy").status == ExitStatus.OK
    copy = tmp_path / "copy"
    kept = [path for path in copy.rglob("*") if path.is_file()]
    assert not [path for path in kept if secret in path.read_text()]
    del site.env["PVECTL_TOKEN_SECRET"]
    site.write("a.toml", SELF_BACKUP + "\n[group.more]\n")
    plan = site.run("plan", "--on", f"sandbox:{copy}")
    assert plan.status == ExitStatus.OK, plan
    assert "1 to create, 0 to change, 0 to delete" in plan.out


def test_a_weak_token_imports_nothing(site: Site, tmp_path: Path) -> None:
    site.give_token("weak@pve!t1", "33333333-2222-4333-8444-555555555555")
    site.target("weak@pve!t1")
    assert site.run("import", "--out", "imported").status == ExitStatus.BLIND
    assert site.run("snapshot", "--out", "copy").status == ExitStatus.BLIND
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "copy").exists()
    assert ROOT_TOKEN in site.user_cfg()


def test_a_snapshot_of_three_nodes_plans_as_the_cluster_does(site: Site, tmp_path: Path) -> None:
    copy_fixture("fresh", tmp_path / "three")
    nodes = tmp_path / "three" / "nodes"
    (nodes / "node-b" / "lxc").mkdir(parents=True)
    (nodes / "node-b" / "lxc" / "301.conf").write_text("hostname: web\n")
    (nodes / "node-c").mkdir()
    assert site.run("snapshot", "--on", "sandbox:three", "--out", "copy").status == ExitStatus.OK
    site.write("three.toml", _ON_TWO_NODES)
    plans = [site.run("plan", "--on", f"sandbox:{name}") for name in ("three", "copy")]
    assert [plan.status for plan in plans] == [0, 0], plans
    steps = [plan.out.partition("Steps\n")[2].partition("To apply")[0] for plan in plans]
    assert "node-b, node-c" in steps[0]
    assert steps[0] == steps[1]


_ON_TWO_NODES = """
[storage.onb]
type = "dir"
path = "/mnt/b"
nodes = ["node-b", "node-c"]

[pool.three]
guests = [301]
"""
