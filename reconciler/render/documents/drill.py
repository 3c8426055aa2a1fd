"""What restore drills have shown: what is left and what failed first, then the times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.drill import DrillReport, DrillResult, Verdict
from reconciler.render import junit as ci
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.json import document
from reconciler.render.metrics import Sample, metric, outcome
from reconciler.render.view import View
from reconciler.text.humanize import count, duration, moment

FORMAT = 1

_TITLES = {
    Verdict.FAILED: "Failed",
    Verdict.STOPPED: "Stopped",
    Verdict.STARTED: "Started; no check was possible",
    Verdict.RESTORED: "Restored, not started",
    Verdict.PROVEN: "Passed",
}


def outline(report: DrillReport) -> Document:
    left = tuple((TextLine(what, Style.ERROR, 2),) for one in report.results for what in one.left)
    sections = [Section("Left behind: manual intervention needed", left)] if left else []
    for verdict, title in _TITLES.items():
        found = [one for one in report.results if one.verdict is verdict]
        if found:
            sections.append(Section(title, tuple(map(_block, found)), "guest"))
    bad = report.failed or report.left
    closing = (TextLine("Run `pvectl rollback` to try to remove it again."),) if left else ()
    return Document(
        _title(report),
        (Fact("cluster", report.cluster),),
        sections=tuple(sections),
        closing=closing,
        tone=Style.ERROR if bad else Style.GOOD,
    )


def _title(report: DrillReport) -> str:
    """`Restore drill: 2 archives restored, 1 failed; nothing left behind.`"""
    good = sum(one.verdict.good for one in report.results)
    bad = sum(one.verdict is Verdict.FAILED for one in report.results)
    parts = [f"{count(good, 'archive')} restored"] if good or not bad else []
    parts += [f"{count(bad, 'archive')} failed" if not good else f"{bad:,} failed"] * bool(bad)
    rest = "not everything was removed" if report.left else "nothing left behind"
    return f"Restore drill: {', '.join(parts)}; {rest}."


def _block(one: DrillResult) -> Block:
    label = f"guest {one.guest}  "
    lines = [TextLine(summary(one), _style(one), 2, label=label)]
    where = f", as guest {one.vmid} on {one.node}" if one.vmid else ""
    lines.append(TextLine(f"{one.archive} of {moment(one.made)}{where}", Style.PLAIN, 4))
    if one.hint:
        lines.append(TextLine(one.hint, Style.FAINT, 4, whole=True))
    lines += [
        TextLine(
            f"{d.option}: {_value(d.saved)} in the archive, {_value(d.restored)} restored",
            Style.WARNING,
            4,
        )
        for d in one.differences
    ]
    lines += [TextLine(note, Style.FAINT, 4) for note in one.notes]
    return tuple(lines)


def _value(text: str) -> str:
    return f"'{text}'" if text else "not set"


def _style(one: DrillResult) -> Style:
    return Style.PLAIN if one.verdict.good else Style.ERROR


def summary(one: DrillResult) -> str:
    """`14 s: restored in 8 s, up in 4 s, checked in 2 s`, or why it failed."""
    times = [
        f"{word} in {seconds(taken)}"
        for word, taken in (("restored", one.restore), ("up", one.boot), ("checked", one.check))
        if taken
    ]
    told = ", ".join(times)
    if one.verdict.good:
        again = " (interrupted, so the times are incomplete)" if one.resumed else ""
        return f"{seconds(one.total)}: {told}{again}" if told else "restored"
    return f"{one.failure} ({told})" if told else one.failure


def seconds(taken: float) -> str:
    return duration(round(taken)) if taken >= 10 else f"{taken:.1f} s"


def text(report: DrillReport, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(report), color=view.color, width=view.width)


def markdown(report: DrillReport, view: View) -> str:
    """For a comment on a pull request."""
    del view
    return comment.render(outline(report))


def junit(report: DrillReport, view: View) -> str:
    """One test per guest, and one per thing that is left."""
    return ci.cases("drill", _cases(report.results), view)


def _cases(results: Sequence[DrillResult]) -> Iterator[ci.Case]:
    for one in results:
        failure = "" if one.verdict.good else one.failure or "stopped"
        note = f"{one.archive}\n{one.verdict}: {summary(one)}"
        yield ci.Case(f"guest {one.guest}", "pvectl.drill", failure, note)
        for what in one.left:
            yield ci.Case(f"guest {one.guest} removed", "pvectl.drill", f"left behind: {what}")


def metrics(report: DrillReport, view: View) -> str:
    """The times of each guest's drill, and whether it was good."""
    status = 10 if report.left else 15 if report.failed else 0
    return samples(report.cluster, report.results) + outcome("drill", status, view)


def samples(cluster: str, results: Sequence[DrillResult]) -> str:
    """Metrics of the last drill of each guest."""
    good: list[Sample] = []
    taken: list[Sample] = []
    when: list[Sample] = []
    for one in results:
        labels = (("cluster", cluster), ("guest", str(one.guest)))
        good.append((labels, int(one.verdict.good)))
        when.append((labels, one.began))
        for step, spent in (("restore", one.restore), ("boot", one.boot), ("check", one.check)):
            taken.append(((*labels, ("step", step)), round(spent)))
    return "".join(
        [
            metric("pvectl_drill_good", "Whether the guest's last restore drill was good.", good),
            metric("pvectl_drill_seconds", "How long its steps took, in seconds.", taken),
            metric("pvectl_drill_timestamp_seconds", "When it started, in Unix seconds.", when),
        ]
    )


def json(report: DrillReport, view: View) -> str:
    """For programs."""
    del view
    content = {
        "cluster": report.cluster,
        "good": sum(one.verdict.good for one in report.results),
        "failed": sum(one.verdict is Verdict.FAILED for one in report.results),
        "results": [one.to_json() for one in report.results],
    }
    return document("drill", FORMAT, content)
