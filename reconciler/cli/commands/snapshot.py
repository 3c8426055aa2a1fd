"""pvectl snapshot: save the live state as a folder laid out like /etc/pve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, read_whole_cluster
from reconciler.cli.terminal.output import info, show
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.planning.findings.unread import unread_findings
from reconciler.text.humanize import count


@command(app, "snapshot", Panel.FILES, 3)
def snapshot(
    common: CommonOptions,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder.")],
) -> ExitStatus:
    """Save the live state as a folder laid out like /etc/pve, without secrets.

    It also lists the archives on each storage, so that a plan against it shows which of them a
    changed retention would remove.

    `--on sandbox:DIR` plans against it without credentials, for example in pull requests from
    forks.
    """
    from reconciler.cli.state_folder.snapshot_archives import known_archives
    from reconciler.cli.state_folder.snapshot_folder import copy_cluster
    from reconciler.sandbox.backup.listed import FILE, written

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        require_valid(settings.findings)
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty", hint="name a new folder")
        with connect(cluster, read_only=True) as api:
            live = read_whole_cluster(api)
            archives = known_archives(api)
        number, left_out = copy_cluster(live, out)
        (out / FILE).write_bytes(written(archives))
        findings = list(unread_findings(live.facts.unread))
        if findings:
            show(common, "findings", findings)
        for name in left_out:
            info(common, f"skipped: Proxmox VE would refuse to create it: {name}")
        for storage, why in archives["unread"].items():
            info(common, f"skipped: the archives on {storage}: {why}")
        kept = count(len(archives["archives"]), "archive")
        info(common, f"listed {kept} in {out / FILE}, by name, time and size")
        info(common, f"wrote {number} objects to {out}; plan with: pvectl plan --on sandbox:{out}")
        return ExitStatus.OK

    return each_cluster(common, one)
