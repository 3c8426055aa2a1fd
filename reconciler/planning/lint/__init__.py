"""Policy rules over a state: what Proxmox VE allows and somebody will regret."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.finding import Finding
from reconciler.planning.lint import effects, grants, principals, roles
from reconciler.planning.lint.rule import Rule, Scene
from reconciler.planning.lint.waive import RULES as WAIVER_RULES
from reconciler.planning.lint.waive import Waived, waive

__all__ = ["RULES", "Rule", "Scene", "Waived", "lint", "waive"]

RULES: Mapping[str, Rule] = {
    rule.code: rule
    for rule in sorted(
        (*grants.RULES, *principals.RULES, *roles.RULES, *effects.RULES, *WAIVER_RULES)
    )
}
"""Code -> rule; `page` of a rule is what `pvectl explain CODE` shows."""


def lint(scene: Scene) -> tuple[Finding, ...]:
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
