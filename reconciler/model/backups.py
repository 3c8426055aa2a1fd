"""Archives of guests, and what became of a backup that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.errors import ExitStatus


class Archive(NamedTuple):
    """A backup on a storage, as Proxmox VE lists it.

    `guest` is 0 where the name of the file does not tell it; `made` in Unix seconds, `size` in
    bytes; `kind` is qemu, lxc or "". `verified`: `ok` or `failed` as a backup server found it, ""
    where none looked. `renamed`: the name is none that Proxmox VE gives, so retention passes it by.
    """

    volume: str
    guest: int
    made: int
    size: int
    kind: str = ""
    protected: bool = False
    notes: str = ""
    verified: str = ""
    renamed: bool = False

    @property
    def good(self) -> bool:
        """Whether something is in it that no backup server found broken."""
        return self.size > 0 and self.verified != "failed"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class SavedGuest(NamedTuple):
    """What a run made of one guest: an archive, or `failure` says why there is none."""

    guest: int
    node: str
    archive: Archive | None = None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        archive = self.archive.to_json() if self.archive else None
        return {**self._asdict(), "archive": archive}


class NodeRun(NamedTuple):
    """The task of one node. `task` is its UPID, "" where none began.

    `ended`: the exit status of the task. `trouble`: why it did not begin or could not be followed;
    `in_doubt`: it may run all the same. `denied`: a privilege is missing.
    """

    node: str
    guests: tuple[SavedGuest, ...]
    task: str = ""
    ended: str = ""
    trouble: str = ""
    in_doubt: bool = False
    denied: bool = False
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "guests": [guest.to_json() for guest in self.guests]}


class BackupReport(NamedTuple):
    """One run of a job: what each node did."""

    job: str
    storage: str
    nodes: tuple[NodeRun, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """options that were not sent, and the privilege that the caller lacks for each"""

    @property
    def guests(self) -> tuple[SavedGuest, ...]:
        return tuple(guest for node in self.nodes for guest in node.guests)

    @property
    def saved(self) -> int:
        return sum(guest.archive is not None for guest in self.guests)


class Freshness(StrEnum):
    """How a guest stands to what its jobs promise."""

    FRESH = "fresh"
    STALE = "stale"
    """a run of its job was due since its newest good archive was made"""
    NEVER = "never saved"
    UNKNOWN = "not visible"
    """the caller may not see the archives of the guest"""
    NO_JOB = "in no job"
    LEFT_OUT = "left out on purpose"

    @property
    def alarms(self) -> bool:
        return self in {Freshness.STALE, Freshness.NEVER, Freshness.NO_JOB}


class GuestBackups(NamedTuple):
    """One guest: `newest` holds its newest good archive per storage, the newest of all first.

    `due`: when the run of a job began that its newest archive should be of, in Unix seconds, 0
    where none was due. `total`: how many archives there are. `shrank`: the newest archive of a
    storage and the one before it, of which it has less than half the size.
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

    def to_json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "state": str(self.state),
            "newest": {storage: archive.to_json() for storage, archive in self.newest},
            "shrank": [[one.to_json() for one in pair] for pair in self.shrank],
        }


class LastTask(NamedTuple):
    """The newest backup task of a node: when it began, and how it ended; "" while it runs."""

    node: str
    began: int
    ended: str
    task: str


class BackupStatus(NamedTuple):
    """What can be restored of a cluster. `orphans`: guest that is gone -> its archives.

    `unread`: a storage on a node, and why it could not be listed.
    """

    cluster: str
    guests: tuple[GuestBackups, ...]
    orphans: tuple[tuple[int, tuple[Archive, ...]], ...] = ()
    tasks: tuple[LastTask, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def alarms(self) -> bool:
        """Whether something is not as the jobs promise, or could not be proven to be."""
        return any(one.state.alarms for one in self.guests) or bool(self.unread)

    @property
    def exit_status(self) -> ExitStatus:
        """What `backup status` ends with: stale backups before what the caller cannot see."""
        if self.alarms:
            return ExitStatus.CHANGES
        hidden = any(one.state is Freshness.UNKNOWN for one in self.guests)
        return ExitStatus.BLIND if hidden else ExitStatus.OK


class Week(NamedTuple):
    """After the runs of `number` weeks: when the archives that one guest then has were made, oldest
    first, in Unix seconds."""

    number: int
    until: int
    held: tuple[int, ...]


class Forecast(NamedTuple):
    """`rules`: name -> how many; none keep everything. `complete`: every week was reached."""

    job: str
    schedule: str
    rules: Mapping[str, int]
    weeks: tuple[Week, ...]
    complete: bool = True
