"""Custom rules, `[[rule]]`, checked against a state: who and what breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.access.any_member import with_any_members
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Finding, Source
from reconciler.planning.lint.custom.breach import Breach
from reconciler.planning.lint.rule import LintContext

_Finder = Callable[[CustomRule, LintContext], Iterable[Breach]]


def _finders() -> Mapping[str, _Finder]:
    """What a rule demands -> who finds what breaks it."""
    from reconciler.planning.lint.custom import grants, objects, privileges

    return {
        "exclusive": privileges.exclusive,
        "forbidden": privileges.forbidden,
        "roles": grants.roles,
        "grantees": grants.grantees,
        "realms": objects.realms,
        "lifetime": objects.lifetime,
        "privsep": objects.privsep,
        "comment_on": objects.comments,
    }


def broken_rules(rules: Iterable[CustomRule], scene: LintContext) -> tuple[Finding, ...]:
    """A finding for everyone and everything that breaks a rule, in order, before any waiver.

    A group without members is judged as if it had one.
    """
    rules = tuple(rules)
    if not rules:
        return ()
    (filled,) = with_any_members((scene.table,), scene.now)
    scene, finders = replace(scene, table=filled), _finders()
    found = [
        _finding(rule, breach, scene)
        for rule in rules
        for demand, find in finders.items()
        if getattr(rule, demand)
        for breach in find(rule, scene)
    ]
    return tuple(sorted(dict.fromkeys(found), key=Finding.sort_key))


def _finding(rule: CustomRule, breach: Breach, scene: LintContext) -> Finding:
    reason = f": {rule.reason}" if rule.reason else ""
    place = next(_places(breach, scene), rule.source)
    at = "" if place == rule.source else f"\nthe rule is at {rule.source}"
    return Finding(
        rule.code,
        rule.severity,
        f"{breach.message} (rule {rule.name}{reason})",
        breach.hint + at,
        breach.address,
        place,
    )


def _places(breach: Breach, scene: LintContext) -> Iterator[Source]:
    """Where the files declare what breaks a rule, the entries first."""
    for address in (*breach.entries, breach.address):
        if address in scene.declared:
            yield scene.declared[address].source
