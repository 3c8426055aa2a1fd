"""The runs recorded on this machine for a cluster, as `pvectl log` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedJournal:
    """What the journals of runs and of drills have in common. `began` in Unix seconds.

    `trouble` says why the journal was altered or does not follow from the previous one; "" if it is
    intact. `head` is the hash of its last line. `run` is the URL of the CI run.
    """

    name: str
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
            "owner": self.owner,
            "actor": self.actor,
            "run": self.run or None,
            "head": self.head,
            "trouble": self.trouble or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun(LoggedJournal):
    """One run; `ended` in Unix seconds, 0 if it is unfinished."""

    ended: float = 0.0
    signer: str = ""
    source: str = ""
    digest: str = ""
    changes: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            **LoggedJournal.to_json(self),
            "ended": int(self.ended) or None,
            "signer": self.signer or None,
            "source": self.source or None,
            "digest": self.digest,
            "changes": self.changes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDrill(LoggedJournal):
    """One restore drill of a guest's archive, restored as guest `vmid`; 0 if it got no id."""

    guest: int = 0
    archive: str = ""
    vmid: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            **LoggedJournal.to_json(self),
            "guest": self.guest or None,
            "archive": self.archive or None,
            "restored_as": self.vmid or None,
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
