"""Custom rules, `[[rule]]`, checked against the cluster after the plan."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.table import AccessTable
from reconciler.model.custom_rule import is_of_rule
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.lint.custom import broken_rules
from reconciler.planning.lint.rule import LintContext
from reconciler.planning.lint.waive import waive

_NOT_BY_THIS = "\nit was so before and nothing of it is declared, so the plan is not refused for it"


def check(context: PlanContext) -> Iterable[Finding]:
    """What breaks a rule without being declared, and did so before, refuses no plan."""
    desired, now = context.desired, context.request.now
    if not desired.rules:
        return
    from reconciler.planning.lint.custom.idle import idle_rules

    scene = LintContext(
        context.planned,
        context.after,
        desired.objects,
        desired.policy,
        context.paths,
        now,
        complete=context.facts.complete,
    )
    found = broken_rules(desired.rules, scene)
    places = {rule.source for rule in desired.rules}
    changed = {change.address for change in context.changes}
    foreign = {
        one
        for one in found
        if one.severity is Severity.ERROR and one.source in places and one.address not in changed
    }
    if foreign:
        earlier = LintContext(
            context.live,
            context.before,
            desired.objects,
            desired.policy,
            context.paths,
            now,
            complete=context.facts.complete,
        )
        foreign &= set(broken_rules(desired.rules, earlier))
    for one in found:
        told = one._replace(severity=Severity.WARNING, hint=one.hint + _NOT_BY_THIS)
        yield told if one in foreign else one
    yield from idle_rules(desired.rules, scene)


def kept_rules(
    desired: Desired, live: State, table: AccessTable, paths: tuple[str, ...], now: int
) -> tuple[Finding, ...]:
    """What breaks a rule in the cluster as it is, without what is waived."""
    if not desired.rules:
        return ()
    scene = LintContext(live, table, desired.objects, desired.policy, paths, now, complete=True)
    waivers = [one for one in desired.waivers if is_of_rule(one.code)]
    judged = waive(broken_rules(desired.rules, scene), waivers, (), now)
    return tuple(one for one in judged.findings if is_of_rule(one.code))
