"""Tracks the privileges of all principals while a plan is ordered."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.analysis.affected import affected_principals
from reconciler.access.analysis.exposure import ExposureWindow, exposure_window, still_exposed
from reconciler.access.analysis.impact import known_paths
from reconciler.access.analysis.path_partition import PathPartition
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.table import AccessTable
from reconciler.kinds import access_delta
from reconciler.model.plan import Step
from reconciler.pve.acl_paths import UNNAMED

_Spot = tuple[str, str]
"""A principal and a path"""


class ExposureTracker:
    """The `Windows` of `planning.order`, for the way from `before` to `after`.

    A window that is already open does not count against later steps. `time` in Unix seconds:
    principals expired by then hold nothing.
    """

    def __init__(
        self, before: AccessTable, after: AccessTable, paths: Iterable[str] = (), time: int = 0
    ) -> None:
        self._time = time
        self._before = before
        self._after = after
        self._now = before.copy()
        self._paths = known_paths((before, after), (*paths, *UNNAMED))
        self._ground = PathPartition((before, after, self._now), self._paths)
        self._open: dict[_Spot, tuple[frozenset[str], frozenset[str]]] = {}
        self._seen: tuple[Step, ExposureWindow | None] | None = None
        """the step examined last, with the window that it would open"""
        self._deltas: dict[int, tuple[Step, Delta]] = {}
        """`id` of a step -> the step and what it changes, as most are examined and then taken"""
        self.effort = 0
        """Number of principals evaluated so far."""

    def opens(self, step: Step) -> str:
        """The window that `step` would open if it ran next, in words; "" for none."""
        delta = self._delta(step)
        if not delta:
            return ""
        apply_delta(self._now, delta)
        found = self._look(delta)
        self._seen = (step, found)
        apply_delta(self._now, delta.inverse())
        return str(found) if found is not None and self._is_new(found) else ""

    def take(self, step: Step) -> None:
        """Run `step` next."""
        delta = self._delta(step)
        if not delta:
            return
        apply_delta(self._now, delta)
        if delta.pooled:
            self._ground = PathPartition((self._before, self._after, self._now), self._paths)
        self._open = {
            spot: known
            for spot, known in self._open.items()
            if still_exposed(self._before, self._after, self._now, *spot, self._time)
        }
        found = self._seen[1] if self._seen and self._seen[0] is step else self._look(delta)
        if found is not None:
            self._open.update(_spots(found))

    def take_back(self, step: Step) -> None:
        """Undo `step`, the last one run, which opened no window."""
        delta = self._delta(step)
        if not delta:
            return
        apply_delta(self._now, delta.inverse())
        if delta.pooled:
            self._ground = PathPartition((self._before, self._after, self._now), self._paths)

    def _delta(self, step: Step) -> Delta:
        known = self._deltas.get(id(step))
        if known is None:
            known = self._deltas[id(step)] = (step, access_delta(step.changes))
        return known[1]

    def _look(self, delta: Delta) -> ExposureWindow | None:
        """The window after `delta`, which was just applied."""
        reach = affected_principals(delta, self._before, self._after, self._now)
        if not reach:
            return None
        self.effort += len(reach)
        ground = None if delta.pooled else self._ground
        return exposure_window(
            self._before, self._after, self._now, reach, self._paths, ground, self._time
        )

    def _is_new(self, found: ExposureWindow) -> bool:
        nothing = (frozenset[str](), frozenset[str]())
        return any(
            not (gained <= known[0] and lost <= known[1])
            for spot, (gained, lost) in _spots(found).items()
            for known in [self._open.get(spot, nothing)]
        )


def _spots(found: ExposureWindow) -> dict[_Spot, tuple[frozenset[str], frozenset[str]]]:
    return {
        (who, path): (frozenset(effect.gained), frozenset(effect.lost))
        for effect in found.effects
        for who in effect.principals
        for path in effect.paths
    }
