"""Where a cluster stands: an unfinished run with what became of each object, and who may write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from reconciler.render import journal as told
from reconciler.render import report as ended
from reconciler.render import text as terminal
from reconciler.render.json import document
from reconciler.render.outline import Line, Outline, Section, Tone
from reconciler.render.view import View
from reconciler.render.words import moment

FORMAT = 1


class Holder(Protocol):
    """A lock object in the cluster; `until` in Unix seconds."""

    @property
    def fence(self) -> int: ...

    @property
    def owner(self) -> str: ...

    @property
    def run(self) -> str: ...

    @property
    def until(self) -> float: ...


class Standing(Protocol):
    """`journal` is the file of the unfinished run, empty where there is none."""

    @property
    def journal(self) -> str: ...

    @property
    def events(self) -> told.Events: ...

    @property
    def report(self) -> ended.Ended | None: ...

    @property
    def holders(self) -> Sequence[Holder]: ...


def text(standing: Standing, view: View) -> str:
    """For a terminal."""
    parts = []
    if standing.report is None:
        parts.append("No unfinished run on this machine.\n")
    else:
        parts += [told.status(standing.events, view), _objects(standing.report, view)]
    if standing.holders:
        parts.append(_holders(standing.holders, view))
    return "\n".join(parts)


def _objects(report: ended.Ended, view: View) -> str:
    """The sections of a report without its title, which speaks of a run that has ended."""
    whole = ended.outline(report, view)
    outline = Outline(title="Objects as they are now", sections=whole.sections)
    return terminal.render(outline, color=view.color, width=view.width)


def _holders(holders: Iterable[Holder], view: View) -> str:
    lines = tuple((_holder(holder, view.now),) for holder in holders)
    outline = Outline(title="Locks on the cluster", sections=(Section("Held by", lines, "lock"),))
    return terminal.render(outline, color=view.color, width=view.width)


def _holder(holder: Holder, now: int) -> Line:
    who = f"{holder.owner}, number {holder.fence} {holder.run}".rstrip()
    if holder.until == float("inf"):
        return Line(f"{who}: cannot be read, a person is to look at it", Tone.ERROR, 2)
    if holder.until > now:
        return Line(f"{who}: until {moment(int(holder.until))}", Tone.WARNING, 2)
    return Line(f"{who}: expired, the next run takes it over", Tone.FAINT, 2)


def json(standing: Standing, view: View) -> str:
    """For programs; `run` is null where no run is unfinished."""
    run: dict[str, Any] | None = None
    if standing.report is not None:
        run = {"journal": standing.journal, **standing.report.to_json()}
        run["state"] = told.state(standing.events)
    locks = [
        {
            "fence": holder.fence,
            "live": holder.until > view.now,
            "owner": holder.owner,
            "run": holder.run,
            "until": None if holder.until == float("inf") else int(holder.until),
        }
        for holder in standing.holders
    ]
    return document("status", FORMAT, {"run": run, "locks": locks})
