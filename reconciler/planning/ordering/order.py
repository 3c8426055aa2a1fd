"""Changes and their references -> one total order of requests, or a named cycle.

Create before use, detach before delete, irreversible last. Among the ready steps, the first one
that opens no window is taken: after it no principal holds a privilege that it has neither before
nor after the plan, and none lacks one that it has in both. Where there is none,
`ordering.backtracking` reconsiders earlier choices, as far as that is feasible.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.errors import CycleError
from reconciler.kinds import all_kinds, kind_of, rank, references
from reconciler.kinds.shared.step import step_of
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.planning.ordering.backtracking import (
    IRREVERSIBLE,
    ExposureCounter,
    Key,
    without_exposure,
)

LOOK_AHEAD = 50
"""Number of ready steps tried before a window is accepted; keeps large plans linear."""


class Untracked:
    """Tracks nothing."""

    effort = 0

    def opens(self, step: Step) -> str:
        del step
        return ""

    def take(self, step: Step) -> None:
        del step

    def take_back(self, step: Step) -> None:
        del step


def order(changes: Sequence[Change], windows: ExposureCounter | None = None) -> tuple[Step, ...]:
    """The steps in the order in which they run; raises CycleError."""
    steps = tuple(_steps(changes))
    before = _edges(steps)
    if windows is not None:
        keys = [_key(step, index) for index, step in enumerate(steps)]
        found = without_exposure(steps, keys, before, windows)
        if found is not None:
            return found
    return _greedy(steps, before, windows or Untracked())


def _greedy(
    steps: Sequence[Step], before: Mapping[int, set[int]], windows: ExposureCounter
) -> tuple[Step, ...]:
    """Never reconsiders a step; a window that no ready step avoids is opened and named."""
    after: dict[int, list[int]] = defaultdict(list)
    missing = [0] * len(steps)
    for later, earlier in before.items():
        missing[later] = len(earlier)
        for index in earlier:
            after[index].append(later)
    ready = [(_key(steps[i], i), i) for i in range(len(steps)) if not missing[i]]
    heapq.heapify(ready)
    ordered: list[Step] = []
    while ready:
        index, opened = _next(ready, steps, windows)
        ordered.append(steps[index]._replace(window=opened))
        for later in after[index]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, (_key(steps[later], later), later))
    if len(ordered) < len(steps):
        raise CycleError(_cycle(steps, before, missing))
    return tuple(ordered)


def _next(
    ready: list[tuple[Key, int]], steps: Sequence[Step], windows: ExposureCounter
) -> tuple[int, str]:
    """Take the first ready step without a window, or else the first step and its window.

    An irreversible step never overtakes a reversible one.
    """
    irreversible = ready[0][0][0] == IRREVERSIBLE
    passed: list[tuple[tuple[Key, int], str]] = []
    chosen: tuple[tuple[Key, int], str] | None = None
    while ready and len(passed) < LOOK_AHEAD:
        if (ready[0][0][0] == IRREVERSIBLE) != irreversible:
            break
        candidate = heapq.heappop(ready)
        opened = windows.opens(steps[candidate[1]])
        if not opened:
            chosen = (candidate, "")
            break
        passed.append((candidate, opened))
    if chosen is None:
        chosen = passed.pop(0)
    for candidate, _ in passed:
        heapq.heappush(ready, candidate)
    windows.take(steps[chosen[0][1]])
    return chosen[0][1], chosen[1]


def _steps(changes: Sequence[Change]) -> Iterable[Step]:
    """One step per request, kind by kind.

    An object that is removed and restored has two changes: they share no request.
    """
    times: Counter[Address] = Counter()
    turns: dict[tuple[str, int], list[Change]] = defaultdict(list)
    for change in sorted(changes, key=lambda change: change.address):
        address = change.address
        turns[address.kind, times[address]].extend(kind_of(address).writes.split(change))
        times[address] += 1
    for name, kind in all_kinds().items():
        for turn in range(max(times.values(), default=0)):
            for request, carried in kind.writes.requests(turns.get((name, turn), [])):
                yield step_of(kind, request, carried)


def _key(step: Step, index: int) -> Key:
    """Stage (0 create or change, 1 delete, IRREVERSIBLE), rank of the kind, address."""
    change = step.changes[0]
    position = rank(change.address.kind)
    if step.undo is Undo.NONE:
        return (IRREVERSIBLE, -position, change.address, index)
    if change.after is None:
        return (1, -position, change.address, index)
    return (0, position, change.address, index)


def _edges(steps: Sequence[Step]) -> dict[int, set[int]]:
    """Step -> the steps that must come before it."""
    carried = [(index, change) for index, step in enumerate(steps) for change in step.changes]
    makes = {c.address: index for index, c in reversed(carried) if c.before is None}
    destroys = {c.address: index for index, c in carried if c.after is None}
    before: dict[int, set[int]] = defaultdict(set)
    last: dict[Address, int] = {}
    for index, change in carried:
        named_before, named_after = _named(change, change.before), _named(change, change.after)
        before[index].update(makes[ref] for ref in named_after if ref in makes)
        # a new grant on a deleted pool: Proxmox VE deletes all entries with the pool
        fresh = (ref for ref in named_after - named_before if ref not in makes)
        before[index].update(destroys[ref] for ref in fresh if ref in destroys)
        for ref in named_before - named_after:
            if ref in destroys:
                before[destroys[ref]].add(index)
            elif ref in makes:  # left over from an earlier object: deleted only with it
                before[index].add(makes[ref])
        if change.address in last:
            before[index].add(last[change.address])
        last[change.address] = index
    return {index: earlier - {index} for index, earlier in before.items()}


def misplaced(steps: Sequence[Step]) -> int | None:
    """The number, from 0, of a step that runs before one that it needs; None if there is none."""
    before = _edges(steps)
    return next((n for n in range(len(steps)) if any(e > n for e in before.get(n, ()))), None)


def _named(change: Change, spec: object) -> set[Address]:
    return set() if spec is None else set(references(change.address, spec))  # type: ignore[arg-type]


def _cycle(steps: Sequence[Step], before: Mapping[int, set[int]], missing: Sequence[int]) -> str:
    """Walk backwards among the steps that never became ready until one comes twice."""
    stuck = {index for index, count in enumerate(missing) if count}
    path = [min(stuck)]
    while True:
        earlier = min(index for index in before[path[-1]] if index in stuck)
        if earlier in path:
            circle = [*path[path.index(earlier) :], earlier]
            break
        path.append(earlier)
    edges = " -> ".join(
        f"{steps[i].changes[0].action} {steps[i].changes[0].address}" for i in reversed(circle)
    )
    return f"dependency cycle between changes: {edges}"
