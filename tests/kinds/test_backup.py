from __future__ import annotations

from typing import Any

import pytest

from reconciler.kinds import all_kinds
from reconciler.kinds.backup.table import BackupSpec, Selection
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.inventory import Facts, Guest
from reconciler.model.request import request
from reconciler.model.spec import Spec
from tests.kinds.samples import change, declared, requests

KIND = all_kinds()["backup"]
BASE = {"schedule": "02:30", "storage": "local"}
FACTS = Facts(
    guests={
        9000: Guest(9000, "vm", "qemu", "n1"),
        9001: Guest(9001, "ct", "lxc", "n2"),
    },
    nodes=("n1", "n2"),
)


def spec(name: str = "nightly", **table: Any) -> BackupSpec:
    found = declared("backup", name, {**BASE, **table})
    assert isinstance(found, BackupSpec)
    return found


def seen(**row: Any) -> BackupSpec:
    """A job as PVE answers it."""
    jobs = request("GET", "cluster", "backup")
    ((_, found),) = KIND.reads.parse({jobs: [{"id": "nightly", "type": "vzdump", **row}]})
    assert isinstance(found, BackupSpec)
    return found


def put(before: BackupSpec, after: BackupSpec) -> dict[str, Any]:
    ((method, target, params),) = requests(change("backup", "nightly", before, after))
    assert (method, target) == ("PUT", "/cluster/backup/nightly")
    return params


def test_a_job_as_it_is_answered_is_the_job_as_it_was_declared() -> None:
    live = seen(
        schedule="02:30",
        enabled=1,
        storage="local",
        vmid="9001,9000,9001",
        comment="Nachts",
        compress="zstd",
        mailto="b@example.invalid;a@example.invalid",
        fleecing={"storage": "local-lvm", "enabled": 1},
        performance={"max-workers": "8"},
        **{
            "next-run": 1795575600,
            "prune-backups": {"keep-weekly": "4", "keep-last": "0", "keep-daily": "7"},
            "exclude-path": ["/cache/?*", "/a"],
            "repeat-missed": 1,
        },
    )
    assert live == spec(
        guests=[9000, 9001],
        comment="Nachts",
        compress="zstd",
        mailto=["a@example.invalid", "b@example.invalid"],
        fleecing={"enabled": True, "storage": "local-lvm"},
        performance={"max_workers": 8},
        keep={"daily": 7, "weekly": 4},
        exclude_path=["/cache/?*", "/a"],
        repeat_missed=True,
    )


def test_a_new_job_says_everything_in_one_request() -> None:
    made = spec(guests=[9001], keep={"daily": 7}, exclude_path=["/a", "/b"], enabled=False)
    assert requests(change("backup", "nightly", None, made)) == [
        (
            "POST",
            "/cluster/backup",
            {
                "id": "nightly",
                "schedule": "02:30",
                "enabled": "0",
                "vmid": "9001",
                "exclude-path": ("/a", "/b"),
                "prune-backups": "keep-daily=7",
                "storage": "local",
            },
        )
    ]


def test_nothing_is_ever_excluded_from_a_job_for_single_guests() -> None:
    """`exclude=` would make it a job for all guests."""
    everything = spec(all=True, exclude=[9000])
    assert put(everything, spec(guests=[9001])) == {"vmid": "9001", "delete": "exclude"}
    assert put(everything, spec(all=True)) == {"all": "1", "delete": "exclude"}
    assert put(spec(guests=[9001]), everything) == {"all": "1", "exclude": "9000"}
    assert put(everything, spec(pool="dev")) == {"pool": "dev", "delete": "exclude"}


def test_a_notes_template_takes_the_storage_along() -> None:
    assert put(spec(all=True), spec(all=True, notes_template="{{vmid}}")) == {
        "notes-template": "{{vmid}}",
        "storage": "local",
    }


