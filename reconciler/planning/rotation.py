"""A new secret for one token, as a plan like any other."""

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
"""The first release of Proxmox VE that gives a token a new secret in place."""


CHECKS = frozenset({"irreversible", "lockout", "preflight", "protected"})
"""What a rotation may violate: everything but the secret is as before afterwards."""


def rotate(
    address: Address,
    sink: SecretSink,
    live: State,
    facts: Facts,
    request: PlanRequest,
    policy: Policy,
) -> Plan:
    """The plan that gives a live token a new secret; its ACL entries are as before afterwards.

    It is refused for the token that would carry it out, and where `policy` forbids it. Older
    releases can only delete the token and make it again, its entries with it.
    """
    spec = live[address]
    renewed = TokenSpec(**{**dict(spec), "secret_to": sink})
    reason = Reason(Cause.DIFFERS, "a new secret is asked for")
    if _renews(facts.release):
        changes = [Change(address, spec, renewed, reason)]
    else:
        hanging = Reason(Cause.DEPENDENT, f"hangs on {address}, which is made again")
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
    """Its old secret is dead at once, so that nothing after the rotation could be verified."""
    if address.id == actor:
        yield Finding(
            "LOCKOUT",
            Severity.ERROR,
            f"{actor} is the token that pvectl itself uses here: from its rotation on every "
            "request of this run would be refused",
            "rotate it as somebody else, with another token_id in pvectl.toml; or regenerate it in "
            "the web interface, and put the new secret where pvectl reads it",
            address,
        )


def _renews(release: str) -> bool:
    """Whether this release of Proxmox VE knows `regenerate`; one that is not told does."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is None or (int(found[1]), int(found[2])) >= RENEWS_SINCE
