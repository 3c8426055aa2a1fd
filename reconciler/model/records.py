"""What Proxmox VE and this machine have recorded beside the differences: who and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class RecordedTask(NamedTuple):
    """A task that may have made a difference; `time`: when it began, Unix seconds."""

    time: int
    kind: str
    subject: str
    user: str
    status: str


class Logins(NamedTuple):
    """How often a user has logged in since the previous report, and when last, in Unix seconds."""

    user: str
    times: int
    last: int


class OwnRun(NamedTuple):
    """When this machine last applied an object, and who ran it."""

    address: str
    time: int
    owner: str


@dataclass(frozen=True, slots=True)
class Records:
    """`since`: when the report before was made, 0 for none. `unseen`: why logins are not known.
    `known`: the addresses that it named.
    """

    since: int = 0
    tasks: tuple[RecordedTask, ...] = ()
    logins: tuple[Logins, ...] = ()
    own: tuple[OwnRun, ...] = ()
    unseen: str = ""
    known: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        return {
            "since": self.since or None,
            "tasks": [one._asdict() for one in self.tasks],
            "logins": [one._asdict() for one in self.logins],
            "applied": [one._asdict() for one in self.own],
            "unseen": self.unseen or None,
        }
