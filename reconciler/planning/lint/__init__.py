"""Policy rules over a state: what Proxmox VE allows but should be avoided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.access.table import AccessTable
from reconciler.model.declared import Desired, Waiver
from reconciler.model.finding import NOT_BACKED_UP, Finding
from reconciler.model.spec import State
from reconciler.planning.lint import effects, grants, principals, roles
from reconciler.planning.lint.custom import broken_rules
from reconciler.planning.lint.rule import LintContext, Rule
from reconciler.planning.lint.waive import OF_DRIFT, OTHERS, Waived, waive
from reconciler.planning.lint.waive import RULES as WAIVER_RULES

__all__ = [
    "RULES",
    "WAIVABLE",
    "LintContext",
    "Rule",
    "Waived",
    "lint",
    "lint_all",
    "lint_declared",
    "set_aside",
    "waive",
]

RULES: Mapping[str, Rule] = {
    rule.code: rule
    for rule in sorted(
        (*grants.RULES, *principals.RULES, *roles.RULES, *effects.RULES, *WAIVER_RULES)
    )
}
"""Code -> rule; `page` of a rule is what `pvectl explain CODE` shows."""

WAIVABLE = frozenset({*RULES, *OTHERS})
"""The codes that a `[[waive]]` may name."""


def lint(scene: LintContext) -> tuple[Finding, ...]:
    """All findings of all rules, in order, before any waiver."""
    found = [
        Finding(
            rule.code,
            rule.severity,
            hit.message,
            hit.hint,
            hit.address,
            scene.declared[hit.address].source if hit.address in scene.declared else None,
        )
        for rule in RULES.values()
        for hit in rule.find(scene)
    ]
    return tuple(sorted(dict.fromkeys(found), key=Finding.sort_key))


def lint_declared(
    desired: Desired,
    state: State,
    table: AccessTable,
    paths: tuple[str, ...],
    now: int,
    *,
    complete: bool,
) -> tuple[Finding, ...]:
    """What the rules find about declared objects, waived or not.

    `state` and `table` hold the declared objects; with `complete` also all others. Undeclared
    objects are left to the access review.
    """
    scene = LintContext(state, table, desired.objects, desired.policy, paths, now, complete)
    told = {one.source for one in desired.findings if one.code == "GRANT_WITHOUT_EFFECT"}
    own = [
        one
        for one in lint(scene)
        if (one.address is None or one.address in desired.objects)
        and not (one.code == "LINT_NO_EFFECT" and one.source in told)
    ]
    return tuple(_once(own))


def set_aside(
    findings: Iterable[Finding], desired: Desired, now: int, *, complete: bool
) -> Iterable[Finding]:
    """The findings without those that a `[[waive]]` accepts, and with what is wrong with waivers.

    Guests that are not backed up are waived by guest, where they are looked for. `complete`: the
    cluster was looked at, so that a waiver of what only a cluster shows is known to be idle.
    """
    elsewhere = {NOT_BACKED_UP, *OF_DRIFT}
    waivers = [one for one in desired.waivers if one.code not in elsewhere]
    judged = waive(findings, waivers, WAIVABLE | _codes(desired), now)
    offline = {one.source for one in waivers if one.code in OTHERS and not complete}
    yield from (
        one
        for one in judged.findings
        if not (one.code == "WAIVER_UNUSED" and one.source in offline)
    )


def lint_all(
    desired: Desired,
    state: State,
    table: AccessTable,
    paths: tuple[str, ...],
    now: int,
    *,
    complete: bool,
) -> Waived:
    """Findings of the rules about all objects in `state`, and which of them are waived.

    `complete`: the state is the whole cluster.
    """
    scene = LintContext(state, table, desired.objects, desired.policy, paths, now, complete)
    found = sorted((*lint(scene), *broken_rules(desired.rules, scene)), key=Finding.sort_key)
    return waive(found, _of_rules(desired), {*RULES, *_codes(desired)}, now)


def _codes(desired: Desired) -> frozenset[str]:
    """Of the rules of the files and the settings."""
    return frozenset(rule.code for rule in desired.rules)


def _once(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Report the same message for several objects of one table only for the first."""
    said = set()
    for finding in findings:
        key = (finding.code, finding.message, finding.hint, finding.source)
        if finding.source is None or key not in said:
            said.add(key)
            yield finding


def _of_rules(desired: Desired) -> tuple[Waiver, ...]:
    """Those of lint rules, and of what nothing is called."""
    return tuple(one for one in desired.waivers if one.code not in OTHERS)
