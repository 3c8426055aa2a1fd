"""pvectl import: write the live state as state files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from os.path import lexists
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions, means_several
from reconciler.cli.context import connect, each_cluster, here, read_whole_cluster
from reconciler.cli.state_folder import gitignore
from reconciler.cli.state_folder.adoption import (
    account,
    called_undeclared,
    check_together,
    declared_in,
)
from reconciler.cli.state_folder.editor_schema import beside, write_beside
from reconciler.cli.state_folder.state_files import settings_table
from reconciler.cli.terminal.output import check_formats, info, show, write_file
from reconciler.desired.export.adoption import adoption, chosen, with_belongings
from reconciler.desired.export.terraform import read_terraform_state
from reconciler.desired.export.terraform_ownership import Ownership
from reconciler.desired.export.toml_files import export, write_files
from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.loader import require_valid
from reconciler.desired.reach import Reach, in_ci, require_inside
from reconciler.desired.settings.left_to_others import Exclusion, leaving_to_others, of_directories
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.live.reader import Live
from reconciler.model.finding import Finding, Severity
from reconciler.planning.findings.unread import stray_findings, unread_findings
from reconciler.pve.release import NEWEST, Release, known_releases


@command(app, "import", Panel.FILES, 2)
def import_state(
    common: CommonOptions,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help="A kind, an address or a glob: group, group.DevOps, 'user.*@pve'.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder to write to; default: the state folder."
        ),
    ] = None,
    *,
    undeclared: Annotated[
        bool, typer.Option("--undeclared", help="Import what `drift` reports as undeclared.")
    ] = False,
    from_terraform: Annotated[
        Path | None,
        typer.Option(
            "--from-terraform",
            metavar="TFSTATE",
            help="Leave what this state owns to Terraform (provider bpg/proxmox).",
        ),
    ] = None,
    take_over: Annotated[
        Path | None,
        typer.Option(
            "--take-over",
            metavar="FILE.tf",
            help="Take it over instead; write Terraform's `removed` blocks to this file.",
        ),
    ] = None,
) -> ExitStatus:
    """Write the live state as TOML, so that planning it against the same cluster shows no changes.

    With WHAT or --undeclared, writes only those objects and what belongs to them: the tokens of a
    user, the entries of a principal. They are added to the existing files; what is already declared
    is skipped.

    Otherwise existing files are not overwritten; comments in a file without tables are kept.
    Secrets cannot be read, so no file contains any. Users and groups of a synchronised realm are
    left to the directory: pvectl.toml gets an `exclude` for them.
    """
    check_formats(common, "findings")
    owned = _owned(common, from_terraform, take_over)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        require_valid(settings.findings)
        folder = out or cluster.folder
        declared = declared_in(folder, cluster, settings)
        with connect(cluster, read_only=True) as api:
            live = read_whole_cluster(api)
            found = set(live.state)
            if undeclared:
                found = called_undeclared(declared, live.state, api, here(cluster, api).folder)
        in_steps = bool(what) or undeclared
        found = set(with_belongings(live.state, found & chosen(live.state, what or ["*"])))
        theirs = synchronised(live.state)
        left = {address for address in found if copied(address, theirs)}
        taken = adoption(live.state, found - left - set(owned.left(live.state)), declared)
        exported = export(owned.reduced(taken.new), live.facts.pve, owned.beside(taken.new))
        if in_steps:
            check_together(exported.files, folder, cluster, settings)
        files, told = _beside(
            owned, take_over, folder, [] if in_steps else _others(owned, live, theirs)
        )
        reach = Reach(folder, settings.trust, strict=in_ci())
        require_inside(reach, [*beside(folder), folder / gitignore.FILE])
        is_new = not any(folder.glob("*.toml"))
        has_settings = lexists(folder / SETTINGS_FILE)
        for path in write_files(exported.files, folder, add=in_steps, others=files, reach=reach):
            info(common, f"{'added to' if in_steps else 'wrote'} {path}")
        if exported.files:
            _complete(folder, live.facts.pve, is_new=is_new)
        adopted = account(taken, exported, left) if in_steps else ()
        for line in (*adopted, *told):
            info(common, line)
        _name_the_release(common, folder, cluster, live.facts.pve, is_new=not has_settings)
        findings = [*exported.findings, *(() if in_steps else _passed_over(live))]
        if findings:
            show(common, "findings", findings)
        return _status(findings)

    return each_cluster(common, one)


def _owned(common: CommonOptions, path: Path | None, take_over: Path | None) -> Ownership:
    """Raises UsageError for options that do not fit, and for a file that is not a state."""
    if path is None:
        if take_over is not None:
            raise UsageError(
                "--take-over needs --from-terraform", hint="name the state: terraform.tfstate"
            )
        return Ownership()
    if means_several(common.on):
        raise UsageError("a Terraform state is that of one cluster", hint="choose it: --on NAME")
    if take_over is not None and (take_over.exists() or take_over.is_symlink()):
        raise UsageError(f"{take_over} already exists", hint="name a new file")
    return Ownership(read_terraform_state(path), taken_over=take_over is not None)


def _others(owned: Ownership, live: Live, theirs: Collection[str]) -> list[Exclusion]:
    """What the settings are to leave to directories and to Terraform."""
    directories = [of_directories(sorted(theirs))] if theirs else []
    return [*directories, *owned.exclusions(live.state)]


def _beside(
    owned: Ownership, take_over: Path | None, folder: Path, others: Sequence[Exclusion]
) -> tuple[dict[Path, bytes], list[str]]:
    """What is written together with the state files, or not at all: blocks for Terraform and the
    settings. Beside it, what to tell afterwards."""
    files: dict[Path, bytes] = {}
    told: list[str] = []
    if others:
        path = folder / SETTINGS_FILE
        line, content = leaving_to_others(path, others)
        told.append(line)
        files |= {} if content is None else {path: content}
    if take_over is not None:
        files[take_over] = owned.state.blocks().encode()
        told.append(f"wrote {take_over}: add it to Terraform's files, run `terraform apply`")
    return files, told


def _complete(folder: Path, release: Release, *, is_new: bool) -> None:
    """What a state folder has beside its files."""
    write_beside(folder, release)
    if is_new:
        gitignore.ignore_secrets(folder)


def _status(findings: Iterable[Finding]) -> ExitStatus:
    wrong = any(finding.severity is Severity.ERROR for finding in findings)
    return ExitStatus.FILES_INVALID if wrong else ExitStatus.OK


def _passed_over(live: Live) -> Iterable[Finding]:
    yield from unread_findings(live.facts.unread)
    yield from stray_findings(live.facts.strays)


def _name_the_release(
    common: CommonOptions, folder: Path, cluster: ClusterSettings, found: Release, *, is_new: bool
) -> None:
    """`[target] release`, where the settings name another one or none: written if they are new, as
    the files may be valid for that release alone; otherwise advised.
    """
    if found.version not in known_releases():
        return
    settings = folder / SETTINGS_FILE
    line, runs = f'release = "{found.version}"', f"the cluster runs {found.name}"
    if is_new and folder.is_dir() and found.version != NEWEST.version:
        before = f"{settings.read_text()}\n" if settings.exists() else ""
        write_file(settings, f"{before}[target]\n{line}\n")
        info(common, f"wrote {settings}: {runs}")
    elif not is_new and found.version != cluster.release.version:
        info(common, f"{runs}: write {line} in {settings_table(cluster)} of {SETTINGS_FILE}")
