"""The runs recorded on this machine for a cluster, as `pvectl log` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One run; times in Unix seconds, `ended` 0 where it has not.

    `trouble` says why its journal was altered or does not follow from the previous one; "" where
    all is well. `head` is the hash of its last line.
    """

    name: str
    began: float = 0.0
    ended: float = 0.0
    outcome: str = ""
    owner: str = ""
    actor: str = ""
    signer: str = ""
    run: str = ""
    source: str = ""
    digest: str = ""
    changes: int = 0
    head: str = ""
    trouble: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "journal": self.name,
            "began": int(self.began) or None,
            "ended": int(self.ended) or None,
            "outcome": self.outcome,
            "owner": self.owner,
            "actor": self.actor,
            "signer": self.signer or None,
            "run": self.run or None,
            "source": self.source or None,
            "digest": self.digest,
            "changes": self.changes,
            "head": self.head,
            "trouble": self.trouble or None,
        }


@dataclass(frozen=True, slots=True)
class LoggedDrill:
    """One restore drill: of which guest, from which archive, restored as guest `vmid` (0 where it
    did not get there); the other fields as those of a run."""

    name: str
    guest: int = 0
    archive: str = ""
    vmid: int = 0
    began: float = 0.0
    outcome: str = ""
    owner: str = ""
    actor: str = ""
    run: str = ""
    head: str = ""
    trouble: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "journal": self.name,
            "began": int(self.began) or None,
            "outcome": self.outcome,
            "guest": self.guest or None,
            "archive": self.archive or None,
            "restored_as": self.vmid or None,
            "owner": self.owner,
            "actor": self.actor,
            "run": self.run or None,
            "head": self.head,
            "trouble": self.trouble or None,
        }


@dataclass(frozen=True, slots=True)
class RunLog:
    """`runs` and `drills` from the oldest to the newest; `missing` is a recorded hash that no run
    contains.
    """

    cluster: str
    runs: tuple[LoggedRun, ...] = ()
    missing: str = ""
    drills: tuple[LoggedDrill, ...] = ()

    @property
    def head(self) -> str:
        """The hash of the whole chain: recorded elsewhere, it proves the chain later."""
        return self.runs[-1].head if self.runs else ""

    @property
    def holds(self) -> bool:
        return not self.missing and not self.broken

    @property
    def broken(self) -> int:
        """How many journals are not intact."""
        troubles = [*(run.trouble for run in self.runs), *(one.trouble for one in self.drills)]
        return sum(map(bool, troubles))
