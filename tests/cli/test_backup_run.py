"""A declared backup job is run on request, and each guest is judged by what the storage holds."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.support.command import copy_fixture, sandbox

JOB = """
[backup.nightly]
schedule = "02:30"
storage = "local"
guests = [9001]
"""

OPERATOR = """
[role.Operator]
privileges = [PRIVILEGES]

[user."op@pve"]

[user."op@pve".token.ci]
privsep = false
secret_to = { file = "secrets/op" }

[[acl]]
roles = ["Operator"]
paths = ["/"]
users = ["op@pve"]
"""
RUN = ("backup", "run", "nightly", "--yes")


@pytest.fixture
def nightly(site: Site) -> Site:
    site.write("backup.toml", JOB)
    applied = site.run("apply", "--yes")
    assert applied.status == ExitStatus.OK, applied
    return site


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[Site]:
    """Guest 9001 on the first node, 9500 on the second; one job for both."""
    folder = copy_fixture("backups", tmp_path / "cluster" / "pve")
    other = folder / "nodes" / "second" / "lxc"
    other.mkdir(parents=True)
    config = (folder / "nodes/demo-felhom/lxc/9001.conf").read_text()
    (other / "9500.conf").write_text(config.replace("9001", "9500").replace("90:01", "95:00"))
    with sandbox(folder, {"PVECTL_SANDBOX_LOCK_WAIT": "0"}) as served:
        site = Site(tmp_path, served, {})
        site.env["PVECTL_HOME"] = str(site.home)
        site.target()
        site.write("backup.toml", JOB.replace("[9001]", "[9001, 9500]"))
        yield site


def archives(site: Site, node: str = "") -> list[str]:
    run = site.cluster.folder.parent / "pve.run"
    base = run / "nodes" / node if node else run
    return sorted(path.name for path in (base / "storage/local/dump").glob("*.tar*"))


def test_a_job_runs_now_and_its_archive_is_named(nightly: Site) -> None:
    ended = nightly.run(*RUN)
    assert ended.status == ExitStatus.OK, ended
    assert ended.out.startswith("Backup job nightly: 1 guest backed up.\n")
    assert "9001 on demo-felhom  local:backup/vzdump-lxc-9001-" in ended.out
    assert "will back up 1 guest to storage local:\n  demo-felhom: 9001" in ended.err
    assert "no archives are removed" in ended.err
    assert "demo-felhom: started UPID:" in ended.err
    assert "INFO: Starting Backup of VM 9001 (lxc)" in ended.err


def test_nothing_runs_without_a_yes(nightly: Site) -> None:
    ended = nightly.run("backup", "run", "nightly")
    assert ended.status == ExitStatus.USAGE
    assert "pass --yes" in ended.err
    assert "started" not in ended.err


def test_all_nodes_are_saved_and_nothing_is_pruned(two_nodes: Site) -> None:
    two_nodes.write("backup.toml", JOB.replace("[9001]", "[9001, 9500]") + "keep = { last = 1 }\n")
    for _ in range(2):
        ended = two_nodes.run(*RUN, "--format", "json=run.json", "--format", "junit=run.xml")
        assert ended.status == ExitStatus.OK, ended
    done = json.loads((two_nodes.folder / "run.json").read_text())
    assert (done["saved"], done["failed"]) == (2, 0)
    assert [node["node"] for node in done["nodes"]] == ["demo-felhom", "second"]
    assert {node["ended"] for node in done["nodes"]} == {"OK"}
    suite = ET.parse(two_nodes.folder / "run.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")
    before = archives(two_nodes, "second")
    assert before
    pruned = two_nodes.run(*RUN, "--prune")
    assert pruned.status == ExitStatus.OK, pruned
    assert "older archives are then pruned" in pruned.err
    assert len(archives(two_nodes, "second")) == 1


def test_one_guest_of_the_job(two_nodes: Site) -> None:
    ended = two_nodes.run(*RUN, "--guest", "9500")
    assert ended.status == ExitStatus.OK, ended
    assert "9500 on second" in ended.out
    assert "9001" not in ended.out
    strange = two_nodes.run(*RUN, "--guest", "9000")
    assert strange.status == ExitStatus.USAGE
    assert "backup job nightly does not include 9000" in strange.err
    assert "it includes 9001, 9500" in strange.err
    words = two_nodes.run(*RUN, "--guest", "web", "--guest", "7")
    assert words.status == ExitStatus.USAGE
    assert "not web, 7" in words.err


def test_a_node_that_is_down_does_not_keep_the_others_from_their_turn(two_nodes: Site) -> None:
    down = two_nodes.cluster.folder.parent / "pve.run" / "nodes" / "second.down"
    down.parent.mkdir(parents=True, exist_ok=True)
    down.touch()
    ended = two_nodes.run(*RUN, "--format", "text", "--format", "json=run.json")
    assert ended.status == ExitStatus.PARTLY_SAVED, ended
    assert ended.out.startswith("Backup job nightly: 1 of 2 guests backed up.\n")
    assert "second could not be reached; whether the backup started is unknown" in " ".join(
        ended.out.split()
    )
    assert "restored" not in ended.out + ended.err
    done = json.loads((two_nodes.folder / "run.json").read_text())
    assert [bool(guest["archive"]) for node in done["nodes"] for guest in node["guests"]] == [
        True,
        False,
    ]
    only = two_nodes.run(*RUN, "--guest", "9500")
    assert only.status == ExitStatus.UNREACHABLE, only


def test_a_full_storage_saves_nothing(nightly: Site) -> None:
    free = nightly.cluster.folder.parent / "pve.run" / "storage" / "local" / "free"
    free.parent.mkdir(parents=True, exist_ok=True)
    free.write_text("10\n")
    try:
        ended = nightly.run(*RUN)
    finally:
        free.unlink()
    assert ended.status == ExitStatus.NOT_SAVED, ended
    assert ended.out.startswith("Backup job nightly: nothing was backed up.\n")


@pytest.mark.parametrize(
    ("privileges", "message"),
    [
        (
            '"VM.Audit", "VM.Backup", "Datastore.Audit"',
            "refused: op@pve!ci lacks Datastore.AllocateSpace on "
            "/storage/local pvectl explain 'op@pve!ci' /storage/local Datastore.AllocateSpace",
        ),
        (
            '"Sys.Audit"',
            "refused: op@pve!ci lacks Datastore.AllocateSpace on /storage/local",
        ),
        (
            '"VM.Audit", "Datastore.AllocateSpace"',
            "refused: op@pve!ci lacks VM.Backup on /vms/9001",
        ),
    ],
)
def test_a_job_that_its_caller_cannot_run_is_refused(
    privileges: str, message: str, nightly: Site
) -> None:
    nightly.write("op.toml", OPERATOR.replace("PRIVILEGES", privileges))
    assert nightly.run("apply", "--yes").status == ExitStatus.OK
    nightly.target("op@pve!ci", (nightly.state / "secrets" / "op").read_text().strip())
    ended = nightly.run(*RUN)
    assert ended.status == ExitStatus.REFUSED, ended
    assert message in " ".join(ended.out.split())


def test_only_a_declared_job_can_be_run(nightly: Site) -> None:
    ended = nightly.run("backup", "run", "nightli")
    assert ended.status == ExitStatus.USAGE
    assert "no backup job 'nightli' is declared" in ended.err
    assert "did you mean nightly?" in ended.err
    unknown = nightly.run("backup", "ran", "nightly")
    assert unknown.status == ExitStatus.USAGE
    assert "did you mean run?" in unknown.err
