"""Restore drills: what to restore and how, and the results."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.backups import Archive
from reconciler.model.policy import Check, Network

MARK = "pvectl-drill-"
"""How the word in the description begins by which a drill knows its own guest."""

NOT_DRILLED = "NOT_DRILLED"
"""The code that says which guests were not restored lately, although [drill] every asks for it."""


class DrillPlan(NamedTuple):
    """One archive to be restored, and how. `ids`: first and last; `timeout` in seconds.

    `mark` is a word that no other guest's description holds. `node` is where it is restored.
    `cluster` and `identity` as in a plan of changes.
    """

    guest: int
    kind: str
    node: str
    archive: Archive
    ids: tuple[int, int]
    storage: str
    mark: str
    cluster: str
    identity: str = ""
    pool: str = ""
    network: Network = Network.DOWN
    start: bool = True
    timeout: int = 600
    checks: tuple[Check, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the journal; there is nothing secret in it."""
        return {
            **self._asdict(),
            "archive": self.archive.to_json(),
            "ids": list(self.ids),
            "network": str(self.network),
            "checks": [check.model_dump(exclude_unset=True) for check in self.checks],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DrillPlan:
        """The reverse; raises TypeError, ValueError, KeyError."""
        return cls(
            **{
                **data,
                "archive": Archive(**data["archive"]),
                "ids": (int(data["ids"][0]), int(data["ids"][1])),
                "network": Network(data["network"]),
                "checks": tuple(map(Check.model_validate, data["checks"])),
            }
        )


class Verdict(StrEnum):
    """What a drill has shown."""

    PROVEN = "passed"
    """restored and started, and every check passed"""
    STARTED = "started"
    """restored and running; nothing in it could be checked"""
    RESTORED = "restored"
    """restored, and not started, as was asked for"""
    FAILED = "failed"
    STOPPED = "stopped"
    """the drill was stopped before it had a result"""

    @property
    def good(self) -> bool:
        return self in {Verdict.PROVEN, Verdict.STARTED, Verdict.RESTORED}


class Difference(NamedTuple):
    """An option of the restored guest that is not as in the archive; "" where it is missing."""

    option: str
    saved: str
    restored: str


class DrillResult(NamedTuple):
    """What came of one drill. `began` in Unix seconds; `restore`, `boot` and `check` in seconds, 0
    where it did not get there.

    `vmid`: the id of the restored guest, 0 if there was none. `failure`: why it failed. `notes`:
    what else there is to know. `left`: what the drill made and could not remove, or what it found
    in the place of it. `resumed`: it was interrupted, so the times are longer than it took.
    """

    guest: int
    archive: str
    made: int
    began: int
    verdict: Verdict
    node: str = ""
    vmid: int = 0
    restore: float = 0.0
    boot: float = 0.0
    check: float = 0.0
    failure: str = ""
    hint: str = ""
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    resumed: bool = False

    @property
    def total(self) -> float:
        """Seconds from an archive to a guest that works."""
        return self.restore + self.boot + self.check

    def to_json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "verdict": str(self.verdict),
            "differences": [one._asdict() for one in self.differences],
            "notes": list(self.notes),
            "left": list(self.left),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DrillResult:
        """The reverse; raises TypeError, ValueError, KeyError."""
        return cls(
            **{
                **data,
                "verdict": Verdict(data["verdict"]),
                "differences": tuple(Difference(**one) for one in data["differences"]),
                "notes": tuple(data["notes"]),
                "left": tuple(data["left"]),
            }
        )


class DrillReport(NamedTuple):
    """What one command did."""

    cluster: str
    results: tuple[DrillResult, ...]

    @property
    def failed(self) -> bool:
        return any(not one.verdict.good for one in self.results)

    @property
    def left(self) -> bool:
        return any(one.left for one in self.results)


class Drilled(NamedTuple):
    """What this machine knows of a guest's drills: the last one, and the last that was good."""

    last: DrillResult
    good: DrillResult | None = None

    def to_json(self) -> dict[str, Any]:
        return {"last": self.last.to_json(), "good": self.good.to_json() if self.good else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Drilled:
        """The reverse; raises TypeError, ValueError, KeyError."""
        good = data["good"]
        return cls(
            DrillResult.from_json(data["last"]), DrillResult.from_json(good) if good else None
        )


class OpenDrill(NamedTuple):
    """A drill that has not ended. `vmids`: ids that it may hold a guest under; `running`: now."""

    journal: str
    plan: DrillPlan
    vmids: tuple[int, ...]
    began: float
    running: bool
    there: str = ""
    """what is there of it, in words; "" where the cluster was not asked"""
