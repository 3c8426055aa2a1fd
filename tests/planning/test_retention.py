"""What a changed retention removes: by place, by kind of guest, and by the clock of the node."""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.execution.backups.dry_run import dry_runs
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.shared.reader import RESOURCES, read_state
from reconciler.model.address import Address
from reconciler.model.backups import Archive
from reconciler.model.inventory import ArchivePlace, Facts, Guest, Kept
from reconciler.model.spec import State
from reconciler.planning.backups.retention import disagreements, losses
from reconciler.planning.checks.retention import differences
from reconciler.sandbox.backup.listed import written
from reconciler.sandbox.http.direct import SandboxApi
from tests.execution.test_backup_survey import Counting
from tests.support.pve import lay_out

BERLIN = ZoneInfo("Europe/Berlin")
JOBS = "vzdump: nightly\n\tenabled 1\n\tschedule 02:30\n\tstorage local\n\tvmid 101\n"


def cluster(folder: Path) -> Path:
    for node in ("pve1", "pve2"):
        (folder / "nodes" / node).mkdir(parents=True)
    (folder / "user.cfg").touch()
    return folder


def job(tmp_path: Path, rules: str) -> State:
    folder = cluster(tmp_path / rules)
    (folder / "jobs.cfg").write_text(JOBS + f"\tprune-backups {rules}\n")
    state, _ = read_state(SandboxApi(folder), ["backup"], {})
    assert isinstance(state[Address("backup", "nightly")], BackupSpec)
    return state


def archive(day: int, hour: int = 3, kind: str = "qemu", zone: tzinfo = BERLIN) -> Archive:
    made = datetime(2026, 10, day, hour, tzinfo=zone)
    return Archive(f"local:backup/{kind}-{day}-{hour}", 101, int(made.timestamp()), 0, kind)


def lost(tmp_path: Path, place: ArchivePlace, *more: ArchivePlace, node: str = "pve1") -> list[str]:
    """The names of what a plan from 5 to 1 loses."""
    facts = Facts(
        guests={101: Guest(101, "web", "qemu", node)},
        nodes=("pve1", "pve2"),
        kept=Kept((place, *more)),
    )
    before, after = job(tmp_path, "keep-daily=5"), job(tmp_path, "keep-daily=1")
    found = losses(before, after, facts)
    return [one.volume.partition("/")[2] for loss in found for one in loss.lost]


def test_a_guest_that_moved_loses_nothing_on_the_node_that_it_left(tmp_path: Path) -> None:
    left = ArchivePlace("local", "pve1", (archive(1), archive(2), archive(3)))
    here = ArchivePlace("local", "pve2", (archive(4), archive(5)))
    assert lost(tmp_path, left, here, node="pve2") == ["qemu-4-3"]
    shared = left._replace(node="")
    assert lost(tmp_path / "shared", shared, node="pve2") == ["qemu-1-3", "qemu-2-3"]


def test_archives_of_an_id_that_had_another_kind_of_guest_stay(tmp_path: Path) -> None:
    mixed = (archive(1, kind="lxc"), archive(2, kind="lxc"), archive(3), archive(4))
    assert lost(tmp_path, ArchivePlace("local", "pve1", mixed)) == ["qemu-3-3"]


def test_a_day_is_one_of_the_nodes_clock(tmp_path: Path) -> None:
    """Twenty past midnight in Berlin is the day before in UTC."""
    two = (archive(7, hour=0), archive(7, hour=23))
    facts = ArchivePlace("local", "pve1", two)
    assert lost(tmp_path, facts._replace(zone=BERLIN)) == []
    assert lost(tmp_path / "utc", facts) == ["qemu-7-0"]


def test_protected_archives_and_those_of_other_names_stay(tmp_path: Path) -> None:
    found = (archive(1)._replace(protected=True), archive(2)._replace(renamed=True), archive(3))
    assert lost(tmp_path, ArchivePlace("local", "pve1", (*found, archive(4)))) == ["qemu-3-3"]


def test_the_dry_run_counts_and_a_difference_is_reported(tmp_path: Path) -> None:
    three = (archive(1), archive(2), archive(3))
    theirs = {"keep-daily=1": frozenset({three[2].volume}), "keep-daily=5": frozenset[str]()}
    place = ArchivePlace("local", "pve1", three, theirs)
    assert lost(tmp_path, place) == ["qemu-3-3"]
    (finding,) = differences(Kept((place,)))
    assert finding.code == "RETENTION_DIFFERS"
    assert "keep-daily=1 on storage local of pve1" in finding.message
    assert "only the dry run removes local:backup/qemu-3-3" in finding.message
    assert (
        "only pvectl would remove local:backup/qemu-1-3, local:backup/qemu-2-3" in finding.message
    )
    assert disagreements(Kept((place._replace(zone=None),))) == []


def test_a_snapshot_counts_days_as_the_cluster_did(tmp_path: Path) -> None:
    """`archives.json` tells the embedded Proxmox VE the time zone; on three nodes, each its own."""
    folder = cluster(tmp_path / "pve")
    one, two = archive(7, hour=0), archive(7, hour=23)
    rows = [
        {
            "storage": "local",
            "node": node,
            "volume": f"local:backup/vzdump-qemu-101-2026_10_07-0{number}_00_00.vma.zst",
            "ctime": made.made,
        }
        for node, number, made in (("pve1", 0, one), ("pve1", 1, two), ("pve2", 0, one))
    ]
    (folder / "archives.json").write_bytes(
        written({"timezone": "Europe/Berlin", "unread": {}, "archives": rows})
    )
    api = SandboxApi(folder)
    (resources,) = api.get([RESOURCES])
    kept = dry_runs(api, resources, {"local": ["keep-daily=2"]})
    assert [(place.node, len(place.archives)) for place in kept.places] == [
        ("pve1", 2),
        ("pve2", 1),
    ]
    assert all(place.zone == BERLIN for place in kept.places)
    removed = {place.node: place.removed["keep-daily=2"] for place in kept.places}
    assert removed == {"pve1": {rows[0]["volume"]}, "pve2": set()}
    assert disagreements(kept) == []


def test_requests_do_not_grow_with_guests_or_archives(tmp_path: Path) -> None:
    api = Counting(lay_out("backups", tmp_path))
    (resources,) = api.get([RESOURCES])
    kept = dry_runs(api, resources, {"local": ["keep-last=1", "keep-last=2"]})
    assert len(kept.places[0].archives) == 16
    assert api.asked == 1 + 2 + 1
