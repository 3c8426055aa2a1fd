"""What became of every object of a plan, read from the cluster and the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.errors import PvectlError, Unreachable
from reconciler.execution.judge import shown
from reconciler.execution.run import Run
from reconciler.model.address import Address
from reconciler.model.change import Change


class Outcome(StrEnum):
    """What became of one object."""

    DONE = "done"
    UNDONE = "undone"
    UNTOUCHED = "untouched"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """`outcome` in a word; `objects` in the order of the plan, each with what became of it.

    `failure` is what stopped the run, `trouble` what stood in the way of the way back.
    """

    outcome: str
    objects: tuple[tuple[Address, Outcome], ...]
    failure: PvectlError | None = None
    trouble: tuple[PvectlError, ...] = ()

    @property
    def restored(self) -> bool:
        """Whether everything is verified to be as it was before the run."""
        return not self.trouble and all(
            outcome in (Outcome.UNDONE, Outcome.UNTOUCHED) for _, outcome in self.objects
        )

    @property
    def complete(self) -> bool:
        """Whether everything is verified to be as declared."""
        return all(outcome is Outcome.DONE for _, outcome in self.objects)

    def objects_json(self) -> dict[str, str]:
        return {str(address): str(outcome) for address, outcome in self.objects}

    def to_json(self) -> dict[str, Any]:
        """Without secrets, as every error is."""
        return {
            "outcome": self.outcome,
            "objects": self.objects_json(),
            "failure": None if self.failure is None else self.failure.summary,
            "trouble": [error.summary for error in self.trouble],
        }


def report(
    run: Run,
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> Report:
    """Read everything once more and say what became of it."""
    first: dict[Address, Change] = {}
    last: dict[Address, Change] = {}
    touched: set[Address] = set()
    announced = {e.step for e in run.journal.events if e.name == "intent"}
    for number, step in enumerate(run.steps):
        for change in step.changes:
            first.setdefault(change.address, change)
            last[change.address] = change
            if number in announced:
                touched.add(change.address)
    try:
        state = run.look(run.steps)
    except Unreachable:
        unknown = tuple((address, Outcome.UNKNOWN) for address in first)
        return Report(outcome, unknown, failure, tuple(trouble))
    objects = []
    for address, change in first.items():
        live = state.get(address)
        if live == shown(last[address], last[address].after):
            became = Outcome.DONE
        elif live == shown(change, change.before):
            became = Outcome.UNDONE if address in touched else Outcome.UNTOUCHED
        else:
            became = Outcome.UNKNOWN if address in touched else Outcome.UNTOUCHED
        objects.append((address, became))
    return Report(outcome, tuple(objects), failure, tuple(trouble))
