"""pvectl notify: send a test notification."""

from __future__ import annotations

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.notices import urls
from reconciler.cli.terminal.output import info
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import ExitStatus, SinkFailed, UsageError
from reconciler.execution.notices import deliver, split
from reconciler.model.notice import Notice, NoticeEvent
from reconciler.text.humanize import count

_TEST = Notice(
    NoticeEvent.DRIFT,
    ("test",),
    "pvectl: test message",
    ("Notifications from pvectl will arrive here. Nothing has changed.",),
)


@command(app, "notify", Panel.OTHER, 4)
def notify(common: CommonOptions) -> ExitStatus:
    """Send a test message to every URL of [notify] in the file of --settings.

    It does not affect which notifications are sent later.
    """
    settings = read_settings(common.state, common.settings)
    require_valid(settings.findings)
    if settings.notify is None:
        raise UsageError(
            "no notifications are configured: the trusted settings have no [notify]",
            hint='write [notify] urls = { file = "notify-urls" } into a file outside the state '
            "folder, and pass it with --settings",
        )
    addresses = split(urls(common, settings.notify))
    failed = [number for number, url in enumerate(addresses, 1) if not deliver(url, _TEST)]
    if failed:
        raise SinkFailed(
            f"the message could not be delivered to URL {', '.join(map(str, failed))} of [notify]",
            hint="see https://github.com/caronc/apprise/wiki, and test it with "
            "`apprise --verbose --body test URL`",
        )
    info(common, f"sent to {count(len(addresses), 'URL')}: {', '.join(settings.notify.on)}")
    return ExitStatus.OK
