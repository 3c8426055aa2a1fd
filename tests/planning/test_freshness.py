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
from reconciler.planning.freshness import last_due, orphans, survey

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
