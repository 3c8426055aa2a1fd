"""Clusters and state files as people have them, each with what is right."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.support.command import Ended

CASES = Path(__file__).parent.parent / "data" / "cases"
CANARIES = ("CANARY-pw-77", "CANARY-pbs-88")


class Case:
    """A copy of one case, free to be changed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        shutil.copytree(CASES / name, folder, dirs_exist_ok=True)
        self.pve, self.state = folder / "pve", folder / "state"
        self.state.mkdir(exist_ok=True)

    def ask(self, *arguments: object, state: Path | None = None) -> Ended:
        return ask(*arguments, on=self.pve, state=state or self.state)

    def plan(self, state: Path | None = None, on: Path | None = None) -> Any:
        return ask_json("plan", on=on or self.pve, state=state or self.state)

    def codes(self, state: Path | None = None) -> dict[str, str]:
        return {one["code"]: one["message"] for one in self.plan(state)["findings"]}

    def get(self, *path: str) -> Any:
        return SandboxApi(self.pve).get([request("GET", *path)])[0]

    def is_reached(self) -> None:
        """Apply succeeds, and nothing is left to do."""
        done = self.ask("apply", "--yes")
        assert done.status == ExitStatus.OK, done
        assert self.plan()["steps"] == []


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Case(request.param, tmp_path / "case")


def of(*names: str) -> Any:
    return pytest.mark.parametrize("case", names, indirect=True)


def names() -> list[str]:
    return sorted(path.name for path in CASES.iterdir())


@of(*names())
def test_what_is_imported_plans_to_nothing_here_and_on_a_snapshot(case: Case) -> None:
    out = case.pve.parent / "imported"
    imported = case.ask("import", state=out)
    assert imported.status == ExitStatus.OK, imported
    assert case.plan(out)["steps"] == []
    snapshot = case.pve.parent / "snapshot"
    assert case.ask("snapshot", "--out", snapshot).status == ExitStatus.OK
    here, there = case.plan(out), case.plan(out, on=snapshot)
    for plan in (here, there):
        plan["findings"] = [
            one for one in plan["findings"] if one["code"] not in {"NOT_READ", "FILE_UNWRITABLE"}
        ]
        for one in plan["findings"]:
            one["hint"] = one.get("hint", "").partition(" --on ")[0]
        del plan["cluster"], plan["digest"]
    assert here == there


@of(*names())
def test_no_secret_is_in_any_output(case: Case) -> None:
    out = case.pve.parent / "imported"
    said = [case.ask("import", state=out), case.ask("plan", state=out), case.ask("validate")]
    said.append(case.ask("explain", "root@pam", "/", state=out))
    for ended in said:
        assert not any(canary in ended.out + ended.err for canary in CANARIES)


PASSED_OVER = {
    "jobs-cron-syntax": ["jobs.cfg:1:", "jobs.cfg:3:"],
    "pve8-roles": ["storage.cfg:4:", "user.cfg:6:", "user.cfg:8:", "user.cfg:10:", "user.cfg:16:"],
    "storage-without-path": ["jobs.cfg:1:", "storage.cfg:22:"],
}


@of(*PASSED_OVER)
@pytest.mark.parametrize("command", ["import", "plan", "drift", "snapshot", "validate"])
def test_what_is_passed_over_is_listed_once_by_file_and_line(case: Case, command: str) -> None:
    more = ("--out", case.pve.parent / "out") if command in {"import", "snapshot"} else ()
    ended = case.ask(command, *more)
    said = " ".join((ended.out + ended.err).split())
    for place in PASSED_OVER[case.name]:
        assert said.count(f" {place} Proxmox VE") == 1, (place, said)


@of("pve8-roles")
def test_what_an_earlier_release_has_is_imported_for_that_release(case: Case) -> None:
    (case.pve / "sandbox.json").write_text('{"version": "8.4.1"}')
    imported = case.ask("import")
    assert imported.status == ExitStatus.OK, imported
    assert '"VM.Monitor"' in (case.state / "roles.toml").read_text()
    assert (case.state / "pvectl.toml").read_text() == '[target]\nrelease = "8.4"\n'
    assert case.plan()["steps"] == []


