"""Where a cluster stands: an unfinished run with what became of each object, and who may write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from reconciler.render import terminal
from reconciler.render.document import Document, Section, Style, TextLine
from reconciler.render.documents import journal as told
from reconciler.render.documents import run_report as ended
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import moment

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
    """`journal` is the file of the unfinished run, empty where there is none; `running` tells what
    writes from this machine at this moment, empty for nothing; `unasked` why the cluster could not
    be asked, empty where it was."""

    @property
    def journal(self) -> str: ...

    @property
    def events(self) -> told.Events: ...

    @property
    def report(self) -> ended.Ended | None: ...

    @property
    def holders(self) -> Sequence[Holder]: ...

    @property
    def running(self) -> str: ...

    @property
    def unasked(self) -> str: ...


def text(standing: Standing, view: View) -> str:
    """For a terminal."""
    parts = []
    if standing.report is not None:
        parts += [
            told.status(standing.events, view, standing.running),
            _objects(standing.report, view),
        ]
    elif standing.running:
        parts.append(f"Running now, {standing.running}.\n")
    else:
        parts.append("No unfinished run on this machine.\n")
    if standing.holders:
        parts.append(_holders(standing.holders, view))
    if standing.unasked:
        parts.append(_unasked(standing.unasked, view))
    return "\n".join(parts)


def _objects(report: ended.Ended, view: View) -> str:
    """The sections of a report without its title, which speaks of a run that has ended."""
    whole = ended.outline(report, view)
    title = "Objects as they are now" if report.verified else "Objects as the journal says"
    return terminal.render(
        Document(title=title, sections=whole.sections), color=view.color, width=view.width
    )


def _unasked(why: str, view: View) -> str:
    outline = Document(
        title="The cluster could not be asked",
        closing=(
            TextLine(why, Style.ERROR),
            TextLine("Whether somebody holds its lock is not known."),
        ),
    )
    return terminal.render(outline, color=view.color, width=view.width)


def _holders(holders: Iterable[Holder], view: View) -> str:
    lines = tuple((_holder(holder, view.now),) for holder in holders)
    outline = Document(title="Locks on the cluster", sections=(Section("Held by", lines, "lock"),))
    return terminal.render(outline, color=view.color, width=view.width)


def _holder(holder: Holder, now: int) -> TextLine:
    who = f"{holder.owner}, number {holder.fence} {holder.run}".rstrip()
    if holder.until == float("inf"):
        return TextLine(f"{who}: cannot be read, a person is to look at it", Style.ERROR, 2)
    if holder.until > now:
        return TextLine(f"{who}: until {moment(int(holder.until))}", Style.WARNING, 2)
    return TextLine(f"{who}: expired, the next run takes it over", Style.FAINT, 2)


def json(standing: Standing, view: View) -> str:
    """For programs; `run` is null where no run is unfinished, `locks` where nobody can tell."""
    run: dict[str, Any] | None = None
    if standing.report is not None:
        run = {"journal": standing.journal, **standing.report.to_json()}
        run["state"] = told.state(standing.events)
        run["overtaken"] = any(event.name == "overtaken" for event in standing.events)
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
    content = {
        "run": run,
        "running": standing.running or None,
        "locks": None if standing.unasked else locks,
        "unreachable": standing.unasked or None,
    }
    return document("status", FORMAT, content)
