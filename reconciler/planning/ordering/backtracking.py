"""Backtracking search for a step order without privilege exposure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from reconciler.model.address import Address
from reconciler.model.plan import Step

Key = tuple[int, int, Address, int]
"""Stage, rank, address, number: ready steps are tried in this order."""
IRREVERSIBLE = 2
"""The last stage."""

STEPS = 40
"""Longer plans are not searched."""
TRIES = 2_000
"""Maximum number of steps tried."""
EFFORT = 10_000
"""Maximum number of principals evaluated: the cost of a try."""


class ExposureCounter(Protocol):
    """Tracks the privileges of all principals while the plan proceeds."""

    @property
    def effort(self) -> int:
        """A measure of the work done so far."""

    def opens(self, step: Step) -> str:
        """The window that `step` would open if it ran next, in words; "" for none."""

    def take(self, step: Step) -> None:
        """Run `step` next."""

    def take_back(self, step: Step) -> None:
        """Undo `step`, the last one run, which opened no window."""


def without_exposure(
    steps: Sequence[Step],
    keys: Sequence[Key],
    before: Mapping[int, set[int]],
    windows: ExposureCounter,
) -> tuple[Step, ...] | None:
    """The first such order; None where there is none, or none was found within the budget.

    `before`: step -> the steps that must come before it. Returning None leaves `windows` unchanged.
    """
    if len(steps) > STEPS:
        return None
    search = _Search(steps, keys, before, windows)
    return tuple(steps[i] for i in search.path) if search.finds(frozenset()) else None


class _Search:
    def __init__(
        self,
        steps: Sequence[Step],
        keys: Sequence[Key],
        before: Mapping[int, set[int]],
        windows: ExposureCounter,
    ) -> None:
        self._steps, self._before, self._windows = steps, before, windows
        self._keys = keys
        self._tries = TRIES
        self._effort = windows.effort + EFFORT
        self._dead: set[frozenset[int]] = set()
        """sets of steps from which every order opens a window"""
        self.path: list[int] = []

    def finds(self, done: frozenset[int]) -> bool:
        if len(done) == len(self._steps):
            return True
        for index in self._ready(done):
            step, more = self._steps[index], done | {index}
            if more in self._dead:
                continue
            if not self._tries or self._windows.effort > self._effort:
                return False
            self._tries -= 1
            if self._windows.opens(step):
                continue
            self._windows.take(step)
            self.path.append(index)
            if self.finds(more):
                return True
            self.path.pop()
            self._windows.take_back(step)
            self._dead.add(more)
        return False

    def _ready(self, done: frozenset[int]) -> Iterator[int]:
        """Steps that are ready; an irreversible step never overtakes a reversible one."""
        ready = [
            index
            for index in range(len(self._steps))
            if index not in done and self._before.get(index, set()) <= done
        ]
        ready.sort(key=self._keys.__getitem__)
        first = ready[0] if ready else 0
        for index in ready:
            if (self._keys[index][0] == IRREVERSIBLE) == (self._keys[first][0] == IRREVERSIBLE):
                yield index
