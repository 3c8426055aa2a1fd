"""Backups as the installed command judges them, over HTTPS."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.support.command import FIXTURES, copy_fixture, sandbox

RUN = ("backup", "run", "felhom-nightly", "--yes")
JOB = '[backup.felhom-nightly]\nschedule = "02:30"\nstorage = "local"\nguests = [9001]\n'
_DATA = "fresh=1 stale=0 never=0 unknown=0 no_job=0 left_out=1 drills_overdue=0"
LEFT_OUT = '[[no_backup]]\nguests = [9000]\nreason = "rebuilt from scratch each night"\n'


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Site]:
    """The cluster of the recordings, with its archives of two months."""
    folder = copy_fixture("backups", tmp_path / "cluster" / "pve")
    shutil.copytree(FIXTURES / "backups.run", tmp_path / "cluster" / "pve.run")
    with sandbox(folder, {"PVECTL_SANDBOX_LOCK_WAIT": "0"}) as served:
        site = Site(tmp_path, served, {})
        site.env["PVECTL_HOME"] = str(site.home)
        site.target()
        site.write("backup.toml", JOB)
        yield site


def dump(site: Site) -> Path:
    return site.cluster.folder.parent / "pve.run" / "storage" / "local" / "dump"


def test_from_stale_to_fresh(saved: Site) -> None:
    for path in dump(saved).glob("vzdump-lxc-9001-2026_11_*"):
        path.unlink()
    stale = saved.run("backup", "status")
    assert stale.status == ExitStatus.CHANGES, stale
    assert stale.out.startswith("Backups of 2 guests: 1 stale, 1 in no job.\n")
    assert "9001 (demo-ct)  job felhom-nightly: a run was due at " in stale.out
    assert saved.run(*RUN).status == ExitStatus.OK
    saved.write("left.toml", LEFT_OUT)
    fresh = saved.run("backup", "status", "--format", "text", "--format", "metrics=m.prom")
    assert fresh.status == ExitStatus.OK, fresh
    assert fresh.out.startswith("Backups of 2 guests: 1 fresh, 1 excluded on purpose.\n")
    assert "last backup  demo-felhom  " in fresh.out
    assert ": OK\n" in fresh.out
    plugin = saved.run("backup", "status", "--format", "nagios")
    assert (plugin.status, plugin.out.partition(" - ")[0]) == (0, "PVECTL BACKUP OK")
    assert plugin.out.rstrip().endswith(": 2 guests: 1 fresh, 1 excluded on purpose | " + _DATA)
    metrics = (saved.folder / "m.prom").read_text()
    assert 'pvectl_backup_success{target="default"} 1' in metrics
    assert 'pvectl_backup_guests{cluster="' in metrics
    assert 'guest="9001",storage="local"} ' in metrics


def test_archives_of_guests_that_are_gone_and_one_that_shrank(saved: Site) -> None:
    assert saved.run(*RUN).status == ExitStatus.OK
    newest = max(dump(saved).glob("*.tar*"))
    newest.write_bytes(b"x")
    (dump(saved) / "vzdump-qemu-777-2026_01_01-02_30_00.vma.zst").write_bytes(bytes(4096))
    ended = saved.run("backup", "status", "--format", "text", "--format", "json=s.json")
    assert "777  1 archive, 4.0 KiB, the newest " in ended.out
    assert f"local:backup/{newest.name}: 1 B, previously " in ended.out
    status = json.loads((saved.folder / "s.json").read_text())
    assert [one["guest"] for one in status["guests"]] == [9000, 9001]
    assert list(status["orphans"]) == ["777"]


def test_what_the_caller_cannot_see_is_not_an_alarm(saved: Site) -> None:
    """Proxmox VE shows it an empty list."""
    saved.give_token(
        "eye@pve!t1",
        "00000000-0000-4000-8000-00000000000e",
        ["acl:1:/:eye@pve,eye@pve!t1:PVEAuditor:"],
    )
    saved.target("eye@pve!t1", "00000000-0000-4000-8000-00000000000e")
    ended = saved.run("backup", "status")
    assert ended.status == ExitStatus.CHANGES, ended
    assert "Not read\n  local  Datastore.AllocateSpace on /storage/local is missing" in ended.out
    assert "2 not visible" in ended.out
    assert "never backed up" not in ended.out


def test_status_is_about_all_guests(saved: Site) -> None:
    ended = saved.run("backup", "status", "felhom-nightly")
    assert ended.status == ExitStatus.USAGE
    assert "`backup status` takes no job: it covers all guests" in ended.err
