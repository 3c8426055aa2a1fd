"""Backup jobs of the embedded Proxmox VE: rules that the recordings do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import Pve

JOBS = "/cluster/backup"
NIGHTLY = f"{JOBS}/nightly"
WRONG = "400 Parameter verification failed."
WRONG_IN_LOCK = f"500 {WRONG}"


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    return Pve(tmp_path)


def create(pve: Pve, actor: str = "root@pam", **options: Any) -> None:
    pve.post(JOBS, actor, **{"id": "nightly", "schedule": "daily", "vmid": "9001", **options})


def written(pve: Pve) -> dict[str, str]:
    """The only job, as in the file."""
    lines = pve.text("jobs.cfg").strip().split("\n")[1:]
    return dict(line.strip().split(" ", 1) for line in lines)


def user(pve: Pve, **grants: str) -> str:
    """A user who may edit jobs, with more privileges: `pool_a="VM.Backup"` on /pool/a."""
    pve.post("/access/users", userid="a@pve")
    for place, privileges in {"root": "Sys.Modify Sys.Audit", **grants}.items():
        pve.post("/access/roles", roleid=place, privs=privileges)
        path = "/" if place == "root" else "/" + place.replace("_", "/")
        pve.put("/access/acl", path=path, users="a@pve", roles=place)
    return "a@pve"


def forbidden(path: str, privilege: str) -> str:
    return f"403 Permission check failed ({path}, {privilege})"


# What a job saves


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        ({"vmid": "9001"}, {"all": "1"}, {"all": "1"}),
        ({"vmid": "9001"}, {"pool": "some"}, {"pool": "some"}),
        ({"all": "1", "exclude": "9000"}, {"vmid": "9001"}, {"vmid": "9001"}),
        ({"all": "1", "exclude": "9000"}, {"pool": "some"}, {"pool": "some"}),
        ({"pool": "some"}, {"vmid": "9001"}, {"vmid": "9001"}),
        ({"pool": "some"}, {"all": "1"}, {"all": "1"}),
        ({"pool": "some"}, {"all": "0"}, {"pool": "some"}),
        ({"all": "1"}, {"exclude": "9000"}, {"all": "1", "exclude": "9000"}),
        ({"exclude": "9000"}, {}, {"all": "1", "exclude": "9000"}),
        ({"all": "1", "exclude": "9000"}, {"delete": "exclude"}, {"all": "1"}),
        # An exclude makes the job one of all guests, an empty one too.
        ({"vmid": "9001"}, {"exclude": ""}, {"all": "1"}),
        ({"vmid": "9001"}, {"exclude": "9000"}, {"all": "1", "exclude": "9000"}),
        ({"vmid": "9001"}, {"vmid": "9001;9000"}, {"vmid": "9001;9000"}),
    ],
)
def test_what_was_given_last_says_which_guests_are_saved(
    pve: Pve, before: dict[str, str], given: dict[str, str], after: dict[str, str]
) -> None:
    pve.post("/pools", poolid="some")
    pve.post(JOBS, id="nightly", schedule="daily", **before)
    if given:
        pve.put(NIGHTLY, **given)
    job = written(pve)
    assert {key: job[key] for key in job if key not in ("schedule", "enabled")} == after


@pytest.mark.parametrize("given", [{"delete": "vmid"}, {"vmid": ""}, {"all": "0", "vmid": ""}])
def test_a_job_saves_something(pve: Pve, given: dict[str, str]) -> None:
    create(pve)
    before = pve.text("jobs.cfg")
    assert pve.refusal("PUT", NIGHTLY, **given).startswith(WRONG_IN_LOCK)
    assert pve.text("jobs.cfg") == before


@pytest.mark.parametrize(
    ("given", "guests"),
    [
        ({"vmid": "9001,9999"}, [9001, 9999]),
        ({"all": "1"}, [9000, 9001]),
        ({"exclude": "9001"}, [9000]),
        ({"pool": "some"}, [9000]),
        ({"all": "1", "node": "other"}, []),
    ],
)
def test_the_volumes_of_a_job(pve: Pve, given: dict[str, str], guests: list[int]) -> None:
    pve.post("/pools", poolid="some")
    pve.put("/pools", poolid="some", vms="9000")
    pve.post(JOBS, id="nightly", schedule="daily", **given)
    children = pve.get(f"{NIGHTLY}/included_volumes")["children"]
    assert [child["id"] for child in children] == guests
    rows = {
        9000: {
            "id": 9000,
            "type": "qemu",
            "name": "demo-vm",
            "leaf": 0,
            "children": [
                {
                    "id": "9000:scsi0",
                    "name": "local-lvm:vm-9000-disk-0",
                    "included": 1,
                    "reason": "enabled",
                    "leaf": 1,
                }
            ],
        },
        9999: {"id": 9999, "type": "unknown", "leaf": 1},
    }
    assert [child for child in children if child["id"] != 9001] == [
        rows[guest] for guest in guests if guest != 9001
    ]
    missing = {row["vmid"] for row in pve.get("/cluster/backup-info/not-backed-up")}
    assert missing == {9000, 9001}.difference(guests)


def test_volumes_are_shown_to_who_may_audit_the_guest(pve: Pve) -> None:
    who = user(pve, vms_9000="VM.Audit")
    pve.post(JOBS, id="nightly", schedule="daily", all=1)
    children = pve.get(f"{NIGHTLY}/included_volumes", who)["children"]
    assert [child["id"] for child in children] == [9000]
    pve.delete(NIGHTLY)
    assert [row["vmid"] for row in pve.get("/cluster/backup-info/not-backed-up", who)] == [9000]


def test_disks_that_are_left_out(pve: Pve) -> None:
    file = pve.folder / "nodes/demo-felhom/lxc/9001.conf"
    more = "mp0: local-lvm:vm-9001-disk-1,mp=/a,backup=1\nmp1: local-lvm:vm-9001-disk-2,mp=/b\n"
    file.write_text(file.read_text() + more + "mp2: /srv,mp=/c\n")
    create(pve)
    [guest] = pve.get(f"{NIGHTLY}/included_volumes")["children"]
    assert [(disk["id"], disk["included"], disk["reason"]) for disk in guest["children"]] == [
        ("9001:mp0", 1, "enabled"),
        ("9001:mp1", 0, "disabled"),
        ("9001:mp2", 0, "not a volume"),
        ("9001:rootfs", 1, "rootfs"),
    ]


# Options


def test_empty_texts_are_not_kept(pve: Pve) -> None:
    create(
        pve,
        comment="x",
        mailto="a@example.invalid",
        performance="max-workers=2",
        fleecing="1,storage=local-lvm",
    )
    pve.put(NIGHTLY, comment="", mailto="", performance="", fleecing="")
    assert written(pve) == {"schedule": "daily", "enabled": "1", "vmid": "9001"}


def test_an_empty_retention_keeps_everything(pve: Pve) -> None:
    create(pve, prune_backups="keep-last=3")
    pve.put(NIGHTLY, prune_backups="")
    assert written(pve)["prune-backups"] == "keep-all=1"
    assert pve.get(NIGHTLY)["prune-backups"] == {"keep-all": 1}


def test_property_strings_are_shown_taken_apart(pve: Pve) -> None:
    create(pve, performance="max-workers=2", fleecing="1,storage=local-lvm")
    job = pve.get(NIGHTLY)
    assert job["performance"] == {"max-workers": "2"}
    assert job["fleecing"] == {"enabled": 1, "storage": "local-lvm"}
    assert written(pve)["fleecing"] == "1,storage=local-lvm"


@pytest.mark.parametrize("option", ["schedule", "enabled", "id", "nonsense"])
def test_options_that_cannot_be_deleted(pve: Pve, option: str) -> None:
    create(pve)
    refusal = pve.refusal("PUT", NIGHTLY, delete=option)
    assert refusal.startswith(WRONG_IN_LOCK)


def test_deleting_what_is_not_set_is_fine(pve: Pve) -> None:
    create(pve, storage="local", compress="zstd")
    pve.put(NIGHTLY, delete="storage, comment;repeat-missed compress,compress")
    assert written(pve) == {"schedule": "daily", "enabled": "1", "vmid": "9001"}


def test_a_change_of_nothing(pve: Pve) -> None:
    create(pve)
    assert pve.refusal("PUT", NIGHTLY) == "500 no options specified"


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"starttime": "3:00"}, "3:00"),
        ({"starttime": "3:00", "dow": "mon,tue"}, "mon,tue 3:00"),
        ({"starttime": "3:00", "dow": "mon,tue,wed,thu,fri,sat,sun"}, "3:00"),
    ],
)
def test_the_old_way_to_say_when(pve: Pve, given: dict[str, str], schedule: str) -> None:
    create(pve)
    pve.put(NIGHTLY, **given)
    assert written(pve)["schedule"] == schedule


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (
            {"starttime": "3:00", "schedule": "daily"},
            f"{WRONG}; starttime: 'starttime' and 'schedule' cannot both be set",
        ),
        ({"dow": "mon"}, f"{WRONG}; starttime: missing property required by 'dow'"),
        (
            {"dow": "mo", "starttime": "3:00"},
            f"{WRONG}; dow: invalid format - invalid day 'mo'",
        ),
        (
            {"starttime": "3"},
            f"{WRONG}; starttime: value does not match the regex pattern",
        ),
    ],
)
def test_times_that_are_refused(pve: Pve, given: dict[str, str], refusal: str) -> None:
    create(pve)
    assert pve.refusal("PUT", NIGHTLY, **given) == refusal


@pytest.mark.parametrize("template", ["{{foo}}", "a\\b", "a\nb"])
def test_notes_that_are_refused(pve: Pve, template: str) -> None:
    create(pve)
    refusal = pve.refusal("PUT", NIGHTLY, notes_template=template, storage="local")
    assert refusal.startswith(WRONG_IN_LOCK)


def test_a_new_job_needs_a_time(pve: Pve) -> None:
    refusal = f"{WRONG}; schedule: neither 'starttime' nor 'schedule' were set"
    assert pve.refusal("POST", JOBS, vmid="9001") == refusal


def test_a_job_gets_a_name(pve: Pve) -> None:
    pve.post(JOBS, schedule="daily", vmid="9001")
    [row] = pve.get(JOBS)
    assert [len(part) for part in row["id"].split("-")] == [8, 4, 4, 4, 12]


def test_two_jobs_of_one_name(pve: Pve) -> None:
    create(pve)
    again = {"id": "nightly", "schedule": "daily", "vmid": "9001"}
    assert pve.refusal("POST", JOBS, **again) == "500 Job 'nightly' already exists"


def test_jobs_that_are_not_there(pve: Pve) -> None:
    unknown = f"{WRONG}; id: No such job 'nightly'"
    assert pve.refusal("GET", NIGHTLY) == unknown
    assert pve.refusal("GET", f"{NIGHTLY}/included_volumes") == unknown
    assert pve.refusal("PUT", NIGHTLY, enabled=1) == "500 no such vzdump job"
    assert pve.refusal("DELETE", NIGHTLY) == WRONG_IN_LOCK


def test_a_job_of_another_kind(pve: Pve) -> None:
    """Its path is not one of backup jobs, and yet it can be deleted there, as in PVE."""
    pve.post(
        "/access/domains",
        realm="ld",
        type="ldap",
        base_dn_="dc=a",
        server1="a.invalid",
        user_attr_="uid",
    )
    pve.post(
        "/cluster/jobs/realm-sync/nightly",
        realm="ld",
        schedule="daily",
        scope="users",
        remove_vanished="none",
    )
    assert pve.refusal("GET", NIGHTLY) == f"{WRONG}; id: No such job 'nightly'"
    assert pve.refusal("PUT", NIGHTLY, enabled=1) == "500 no such vzdump job"
    assert pve.get(JOBS) == []
    pve.delete(NIGHTLY)
    assert pve.get("/cluster/jobs/realm-sync") == []


def test_the_next_run(pve: Pve) -> None:
    create(pve, schedule="tue 04:00", enabled=0)
    assert pve.get(JOBS)[0]["next-run"] == pve.now + 20 * 60
    pve.now += 20 * 60
    assert pve.get(JOBS)[0]["next-run"] == pve.now + 7 * 86400
    pve.put(NIGHTLY, schedule="2020-01-01")
    assert "next-run" not in pve.get(JOBS)[0]
    assert "next-run" not in pve.get(NIGHTLY)


# Rights


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, forbidden("/storage/local", "Datastore.Allocate")),
        ({"storage": "local-lvm"}, forbidden("/storage/local-lvm", "Datastore.Allocate")),
        ({"storage": "good", "pool": "some", "vmid": None}, forbidden("/pool/some", "VM.Backup")),
        (
            {"storage": "good", "pool": "nope", "vmid": None},
            "403 Permission check failed (pool 'nope' does not exist)",
        ),
        (
            {"storage": "good", "fleecing": "1,storage=local-lvm"},
            forbidden("/storage/local-lvm", "Datastore.AllocateSpace"),
        ),
        ({"storage": "good", "script": "/x"}, f"{WRONG}; script: Only root may set this option."),
        ({"dumpdir": "/x"}, f"{WRONG}; dumpdir: Only root may set this option."),
        ({"storage": "good", "tmpdir": "/x"}, f"{WRONG}; tmpdir: Only root may set this option."),
    ],
)
def test_options_that_need_more(pve: Pve, given: dict[str, str | None], refusal: str) -> None:
    who = user(pve, storage_good="Datastore.Allocate")
    pve.post("/pools", poolid="some")
    wanted = {"schedule": "daily", "vmid": "9001", **given}
    options = {key: value for key, value in wanted.items() if value is not None}
    assert pve.refusal("POST", JOBS, who, **options) == refusal
    assert pve.text("jobs.cfg") == ""


def test_with_the_rights_for_it(pve: Pve) -> None:
    who = user(pve, storage_good="Datastore.Allocate", pool_some="VM.Backup")
    pve.post("/pools", poolid="some")
    pve.post(JOBS, who, id="nightly", schedule="daily", pool="some", storage="good", bwlimit=5)
    pve.put(NIGHTLY, who, comment="x")
    pve.delete(NIGHTLY, who)
    assert pve.text("jobs.cfg") == ""


def test_the_storage_of_a_job_counts_before_and_after(pve: Pve) -> None:
    who = user(pve, storage_good="Datastore.Allocate")
    create(pve, storage="local-lvm")
    pve.post(JOBS, id="fine", schedule="daily", vmid="9001", storage="good")
    refusal = forbidden("/storage/local-lvm", "Datastore.Allocate")
    assert pve.refusal("PUT", NIGHTLY, who, comment="x").endswith(refusal)
    assert pve.refusal("PUT", NIGHTLY, who, storage="good").endswith(refusal)
    fine = f"{JOBS}/fine"
    assert pve.refusal("PUT", fine, who, storage="local-lvm") == refusal
    refusal = forbidden("/storage/local", "Datastore.Allocate")
    assert pve.refusal("PUT", fine, who, delete="storage") == refusal
    pve.put(fine, who, comment="x")


def test_a_job_into_a_folder_is_for_root_alone(pve: Pve) -> None:
    who = user(pve)
    create(pve, dumpdir="/srv/dump")
    refusal = pve.refusal("PUT", NIGHTLY, who, comment="x")
    assert refusal == "500 only root@pam may edit jobs with a 'dumpdir' option."


def test_reading_and_writing_jobs_need_rights_on_the_root(pve: Pve) -> None:
    create(pve)
    pve.post("/access/users", userid="b@pve")
    refusals = {
        ("GET", JOBS): "Sys.Audit",
        ("GET", NIGHTLY): "Sys.Audit",
        ("GET", f"{NIGHTLY}/included_volumes"): "Sys.Audit",
        ("GET", "/cluster/backup-info/not-backed-up"): "Sys.Audit",
        ("DELETE", NIGHTLY): "Sys.Modify",
    }
    for (method, path), privilege in refusals.items():
        assert pve.refusal(method, path, "b@pve") == forbidden("/", privilege)
    assert pve.refusal("PUT", NIGHTLY, "b@pve", enabled=1) == forbidden("/", "Sys.Modify")


# Times of runs


@pytest.mark.parametrize(
    ("given", "times"),
    [
        (
            {"schedule": "mon..fri 12:00", "iterations": "2"},
            ["Tue Nov 24 12:00:00 2026", "Wed Nov 25 12:00:00 2026"],
        ),
        ({"schedule": "hourly", "iterations": "1", "starttime": "0"}, ["Thu Jan  1 01:00:00 1970"]),
        ({"schedule": "2020-01-01"}, []),
    ],
)
def test_the_analysis_of_a_schedule(pve: Pve, given: dict[str, str], times: list[str]) -> None:
    rows = pve.get("/cluster/jobs/schedule-analyze", **given)
    assert [row["utc"] for row in rows] == times


def test_the_analysis_shows_ten_runs_and_refuses_nonsense(pve: Pve) -> None:
    path = "/cluster/jobs/schedule-analyze"
    rows = pve.get(path, schedule="*:0/15")
    assert len(rows) == 10
    assert rows[0]["timestamp"] == pve.now + 5 * 60
    assert pve.refusal("GET", path, schedule="nonsense").startswith(f"{WRONG}; schedule: invalid")
    for count in (0, 101):
        assert pve.refusal("GET", path, schedule="daily", iterations=count).startswith(WRONG)
