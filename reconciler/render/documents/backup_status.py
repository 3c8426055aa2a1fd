"""What can be restored: stale backups first, then every guest with its newest archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from reconciler.model.backups import Archive
from reconciler.model.recoverability import BackupStatus, Freshness, GuestBackups
from reconciler.render import junit as ci
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.documents.drill import samples, seconds
from reconciler.render.json import document
from reconciler.render.metrics import metric, outcome
from reconciler.render.view import View
from reconciler.text.humanize import count, duration, listed, moment, size

FORMAT = 1

_DISKS = 8
"""How many disks of a guest are named that no backup includes."""

_TITLES = {
    Freshness.STALE: "Stale",
    Freshness.NEVER: "Never backed up",
    Freshness.NO_JOB: "In no enabled backup job",
    Freshness.UNKNOWN: "Archives not visible to the caller: VM.Backup is missing",
    Freshness.FRESH: "Fresh",
    Freshness.LEFT_OUT: "Excluded on purpose",
}


def outline(status: BackupStatus, now: int) -> Document:
    sections = [
        Section(title, tuple(_guest(one, now) for one in found), "guest")
        for state, title in _TITLES.items()
        if (found := [one for one in status.guests if one.state is state])
    ]
    first = [section for section in sections if section.title != _TITLES[Freshness.FRESH]]
    rest = [section for section in sections if section not in first]
    shrunk = tuple(_shrunk(status))
    unread = tuple((TextLine(why, Style.ERROR, 2, label=f"{at}  "),) for at, why in status.unread)
    orphans = tuple(_orphan(guest, found, now) for guest, found in status.orphans)
    others = (
        ("Not read", unread, "storage"),
        ("Less than half the size of the previous archive", shrunk, "archive"),
    )
    last = ("Archives of deleted guests", orphans, "guest")
    sections = [
        *(Section(*one) for one in others if one[1]),
        *first,
        *rest,
        *([Section(*last)] if orphans else []),
    ]
    tone = Style.ERROR if status.alarms else Style.GOOD
    return Document(_title(status), tuple(_facts(status, now)), sections=tuple(sections), tone=tone)


def _title(status: BackupStatus) -> str:
    """`Backups: 3 guests fresh, 1 stale, 1 in no job.`"""
    number = Counter(one.state for one in status.guests)
    parts = [f"{number[state]:,} {state}" for state in Freshness if number[state]]
    partial = sum(bool(one.left_out) for one in status.guests)
    if partial:
        parts.append(f"{partial:,} without all disks")
    late = sum(one.overdue for one in status.guests)
    if late:
        parts.append(f"{count(late, 'drill')} overdue")
    if status.unread:
        parts.append(f"{count(len(status.unread), 'storage')} not read")
    return f"Backups of {count(len(status.guests), 'guest')}: {', '.join(parts) or 'none'}."


def _facts(status: BackupStatus, now: int) -> Iterator[Fact]:
    yield Fact("cluster", status.cluster)
    for task in status.tasks:
        ended = task.ended or "running"
        yield Fact("last backup", f"{task.node}  {_ago(task.began, now)}: {ended}")


def _guest(one: GuestBackups, now: int) -> Block:
    name = f" ({one.name})" if one.name else ""
    alarm = Style.ERROR if one.state.alarms else Style.PLAIN
    lines = [TextLine(_promise(one), alarm, 2, label=f"{one.guest}{name}  ")]
    lines += [
        TextLine(f"{storage}: {_archive(archive, now)}", Style.PLAIN, 4)
        for storage, archive in one.newest
    ]
    lines += [
        TextLine(f"{storage}: {_archive(archive, now)}; not counted", Style.WARNING, 4)
        for storage, archive in one.bad
    ]
    if one.left_out:
        disks = listed(list(map(str, one.left_out)), _DISKS)
        lines.append(TextLine(f"in no backup: {disks}", Style.WARNING, 4))
    if one.ahead:
        until = moment(max(archive.made for archive in one.ahead))
        text = f"{count(len(one.ahead), 'archive')} dated in the future, not counted: {until}"
        lines.append(TextLine(text, Style.WARNING, 4))
    if one.drilled is not None or one.overdue:
        tone = Style.ERROR if one.overdue else Style.PLAIN
        lines.append(TextLine(f"restore drill: {_drill(one, now)}", tone, 4))
    return tuple(lines)


def _drill(one: GuestBackups, now: int) -> str:
    """`passed 3 d ago, in 1 min 52 s`."""
    if one.drilled is None:
        return "never; overdue"
    last, good = one.drilled
    late = ", overdue" * one.overdue
    if last.verdict.good:
        return f"{last.verdict} {_ago(last.began, now)}, in {seconds(last.total)}{late}"
    before = f"; last success {_ago(good.began, now)}" if good else "; never succeeded"
    return f"failed {_ago(last.began, now)}: {last.failure}{before}{late}"


def _promise(one: GuestBackups) -> str:
    stale = one.behind if one.state is Freshness.STALE else one.jobs
    jobs = f"job {', '.join(stale)}" if one.jobs else f"on {one.node}"
    archives = count(one.total, "archive")
    if one.state in {Freshness.STALE, Freshness.NEVER} and one.due:
        return f"{jobs}: a run was due at {moment(one.due)}; {archives}"
    return f"{jobs}; {archives}" if one.total or one.jobs else jobs


def _archive(archive: Archive, now: int) -> str:
    parts = [_ago(archive.made, now), size(archive.size)]
    parts += ["protected"] * archive.protected
    parts += [f"verified: {archive.verified}"] * bool(archive.verified)
    parts += [f"“{archive.notes}”"] * bool(archive.notes)
    return f"{archive.volume.partition('backup/')[2]}  {', '.join(parts)}"


def _ago(seconds: int, now: int) -> str:
    return f"{duration(now - seconds)} ago" if now >= seconds else moment(seconds)


def _shrunk(status: BackupStatus) -> Iterator[Block]:
    for one in status.guests:
        for newer, older in one.shrank:
            text = f"{newer.volume}: {size(newer.size)}, previously {size(older.size)}"
            yield (TextLine(text, Style.WARNING, 2, label=f"{one.guest}  "),)


def _orphan(guest: int, found: tuple[Archive, ...], now: int) -> Block:
    whole = size(sum(archive.size for archive in found))
    text = f"{count(len(found), 'archive')}, {whole}, the newest {_ago(found[-1].made, now)}"
    return (TextLine(text, Style.PLAIN, 2, label=f"{guest}  "),)


def text(status: BackupStatus, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(status, view.now), color=view.color, width=view.width)


def markdown(status: BackupStatus, view: View) -> str:
    """For a comment on a pull request."""
    return comment.render(outline(status, view.now))


def junit(status: BackupStatus, view: View) -> str:
    """One test per guest, and one per storage that was not read."""
    return ci.cases("backup status", _cases(status), view)


def _cases(status: BackupStatus) -> Iterable[ci.Case]:
    for one in status.guests:
        failure = f"{one.state}: {_promise(one)}" if one.state.alarms else ""
        yield ci.Case(f"guest {one.guest}", "pvectl.backups", failure, str(one.state))
        if one.drilled is not None or one.overdue:
            words = "overdue" if one.overdue else ""
            bad = one.drilled is not None and not one.drilled.last.verdict.good
            told = one.drilled.last.failure if bad and one.drilled else words
            note = one.drilled.last.archive if one.drilled else ""
            yield ci.Case(f"drill of guest {one.guest}", "pvectl.drills", told, note)
    for place, why in status.unread:
        yield ci.Case(f"storage {place}", "pvectl.backups", why)


def metrics(status: BackupStatus, view: View) -> str:
    """When the newest good archive of each guest was made, and the number of guests by state."""
    cluster = ("cluster", status.cluster)
    made = [
        ((cluster, ("guest", str(one.guest)), ("storage", storage)), archive.made)
        for one in status.guests
        for storage, archive in one.newest
    ]
    number = Counter(one.state for one in status.guests)
    states = [((cluster, ("state", state.value)), number[state]) for state in Freshness]
    name = "pvectl_backup_newest_timestamp_seconds"
    return "".join(
        [
            metric(name, "When the newest good archive was made, in Unix seconds.", made),
            metric("pvectl_backup_guests", "Guests by the state of their backups.", states),
            metric(
                "pvectl_backup_disks_left_out",
                "Disks of a guest that no backup includes.",
                [
                    ((cluster, ("guest", str(one.guest))), len(one.left_out))
                    for one in status.guests
                    if one.left_out
                ],
            ),
            samples(status.cluster, [one.drilled.last for one in status.guests if one.drilled]),
            metric(
                "pvectl_drills_overdue",
                "Guests without a good restore drill in time.",
                [((cluster,), sum(one.overdue for one in status.guests))],
            ),
            outcome("backup", status.exit_status, view),
        ]
    )


def json(status: BackupStatus, view: View) -> str:
    """For programs."""
    del view
    content = {
        "cluster": status.cluster,
        "alarms": status.alarms,
        "guests": [one.to_json() for one in status.guests],
        "orphans": {
            str(guest): [archive.to_json() for archive in found] for guest, found in status.orphans
        },
        "tasks": [task._asdict() for task in status.tasks],
        "unread": dict(status.unread),
    }
    return document("backup_status", FORMAT, content)
