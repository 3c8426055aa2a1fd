"""Archives of guests, and the result of running a backup job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Archive(NamedTuple):
    """A backup on a storage, as Proxmox VE lists it.

    `guest` is 0 where the file name does not contain it; `made` in Unix seconds, `size` in bytes;
    `kind` is qemu, lxc or "". `verified`: `ok` or `failed` according to a backup server, "" where
    it was not verified. `renamed`: Proxmox VE did not name it, so retention ignores it.
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
        """Whether it is not empty and no backup server found it corrupt."""
        return self.size > 0 and self.verified != "failed"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class SavedGuest(NamedTuple):
    """The result for one guest: an archive, or in `failure` the reason why there is none."""

    guest: int
    node: str
    archive: Archive | None = None
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        archive = self.archive.to_json() if self.archive else None
        return {**self._asdict(), "archive": archive}


class NodeRun(NamedTuple):
    """The task of one node. `task` is its UPID, "" where none was started.

    `ended`: the exit status of the task. `trouble`: why it did not start or could not be followed;
    `in_doubt`: it may be running nevertheless. `denied`: a privilege is missing.
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


class Week(NamedTuple):
    """The state after `number` weeks of runs: when the archives of one guest were made, oldest
    first, in Unix seconds.
    """

    number: int
    until: int
    held: tuple[int, ...]


class Forecast(NamedTuple):
    """`rules`: name -> count; without rules everything is kept. `complete`: every week was
    computed. `enabled`: whether the job runs at all.
    """

    job: str
    schedule: str
    rules: Mapping[str, int]
    weeks: tuple[Week, ...]
    complete: bool = True
    enabled: bool = True
