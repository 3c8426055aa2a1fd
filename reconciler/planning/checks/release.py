"""A release of Proxmox VE that this version was not tested with, or that differs from it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.kinds.role import RoleSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.release import (
    SUPPORTED,
    Release,
    differences,
    is_built_in,
    is_tested,
    reference_for,
)


def check(context: PlanContext) -> Iterable[Finding]:
    """Both are warnings: plans use the privileges and roles that the cluster has."""
    release = context.facts.pve
    if context.facts.release and not is_tested(release):
        yield Finding(
            "UNTESTED_RELEASE",
            Severity.WARNING,
            f"the cluster runs Proxmox VE {release.version}; this version is tested with "
            f"{', '.join(SUPPORTED)}",
            hint="read the plan with more care than usual",
        )
    expected = reference_for(release)
    different = differences(release, expected)
    if different:
        yield Finding(
            "RELEASE_DIFFERS",
            Severity.WARNING,
            f"the cluster's privileges or built-in roles differ from Proxmox VE "
            f"{expected.version}: {'; '.join(different)}",
            hint="plans use what the cluster has; check who holds the roles that differ: "
            "pvectl report",
        )
    yield from _lacking(context)


def _lacking(context: PlanContext) -> Iterable[Finding]:
    """What the files need but this cluster's release lacks."""
    for change in context.changes:
        why = _why_not(change, context.facts.pve, context.planned)
        declared = context.desired.objects.get(change.address)
        if why:
            yield Finding(
                "NOT_IN_RELEASE",
                Severity.ERROR,
                f"{change.address}: the cluster's {context.facts.pve.name} has no {why}",
                hint=f"correct it, and {_HOW}" if context.facts.release else _HOW,
                address=change.address,
                source=declared.source if declared else None,
            )


_HOW = "set [target] release to the cluster's release, so that `pvectl validate` reports it"


def _why_not(change: Change, release: Release, planned: State) -> str:
    """What the change needs and the release lacks, in words; "" for nothing."""
    after = change.after
    if isinstance(after, RoleSpec):
        before = getattr(change.before, "privileges", ())
        missing = sorted({*after.privileges} - {*before} - release.privileges)
        return f"{'privileges' if len(missing) > 1 else 'privilege'} {', '.join(missing)}" * bool(
            missing
        )
    if change.address.kind != "acl" or after is None or change.before is not None:
        return ""
    entry = AclEntry.parse(change.address.id)
    if not release.takes_path(entry.path):
        return f"ACL path {entry.path}"
    known = entry.role in release.roles or Address("role", entry.role) in planned
    return "" if known or not is_built_in(entry.role) else f"role {entry.role}"