@of("jobs-cron-syntax")
def test_a_section_that_cannot_be_read_forbids_changes_of_its_file(case: Case) -> None:
    new = case.pve.parent / "state-new"
    applied = case.ask("apply", "--yes", state=new)
    assert applied.status == ExitStatus.REFUSED
    assert "jobs.cfg:1: Proxmox VE skips section backup-five" in " ".join(applied.out.split())
    text = (case.pve / "jobs.cfg").read_text()
    (case.pve / "jobs.cfg").write_text(text[text.index("vzdump: backup-ok") :])
    assert case.ask("apply", "--yes", state=new).status == ExitStatus.OK


@of("vzdump-cron-leftover")
def test_jobs_of_vzdump_cron_are_jobs(case: Case) -> None:
    first, second = case.get("cluster", "backup")
    raw = (case.pve / "vzdump.cron").read_bytes()
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    assert first == {
        "id": f"{digest}:1",
        "enabled": 1,
        "schedule": "sat 01:30",
        "vmid": "100,101",
        "mailnotification": "always",
        "quiet": 1,
        "mode": "snapshot",
        "storage": "nas",
        "compress": "zstd",
        "mailto": "admin@example.com",
    }
    assert (second["enabled"], second["schedule"], second["all"]) == (0, "03:00", 1)
    assert case.get("cluster", "backup", first["id"]) == first
    assert case.get("cluster", "backup-info", "not-backed-up") == []
    assert "NOT_BACKED_UP" not in case.codes()


@of("vzdump-cron-leftover")
def test_a_changed_job_moves_to_jobs_cfg_and_a_deleted_one_goes(case: Case) -> None:
    assert case.ask("import").status == ExitStatus.OK
    file = case.state / "backups.toml"
    file.write_text(file.read_text().replace('"sat 01:30"', '"sat 02:30"'))
    assert "gives backup." in case.codes()["OLD_JOBS"]
    assert case.ask("apply", "--yes").status == ExitStatus.OK
    moved = [job for job in case.get("cluster", "backup") if job.get("type") == "vzdump"]
    assert [job["schedule"] for job in moved] == ["sat 02:30"]
    left = next(job for job in case.get("cluster", "backup") if "type" not in job)
    assert left["all"] == 1
    SandboxApi(case.pve).send(request("DELETE", "cluster", "backup", left["id"]))
    assert [job["id"] for job in case.get("cluster", "backup")] == [moved[0]["id"]]
    assert "vzdump" not in (case.pve / "vzdump.cron").read_text().partition("PATH")[2]


@of("vzdump-cron-converted")
def test_a_converted_job_can_be_changed_and_deleted(case: Case) -> None:
    assert case.ask("import").status == ExitStatus.OK
    file = case.state / "backups.toml"
    file.write_text(file.read_text().replace('"zstd"', '"lzo"'))
    case.is_reached()
    assert case.get("cluster", "backup")[0]["compress"] == "lzo"


@of("storage-without-path")
def test_a_mounted_storage_without_a_path_is_read(case: Case) -> None:
    storages = {row["storage"]: row for row in case.get("storage")}
    assert storages["smb"]["path"] == "/mnt/pve/smb"
    imported = case.ask("import")
    assert "script of backup.backup-33333333-cccc is in no file" in imported.err + imported.out
    (case.state / "more.toml").write_text('[storage.more]\ntype = "dir"\npath = "/srv"\n')
    case.is_reached()


@of("storage-without-path")
def test_another_spelling_of_a_schedule_is_not_a_difference(case: Case) -> None:
    assert case.ask("import").status == ExitStatus.OK
    file = case.state / "backups.toml"
    assert 'schedule = "2:00"' in file.read_text()
    file.write_text(file.read_text().replace('"2:00"', '"02:00"'))
    assert case.plan()["steps"] == []


@of("path-trailing-slash")
def test_paths_are_kept_in_canonical_form(case: Case) -> None:
    assert [c["address"] for s in case.plan()["steps"] for c in s["changes"]] == ["storage.new1"]
    case.is_reached()
    assert {row["storage"]: row["path"] for row in case.get("storage")} == {
        "local": "/var/lib/vz",
        "media": "/mnt/media",
        "new1": "/mnt/new1",
    }


