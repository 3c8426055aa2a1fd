"""The recorded runs on a cluster, newest first, and whether the journals are intact."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.run_log import LoggedDrill, LoggedRun, RunLog
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Section, Style, TextLine
from reconciler.render.documents.plan import SHORT
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, in_prose, moment

FORMAT = 1

_TONES = {
    "done": Style.GOOD,
    "passed": Style.GOOD,
    "failed": Style.ERROR,
    "unfinished": Style.ERROR,
    "stuck": Style.ERROR,
}


def outline(log: RunLog) -> Document:
    """One block for each run."""
    blocks = tuple(_block(run) for run in reversed(log.runs))
    drills = tuple(_drill(one) for one in reversed(log.drills))
    sections = (
        *((Section("Runs", blocks, "run"),) if blocks else ()),
        *((Section("Restore drills", drills, "drill"),) if drills else ()),
    )
    return Document(
        title=_title(log),
        tone=Style.PLAIN if log.holds else Style.ERROR,
        sections=sections,
        closing=tuple(_closing(log)),
    )


def _title(log: RunLog) -> str:
    if not (log.runs or log.drills or log.missing):
        return f"No run on {log.cluster} was recorded on this machine."
    drills = [count(len(log.drills), "restore drill")] if log.drills else []
    counts = [count(len(log.runs), "run")] if log.runs or not drills else []
    runs = f"{in_prose([*counts, *drills])} on {log.cluster}"
    if log.broken:
        return f"{runs}: the journal of {log.broken:,} is not intact."
    if log.missing:
        return f"{runs}: none of them holds {log.missing}."
    return f"{runs}, newest first; the chain of journals is intact."


def _block(run: LoggedRun) -> Block:
    began = moment(run.began) if run.began else "unknown"
    changes = count(run.changes, "change")
    tone = Style.ERROR if run.trouble else _TONES.get(run.outcome, Style.WARNING)
    lines = [TextLine(f"{began}  {run.outcome or 'unreadable'}, {changes}", tone, 2)]
    if run.trouble:
        lines.append(TextLine(run.trouble, Style.ERROR, 6, "!"))
    lines += [TextLine(text, Style.FAINT, 6) for text in _details(run)]
    return tuple(lines)


def _drill(one: LoggedDrill) -> Block:
    began = moment(one.began) if one.began else "unknown"
    tone = Style.ERROR if one.trouble else _TONES.get(one.outcome, Style.WARNING)
    as_guest = f", as guest {one.vmid}" if one.vmid else ""
    what = f": guest {one.guest}{as_guest}" if one.guest else ""
    lines = [TextLine(f"{began}  {one.outcome or 'unreadable'}{what}", tone, 2)]
    if one.trouble:
        lines.append(TextLine(one.trouble, Style.ERROR, 6, "!"))
    who = _who(one.owner, one.actor)
    if who or one.run:
        lines.append(TextLine(", ".join(filter(None, (who, one.run))), Style.FAINT, 6))
    where = f"{one.archive}; {one.name}" if one.archive else one.name
    return (*lines, TextLine(where, Style.FAINT, 6))


def _who(owner: str, actor: str) -> str:
    who = " as ".join(part for part in (owner.split(" as ", maxsplit=1)[0], actor) if part)
    return f"by {who}" if who else ""


def _details(run: LoggedRun) -> Iterable[str]:
    parts = [_who(run.owner, run.actor), f"signed by {run.signer}" if run.signer else "", run.run]
    if any(parts):
        yield ", ".join(part for part in parts if part)
    source = f", from {run.source}" if run.source else ""
    plan = f"plan {run.digest[:SHORT]}{source}; " if run.digest else ""
    yield f"{plan}{run.name}"


def _closing(log: RunLog) -> Iterable[TextLine]:
    if log.missing:
        text = "A run was removed, or the journals were rewritten, since that hash was recorded."
        yield TextLine(text, Style.ERROR)
    if log.runs:
        yield TextLine(
            "`pvectl show JOURNAL` shows what a run did, `pvectl rollback JOURNAL` undoes it."
        )
    if log.head:
        yield TextLine(
            f"Head {log.head[:16]}: record it elsewhere; later `pvectl log --head "
            f"{log.head[:16]}` verifies that no earlier run was changed or removed."
        )


def text(log: RunLog, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(log), color=view.color, width=view.width)


def markdown(log: RunLog, view: View) -> str:
    """For an issue."""
    del view
    return comment.render(outline(log))


def json(log: RunLog, view: View) -> str:
    """For programs, oldest first."""
    del view
    content = {
        "cluster": log.cluster,
        "holds": log.holds,
        "missing": log.missing or None,
        "head": log.head or None,
        "runs": [run.to_json() for run in log.runs],
        "drills": [drill.to_json() for drill in log.drills],
    }
    return document("log", FORMAT, content)
