"""A release of Proxmox VE that this version was not tested with, or that differs from it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.release import SUPPORTED, differences, is_tested, reference_for


def check(context: PlanContext) -> Iterable[Finding]:
    """Both are warnings: plans are made with the privileges and roles that the cluster has."""
    release = context.facts.pve
    if release.version and not is_tested(release):
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
