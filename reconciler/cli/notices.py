"""Tells people by mail or chat what [notify] of the trusted settings names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.hints import with_options
from reconciler.cli.streams import write_err
from reconciler.cli.terminal.output import target_name
from reconciler.desired.secrets import resolve
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import Bug, ExitStatus, PvectlError, UsageError
from reconciler.execution.journal.store import home
from reconciler.execution.notices import send
from reconciler.model.notice import Notice, NoticeEvent, Notify
from reconciler.render.notice import shortened
from reconciler.text.humanize import hint_lines
from reconciler.text.sanitize import clean

_FAILURES: Mapping[str, NoticeEvent] = {
    **dict.fromkeys(("drift", "backup status"), NoticeEvent.FAILED_CHECK),
    **dict.fromkeys(
        ("apply", "resume", "rollback", "rotate", "grant", "revoke"), NoticeEvent.FAILED_APPLY
    ),
    **dict.fromkeys(("backup run", "drill"), NoticeEvent.FAILED_BACKUP),
}
"""What it is called when a command does not do what was asked."""

_RESULTS = {ExitStatus.OK, ExitStatus.CHANGES, ExitStatus.REFUSED}
"""What a command that only looks ends with when it has seen everything."""


def tell(common: CommonOptions, notice: Notice, notify: Notify | None, task: str = "") -> None:
    """Send a notice, if [notify] asks for it. A failure is only a warning and decides nothing,
    but is shown even with --quiet: nobody would notice otherwise. `task`: what has a state of its
    own within the event."""
    if notify is None or notice.event not in notify.on:
        return
    run = os.environ.get("PVECTL_RUN_URL", "")
    notice = notice._replace(lines=(*notice.lines, *[clean(run)] * bool(run)))
    about = f"{common.state.absolute()} {target_name(common)} {task}"
    try:
        failed = send(home(), about, notice, urls(common, notify))
    except (PvectlError, OSError) as error:
        failed = [f"no notification of '{notice.event}' was sent: {error}"]
        failed += hint_lines(getattr(error, "hint", ""))
    except Exception as error:  # of a library that knows a hundred services
        failed = [f"no notification of '{notice.event}' was sent: {Bug.of(error).summary}"]
    for why in failed:
        write_err(f"warning: {clean(why)}\n")


def urls(common: CommonOptions, notify: Notify) -> str:
    """The secret; raises SecretUnreadable."""
    folder = (common.settings or Path()).absolute().parent
    return resolve(notify.urls, folder, allow_commands=True)


def tell_failure(common: CommonOptions, task: str, error: Exception) -> None:
    """A command raised an error."""
    if task not in _FAILURES:
        return
    if not isinstance(error, PvectlError):
        error = UsageError(str(error)) if isinstance(error, OSError) else Bug.of(error)
    lines = [f"{error.code}: {error.summary}", *hint_lines(error.hint)]
    lines = [with_options(line, common.again) for line in lines]
    _tell_end(common, task, error.exit_status, error.code, lines)


def tell_status(common: CommonOptions, task: str, status: ExitStatus) -> None:
    """A command ended with a status."""
    if task not in _FAILURES:
        return
    fails = status not in (
        _RESULTS if _FAILURES[task] is NoticeEvent.FAILED_CHECK else {ExitStatus.OK}
    )
    what = f"exit status {int(status)}"
    lines = ["`pvectl explain exit-status` says what it means, `pvectl status` what to do."]
    _tell_end(common, task, status, what if fails else "", lines if fails else ())


def _tell_end(
    common: CommonOptions, task: str, status: ExitStatus, failure: str, lines: Sequence[str]
) -> None:
    """`failure`: "" where there was none."""
    event = _FAILURES[task]
    if event is NoticeEvent.FAILED_APPLY and failure and not _matters(status):
        return
    try:
        notify = read_settings(common.state, common.settings).notify
    except PvectlError:
        return  # it is what the command itself ends with
    where = f"target {common.on}" if common.on else str(common.state)
    title = f"pvectl {task} {f'failed: {failure}' if failure else 'works again'} ({where})"
    notice = Notice(event, (failure,) * bool(failure), clean(title), shortened(list(lines)))
    tell(common, notice, notify, "" if event is NoticeEvent.FAILED_APPLY else task)


def _matters(status: ExitStatus) -> bool:
    """An interrupt is not a failure. A refusal is visible on the terminal; a change that failed is
    always reported."""
    if status >= ExitStatus.HUNG_UP:
        return False
    return status in {ExitStatus.RESTORED, ExitStatus.NOT_RESTORED} or not sys.stdin.isatty()
