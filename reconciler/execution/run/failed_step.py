"""Name the step that failed, in the words of its plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import PvectlError
from reconciler.execution.run.context import RunContext
from reconciler.kinds import describe_step
from reconciler.model.field_diff import differences, fields
from reconciler.model.run import Direction


@contextmanager
def named(run: RunContext, number: int, direction: Direction) -> Iterator[None]:
    """A context manager that adds to an error which step it stopped."""
    try:
        yield
    except PvectlError as failure:
        failure.step = failure.step or _described(run, number, direction)
        raise


def _described(run: RunContext, number: int, direction: Direction) -> str:
    """Which step it is, what it does, where that is declared, and what it sends."""
    changes = run.steps[number].changes
    back = "rolling back " if direction is Direction.BACK else ""
    told = f"{back}step {number + 1} of {len(run.steps)}: {describe_step(changes)}"
    if len(changes) > 1 or direction is Direction.BACK:
        return told
    (change,) = changes
    if change.before is not None and change.after is not None:
        sent = [f"{one.name} {one.text}" for one in differences(change.before, change.after)]
    else:
        sent = [f"{one.name} {one.text}" for one in fields(change.after)] if change.after else []
    return f"{told}, with {', '.join(sent)}" if sent else told
