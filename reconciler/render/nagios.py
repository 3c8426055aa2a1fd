"""Output of a monitoring plugin, as Nagios, Icinga, Naemon and Checkmk (MRPE) read it.

The first line has the state, the news, and after `|` the performance data; further lines are shown
as the long output. States and syntax: the Monitoring Plugins Development Guidelines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

from reconciler.model.drift import Drift, DriftClass
from reconciler.model.recoverability import BackupStatus, Freshness
from reconciler.render.documents.drift import news
from reconciler.render.notice import backup_lines, drift_lines, shortened
from reconciler.render.view import View
from reconciler.text.humanize import count, hint_lines
from reconciler.text.sanitize import clean

if TYPE_CHECKING:
    from reconciler.render.documents.failure import Failure


class State(IntEnum):
    """What a plugin ends with."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_CLASSES = (*(one for one in DriftClass if one is not DriftClass.UNDECLARED), DriftClass.UNDECLARED)
"""In the order of the performance data."""


def drift(content: Drift, view: View) -> str:
    """CRITICAL: a failed expectation, a finding that fails, a new way to root, or an undeclared
    object that changes access. WARNING: any other drift, or something that expires soon."""
    state = State.OK
    if not content.is_quiet:
        state = State.WARNING
    if content.is_refused or content.roots or content.ringing:
        state = State.CRITICAL
    data = {
        "differences": len(content.differences),
        **{kind.code: content.number(kind) for kind in _CLASSES},
        "ways_to_root": len(content.roots),
        "expectations_failed": content.broken,
        "findings_failed": content.failed,
        "expiring": content.expiring,
        "backups_unproven": content.unproven,
    }
    told = "no drift" if content.is_quiet else news(content)
    return _output("DRIFT", state, f"{content.cluster}: {told}", data, drift_lines(content, view))


def backup_status(content: BackupStatus, view: View) -> str:
    """CRITICAL: a guest without a backup as recent as its jobs promise, or a storage that cannot be
    read. UNKNOWN: archives that the caller may not see."""
    del view
    number = Counter(one.state for one in content.guests)
    state = State.CRITICAL if content.alarms else State.OK
    if state is State.OK and number[Freshness.UNKNOWN]:
        state = State.UNKNOWN
    data = {one.name.lower(): number[one] for one in Freshness}
    parts = [f"{number[one]:,} {one}" for one in Freshness if number[one]]
    late = sum(one.overdue for one in content.guests)
    data["drills_overdue"] = late
    parts += [f"{late:,} not restored in time"] * bool(late)
    parts += [f"{count(len(content.unread), 'storage')} not read"] * bool(content.unread)
    guests = f"{content.cluster}: {count(len(content.guests), 'guest')}"
    told = f"{guests}: {', '.join(parts) or 'none'}"
    return _output("BACKUP", state, told, data, backup_lines(content))


def failure(content: Failure, view: View) -> str:
    """UNKNOWN: there is no result."""
    del view
    mistakes = (f"{one.code}: {one.message}" for one in content.findings)
    told = f"{content.code}: {content.summary}"
    more = [*mistakes, *hint_lines(content.hint)]
    return _output(content.command.upper(), State.UNKNOWN, told, {}, more)


def state_of(output: str) -> State:
    """The state that an output says, which its command ends with."""
    return State[output.split(maxsplit=3)[2]]


def _output(
    what: str, state: State, news: str, data: Mapping[str, int], more: Iterable[str]
) -> str:
    numbers = " ".join(f"{name}={value}" for name, value in data.items())
    first = (
        f"PVECTL {_plain(what)} {state.name} - {_plain(news)}{' | ' if numbers else ''}{numbers}"
    )
    return "\n".join([first, *map(_plain, shortened(list(more)))]) + "\n"


def _plain(text: str) -> str:
    """One line without the sign that begins performance data."""
    return clean(text).replace("|", "¦")
