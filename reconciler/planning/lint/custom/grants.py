"""Rules about ACL entries: which roles, and to whom. NoAccess only reduces access, so it is always
allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.evaluate import index_of
from reconciler.access.trace import TracedEntry
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.planning.lint.custom.breach import Breach, any_of
from reconciler.planning.lint.rule import LintContext
from reconciler.text.humanize import in_prose

_NO_ACCESS = "NoAccess"
_INSTEAD = {GROUP: "a group that the user is a member of", TOKEN: "a token", USER: "a user"}


def roles(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Entries with another role than those that may be granted."""
    for address, entry in _meant(rule, scene):
        if not any_of(entry.role, rule.roles):
            yield Breach(
                address,
                f"{entry.role} is granted to {entry.kind} {entry.principal} on {entry.path}, where "
                f"only {in_prose(rule.roles)} may be",
                "grant one of these instead",
                (address,),
            )


def grantees(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Entries of other kinds of principals; the user's half of a token pair is the token's."""
    allowed = in_prose([f"{kind}s" for kind in rule.grantees])
    for address, entry in _meant(rule, scene):
        paired = TOKEN in rule.grantees and _is_half(entry, scene)
        if entry.kind not in rule.grantees and not paired:
            yield Breach(
                address,
                f"{entry.role} is granted to {entry.kind} {entry.principal} on {entry.path}, where "
                f"only {allowed} may be granted anything",
                f"grant it to {_INSTEAD[rule.grantees[0]]} instead",
                (address,),
            )


def applies_to(rule: CustomRule, entry: TracedEntry) -> bool:
    """Whether `who`, `but` and `paths` mean an entry."""
    name = f"group:{entry.principal}" if entry.kind == GROUP else entry.principal
    return (
        (not rule.paths or any_of(entry.path, rule.paths))
        and (not rule.who or any_of(name, rule.who))
        and not any_of(name, rule.but)
    )


def _meant(rule: CustomRule, scene: LintContext) -> Iterator[tuple[Address, TracedEntry]]:
    for address, entry in scene.entries.items():
        if entry.role != _NO_ACCESS and applies_to(rule, entry):
            yield address, entry


def _is_half(entry: TracedEntry, scene: LintContext) -> bool:
    holders = scene.table.acl.get(entry.path, {}).get(TOKEN, {})
    tokens = index_of(scene.table).tokens_of.get(entry.principal, ()) if holders else ()
    return entry.kind == USER and any(entry.role in holders.get(token, ()) for token in tokens)
