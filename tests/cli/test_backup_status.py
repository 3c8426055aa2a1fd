"""Backups as the installed command judges them, over HTTPS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.cli.site import Site
from tests.support.command import copy_fixture

RUN = ("backup", "run", "felhom-nightly", "--yes")
JOB = '[backup.felhom-nightly]\nschedule = "02:30"\nstorage = "local"\nguests = [9001]\n'
_DATA = "fresh=1 stale=0 never=0 unknown=0 no_job=0 left_out=1 drills_overdue=0"
LEFT_OUT = '[[no_backup]]\nguests = [9000]\nreason = "rebuilt from scratch each night"\n'


@pytest.fixture
def saved(with_archives: Site) -> Site:
    """Its nightly job is declared."""
    with_archives.write("backup.toml", JOB)
    return with_archives


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


def test_disks_that_no_backup_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    pve, state = copy_fixture("backups", tmp_path / "pve"), tmp_path / "state"
    state.mkdir()
    (guest,) = pve.glob("nodes/*/lxc/9001.conf")
    (machine,) = pve.glob("nodes/*/qemu-server/9000.conf")
    guest.write_text(
        guest.read_text() + "mp0: local-lvm:vm-9001-disk-1,mp=/a,size=4G\nmp1: /srv/b,mp=/b\n"
        "mp2: local-lvm:vm-9001-disk-2,mp=/c,backup=1,size=1G\n"
    )
    machine.write_text(machine.read_text() + "scsi1: local-lvm:vm-9000-disk-1,backup=no\n")
    (state / "jobs.toml").write_text(JOB.replace("[9001]", "[9000, 9001]"))
    assert ask("apply", "--yes", on=pve, state=state).status == ExitStatus.OK
    formats = ("--format", "text", "--format", f"json={tmp_path / 's.json'}")
    said = " ".join(ask("backup", "status", *formats, on=pve, state=state).out.split())
    assert "2 without all disks" in said
    assert "mp0 on local-lvm:vm-9001-disk-1 (without backup=1), mp1 on /srv/b (of the node" in said
    assert "scsi1 on local-lvm:vm-9000-disk-1 (backup=0)" in said
    status = json.loads((tmp_path / "s.json").read_text())
    disks = {one["guest"]: [disk["key"] for disk in one["left_out"]] for one in status["guests"]}
    assert disks == {9000: ["scsi1"], 9001: ["mp0", "mp1"]}
    told = " ".join(ask("drift", on=pve, state=state).out.split())
    assert "not all of their disks: guests 9000 (scsi1), 9001 (mp0, mp1)" in told
    (state / "w.toml").write_text(
        '[[waive]]\ncode = "DISKS_LEFT_OUT"\naddress = "guest.9001"\nexpires = 2090-01-01\n'
        'reason = "scratch"\n'
    )
    told = " ".join(ask("drift", on=pve, state=state).out.split())
    assert "not all of their disks: guest 9000 (scsi1)" in told
    assert "WAIVER" not in told + ask("plan", on=pve, state=state).out
