"""Results as notices for mail and chat: what is new, in a few lines, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.kinds import fingerprint
from reconciler.model.drift import EXPIRES_SOON, Drift
from reconciler.model.drill import NOT_DRILLED
from reconciler.model.finding import UNDECLARED_MEMBER, Finding
from reconciler.model.notice import Notice, NoticeEvent
from reconciler.model.recoverability import STALE_BACKUP, BackupStatus
from reconciler.render.documents.drift import news
from reconciler.render.documents.drift_items import in_one_line, ways_to_root, why_undeclared
from reconciler.render.view import View
from reconciler.text.humanize import count
from reconciler.text.sanitize import clean

LONGEST = 20
"""Lines that a notice has."""


def drift(content: Drift, view: View) -> Notice:
    """What differs. The same objects in the same state are not news, whatever else differs."""
    name = clean(content.cluster)
    if content.is_quiet:
        return Notice(NoticeEvent.DRIFT, (), f"pvectl: no drift any more on {name}")
    facts = (
        *(f"root {' '.join(way.principals)}" for way in content.roots),
        *(f"{one.address} {fingerprint(one.address, one.spec)}" for one in content.ringing),
        *(
            f"{one.change.address} {fingerprint(one.change.address, one.change.before)}"
            for one in content.differences
        ),
        *map(_fact, _counted(content)),
    )
    return Notice(
        NoticeEvent.DRIFT,
        facts,
        f"pvectl: drift on {name}: {clean(news(content))}",
        shortened(list(drift_lines(content, view))),
    )


def drift_lines(content: Drift, view: View) -> Iterator[str]:
    """Who has gained or lost what, then one line for each difference and each finding that counts,
    the worst first."""
    yield from ways_to_root(content)
    yield from view.impact
    for one in content.ringing:
        yield f"extra {one.address}: {why_undeclared(one)}"
    for finding in _counted(content):
        yield f"{finding.code}: {finding.message}"
    for item in content.differences:
        told = f": {in_one_line(item)}" if item.difference == "changed" else ""
        yield f"{item.difference} {item.change.address}{told} ({item.kind})"


def _fact(one: Finding) -> str:
    """What a finding is about, without what changes from day to day."""
    about = one.address or one.source or re.sub(r" \([^)]*\)", "", one.message)
    return f"{one.code} {about}"


def _counted(content: Drift) -> Iterator[Finding]:
    """The findings on which the exit status depends."""
    counted = {EXPIRES_SOON, NOT_DRILLED, STALE_BACKUP, UNDECLARED_MEMBER}
    yield from (one for one in content.findings if content.fails(one) or one.code in counted)


def backup_status(content: BackupStatus) -> Notice:
    """The guests without a recent backup, and the storages that cannot be read."""
    name = clean(content.cluster)
    if not content.alarms:
        return Notice(
            NoticeEvent.STALE_BACKUP, (), f"pvectl: every guest on {name} is backed up again"
        )
    alarms = [one for one in content.guests if one.state.alarms]
    late = [one for one in content.guests if one.overdue]
    facts = (
        *(f"{one.guest} {one.state}" for one in alarms),
        *(f"{one.guest} drill" for one in late),
        *(f"storage {place}" for place, _ in content.unread),
    )
    parts = [f"{count(len(alarms), 'guest')} without a recent backup"] * bool(alarms)
    parts += [f"{count(len(late), 'guest')} not restored in time"] * bool(late)
    parts += [f"{count(len(content.unread), 'storage')} not read"] * bool(content.unread)
    return Notice(
        NoticeEvent.STALE_BACKUP,
        facts,
        f"pvectl: backups on {name}: {', '.join(parts)}",
        shortened(list(backup_lines(content))),
    )


def backup_lines(content: BackupStatus) -> Iterator[str]:
    """One line for each storage that cannot be read and each guest that alarms."""
    for place, why in content.unread:
        yield f"storage {place}: {why}"
    for one in content.guests:
        if one.state.alarms:
            yield f"guest {one.guest}: {one.state}"
        if one.overdue:
            yield f"guest {one.guest}: no good restore drill in time"


def shortened(lines: list[str]) -> tuple[str, ...]:
    """At most LONGEST lines, each without control characters."""
    if len(lines) > LONGEST:
        lines[LONGEST - 1 :] = [f"and {len(lines) - LONGEST + 1:,} more"]
    return tuple(map(clean, lines))
