"""What a backup job that was run now has made, guest by guest."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.backups import BackupReport, NodeRun, SavedGuest
from reconciler.render import junit as ci
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, size

FORMAT = 1


def outline(report: BackupReport) -> Document:
    """Failures first, then the archives."""
    failed = tuple(_failures(report))
    saved = tuple(_archives(report))
    sections = [Section("Not backed up", failed, "guest")] if failed else []
    sections += [Section("Backed up", saved, "archive")] if saved else []
    whole = report.saved == len(report.guests)
    tone = Style.GOOD if whole else Style.ERROR
    facts = [Fact("storage", report.storage)]
    facts += [Fact("task", f"{run.node}  {run.task}") for run in report.nodes if run.task]
    facts += [
        Fact("omitted", f"{option}: the caller lacks {privilege}")
        for option, privilege in report.left_out
    ]
    return Document(_title(report), tuple(facts), sections=tuple(sections), tone=tone)


def _title(report: BackupReport) -> str:
    number = len(report.guests)
    if report.saved == number:
        return f"Backup job {report.job}: {count(number, 'guest')} backed up."
    if not report.saved:
        return f"Backup job {report.job}: nothing was backed up."
    return f"Backup job {report.job}: {report.saved} of {count(number, 'guest')} backed up."


def _failures(report: BackupReport) -> Iterator[Block]:
    for run in report.nodes:
        failed = [guest for guest in run.guests if guest.archive is None]
        alike = len({guest.failure for guest in failed}) == 1
        if failed and alike:
            ids = ", ".join(str(guest.guest) for guest in failed)
            yield _failure(run, ids, failed[0].failure)
        else:
            for guest in failed:
                yield _failure(run, str(guest.guest), guest.failure)


def _failure(run: NodeRun, ids: str, why: str) -> Block:
    lines = [TextLine(why, Style.ERROR, 2, label=f"{ids} on {run.node}  ")]
    if run.hint:
        lines.append(TextLine(run.hint, Style.FAINT, 4, whole=True))
    return tuple(lines)


def _archives(report: BackupReport) -> Iterator[Block]:
    for guest in report.guests:
        if guest.archive is not None:
            text = f"{guest.archive.volume}  {size(guest.archive.size)}"
            yield (
                TextLine(
                    text, Style.PLAIN, 2, label=f"{guest.guest} on {guest.node}  ", whole=True
                ),
            )


def text(report: BackupReport, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(report), color=view.color, width=view.width)


def markdown(report: BackupReport, view: View) -> str:
    """For a comment on a pull request."""
    del view
    return comment.render(outline(report))


def junit(report: BackupReport, view: View) -> str:
    """One test per guest."""
    return ci.cases("backup run", map(_case, report.guests), view)


def _case(guest: SavedGuest) -> ci.Case:
    note = guest.archive.volume if guest.archive else ""
    return ci.Case(f"guest {guest.guest} on {guest.node}", "pvectl.backup", guest.failure, note)


def json(report: BackupReport, view: View) -> str:
    """For programs."""
    del view
    content = {
        "job": report.job,
        "storage": report.storage,
        "saved": report.saved,
        "failed": len(report.guests) - report.saved,
        "left_out": dict(report.left_out),
        "nodes": [run.to_json() for run in report.nodes],
    }
    return document("backup_run", FORMAT, content)
