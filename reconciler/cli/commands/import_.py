"""pvectl import: the live state as state files."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, load_cluster, read_whole_cluster
from reconciler.cli.editor_schema import write_beside
from reconciler.cli.output import check_formats, info, show
from reconciler.desired.export import export, write_files
from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.directory import leave_to_directory
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.unread import stray_findings, unread_findings
from reconciler.pve.release import Release, known_releases


@command(app, "import", Panel.FILES, 2)
def import_state(
    common: CommonOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new folder for all objects."),
    ] = None,
) -> ExitStatus:
    """Write the live state as TOML; planning the result against the same cluster changes nothing.

    Into the state folder goes what it does not declare yet, by [[each]] templates and includes
    neither; what its files hold stays. With --out everything is written to another folder, where
    nothing is overwritten. Secrets cannot be read and are in no file. Users and groups of a realm
    that is synchronised are left to the directory: pvectl.toml gets an `exclude`.
    """
    check_formats(common, "findings")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        require_valid(settings.findings)
        folder = out or cluster.folder
        own_folder = folder.resolve() == cluster.folder.resolve()
        declared: Container[Address] = ()
        if own_folder and folder.is_dir():
            declared = load_cluster(cluster, settings).desired.objects
        with connect(cluster, read_only=True) as api:
            live = read_whole_cluster(api)
        theirs = synchronised(live.state)
        own = {
            a: spec for a, spec in live.state.items() if a not in declared and not copied(a, theirs)
        }
        exported = export(own, live.facts.pve)
        for path in write_files(exported.files, folder, add=own_folder):
            info(common, f"wrote {path}")
        if not exported.files:
            info(common, f"nothing to import: {folder} declares everything")
        write_beside(folder, live.facts.pve)
        if theirs:
            info(common, leave_to_directory(folder / SETTINGS_FILE, sorted(theirs)))
        _name_the_release(common, cluster, live.facts.pve)
        passed_over = unread_findings(live.facts.unread)
        findings = [*exported.findings, *passed_over, *stray_findings(live.facts.strays)]
        if findings:
            show(common, "findings", findings)
        wrong = any(finding.severity is Severity.ERROR for finding in findings)
        return ExitStatus.FILES_INVALID if wrong else ExitStatus.OK

    return each_cluster(common, one)


def _name_the_release(common: CommonOptions, cluster: ClusterSettings, found: Release) -> None:
    """Files of another release than the settings name would be checked for the wrong one."""
    if found.version in known_releases() and found.version != cluster.release.version:
        line = f'release = "{found.version}"'
        info(common, f"the cluster runs {found.name}: write {line} in [target] of pvectl.toml")
