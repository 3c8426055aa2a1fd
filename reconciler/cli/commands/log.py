"""pvectl log: list recorded runs, and check that their journals are intact."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution import identity, private_folder
from reconciler.execution.drills import store as drills
from reconciler.execution.journal import store
from reconciler.execution.journal.chain import read_log
from reconciler.model.target import SANDBOX
from reconciler.real_path import real_path

HASH = re.compile(r"[0-9a-f]{16,64}")
"""A prefix of a hash long enough to rule out collisions by chance."""


@command(app, "log", Panel.RECOVERY, 6)
def log(
    common: CommonOptions,
    head: Annotated[
        str,
        typer.Option(
            "--head",
            metavar="HASH",
            help="Fail unless the journals still contain this hash.",
            show_default=False,
        ),
    ] = "",
) -> ExitStatus:
    """List the runs and restore drills of this machine: when, by whom, and with what result.

    Each journal holds the hash of the previous one, so one that was altered, truncated or removed
    is reported. No network access. Exit 10 when the journals are not intact, else 0.
    """
    check_formats(common, "log")
    if head and not HASH.fullmatch(head.lower()):
        raise UsageError(
            f"'{head}' is not a hash of a journal",
            hint="pass 16 to 64 digits, as shown by `pvectl log`",
        )

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        target = cluster.connection()
        if target.sandbox_folder is not None:
            name = f"{SANDBOX}{real_path(Path(target.sandbox_folder))}"
            folder = store.base_of(name)
        else:
            name, folder = target.endpoints[0], identity.folder_offline(target.endpoints)
        private_folder.check(store.home(), folder)
        found = read_log(folder, cluster.named(name), head.lower())
        found = replace(found, drills=drills.logged(drills.folder_of(folder)))
        show(common, "log", found)
        return ExitStatus.OK if found.holds else ExitStatus.NOT_RESTORED

    return each_cluster(common, one)
