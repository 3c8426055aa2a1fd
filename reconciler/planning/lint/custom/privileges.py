"""Rules about privileges, evaluated on effective privileges."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.contents import ROOT
from reconciler.access.expectations.check import check
from reconciler.access.expectations.together import held_together
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry, deciding, trace_decision
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.planning.lint.custom.breach import Breach, address_of, as_expectation
from reconciler.planning.lint.rule import LintContext
from reconciler.pve.acl_paths import UNNAMED, path_in_words
from reconciler.text.humanize import in_prose


def exclusive(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Persons who hold all of the privileges on one path."""
    found = held_together(
        scene.table, [as_expectation(rule)], scene.paths, scene.now, on_one_path=True
    )
    for _, principals, paths in found:
        held = f"{in_prose(principals)} {'hold' if principals[1:] else 'holds'}"
        yield Breach(
            address_of(principals[0]),
            f"{held} both {in_prose(rule.exclusive)} on {_places(paths)}"
            if len(rule.exclusive) == 2
            else f"{held} {in_prose(rule.exclusive)} on {_places(paths)}",
            *_given(scene.table, principals, paths[0], rule.exclusive),
        )


def forbidden(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Each principal that holds one of the privileges; root@pam holds them by nature."""
    held: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for failure in check(scene.table, [as_expectation(rule)], scene.paths, scene.now):
        if failure.privilege:
            for who in failure.principals:
                privileges, paths = held.setdefault(who, ({}, {}))
                privileges[failure.privilege] = None
                paths.update(dict.fromkeys(failure.paths))
    for who, (privileges, paths) in held.items():
        if who != ROOT:
            yield Breach(
                address_of(who),
                f"{who} holds {in_prose(tuple(privileges))} on {_places(tuple(paths))}",
                *_given(scene.table, (who,), next(iter(paths)), tuple(privileges)),
            )


def _places(paths: tuple[str, ...]) -> str:
    """What has a name first."""
    return in_prose([path_in_words(path) for path in sorted(paths, key=UNNAMED.__contains__)])


def _given(
    table: AccessTable, principals: tuple[str, ...], path: str, privileges: tuple[str, ...]
) -> tuple[str, tuple[Address, ...]]:
    """How to fix it, and the entries that give these privileges on the path."""
    entries: dict[TracedEntry, None] = {}
    for who in principals:
        decision = trace_decision(table, who, path)
        for privilege in privileges:
            entries.update(dict.fromkeys(deciding(decision, table, privilege)))
    if not entries:
        return "it is a token of root@pam, which may do everything: use another user", ()
    texts = [f"{one.role} for {one.kind} {one.principal} on {one.path}" for one in entries]
    addresses = tuple(one.key.address for one in entries)
    return f"given by {in_prose(texts)}: revoke one of them, or grant a smaller role", addresses
