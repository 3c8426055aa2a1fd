"""The unfinished run of a cluster with the outcome of each object, and the lock holders."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from reconciler.model.drill import OpenDrill
from reconciler.model.health import Health
from reconciler.model.run import RESTORED, LockRecord, Outcome, RunReport
from reconciler.model.run_state import ClusterStatus, RunState
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Section, Style, TextLine
from reconciler.render.documents import journal as recorded
from reconciler.render.documents import run_report
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, moment

FORMAT = 1


def text(found: ClusterStatus, view: View) -> str:
    """For a terminal."""
    parts = []
    if found.report is not None:
        if not found.running:
            parts.append(_summary(found.run, found.report) + "\n")
        parts.append(recorded.status(found.run, view, found.running))
        others = _not_told(found.run, found.report)
        if others.objects:
            parts.append(_objects(others, view))
    elif found.running:
        parts.append(f"A run is in progress: {found.running}.\n")
    elif found.left is not None:
        parts.append(_left(found.left, found.journal, view))
    else:
        parts.append("No unfinished run on this machine.\n")
    if found.drills:
        parts.append(_drills(found.drills, view))
    if found.holders:
        parts.append(_holders(found.holders, view))
    if found.health is not None:
        parts.append(_health(found.health, view))
    if found.unreachable:
        parts.append(_unreachable(found, view))
    return "\n".join(parts)


def _summary(run: RunState, report: RunReport) -> str:
    """One line: how far the run got, and what to do."""
    total = recorded.number_of_steps(run)
    started = sum(1 for record in run.steps.values() if record.announced or record.is_complete)
    counts = [
        f"{sum(became is outcome for _, became in report.objects):,} {outcome}"
        for outcome in Outcome
        if any(became is outcome for _, became in report.objects)
    ]
    objects = f"of {count(len(report.objects), 'object')}, {', '.join(counts)}"
    return f"Stopped at step {started:,} of {total:,}: {objects}; run `pvectl resume`."


def _not_told(run: RunState, report: RunReport) -> RunReport:
    """The report without the objects of which the steps say everything."""
    told = recorded.told_by_steps(run)
    others = [
        (address, outcome)
        for address, outcome in report.objects
        if told.get(str(address)) is not outcome or address in report.secrets
    ]
    return replace(report, objects=tuple(others))


def _objects(report: RunReport, view: View) -> str:
    """The sections of a report, without its title."""
    whole = run_report.outline(report, view)
    title = "Objects now" if report.verified else "Objects according to the journal"
    title += ", in addition to the steps"
    return terminal.render(
        Document(title=title, sections=whole.sections), color=view.color, width=view.width
    )


def _left(report: RunReport, journal: str, view: View) -> str:
    """The objects that a rolled back run could not restore."""
    wrong = tuple(pair for pair in report.objects if pair[1] not in RESTORED)
    lines = tuple((TextLine(str(address), Style.ERROR, 2),) for address, _ in wrong)
    outline = Document(
        title="The last run was rolled back, but these objects were not restored",
        sections=(Section("Not restored", lines, "object"),),
        closing=(
            TextLine(f"`{shlex.join(('pvectl', 'show', journal))}` shows their earlier state."),
            TextLine("Correct them by hand, or run `pvectl plan`, then `pvectl apply`."),
        ),
    )
    return terminal.render(outline, color=view.color, width=view.width)


def _drills(drills: Iterable[OpenDrill], view: View) -> str:
    """The restore drills that have not ended, with what is there of each."""
    blocks = tuple(_drill(one) for one in drills)
    dead = any(not one.running for one in drills)
    closing = (
        TextLine(
            "`pvectl resume` continues interrupted drills; `pvectl rollback` removes what they "
            "created."
        ),
    )
    outline = Document(
        title="Restore drills",
        sections=(Section("Unfinished", blocks, "drill"),),
        closing=closing if dead else (),
    )
    return terminal.render(outline, color=view.color, width=view.width)


def _drill(one: OpenDrill) -> Block:
    how = "running" if one.running else "interrupted"
    text = f"{how}, started {moment(int(one.began))}: {one.there or 'no restored guest left'}"
    tone = Style.PLAIN if one.running else Style.WARNING
    return (
        TextLine(text, tone, 2, label=f"guest {one.plan.guest}  "),
        TextLine(one.journal, Style.FAINT, 4, whole=True),
    )


def _unreachable(found: ClusterStatus, view: View) -> str:
    hints = [TextLine(line, Style.FAINT, 2) for line in found.advice.splitlines()]
    outline = Document(
        title="The cluster could not be read",
        closing=(
            TextLine(found.unreachable, Style.ERROR),
            *hints,
            TextLine("It is unknown whether its lock is held."),
        ),
    )
    return terminal.render(outline, color=view.color, width=view.width)


def _health(health: Health, view: View) -> str:
    """One line, or one for each thing that speaks against a change."""
    wrong = health.troubles
    lines = [TextLine(one.text, Style.WARNING, 2) for one in wrong]
    lines += [TextLine(f"{one} does not answer", Style.WARNING, 2) for one in health.silent]
    head = f"Cluster: {health.words}." if not lines else "Cluster: not healthy"
    return terminal.lines([TextLine(head), *lines], color=view.color, width=view.width)


def _holders(holders: Iterable[LockRecord], view: View) -> str:
    lines = tuple((_holder(holder, view.now),) for holder in holders)
    outline = Document(title="Locks on the cluster", sections=(Section("Held by", lines, "lock"),))
    return terminal.render(outline, color=view.color, width=view.width)


def _holder(holder: LockRecord, now: int) -> TextLine:
    who = f"{holder.owner}, lock {holder.fence} {holder.run}".rstrip()
    if holder.until == float("inf"):
        return TextLine(f"{who}: unreadable, check it manually", Style.ERROR, 2)
    if holder.until > now:
        return TextLine(f"{who}: until {moment(int(holder.until))}", Style.WARNING, 2)
    return TextLine(f"{who}: expired, the next run takes it over", Style.FAINT, 2)


def json(found: ClusterStatus, view: View) -> str:
    """For programs; `run` is null if no run is unfinished, `locks` if unknown, and `left` if no run
    left objects unrestored."""
    run: dict[str, Any] | None = None
    if found.report is not None:
        run = {"journal": found.journal, **found.report.to_json()}
        run["state"] = recorded.state(found.run)
        run["overtaken"] = found.run.is_overtaken
        run["grant"] = recorded.grant_in(found.run)
    locks = [
        {
            "fence": holder.fence,
            "live": holder.until > view.now,
            "owner": holder.owner,
            "run": holder.run,
            "until": None if holder.until == float("inf") else int(holder.until),
        }
        for holder in found.holders
    ]
    content = {
        "run": run,
        "left": None if found.left is None else {"journal": found.journal, **found.left.to_json()},
        "running": found.running or None,
        "drills": [
            {
                "journal": one.journal,
                "guest": one.plan.guest,
                "archive": one.plan.archive.volume,
                "began": int(one.began),
                "running": one.running,
                "vmids": list(one.vmids),
                "there": one.there,
            }
            for one in found.drills
        ],
        "locks": None if found.unreachable else locks,
        "unreachable": found.unreachable or None,
        "health": None if found.health is None else found.health.to_json(),
    }
    return document("status", FORMAT, content)
