"""Plan new secrets for tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.access.analysis.impact import impact
from reconciler.kinds import access_delta, access_table, references
from reconciler.kinds.token import TokenSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.secret import SecretSink
from reconciler.model.spec import State
from reconciler.planning.checks import run_checks
from reconciler.planning.checks.allow import allow, passed
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.findings.places import with_places
from reconciler.planning.ordering.order import order
from reconciler.planning.request import PlanRequest
from reconciler.pve.release import Release

RENEWS_SINCE = "9.2"
"""The first release of Proxmox VE that can regenerate the secret of a token: it shipped
libpve-access-control 9.1.1, and 9.1 shipped 9.0.4, which cannot."""


CHECKS = frozenset({"irreversible", "lockout", "preflight", "protected"})
"""Checks that apply to a rotation: it changes nothing but the secret."""


def rotate(
    tokens: Mapping[Address, SecretSink],
    live: State,
    facts: Facts,
    request: PlanRequest,
    desired: Desired,
) -> Plan:
    """Plan a new secret for each of these live tokens; their ACL entries stay the same.

    Refused for the acting token itself, and where its policy forbids it. Older releases can only
    delete and recreate the token, with its entries.
    """
    changes = [
        change
        for address, sink in sorted(tokens.items(), key=lambda item: item[0])
        for change in _changes(address, sink, live, facts.pve)
    ]
    steps = order(changes)
    table = access_table(live, facts.pve)
    context = PlanContext(
        desired,
        request,
        live,
        live,
        facts,
        changes,
        steps,
        table,
        table,
        [access_delta(step.changes) for step in steps],
        (table, table),
        (),
        impact(table, table, (), request.now),
    )
    own = (finding for address in tokens for finding in _of_the_caller(address, request.actor))
    findings = with_places((*own, *run_checks(context, CHECKS)), desired, live)
    allowed = (*(f"IRREVERSIBLE={address}" for address in sorted(tokens)), *request.allowed)
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


def _changes(address: Address, sink: SecretSink, live: State, release: Release) -> Iterator[Change]:
    spec = live[address]
    renewed = TokenSpec(**{**dict(spec), "secret_to": sink})
    reason = Reason(Cause.DIFFERS, "a new secret was requested")
    if release.knows(RENEWS_SINCE):
        yield Change(address, spec, renewed, reason)
        return
    hanging = Reason(Cause.DEPENDENT, f"depends on {address}, which is recreated")
    yield Change(address, spec, None, reason)
    yield Change(address, None, renewed, reason)
    for other, entry in sorted(live.items(), key=lambda item: item[0]):
        if address in references(other, entry):
            yield Change(other, entry, None, hanging)
            yield Change(other, None, entry, hanging)


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
