"""Rules that can never be broken, and names in them that nothing has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.access.analysis.affected import all_principals
from reconciler.access.analysis.impact import known_paths
from reconciler.access.expectations.check import is_glob
from reconciler.model.custom_rule import IDLE_RULE, CustomRule
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.idle_expectations import is_nowhere
from reconciler.planning.lint.custom.breach import any_of
from reconciler.planning.lint.rule import LintContext
from reconciler.pve.acl_paths import UNNAMED
from reconciler.text.suggest import did_you_mean


def idle_rules(rules: Iterable[CustomRule], scene: LintContext) -> Iterator[Finding]:
    """What is known of them only with the whole state at hand.

    Without the whole cluster a name may exist elsewhere, so that only likely typing mistakes and
    what can be nowhere are told.
    """
    rules = tuple(rules)
    if not rules:
        return
    known = (*known_paths((scene.table,), scene.paths).paths, *UNNAMED)
    for rule in rules:
        everybody = _everybody(rule, scene)
        for text, hint in (
            *_unmatched(rule, everybody, scene),
            *_exempt(rule, everybody),
            *_nowhere(rule, known, scene),
            *_unknown_roles(rule, scene),
            *_unknown_realms(rule, scene),
        ):
            sure = scene.complete or bool(hint)
            yield Finding(
                IDLE_RULE,
                Severity.WARNING if sure else Severity.NOTE,
                f"rule {rule.name}: {text}",
                hint or "correct the name, or remove it",
                source=rule.source,
            )


_Told = Iterator[tuple[str, str]]
"""What is wrong, and what was probably meant."""


def _everybody(rule: CustomRule, scene: LintContext) -> list[str]:
    """All whom such a rule may mean."""
    if rule.lifetime or rule.privsep:
        return scene.ids("token")
    return [*all_principals(scene.table), *(f"group:{name}" for name in scene.table.groups)]


def _unmatched(rule: CustomRule, everybody: Sequence[str], scene: LintContext) -> _Told:
    """Names without anybody; of kinds of objects `but` names something else."""
    names = rule.who if rule.comment_on else (*rule.who, *rule.but)
    where = "the cluster" if scene.complete else "the state files"
    what = "no token" if rule.lifetime or rule.privsep else "no principal"
    for name in dict.fromkeys(names):
        if not any(any_of(who, (name,)) for who in everybody):
            hint = "" if is_glob(name) else did_you_mean(name, everybody)
            yield f"'{name}' matches {what} in {where}", hint


def _exempt(rule: CustomRule, everybody: Sequence[str]) -> _Told:
    """Where all that it concerns are exempt."""
    if rule.but and not rule.comment_on:
        meant = [who for who in everybody if not rule.who or any_of(who, rule.who)]
        if meant and all(any_of(who, rule.but) for who in meant):
            yield "everyone whom it concerns is exempt by `but`", ""


def _nowhere(rule: CustomRule, known: Sequence[str], scene: LintContext) -> _Told:
    there = frozenset(scene.paths)
    for pattern in rule.paths:
        if is_nowhere(pattern, known, there, complete=scene.complete):
            yield f"no object has the path {pattern}", ""


def _unknown_roles(rule: CustomRule, scene: LintContext) -> _Told:
    for role in rule.roles:
        if not is_glob(role) and role not in scene.table.roles:
            hint = did_you_mean(role, scene.table.roles)
            if hint or scene.complete:
                yield f"there is no role {role}", hint


def _unknown_realms(rule: CustomRule, scene: LintContext) -> _Told:
    """Not all realms may be visible, so only likely typos are reported."""
    known = {"pam", "pve", *scene.ids("realm")}
    known.update(user.rpartition("@")[2] for user in scene.ids("user"))
    for realm in rule.realms:
        if not is_glob(realm) and realm not in known:
            hint = did_you_mean(realm, known)
            if hint:
                yield f"there is no realm {realm}", hint