def test_what_is_not_declared_is_cleared() -> None:
    before = spec(all=True, comment="x", compress="zstd", repeat_missed=True, keep={"last": 1})
    assert put(before, spec(all=True)) == {"delete": "comment,compress,prune-backups,repeat-missed"}


def test_retention_that_counts_nothing_keeps_everything_as_in_proxmox() -> None:
    live = seen(schedule="02:30", storage="local", all=1, **{"prune-backups": {"keep-all": 1}})
    assert live == spec(all=True, keep={"last": 0})
    assert live == spec(all=True, keep={"all": True})


def test_old_jobs_with_day_and_time_are_read() -> None:
    assert seen(dow="mon,tue", starttime="22:30", all=1).schedule == "mon,tue 22:30"
    assert seen(schedule="1:00", exclude="101").selection == Selection(all=True, exclude=(101,))


def test_what_only_root_may_set_stays_and_blocks_what_root_alone_can_do() -> None:
    live = seen(schedule="02:30", storage="local", all=1, script="/hook", dumpdir="/dump")
    after = KIND.writes.merge_with_live(spec(all=True, comment="x"), live)
    wanted = change("backup", "nightly", live, after)
    assert put(live, after) == {"comment": "x"}
    assert [f.code for f in KIND.checks.change(wanted, {})] == ["ROOT_ONLY"]
    assert KIND.writes.undo(change("backup", "nightly", live, None)) is Undo.NONE


def test_jobs_that_proxmox_named_itself_can_be_declared_but_not_made() -> None:
    name = "3f7ec1c3-df29-45b8-94e1-aca5c15f26e1"
    job = spec(name, all=True)
    made = change("backup", name, None, job)
    assert [f.code for f in KIND.checks.change(made, {})] == ["JOB_ID"]
    assert KIND.writes.undo(change("backup", name, job, None)) is Undo.NONE
    assert KIND.writes.undo(change("backup", "nightly", job, None)) is Undo.FULL


