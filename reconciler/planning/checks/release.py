"""A release of Proxmox VE that this version was not tested with, or that differs from it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.kinds.role import RoleSpec
from reconciler.kinds.shared.options import toml_name
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import NOT_IN_RELEASE, Finding, Severity
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.release import (
    SUPPORTED,
    NotInRelease,
    Release,
    differences,
    is_built_in,
    is_tested,
    reference_for,
    require_in_release,
)
from reconciler.pve.value_releases import missing_values
from reconciler.text.humanize import in_prose


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
    release = context.facts.pve
    how = f"correct it, and {_HOW}" if context.facts.release else _HOW
    for change in context.changes:
        declared = context.desired.objects.get(change.address)
        lacking = Finding(
            NOT_IN_RELEASE,
            Severity.ERROR,
            f"{change.address}: the cluster's {release.name} ",
            how,
            change.address,
            declared.source if declared else None,
        )
        why = _why_not(change, release, context.planned)
        if why:
            yield lacking._replace(message=f"{lacking.message}has no {why}")
        newer = _newer_options(change, release)
        if newer:
            flag = f"{NOT_IN_RELEASE}={change.address}"
            yield lacking._replace(
                message=f"{lacking.message}does not know {in_prose(newer)}",
                hint=f"{how}; if an update of the cluster brought it: --allow '{flag}'",
                allow=flag,
            )
    yield from _protects_nothing(context)


_HOW = "set [target] release to the cluster's release, so that `pvectl validate` reports it"


def _newer_options(change: Change, release: Release) -> list[str]:
    """The keys and values that the change sends and the release lacks, each with its releases."""
    if change.after is None:
        return []
    before, after = (
        {**dict(getattr(spec, "options", ())), **dict(getattr(spec, "secrets", ()))}
        for spec in (change.before, change.after)
    )
    table = change.after.option_table
    sent = {name: value for name, value in after.items() if before.get(name) != value}
    newer = [
        f"{toml_name(name)} (since {table[name].since})"
        for name in sent
        if name in table and not release.knows(table[name].since)
    ]
    if isinstance(change.after, StorageSpec) and change.before is None:
        sent["type"] = change.after.type
    return newer + [
        f"{text} ({span})"
        for name, value in sent.items()
        if isinstance(value, str | tuple)
        for text, span in missing_values(name, value, release, table.get(name))
    ]


def _protects_nothing(context: PlanContext) -> Iterable[Finding]:
    """Requirements of [lockout] that no principal can meet on this cluster."""
    for text in context.desired.policy.lockout.keep_self:
        try:
            require_in_release(text, context.facts.pve)
        except NotInRelease as error:
            yield Finding(
                NOT_IN_RELEASE,
                Severity.WARNING,
                f"[lockout] keep_self requires {text}, which protects nothing here: "
                f"{error.message}",
                error.hint,
            )


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
