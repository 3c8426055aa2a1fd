"""Plan a new secret for one token."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.access.analysis.impact import impact
from reconciler.kinds import access_table, references
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Policy
from reconciler.model.secret import SecretSink
from reconciler.model.spec import State
from reconciler.planning.checks import run_checks
from reconciler.planning.checks.allow import allow, passed
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.ordering.order import order
from reconciler.planning.request import PlanRequest

RENEWS_SINCE = (9, 1)
"""The first release of Proxmox VE that can regenerate the secret of a token."""


CHECKS = frozenset({"irreversible", "lockout", "preflight", "protected"})
"""Checks that apply to a rotation: it changes nothing but the secret."""


def rotate(
    address: Address,
    sink: SecretSink,
    live: State,
    facts: Facts,
    request: PlanRequest,
    policy: Policy,
) -> Plan:
    """Plan a new secret for a live token; its ACL entries stay the same.

    Refused for the acting token itself, and where `policy` forbids it. Older releases can only
    delete and recreate the token, with its entries.
    """
    spec = live[address]
    renewed = TokenSpec(**{**dict(spec), "secret_to": sink})
    reason = Reason(Cause.DIFFERS, "a new secret was requested")
    if _renews(facts.release):
        changes = [Change(address, spec, renewed, reason)]
    else:
        hanging = Reason(Cause.DEPENDENT, f"depends on {address}, which is recreated")
        changes = [Change(address, spec, None, reason), Change(address, None, renewed, reason)]
        for other, entry in sorted(live.items(), key=lambda item: item[0]):
            if address in references(other, entry):
                changes.append(Change(other, entry, None, hanging))
                changes.append(Change(other, None, entry, hanging))
    steps = order(changes)
    table = access_table(live, facts.pve)
    context = PlanContext(
        Desired(policy=policy),
        request,
        live,
        live,
        facts,
        changes,
        steps,
        table,
        table,
        (table, table),
        (),
        impact(table, table, (), request.now),
    )
    findings = [*_of_the_caller(address, request.actor), *run_checks(context, CHECKS)]
    allowed = (f"irreversible={address}", *request.allowed)
    asked = dict.fromkeys(allow(findings, allowed))
    concerned = sorted({change.address for change in changes})
    return Plan(
        cluster=request.cluster,
        actor=request.actor,
        source=request.source,
        steps=steps,
        findings=tuple(sorted(asked, key=Finding.sort_key)),
        seen=tuple((name, live.get(name)) for name in concerned),
        allowed=request.allowed,
        identity=request.identity,
        passed=passed(findings, allowed),
    )


def _of_the_caller(address: Address, actor: str) -> Iterator[Finding]:
    """Its old secret is invalid at once, so nothing after the rotation could be verified."""
    if address.id == actor:
        yield Finding(
            "LOCKOUT",
            Severity.ERROR,
            f"{actor} is the token that pvectl itself uses here: once it is rotated, every "
            "request of this run would be refused",
            "rotate it with another token_id in pvectl.toml; or regenerate it in "
            "the web interface, and store the new secret where pvectl reads it",
            address,
        )


def _renews(release: str) -> bool:
    """Whether this release of Proxmox VE knows `regenerate`; an unknown release does."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is None or (int(found[1]), int(found[2])) >= RENEWS_SINCE