@of("zfspool-mountpoint")
def test_what_proxmox_ve_adds_to_a_new_storage_is_not_a_change(case: Case) -> None:
    case.is_reached()
    rows = {row["storage"]: row for row in case.get("storage")}
    assert rows["hdd-8t"]["mountpoint"] == "/hdd-8t"
    assert rows["zi"]["zfs-base-path"] == "/dev/zvol"
    text = (case.state / "s.toml").read_text()
    (case.state / "s.toml").write_text(text.replace('pool = "hdd-8t"', 'pool = "other"'))
    done = case.ask("apply", "--yes", "--allow", "REPLACE=storage.hdd-8t")
    assert done.status == ExitStatus.OK, done
    rows = {row["storage"]: row for row in case.get("storage")}
    assert rows["hdd-8t"]["mountpoint"] == "/other"


@of("sync-defaults-full-purge")
def test_full_and_purge_of_a_realm_are_what_is_stored_of_them(case: Case) -> None:
    declared = 'sync_defaults_options = "full=1,purge=1,scope=both"'
    assert case.ask("import").status == ExitStatus.OK
    file = case.state / "realms.toml"
    lines = [
        declared if line.startswith("sync_defaults") else line
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines))
    assert declared in file.read_text()
    assert case.plan()["steps"] == []
    (case.pve / "domains.cfg").unlink()
    case.is_reached()
    assert "remove-vanished" in (case.pve / "domains.cfg").read_text()


@of("sync-job-inherits")
def test_a_job_says_what_it_does_not_take_from_its_realm(case: Case) -> None:
    shown = case.ask("plan").out
    assert "remove_vanished  none" in shown
    assert "enable_new       yes" in shown
    case.is_reached()
    text = (case.pve / "jobs.cfg").read_text()
    assert "\tenable-new 1\n\tremove-vanished none\n" in text
    (case.pve / "jobs.cfg").write_text(text.replace("\tremove-vanished none\n", ""))
    assert len(case.plan()["steps"]) == 1
    file = case.state / "l.toml"
    file.write_text(file.read_text().replace('scope = "both"\nenable', "enable"))
    assert "scope            both" in ask("plan", on=_fresh(case), state=case.state).out


def _fresh(case: Case) -> Path:
    folder = case.pve.parent / "fresh"
    folder.mkdir()
    shutil.copy(case.pve / "user.cfg", folder)
    return folder


ON_PURPOSE = """
[[no_backup]]
pools = ["test"]
templates = true
reason = "made again from a script"
"""


@of("left-out-of-backup-on-purpose")
def test_guests_are_left_out_of_backups_on_purpose(case: Case) -> None:
    assert "guests 9000, 9001" in case.codes()["NOT_BACKED_UP"]
    file = case.state / "b.toml"
    declared = file.read_text()
    file.write_text(declared + ON_PURPOSE)
    assert case.codes() == {}
    assert case.ask("validate").status == ExitStatus.OK
    file.write_text(declared.replace("guest.101", "pool.test") + ON_PURPOSE)
    assert set(case.codes()) == {"NOT_BACKED_UP"}
    file.write_text(declared.replace("guests = [100]", "guests = [100, 101]") + ON_PURPOSE)
    assert set(case.codes()) == {"SAVED_ALL_THE_SAME"}
    file.write_text(declared + ON_PURPOSE + "expires = 2020-01-01\n")
    assert set(case.codes()) == {"NOT_BACKED_UP", "WAIVER_EXPIRED"}
    file.write_text(declared + ON_PURPOSE.replace("templates = true", "").replace("test", "gone"))
    assert set(case.codes()) == {"NOT_BACKED_UP", "WAIVER_UNUSED"}
    file.write_text(declared + ON_PURPOSE.replace('"test"', '"test", "gone"'))
    assert case.codes() == {
        "WAIVER_UNUSED": "[[no_backup]] names pool gone, which matches no guest of the cluster"
    }
    file.write_text('[[no_backup]]\nreason = "nothing"\n')
    assert case.ask("validate").status == ExitStatus.FILES_INVALID
