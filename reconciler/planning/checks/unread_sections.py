"""Sections of the cluster's files that Proxmox VE skips."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.findings.unread import unread_findings


def check(context: PlanContext) -> Iterable[Finding]:
    yield from unread_findings(context.facts.unread, context.changes)
