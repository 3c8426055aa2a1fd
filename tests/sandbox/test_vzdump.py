"""Backup runs of the embedded Proxmox VE, their tasks and archives: what recordings do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import Pve

NODE = "/nodes/demo-felhom"
VZDUMP = f"{NODE}/vzdump"
TASKS = f"{NODE}/tasks"
LOCAL = f"{NODE}/storage/local/content"


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    pve = Pve(tmp_path)
    pve.put("/storage/local", content="backup")
    return pve


def user(pve: Pve, name: str, **grants: str) -> str:
    """A user with privileges: `vms_9001="VM.Backup"` grants them on /vms/9001."""
    pve.post("/access/users", userid=name)
    for place, privileges in grants.items():
        role = f"{name.partition('@')[0]}-{place}"
        pve.post("/access/roles", roleid=role, privs=privileges)
        path = "/" if place == "root" else "/" + place.replace("_", "/")
        pve.put("/access/acl", path=path, users=name, roles=role)
    return name


def status(pve: Pve, upid: str) -> str:
    return str(pve.get(f"{TASKS}/{upid}/status")["exitstatus"])


def log(pve: Pve, upid: str) -> list[str]:
    return [row["t"] for row in pve.get(f"{TASKS}/{upid}/log", limit=0)]


def archives(pve: Pve) -> list[str]:
    """`GUEST at HH:MM`, with `!` when protected."""
    found = []
    for row in pve.get(LOCAL, content="backup"):
        minutes = row["ctime"] // 60
        mark = "!" if row.get("protected") else ""
        found.append(f"{row['vmid']} at {minutes // 60 % 24:02}:{minutes % 60:02}{mark}")
    return found


def test_a_run_writes_its_log_and_an_archive(pve: Pve) -> None:
    upid = pve.post(VZDUMP, vmid="9001", compress="zstd")
    assert pve.get(f"{TASKS}/{upid}/status") == {
        "upid": upid,
        "node": "demo-felhom",
        "pid": 1000,
        "pstart": 1000,
        "starttime": pve.now,
        "type": "vzdump",
        "id": "9001",
        "user": "root@pam",
        "status": "stopped",
        "exitstatus": "OK",
    }
    name = "vzdump-lxc-9001-2026_11_24-03_40_00.tar.zst"
    assert log(pve, upid) == [
        "INFO: starting new backup job: vzdump 9001 --compress zstd --node demo-felhom",
        "INFO: Starting Backup of VM 9001 (lxc)",
        "INFO: Backup started at 2026-11-24 03:40:00",
        "INFO: status = stopped",
        "INFO: backup mode: stop",
        "INFO: ionice priority: 7",
        "INFO: CT Name: demo-ct",
        f"INFO: creating vzdump archive '/var/lib/vz/dump/{name}'",
        "INFO: archive file size: 0KB",
        "INFO: Finished Backup of VM 9001 (00:00:00)",
        "INFO: Backup finished at 2026-11-24 03:40:00",
        "INFO: Backup job finished successfully",
        "TASK OK",
    ]
    [row] = pve.get(LOCAL)
    assert row == {
        "volid": f"local:backup/{name}",
        "content": "backup",
        "format": "tar.zst",
        "subtype": "lxc",
        "ctime": pve.now,
        "size": row["size"],
        "vmid": 9001,
    }


def test_everything_lies_beside_the_folder(pve: Pve) -> None:
    def files() -> set[str]:
        return {str(path) for path in pve.folder.parent.rglob("*") if path.is_file()}

    before = files()
    pve.post(VZDUMP, vmid="9001")
    new = {Path(path).relative_to(pve.folder.parent).parts[0] for path in files() - before}
    assert new == {"pve.run"}


def test_a_virtual_machine_tells_of_its_disks(pve: Pve) -> None:
    upid = pve.post(VZDUMP, vmid="9000")
    assert "INFO: include disk 'scsi0' 'local-lvm:vm-9000-disk-0' 8G" in log(pve, upid)
    assert pve.get(LOCAL)[0]["format"] == "vma"


def test_notes_and_protection(pve: Pve) -> None:
    notes = r"{{guestname}} on {{node}}\nsecond \\ line {{vmid}} {{cluster}}"
    more = {"storage": "local", "notes_template": notes, "protected": "1"}
    upid = pve.post(VZDUMP, vmid="9001", **more)
    assert log(pve, upid)[-6:-3] == [
        "INFO: adding notes to backup",
        "INFO: marking backup as protected",
        "INFO: Finished Backup of VM 9001 (00:00:00)",
    ]
    [row] = pve.get(LOCAL)
    assert (row["notes"], row["protected"]) == ("demo-ct on demo-felhom", 1)
    [file] = pve.folder.with_name("pve.run").rglob("*.notes")
    assert file.read_text() == "demo-ct on demo-felhom\nsecond \\ line 9001 standalone node"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vmid": "9001,9000"}, "9001 9000"),
        ({"vmid": "9001", "mailto": "a@example.invalid; b@example.invalid"}, None),
        ({"vmid": "9001", "bwlimit": "100", "ionice": "3"}, "9001 --bwlimit 100 --ionice 3"),
        (
            {"vmid": "9001", "notes_template": "it's", "storage": "local"},
            """9001 --notes-template 'it'"'"'s' --storage local""",
        ),
    ],
)
def test_the_log_starts_with_the_command(
    pve: Pve, given: dict[str, str], words: str | None
) -> None:
    first = log(pve, pve.post(VZDUMP, **given))[0].replace(" --node demo-felhom", "")
    expected = words or "9001 --mailto a@example.invalid,b@example.invalid"
    assert first == f"INFO: starting new backup job: vzdump {expected}"


@pytest.mark.parametrize(
    ("given", "status_text"),
    [
        (
            {"storage": "local-lvm"},
            "could not get storage information for 'local-lvm': can't use storage 'local-lvm' "
            "for backups - wrong content type",
        ),
        (
            {"storage": "nope"},
            "could not activate storage 'nope': storage 'nope' does not exist "
            "could not get storage information for 'nope': storage 'nope' does not exist",
        ),
        (
            {"storage": "off"},
            "could not activate storage 'off': storage 'off' is disabled",
        ),
        (
            {"storage": "away"},
            "could not activate storage 'away': storage 'away' is not available on node "
            "'demo-felhom'",
        ),
    ],
)
def test_a_storage_that_takes_no_backup(pve: Pve, given: dict[str, str], status_text: str) -> None:
    pve.post("/storage", storage="off", type="dir", path="/off", content="backup", disable=1)
    pve.post("/storage", storage="away", type="dir", path="/away", content="backup", nodes="other")
    upid = pve.post(VZDUMP, vmid="9001", **given)
    assert status(pve, upid) == status_text
    assert log(pve, upid) == [f"TASK ERROR: {status_text}"]


def test_a_guest_that_does_not_exist_fails_alone(pve: Pve) -> None:
    upid = pve.post(VZDUMP, vmid="9001,9999")
    assert status(pve, upid) == "job errors"
    assert log(pve, upid)[-4:] == [
        "ERROR: Backup of VM 9999 failed - unable to find VM '9999'",
        "INFO: Failed at 2026-11-24 03:40:00",
        "INFO: Backup job finished with errors",
        "TASK ERROR: job errors",
    ]
    assert archives(pve) == ["9001 at 03:40"]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, "400 Parameter verification failed.; vmid: property is missing"),
        (
            {"vmid": "9001", "stdout": "1"},
            "400 Parameter verification failed.; "
            "stdout: option is only allowed on the command line interface.",
        ),
        ({"pool": "nope"}, "500 pool 'nope' does not exist"),
        (
            {"vmid": "9001", "all": "1"},
            "400 Parameter verification failed.; all: option conflicts with option 'vmid'",
        ),
        (
            {"vmid": "9001", "exclude": "9000"},
            "400 Parameter verification failed.; exclude: option conflicts with option 'vmid'",
        ),
        (
            {"vmid": "9001", "pool": "nope"},
            "400 Parameter verification failed.; pool: option conflicts with option 'vmid'",
        ),
    ],
)
def test_runs_that_do_not_start(pve: Pve, given: dict[str, str], refusal: str) -> None:
    assert pve.refusal("POST", VZDUMP, **given) == refusal
    assert pve.get(TASKS) == []


@pytest.mark.parametrize("given", [{"stop": "1"}, {"pool": "empty"}])
def test_nothing_to_do_starts_no_task(pve: Pve, given: dict[str, str]) -> None:
    pve.post("/pools", poolid="empty")
    assert pve.post(VZDUMP, **given) == "OK"
    assert pve.get(TASKS) == []


def test_all_without_the_excluded(pve: Pve) -> None:
    pve.post(VZDUMP, exclude="9000")
    assert archives(pve) == ["9001 at 03:40"]


def test_a_pool_is_its_guests(pve: Pve) -> None:
    pve.post("/pools", poolid="some")
    pve.put("/pools", poolid="some", vms="9000")
    pve.post(VZDUMP, pool="some")
    assert archives(pve) == ["9000 at 03:40"]


# Rights


def test_the_guest_is_checked_in_the_task(pve: Pve) -> None:
    who = user(pve, "a@pve", storage_local="Datastore.AllocateSpace")
    upid = pve.post(VZDUMP, who, vmid="9001")
    assert status(pve, upid) == "403 Permission check failed (/vms/9001, VM.Backup)"
    assert log(pve, upid)[-1] == "TASK ERROR: 403 Permission check failed (/vms/9001, VM.Backup)"
    assert archives(pve) == []


def test_one_guest_without_the_right_stops_all_of_a_list(pve: Pve) -> None:
    who = user(pve, "a@pve", storage_local="Datastore.AllocateSpace", vms_9000="VM.Backup")
    upid = pve.post(VZDUMP, who, vmid="9000,9001")
    assert status(pve, upid) == "403 Permission check failed (/vms/9001, VM.Backup)"
    assert archives(pve) == []


def test_all_leaves_out_guests_without_the_right(pve: Pve) -> None:
    who = user(pve, "a@pve", storage_local="Datastore.AllocateSpace", vms_9000="VM.Backup")
    upid = pve.post(VZDUMP, who, all=1)
    assert status(pve, upid) == "OK"
    assert archives(pve) == ["9000 at 03:40"]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"bwlimit": "5"}, "403 Permission check failed (/, Sys.Modify)"),
        ({"ionice": "5"}, "403 Permission check failed (/, Sys.Modify)"),
        ({"performance": "max-workers=2"}, "403 Permission check failed (/, Sys.Modify)"),
        ({"stop": "1"}, "403 Permission check failed (/nodes/demo-felhom, Sys.Modify)"),
        (
            {"prune-backups": "keep-last=1"},
            "403 Permission check failed (/storage/local, Datastore.Allocate)",
        ),
        (
            {"fleecing": "1,storage=local-lvm"},
            "403 Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)",
        ),
        (
            {"storage": "local-lvm"},
            "403 Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)",
        ),
        (
            {"script": "/bin/true"},
            "400 Parameter verification failed.; script: Only root may set this option.",
        ),
        (
            {"dumpdir": "/srv/dump"},
            "400 Parameter verification failed.; dumpdir: Only root may set this option.",
        ),
        (
            {"tmpdir": "/srv/dump"},
            "400 Parameter verification failed.; tmpdir: Only root may set this option.",
        ),
        (
            {"job-id": "a"},
            "400 Parameter verification failed.; job-id: Only root may set this option.",
        ),
    ],
)
def test_options_that_need_more(pve: Pve, given: dict[str, str], refusal: str) -> None:
    who = user(pve, "a@pve", storage_local="Datastore.AllocateSpace", vms_9001="VM.Backup")
    assert pve.refusal("POST", VZDUMP, who, **{"vmid": "9001", **given}) == refusal
    assert pve.get(TASKS) == []


# Retention


def run(pve: Pve, minutes: int, *, vmid: str = "9001", **more: Any) -> str:
    """After some minutes."""
    pve.now += 60 * minutes
    return str(pve.post(VZDUMP, vmid=vmid, **more))


def test_old_archives_are_removed_unless_protected(pve: Pve) -> None:
    run(pve, 0, storage="local", protected=1)
    run(pve, 1)
    run(pve, 1, vmid="9000")
    upid = run(pve, 1, prune_backups="keep-last=1")
    assert archives(pve) == ["9001 at 03:40!", "9001 at 03:43", "9000 at 03:42"]
    assert log(pve, upid)[-7:-4] == [
        "INFO: prune older backups with retention: keep-last=1",
        "INFO: removing backup 'local:backup/vzdump-lxc-9001-2026_11_24-03_41_00.tar'",
        "INFO: pruned 1 backup(s) not covered by keep-retention policy",
    ]


def test_the_retention_of_the_storage_holds_without_one_of_the_run(pve: Pve) -> None:
    pve.put("/storage/local", prune_backups="keep-last=2")
    for _ in range(4):
        run(pve, 1)
    assert archives(pve) == ["9001 at 03:43", "9001 at 03:44"]


def test_nothing_is_removed_without_remove(pve: Pve) -> None:
    for _ in range(3):
        run(pve, 1, prune_backups="keep-last=3", remove=0)
    upid = run(pve, 1, prune_backups="keep-last=3", remove=0)
    assert status(pve, upid) == "job errors"
    assert (
        "ERROR: Backup of VM 9001 failed - There is a max backup limit of 3 enforced by the "
        "target storage or the vzdump parameters. Either increase the limit or delete old backups."
    ) in log(pve, upid)
    assert len(archives(pve)) == 3


def test_protected_archives_are_limited(pve: Pve) -> None:
    who = user(pve, "a@pve", storage_local="Datastore.AllocateSpace", vms_9001="VM.Backup")
    for _ in range(5):
        run(pve, 1, storage="local", protected=1)
    given = {"vmid": "9001", "storage": "local", "protected": "1"}
    upid = pve.post(VZDUMP, who, **given)
    assert (
        "ERROR: Backup of VM 9001 failed - The number of protected backups per guest is limited "
        "to 5 on storage 'local'"
    ) in log(pve, upid)
    pve.now += 60
    assert status(pve, pve.post(VZDUMP, **given)) == "OK"


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("keep-last=2", [0, 1]),
        ("keep-hourly=2", [0, 2]),
        ("keep-last=1,keep-hourly=1", [0, 2]),
        ("keep-daily=2", [0, 4]),
        ("keep-all=1", [0, 1, 2, 3, 4]),
    ],
)
def test_which_archives_are_kept(pve: Pve, rule: str, kept: list[int]) -> None:
    """Given at 2:00, 3:40, 3:50, 4:10, 4:20 of which the first is of the day before."""
    pve.now -= pve.now % 86400
    ages = [24 * 60, 40, 30, 10, 0]
    start = pve.now + 4 * 3600 + 20 * 60
    for age in ages:
        pve.now = start - 60 * age
        upid = pve.post(VZDUMP, vmid="9001", remove=0)
        assert status(pve, upid) == "OK"
    pve.now = start
    pve.post(VZDUMP, vmid="9001", prune_backups=rule)
    found = sorted((start - row["ctime"]) // 60 for row in pve.get(LOCAL))
    assert found == sorted(ages[::-1][place] for place in kept)


# Tasks


def test_tasks_are_seen_by_owner_and_auditor(pve: Pve) -> None:
    owner = user(pve, "a@pve", storage_local="Datastore.AllocateSpace")
    auditor = user(pve, "audit@pve", root="Sys.Audit")
    other = user(pve, "b@pve")
    pve.post("/access/users/a@pve/token/ci", privsep=0)
    token = "a@pve!ci"
    mine, of_token = (pve.post(VZDUMP, who, vmid="9001") for who in (owner, token))

    def seen(who: str) -> tuple[int, int]:
        return len(pve.get(TASKS, who)), len(pve.get("/cluster/tasks", who))

    assert {who: seen(who) for who in (owner, token, auditor, other)} == {
        owner: (2, 2),
        token: (1, 0),
        auditor: (2, 2),
        other: (0, 0),
    }
    row = pve.get(f"{TASKS}/{of_token}/status", owner)
    assert (row["user"], row["tokenid"]) == ("a@pve", "ci")
    needed = "403 Permission check failed (/nodes/demo-felhom, Sys.Audit)"
    for who, upid in ((token, mine), (other, mine), (other, of_token)):
        assert pve.refusal("GET", f"{TASKS}/{upid}/status", who) == needed
        assert pve.refusal("GET", f"{TASKS}/{upid}/log", who) == needed
    for who, upid in ((owner, of_token), (auditor, mine), (token, of_token)):
        assert pve.get(f"{TASKS}/{upid}/log", who)


def test_tasks_that_are_not_there(pve: Pve) -> None:
    unknown = f"{TASKS}/UPID:demo-felhom:00000001:00000001:00000001:vzdump::root@pam:"
    wrong = "400 Parameter verification failed.; upid: "
    assert pve.refusal("GET", f"{unknown}/status") == f"{wrong}no such task"
    assert pve.refusal("DELETE", unknown) == f"{wrong}no such task"
    assert pve.get(f"{unknown}/log") == [
        {"n": 1, "t": "unable to open file - No such file or directory"}
    ]
    for name in ("nonsense", "UPID:demo-felhom:00000001:00000001:00000001:vzdump::..:.:"):
        refusal = pve.refusal("GET", f"{TASKS}/{name}/status")
        assert refusal == f"{wrong}unable to parse worker upid"


def test_an_unknown_status(pve: Pve) -> None:
    refusal = pve.refusal("GET", TASKS, statusfilter="ok,bad")
    wrong = "statusfilter: invalid format - invalid status 'bad'"
    assert refusal == f"400 Parameter verification failed.; {wrong}"


def test_a_part_of_a_log(pve: Pve) -> None:
    upid = pve.post(VZDUMP, vmid="9001")
    rows = pve.get(f"{TASKS}/{upid}/log", start=11, limit=5)
    assert rows == [
        {"n": 12, "t": "INFO: Backup job finished successfully"},
        {"n": 13, "t": "TASK OK"},
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [3, 2, 1]),
        ({"limit": "1"}, [3]),
        ({"start": "1", "limit": "1"}, [2]),
        ({"vmid": "9000"}, [1]),
        ({"errors": "1"}, [3]),
        ({"statusfilter": "ok"}, [2, 1]),
        ({"statusfilter": "error,warning"}, [3]),
        ({"source": "active"}, []),
        ({"typefilter": "vzdump"}, [3, 2, 1]),
        ({"typefilter": "qmstart"}, []),
        ({"userfilter": "ROOT"}, [3, 2, 1]),
        ({"since": "+60"}, [3, 2]),
        ({"until": "+60"}, [2, 1]),
        ({"statusfilter": "OK"}, [2, 1]),
    ],
)
def test_the_list_of_tasks(pve: Pve, given: dict[str, str], found: list[int]) -> None:
    start = pve.now
    upids = {run(pve, 0, vmid="9000"): 1}
    upids[run(pve, 1)] = 2
    upids[run(pve, 1, storage="nope")] = 3
    given = {
        key: str(start + int(text)) if text.startswith("+") else text for key, text in given.items()
    }
    assert [upids[row["upid"]] for row in pve.get(TASKS, **given)] == found
