"""pvectl validate: check the state files, without network access."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from reconciler.access.any_member import with_any_members
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded, each_cluster, load_cluster, now
from reconciler.cli.release_option import ReleaseOption, asked_release
from reconciler.cli.run.plan_options import Since
from reconciler.cli.state_folder.earlier_files import NO_MERGE_BASE, earlier_files
from reconciler.cli.state_folder.state_files import other_release
from reconciler.cli.terminal.output import check_formats, info, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.kinds import access_table
from reconciler.kinds.role import RESERVED
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.planning.builder import UNDECLARED, apply_changes
from reconciler.planning.changes.diff import diff
from reconciler.planning.changes.removed_globs import with_matching
from reconciler.planning.checks.expectations import expectations
from reconciler.planning.checks.idle_expectations import idle
from reconciler.planning.checks.no_longer_declared import no_longer_declared, said
from reconciler.planning.lint import LintContext, lint_declared, set_aside
from reconciler.planning.lint.custom import broken_rules
from reconciler.planning.lint.custom.idle import idle_rules
from reconciler.pve.release import Release
from reconciler.text.humanize import count
from reconciler.text.suggest import suggest


@command(app, "validate", Panel.FILES, 4)
def validate(
    common: CommonOptions,
    release: ReleaseOption = "",
    since: Since = None,
) -> ExitStatus:
    """Check the state files: every mistake at once, with file, line and column. No network access.

    Expectations are checked as far as the files allow. For a target `sandbox:FOLDER`, also reports
    what Proxmox VE would ignore in its files. `--release` shows what an upgrade breaks. Exit 0
    without errors, 3 with mistakes, 4 when an expectation fails or a rule is broken.
    """
    check_formats(common, "findings")
    asked = asked_release(release)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        cluster = replace(cluster, release=asked or cluster.release)
        loaded = load_cluster(cluster, settings, strict=False)
        desired = loaded.desired
        desired = replace(
            desired, findings=tuple(_judged(one, cluster.release) for one in desired.findings)
        )
        wrong = any(finding.severity is Severity.ERROR for finding in desired.findings)
        by_access = [] if wrong else _by_access(desired)
        left = _left(loaded, since)
        found = [*desired.findings, *by_access, *left, *_passed_over(cluster)]
        told = [*set_aside(found, desired, now(), complete=False)]
        show(common, "findings", told)
        if wrong:
            if not asked and (hint := other_release(cluster, settings, desired)):
                info(common, hint)
            return ExitStatus.FILES_INVALID
        if any(finding.severity is Severity.ERROR for finding in told):
            return ExitStatus.REFUSED
        text = f"{count(len(desired.objects), 'object')} declared in {cluster.folder}"
        info(common, f"{text}, valid for {cluster.release.name}" if asked else text)
        return ExitStatus.OK

    return each_cluster(common, one)


def _judged(finding: Finding, release: Release) -> Finding:
    """Turn an unknown role into a mistake where its name has the reserved form of built-in roles
    and is close to one of them; no cluster is needed for that.
    """
    ref = finding.names
    if finding.code != UNDECLARED or ref is None or ref.kind != "role":
        return finding
    likely = suggest(ref.id, release.roles, likeness=0.85)
    if not (likely and ref.id.lower().startswith(RESERVED)):
        return finding
    return finding._replace(
        code="UNKNOWN_REFERENCE",
        severity=Severity.ERROR,
        message=f"{finding.address} names {ref}, which does not exist",
        hint=f"did you mean {likely}?",
    )


def _left(loaded: Loaded, since: str | None) -> Iterable[Finding]:
    """Findings about objects that the files declared earlier, and that a cluster would still
    have.
    """
    earlier = earlier_files(loaded, since)
    yield from (one for one in earlier.weaker if one.code == NO_MERGE_BASE)
    if earlier.files is None or not earlier.addresses - loaded.desired.objects.keys():
        return
    old = earlier.files.state
    desired = with_matching(loaded.desired, old)
    planned = apply_changes(old, diff(desired, old, now=now()).changes)
    left = no_longer_declared(desired, earlier.addresses, planned)
    yield from said(left, loaded.desired, earlier.since)


def _passed_over(cluster: ClusterSettings) -> list[Finding]:
    """What Proxmox VE ignores in the files of a target that is itself a folder."""
    folder = cluster.target.sandbox_folder if cluster.target else None
    if folder is None or not (Path(folder) / "user.cfg").is_file():
        return []
    from reconciler.planning.findings.unread import unread_findings
    from reconciler.sandbox.config.store import Store
    from reconciler.sandbox.config.unread import unread

    return list(unread_findings(unread(Store(Path(folder)))))


def _by_access(desired: Desired) -> list[Finding]:
    """Failing expectations and lint, as far as the files alone show."""
    table, moment = access_table(desired.state, desired.release), now()
    (filled,) = with_any_members((table,), moment)
    failing = expectations(filled, desired.expectations, now=moment, complete=False)
    nothing = idle(filled, desired.expectations, complete=False)
    scene = LintContext(desired.state, table, desired.objects, desired.policy, (), moment)
    return [
        *failing,
        *nothing,
        *lint_declared(desired, desired.state, table, (), moment, complete=False),
        *broken_rules(desired.rules, scene),
        *idle_rules(desired.rules, scene),
    ]
