"""What a backup job will hold, week by week."""

from __future__ import annotations

from reconciler.model.backups import Forecast, Week
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Section, TextLine
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, duration, moment

FORMAT = 1
_DAYS = 56
"""How many days the drawing goes back."""


def outline(told: Forecast) -> Document:
    """A row per week: how many archives, and a mark for each day of which one is held."""
    rules = ", ".join(f"{name}={number}" for name, number in told.rules.items())
    facts = [Fact("runs", told.schedule), Fact("keeps", rules or "everything")]
    if not told.enabled:
        facts.append(Fact("disabled", "the job does not run; below is what it would keep"))
    if not told.complete:
        facts.append(Fact("shown", "only the first runs, since the job runs very often"))
    rows = tuple((_row(week),) for week in told.weeks)
    dates = [(TextLine(moment(made), indent=2),) for made in told.weeks[-1].held[::-1]]
    sections = [Section("Archives of one guest, starting today from none", rows, "week")]
    if told.rules and dates:
        sections.append(
            Section(f"Kept after week {told.weeks[-1].number}", tuple(dates), "archive")
        )
    return Document(f"Retention of backup.{told.job}", tuple(facts), sections=tuple(sections))


def _row(week: Week) -> TextLine:
    """The newest day on the right."""
    days = {(week.until - made) // 86400 for made in week.held}
    drawn = "".join("#" if day in days else "." for day in reversed(range(_DAYS)))
    oldest = f", the oldest {duration(week.until - week.held[0])} old" if week.held else ""
    text = f"{count(len(week.held), 'archive')}{oldest}"
    return TextLine(f"{drawn}  {text}", indent=2, label=f"week {week.number}  ", whole=True)


def text(told: Forecast, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(told), color=view.color, width=view.width)


def markdown(told: Forecast, view: View) -> str:
    """For a comment on a pull request."""
    del view
    return comment.render(outline(told))


def json(told: Forecast, view: View) -> str:
    """For programs."""
    del view
    content = {**told._asdict(), "weeks": [week._asdict() for week in told.weeks]}
    return document("retention", FORMAT, content)
