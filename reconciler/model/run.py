"""Values of a run: the events of its journal, the outcome of its objects, and the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.errors import PvectlError
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.request import Request

LOCK_PREFIX = "pvectl-lock-"
"""How the groups begin that serve as locks: no objects of anybody's files."""

DONE, ROLLED_BACK, STUCK, STOPPED = "done", "rolled back", "stuck", "stopped"
"""How a run ends: at its aim, where it began, past the point of no return, or in the middle."""

COMPLETED, ABANDONED = "completed by another run", "abandoned"
"""How a run ends that does not continue: all it wanted was applied, or a person closed it."""


class Direction(StrEnum):
    """Which way a run goes: applying its plan, or rolling it back."""

    FORWARD = "forward"
    BACK = "back"


class OutgoingRequest(NamedTuple):
    """One request to be sent: its step (from 0), its direction, and the changes it carries."""

    step: int
    direction: Direction
    request: Request
    changes: tuple[Change, ...]


class Event(NamedTuple):
    """One line of a journal: what happened, to which step, and the data that belongs to it."""

    name: str
    data: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Number of the step, from 0; -1 where it belongs to none."""
        return int(self.data.get("step", -1))

    @property
    def direction(self) -> Direction:
        """The direction of the event; forward where it names none."""
        return Direction.BACK if self.data.get("direction") == "back" else Direction.FORWARD


class Outcome(StrEnum):
    """The outcome of one object, in the order in which reports list them."""

    DONE = "done"
    UNDONE = "undone"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"


RESTORED = frozenset({Outcome.UNDONE, Outcome.UNTOUCHED})
"""What became of an object that is as it was before the run."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run: `outcome` in a word; `objects` in the order of the plan, each with its
    outcome.

    `failure` is what stopped the run, `trouble` what the rollback could not do, `losses` what it
    could not restore, by object. `verified`: read from the cluster; otherwise it is what the
    journal says. `back`: the run is being rolled back; `final`: the irreversible change after which
    it can only be finished. `secrets`: delivery status of tokens' secrets, where it is not as
    expected. `signer`: who signed the plan, where signatures are required.
    """

    outcome: str
    objects: tuple[tuple[Address, Outcome], ...]
    failure: PvectlError | None = None
    trouble: tuple[PvectlError, ...] = ()
    losses: Mapping[Address, str] = field(default_factory=dict)
    verified: bool = True
    back: bool = False
    final: str = ""
    secrets: Mapping[Address, str] = field(default_factory=dict)
    signer: str = ""

    @property
    def restored(self) -> bool:
        """Whether everything is verified to be as before the run."""
        known = self.verified and not self.trouble
        return known and all(outcome in RESTORED for _, outcome in self.objects)

    @property
    def complete(self) -> bool:
        """Whether everything is verified to be as declared."""
        return self.verified and all(outcome is Outcome.DONE for _, outcome in self.objects)

    def objects_json(self) -> dict[str, str]:
        return {str(address): str(outcome) for address, outcome in self.objects}

    def to_json(self) -> dict[str, Any]:
        """Without secrets, as every error is."""
        return {
            "outcome": self.outcome,
            "verified": self.verified,
            "objects": self.objects_json(),
            "failure": None if self.failure is None else self.failure.summary,
            "failed_step": None if self.failure is None else self.failure.step or None,
            "trouble": [error.summary for error in self.trouble],
            "losses": {str(address): text for address, text in self.losses.items()},
            "secrets": {str(address): text for address, text in self.secrets.items()},
            "signer": self.signer or None,
        }


class LockRecord(NamedTuple):
    """A lock object in the cluster; `until` in Unix seconds, `host` is the machine of its run."""

    claim: int
    fence: int
    owner: str
    run: str
    until: float
    host: str = ""

    @property
    def group(self) -> str:
        """The name of the group that is this lock."""
        return f"{LOCK_PREFIX}{self.claim}"
