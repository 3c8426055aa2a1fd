"""Explain a whole user, token, group or role, or compare two roles: `pvectl explain WHO` without a
path.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.explain.subject import Subject, of_group, of_principal, of_role, of_roles
from reconciler.access.table import AccessTable
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.explain.query import find_principal, group_name
from reconciler.cli.explain.source import view_access
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, FilesInvalid, UsageError
from reconciler.model.declared import Desired
from reconciler.render.documents.subject import ExplainedSubject
from reconciler.render.view import View
from reconciler.text.humanize import listed
from reconciler.text.shell import shell
from reconciler.text.suggest import did_you_mean

ROLE, GROUPS = "role.", ("group:", "group.")


def is_subject(subject: str, path: str) -> bool:
    """Whether the question is about a whole subject rather than a path."""
    if subject.startswith(ROLE):
        return not path or path.startswith(ROLE)
    return not path and (subject.startswith(GROUPS) or "@" in subject) and " " not in subject


def explain_subject(
    common: CommonOptions, subject: str, other: str, *, from_files: bool, planned: bool
) -> ExitStatus:
    """Show the subject; raises UsageError for an unknown name, with the likely one."""
    check_formats(common, "subject")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        seen = view_access(cluster, settings, from_files=from_files, planned=planned)
        told = _told(seen.table, subject, other, _needed(cluster, settings))
        again = shell("pvectl", "explain", subject, "/vms/100", "VM.Audit")
        if subject.startswith(ROLE):
            again = "`pvectl report` shows who holds which role and why"
        show(common, "subject", ExplainedSubject(told, seen.asked, again), View(now=now()))
        return ExitStatus.OK

    return each_cluster(common, one)


def _told(table: AccessTable, subject: str, other: str, needed: frozenset[str]) -> Subject:
    if subject.startswith(GROUPS):
        return of_group(table, _known(group_name(subject), table.groups, "group"), now())
    if not subject.startswith(ROLE):
        return of_principal(table, find_principal(table, subject), now())
    names = [_known(one.removeprefix(ROLE), table.roles, "role") for one in (subject, other) if one]
    return of_roles(table, *names) if other else of_role(table, names[0], needed)


def _known(name: str, known: Iterable[str], kind: str) -> str:
    names = sorted(known)
    if name not in names:
        hint = did_you_mean(name, names) or f"{kind}s: {listed(names, 8)}"
        raise UsageError(f"there is no {kind} '{name}'", hint=hint)
    return name


def _needed(cluster: ClusterSettings, settings: Settings) -> frozenset[str]:
    """The privileges that expectations need; none where the files cannot be read."""
    try:
        desired: Desired = load_cluster(cluster, settings).desired
    except (FilesInvalid, UsageError):
        return frozenset()
    return frozenset(name for one in desired.expectations for name in one.can)