def test_a_job_names_its_storages_and_its_pool() -> None:
    job = spec(pool="dev", fleecing={"enabled": True, "storage": "fast"})
    named = [Address("storage", "fast"), Address("storage", "local"), Address("pool", "dev")]
    assert list(KIND.links.references("nightly", job)) == named
    renamed = KIND.links.rename("nightly", job, Address("pool", "dev"), Address("pool", "team"))
    assert renamed is not None
    assert renamed[1].selection == Selection(pool="team")


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ("24:00", "SCHEDULE_MINUTES"),
        ("mon..fri 25:00", "SCHEDULE_MINUTES"),
        ("*-02-30", "SCHEDULE_NEVER"),
    ],
)
def test_schedules_that_nobody_means(schedule: str, code: str) -> None:
    found = list(KIND.checks.declared_object("nightly", spec(all=True, schedule=schedule), {}))
    assert [f.code for f in found] == [code]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "exactly one"),
        ({"guests": [100], "all": True}, "exactly one"),
        ({"guests": [100], "exclude": [101]}, "exclude is only valid"),
        ({"all": True, "starttime": "22:30"}, "starttime"),
        ({"all": True, "maxfiles": 3}, "maxfiles"),
        ({"all": True, "script": "/x"}, "script"),
        ({"all": True, "vmid": "100"}, "vmid"),
        ({"all": True, "schedule": "mon-fri"}, "unable to parse"),
        ({"all": True, "schedule": "*:0/5" + " " * 130 + "x"}, "128"),
        ({"all": True, "ionice": 9}, "maximum value of 8"),
        ({"all": True, "bwlimit": -1}, "minimum value of 0"),
        ({"all": True, "mailto": ["a b@"]}, "email"),
        ({"all": True, "performance": {"max_workers": 300}}, "max-workers"),
        ({"all": True, "keep": {}}, "keep is empty"),
        ({"all": True, "keep": {"daily": -1}}, "greater than or equal to 0"),
        ({"all": True, "protected": True, "storage": ""}, "storage"),
        ({"pool": "a b"}, "pool name"),
    ],
)
def test_mistakes_of_a_table(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec(**table)


def storage(**table: Any) -> Spec:
    kind = all_kinds()["storage"]
    return kind.writes.merge_with_live(
        declared("storage", "store", {"type": "dir", "path": "/x", **table}), None
    )


def survey(**planned: Spec) -> list[str]:
    """Codes of the findings; names of arguments are ids, storages end in `_storage`."""
    state: dict[Address, Spec] = {}
    for name, found in planned.items():
        if isinstance(found, BackupSpec):
            state[Address("backup", name)] = found
        elif isinstance(found, PoolSpec):
            state[Address("pool", name)] = found
        else:
            state[Address("storage", name)] = found
    return [finding.code for finding in KIND.checks.planned_state(state, FACTS)]


GOOD = {"content": ["backup"], "keep": {"last": 3}}


def test_a_good_plan_of_backups_says_nothing() -> None:
    assert survey(job=spec(all=True), local=storage(**GOOD)) == []
    jobs = {"one": spec(guests=[9000]), "two": spec(guests=[9001]), "local": storage(**GOOD)}
    assert survey(**jobs) == []


def test_what_proxmox_accepts_silently_is_reported() -> None:
    good = storage(**GOOD)
    assert survey(job=spec(all=True, storage="gone"), local=good) == ["NO_SUCH_STORAGE"]
    assert survey(job=spec(all=True), local=storage(keep={"last": 1})) == ["NOT_FOR_BACKUPS"]
    options = (("content", ("images",)), ("prune-backups", "keep-last=3"))
    plugin = StorageSpec(type="drbd", options=options)
    assert survey(job=spec(all=True), local=plugin) == ["NOT_FOR_BACKUPS"]
    assert survey(job=spec(all=True), local=storage(**GOOD, disable=True)) == ["STORAGE_DISABLED"]
    assert survey(job=spec(all=True), local=storage(**GOOD, nodes=["n1"])) == ["STORAGE_NOT_THERE"]
    assert survey(job=spec(all=True), local=storage(content=["backup"])) == ["KEEPS_EVERYTHING"]
    assert survey(job=spec(all=True, remove=False), local=good) == ["KEEPS_EVERYTHING"]
    assert survey(job=spec(guests=[4711]), local=good) == ["NO_SUCH_GUEST", "NOT_BACKED_UP"]
    assert survey(job=spec(pool="void"), void=PoolSpec(), local=good) == [
        "SAVES_NOTHING",
        "NOT_BACKED_UP",
    ]
    assert survey(local=good) == ["NOT_BACKED_UP"]
    assert survey(job=spec(all=True, enabled=False), local=good) == ["NOT_BACKED_UP"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("02:30", "02:45", True),
        ("02:30", "03:00", False),
        ("mon..fri 02:30", "sat,sun 02:30", False),
        ("mon..fri 02:30", "*-*-01 02:00", True),
        ("hourly", "sat 04:00", True),
        ("*-02-30 02:30", "02:30", False),
        ("2031-05-05 02:30", "mon 02:00", True),
        ("2031-05-05 02:30", "2032-*-* 02:00", False),
    ],
)
def test_two_jobs_for_one_guest_in_the_same_hour(first: str, second: str, *, same: bool) -> None:
    jobs = {
        "one": spec(all=True, schedule=first),
        "two": spec(guests=[9000], schedule=second),
        "local": storage(**GOOD),
    }
    assert survey(**jobs) == (["SAME_HOUR"] if same else [])


def test_an_exported_job_reads_back() -> None:
    job = spec(
        all=True,
        exclude=[101],
        keep={"daily": 7},
        fleecing={"enabled": True, "storage": "x1"},
        exclude_path=["/b", "/a"],
        mailto=["root"],
        protected=False,
        enabled=False,
    )
    table = KIND.toml.export("nightly", job)
    assert declared("backup", "nightly", table) == job
    assert BackupSpec.model_validate(job.to_json()) == job
