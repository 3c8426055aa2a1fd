"""Rules about roles."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.humanize import in_prose

ALIKE = 3
"""Smaller roles are not compared."""


def _without(note: str, scene: LintContext) -> Iterable[Hit]:
    for role in scene.ids("role"):
        declared = scene.declared.get(Address("role", role))
        if declared is not None and not declared.notes.get(note):
            yield Hit(
                Address("role", role), f"role {role} has no {note}", f'add {note} = "..." to it'
            )


def _no_purpose(scene: LintContext) -> Iterable[Hit]:
    return _without("purpose", scene)


def _no_owner(scene: LintContext) -> Iterable[Hit]:
    return _without("owner", scene)


def _outside(scene: LintContext) -> Iterable[Hit]:
    """Declared entries are checked when the files are read."""
    for address, entry in scene.entries.items():
        if address in scene.declared:
            continue
        declared = scene.declared.get(Address("role", entry.role))
        allowed = declared.notes.get("allowed_paths", ()) if declared is not None else ()
        if allowed and not any(fnmatchcase(entry.path, glob) for glob in allowed):
            yield Hit(
                address,
                f"role {entry.role} is granted on {entry.path}; "
                f"it is meant for {in_prose(allowed)}",
                "use another role there, or widen allowed_paths",
            )


def _copies(scene: LintContext) -> Iterable[Hit]:
    """Each role with the most similar one; of two declared roles the later one is the copy."""
    names = scene.ids("role")
    for role in names:
        own = scene.table.roles[role]
        others = [*sorted(scene.table.release.roles), *(other for other in names if other < role)]
        alike = [(sorted(own ^ scene.table.roles[other]), other) for other in others]
        near = [(differing, other) for differing, other in alike if len(differing) <= 1]
        if near and len(own) >= ALIKE:
            differing, other = min(near, key=lambda one: len(one[0]))
            how = f"differs from {other} only in {differing[0]}" if differing else f"is {other}"
            yield Hit(
                Address("role", role),
                f"role {role} {how}",
                f"use {other}, unless the two are meant to diverge",
            )


RULES = (
    Rule(
        "LINT_ROLE_NO_PURPOSE",
        Severity.NOTE,
        "a role without purpose",
        "Without it, no one will know in a year what the role must keep or may lose. The purpose "
        "is kept in the files and shown in reports; Proxmox VE has no field for it.",
        _no_purpose,
    ),
    Rule(
        "LINT_ROLE_NO_OWNER",
        Severity.NOTE,
        "a role without owner",
        "Changes to a role need a contact. The owner is shown in reports.",
        _no_owner,
    ),
    Rule(
        "LINT_ROLE_OUTSIDE",
        Severity.WARNING,
        "a role granted outside its allowed paths",
        "`allowed_paths` says where a role makes sense. Either a grant elsewhere is a mistake, "
        "or the list is too short.",
        _outside,
    ),
    Rule(
        "LINT_ROLE_COPY",
        Severity.NOTE,
        "a role equal or nearly equal to another",
        "Roles that differ in one privilege are easily confused, and fixes reach only one of them. "
        "Built-in roles change with Proxmox VE: keep a copy only to be independent of that.",
        _copies,
    ),
)
