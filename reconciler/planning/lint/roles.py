"""Rules about roles."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.humanize import in_prose

ALIKE = 3
"""Roles with fewer privileges are not compared."""


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
    """Declared entries are judged when the files are read."""
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
                f"use {other}, unless the two are to go separate ways",
            )


RULES = (
    Rule(
        "LINT_ROLE_NO_PURPOSE",
        Severity.NOTE,
        "a role without purpose",
        "In a year nobody knows any more what it may lose or must keep. The purpose stands in the "
        "files and in reports; Proxmox VE has no place for it.",
        _no_purpose,
    ),
    Rule(
        "LINT_ROLE_NO_OWNER",
        Severity.NOTE,
        "a role without owner",
        "Somebody must answer for a role when it is to change. The owner stands in reports.",
        _no_owner,
    ),
    Rule(
        "LINT_ROLE_OUTSIDE",
        Severity.WARNING,
        "a role granted outside its allowed paths",
        "`allowed_paths` says where a role makes sense. A grant elsewhere is a mistake, or the "
        "list is too short.",
        _outside,
    ),
    Rule(
        "LINT_ROLE_COPY",
        Severity.NOTE,
        "a role that is another one, or nearly",
        "Roles that differ in one privilege are mixed up, and are corrected one at a time. "
        "Built-in roles change with Proxmox VE: a copy of one is worth keeping only for that.",
        _copies,
    ),
)
