"""The next runs of schedules that a plan creates or changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from reconciler.model.address import Address
from reconciler.model.plan import Plan
from reconciler.pve.calendar.event import parse
from reconciler.pve.calendar.runs import next_runs

SHOWN = 3


def remarks(plan: Plan, start: datetime) -> Mapping[Address, Sequence[str]]:
    """Remarks for `View`: when a new or changed schedule of an enabled job runs after `start`.

    Schedules count in the time zone of the node; `start` is interpreted as such a time.
    """
    found = {}
    for change in plan.changes:
        old, new = (getattr(side, "schedule", "") for side in (change.before, change.after))
        if new and new != old and getattr(change.after, "enabled", True):
            found[change.address] = (_words(new, start),)
    return found


def _words(schedule: str, start: datetime) -> str:
    try:
        moments = next_runs(parse(schedule), start, SHOWN)
    except ValueError:
        return "the schedule cannot be read"
    if not moments:
        return "never runs"
    return "next runs: " + ", ".join(f"{moment:%a %Y-%m-%d %H:%M}" for moment in moments)
