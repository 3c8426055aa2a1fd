"""The node's clock: the sandbox lives in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.pve.calendar.event import next_runs, parse


def runs_after(schedule: str, start: int, count: int) -> list[int]:
    """Unix seconds of up to `count` runs after `start`; none if they cannot be computed."""
    event = parse(schedule)
    try:
        moments = next_runs(event, datetime.fromtimestamp(start, UTC), count)
    except (OverflowError, OSError, ValueError):
        return []
    return [int(moment.timestamp()) for moment in moments]


def next_run(schedule: str, now: int) -> dict[str, int]:
    """`next-run`, as lists of jobs have it; empty for a schedule that never comes."""
    following = runs_after(schedule, now, 1)
    return {"next-run": following[0]} if following else {}


def stamp(seconds: int, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Unix seconds as the node's logs write them."""
    return datetime.fromtimestamp(seconds, UTC).strftime(pattern)
