"""What can be restored of a cluster: guests, their archives, and the drills that proved them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.errors import ExitStatus
from reconciler.model.backups import Archive
from reconciler.model.drill import Drilled

STALE_BACKUP = "STALE_BACKUP"
"""The code that says which guests were not saved when they should have been."""


DISKS_LEFT_OUT = "DISKS_LEFT_OUT"
"""The code that says which disks no backup includes."""


class LeftOutDisk(NamedTuple):
    """`key` as in the configuration of the guest: `mp0`, `scsi1`; `volume`: where it is."""

    key: str
    volume: str
    why: str

    def __str__(self) -> str:
        return f"{self.key} on {self.volume} ({self.why})"


class Freshness(StrEnum):
    """How the backups of a guest compare with what its jobs promise."""

    FRESH = "fresh"
    STALE = "stale"
    """a run of its job was due since its newest good archive was made"""
    NEVER = "never backed up"
    UNKNOWN = "not visible"
    """the caller may not see the archives of the guest"""
    NO_JOB = "in no job"
    LEFT_OUT = "excluded on purpose"

    @property
    def alarms(self) -> bool:
        return self in {Freshness.STALE, Freshness.NEVER, Freshness.NO_JOB}


class GuestBackups(NamedTuple):
    """The backups of one guest: `newest` holds the newest good archive of each storage, newest
    first.

    `due`: the start of the job run that should have made the newest archive, in Unix seconds, 0
    where none was due. `behind`: the jobs whose storage lacks an archive of their last run.
    `ahead`: archives dated in the future, which count for nothing. `bad`: the newest archive of a
    storage where it is empty or failed its verification; it counts for nothing either.
    `left_out`: disks that no backup includes. `total`: the number of archives. `shrank`: the newest
    archive of a storage and the previous one, when it has less than half the size. `drilled`: what
    is known of its restore drills; `overdue`: there was no good one in time.
    """

    guest: int
    name: str
    node: str
    state: Freshness
    jobs: tuple[str, ...] = ()
    newest: tuple[tuple[str, Archive], ...] = ()
    total: int = 0
    due: int = 0
    shrank: tuple[tuple[Archive, Archive], ...] = ()
    drilled: Drilled | None = None
    overdue: bool = False
    behind: tuple[str, ...] = ()
    ahead: tuple[Archive, ...] = ()
    bad: tuple[tuple[str, Archive], ...] = ()
    left_out: tuple[LeftOutDisk, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "state": str(self.state),
            "newest": {storage: archive.to_json() for storage, archive in self.newest},
            "ahead": [one.to_json() for one in self.ahead],
            "bad": {storage: archive.to_json() for storage, archive in self.bad},
            "left_out": [one._asdict() for one in self.left_out],
            "shrank": [[one.to_json() for one in pair] for pair in self.shrank],
            "drilled": self.drilled.to_json() if self.drilled else None,
        }


class LastTask(NamedTuple):
    """The newest backup task of a node: when it started, and how it ended; "" while it runs."""

    node: str
    began: int
    ended: str
    task: str


class BackupStatus(NamedTuple):
    """What can be restored of a cluster. `orphans`: deleted guest -> its archives.

    `unread`: a storage on a node, and why it could not be listed.
    """

    cluster: str
    guests: tuple[GuestBackups, ...]
    orphans: tuple[tuple[int, tuple[Archive, ...]], ...] = ()
    tasks: tuple[LastTask, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def alarms(self) -> bool:
        """Whether anything falls short of what the jobs promise, or cannot be verified."""
        rings = any(one.state.alarms or one.overdue for one in self.guests)
        return rings or bool(self.unread)

    @property
    def exit_status(self) -> ExitStatus:
        """What `backup status` ends with: a stale backup comes before guests that the caller cannot
        see."""
        if self.alarms:
            return ExitStatus.CHANGES
        hidden = any(one.state is Freshness.UNKNOWN for one in self.guests)
        return ExitStatus.BLIND if hidden else ExitStatus.OK
