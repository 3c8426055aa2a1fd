"""Archives of guests, and what became of a backup that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


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
