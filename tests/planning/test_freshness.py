"""Each guest judged by the schedules of its jobs."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from reconciler.kinds.backup.table import BackupSpec, Selection
from reconciler.model.address import Address
from reconciler.model.backups import Archive
from reconciler.model.inventory import Facts, Guest
from reconciler.model.recoverability import Freshness, GuestBackups
from reconciler.planning.backups.freshness import last_due, orphans, survey

NOW = int(datetime(2026, 11, 28, 12, 0, tzinfo=UTC).timestamp())
HOUR = 3600
NIGHTLY = BackupSpec(schedule="02:30", selection=Selection(guests=(100,)))
GUEST = Guest(100, "web", "lxc", "one")


def archive(hours_ago: float, size: int = 100, **more: object) -> tuple[str, Archive]:
    made = int(NOW - hours_ago * HOUR)
    return "local", Archive(f"local:backup/{made}", 100, made, size, **more)  # type: ignore[arg-type]


def judged(
    *found: tuple[str, Archive],
    spec: BackupSpec = NIGHTLY,
    guest: Guest = GUEST,
    visible: bool = True,
    unsaved: frozenset[int] = frozenset(),
) -> GuestBackups:
    live = {Address("backup", "nightly"): spec}
    facts = Facts(guests={guest.vmid: guest}, nodes=("one",), unsaved=unsaved)
    (one,) = survey(live, facts, found, {guest.vmid} if visible else (), NOW, UTC)
    return one


@pytest.mark.parametrize(
    ("hours_ago", "state"),
    [(1, "fresh"), (9.4, "fresh"), (9.6, "stale"), (30, "stale")],
)
def test_a_run_that_was_due_six_hours_ago_is_missed(hours_ago: float, state: str) -> None:
    assert judged(archive(hours_ago)).state == state


def test_a_run_may_still_be_at_work() -> None:
    """At noon the run of 11:00 is not missed yet."""
    spec = NIGHTLY.model_copy(update={"schedule": "11:00"})
    assert judged(archive(24.9), spec=spec).state is Freshness.FRESH
    assert judged(archive(25.1), spec=spec).state is Freshness.STALE


def test_what_counts_as_an_archive() -> None:
    assert judged().state is Freshness.NEVER
    assert judged(archive(1, size=0)).state is Freshness.NEVER
    assert judged(archive(1, verified="failed"), archive(40)).state is Freshness.STALE
    assert judged(archive(1, verified="ok")).state is Freshness.FRESH


def test_guests_without_a_job() -> None:
    other = GUEST._replace(vmid=101)
    assert judged(guest=other).state is Freshness.NO_JOB
    assert judged(guest=other, unsaved=frozenset({101})).state is Freshness.LEFT_OUT
    off = NIGHTLY.model_copy(update={"enabled": False})
    assert judged(archive(1), spec=off).state is Freshness.NO_JOB


def test_what_the_caller_cannot_see_is_not_called_missing() -> None:
    assert judged(visible=False).state is Freshness.UNKNOWN


def test_an_archive_that_shrank() -> None:
    ((newer, older),) = judged(archive(20, 100), archive(1, 49)).shrank
    assert (newer.size, older.size) == (49, 100)
    assert judged(archive(20, 100), archive(1, 50)).shrank == ()


def test_archives_of_guests_that_are_gone() -> None:
    facts = Facts(guests={}, nodes=("one",))
    found = [archive(1), archive(5)]
    assert [one.size for one in orphans(facts, found)[100]] == [100, 100]
    assert orphans(Facts(guests={100: GUEST}), found) == {}


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("02:30", UTC, "2026-11-28 02:30"),
        ("*:0/15", UTC, "2026-11-28 12:00"),
        ("mon 04:00", UTC, "2026-11-23 04:00"),
        ("monthly", UTC, "2026-11-01 00:00"),
        ("yearly", UTC, "2026-01-01 00:00"),
        ("02:30", ZoneInfo("America/New_York"), "2026-11-28 07:30"),
        ("2030-01-01", UTC, "1970-01-01 00:00"),
        ("no event", UTC, "1970-01-01 00:00"),
    ],
)
def test_the_last_run_that_was_due(schedule: str, zone: tzinfo, expected: str) -> None:
    found = datetime.fromtimestamp(last_due(schedule, NOW, zone), UTC)
    assert f"{found:%Y-%m-%d %H:%M}" == expected


def placed(storage: str, hours_ago: float, kind: str = "lxc") -> tuple[str, Archive]:
    _, found = archive(hours_ago)
    return storage, found._replace(kind=kind)


def two_jobs(*found: tuple[str, Archive], others: tuple[str, ...] = ()) -> GuestBackups:
    """Nightly to `local`, weekly to `pbs`, where it was due on Sunday, 131.5 hours ago; `others`:
    storages with a fresh archive of another guest."""
    weekly = BackupSpec(
        schedule="sun 00:30", selection=Selection(guests=(100, 101)), options=(("storage", "pbs"),)
    )
    live = {Address("backup", "nightly"): NIGHTLY, Address("backup", "weekly"): weekly}
    guests = {100: GUEST, 101: GUEST._replace(vmid=101)}
    more = [(name, one._replace(guest=101)) for name in others for _, one in [placed(name, 1)]]
    one, _ = survey(live, Facts(guests=guests), (*found, *more), {100, 101}, NOW, UTC)
    return one


def test_each_job_keeps_its_own_promise() -> None:
    fresh = placed("local", 9)
    assert two_jobs(fresh, placed("pbs", 130)).state is Freshness.FRESH
    late = two_jobs(fresh, placed("pbs", 300))
    assert (late.state, late.behind) == (Freshness.STALE, ("weekly",))
    assert late.due == int(datetime(2026, 11, 22, 0, 30, tzinfo=UTC).timestamp())
    both = two_jobs(placed("local", 40), placed("pbs", 300))
    assert both.behind == ("nightly", "weekly")


def test_a_job_that_never_reached_its_storage_is_a_new_one_unless_it_saved_another_guest() -> None:
    assert two_jobs(placed("local", 9)).state is Freshness.FRESH
    assert two_jobs(placed("local", 9), others=("pbs",)).behind == ("weekly",)
    moved = [two_jobs(placed("old", hours)).state for hours in (9, 40)]
    assert moved == [Freshness.FRESH, Freshness.STALE]


def test_an_archive_that_failed_its_verification_is_shown_and_counts_for_nothing() -> None:
    name, failed = placed("pbs", 1)
    bad = (name, failed._replace(verified="failed"))
    only = two_jobs(placed("local", 9), bad, others=("pbs",))
    assert (only.state, only.behind, dict(only.bad)) == (Freshness.STALE, ("weekly",), dict([bad]))
    elsewhere = two_jobs(placed("old", 1), bad)
    assert (elsewhere.state, elsewhere.behind) == (Freshness.STALE, ("weekly",))
    earlier = two_jobs(placed("local", 9), placed("pbs", 2), bad)
    assert (earlier.state, dict(earlier.bad)) == (Freshness.FRESH, dict([bad]))


def test_archives_dated_in_the_future_count_for_nothing() -> None:
    one = judged(archive(-48), archive(40))
    assert (one.state, one.total, len(one.ahead)) == (Freshness.STALE, 1, 1)
    assert judged(archive(-0.5)).state is Freshness.FRESH


def test_archives_of_a_guest_of_the_other_kind_are_not_its_own() -> None:
    mine = archive(40, kind="lxc")
    other = archive(1, kind="qemu")
    one = judged(mine, other)
    assert (one.state, one.total) == (Freshness.STALE, 1)
    gone = orphans(Facts(guests={100: GUEST}), (mine, other))
    assert gone == {100: (other[1],)}
