"""Rules about single grants: to whom, where, how far."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER
from reconciler.access.evaluate import index_of
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.humanize import count, in_prose

MANY = 3
"""From this many guests on, a pool is worth its while."""


def _admin_on_top(scene: LintContext) -> Iterable[Hit]:
    for address, entry in scene.entries.items():
        powerful = entry.role == "Administrator" and entry.path == "/"
        if powerful and entry.kind in (USER, TOKEN) and entry.principal != ROOT:
            yield Hit(
                address,
                f"{entry.kind} {entry.principal} is Administrator of everything",
                "grant it to a group of administrators, or grant a narrower role",
            )


def _direct(scene: LintContext) -> Iterable[Hit]:
    groups_of = index_of(scene.table).groups_of
    for address, entry in scene.entries.items():
        if entry.kind != USER or entry.role == "NoAccess" or scene.is_derived(address):
            continue
        holders = scene.table.acl.get(entry.path, {}).get(GROUP, {})
        same = [group for group in sorted(holders) if entry.role in holders[group]]
        own = groups_of.get(entry.principal, ())
        if same:
            hint = f"make it a member of {in_prose(same)}, which has the same role there"
            yield Hit(address, f"user {entry.principal} is granted {entry.role} by itself", hint)
        elif own and not index_of(scene.table).tokens_of.get(entry.principal):
            yield Hit(
                address,
                f"user {entry.principal} is in {in_prose(own)} and still has entries of its own",
                "grant to the group; an entry of the user hides all that its groups have there",
            )


def _wide(scene: LintContext) -> Iterable[Hit]:
    for address, entry in scene.entries.items():
        privileges = scene.table.roles.get(entry.role, frozenset())
        only_reads = all(name.endswith(".Audit") for name in privileges)
        if entry.propagate and entry.path in ("/", "/vms") and not only_reads:
            yield Hit(
                address,
                f"{entry.role} for {entry.kind} {entry.principal} reaches everything below "
                f"{entry.path}, also what is made later",
                "grant on a pool or on single paths, or set propagate = false",
            )


def _instead_of_a_pool(scene: LintContext) -> Iterable[Hit]:
    guests: dict[tuple[str, str, str, bool], list[Address]] = {}
    for address, entry in scene.entries.items():
        if entry.path.startswith("/vms/") and entry.role != "NoAccess":
            key = (entry.kind, entry.principal, entry.role, entry.propagate)
            guests.setdefault(key, []).append(address)
    members = index_of(scene.table).members
    for (kind, who, role, _), found in sorted(guests.items()):
        if len(found) < MANY:
            continue
        paths = {scene.entries[address].path for address in found}
        pool = next(
            (p for p in sorted(members) if len(members[p]) > 1 and paths >= {*members[p]}), ""
        )
        hint = f"grant it on {pool} instead" if pool else "put them into a pool and grant it there"
        yield Hit(found[0], f"{kind} {who} holds {role} on {len(found)} guests one by one", hint)


def _orphans(scene: LintContext) -> Iterable[Hit]:
    """Only where the state is the whole cluster: elsewhere things may be declared nowhere."""
    if not scene.complete:
        return
    table = scene.table
    known = {USER: {*table.users, ROOT}, TOKEN: set(table.tokens), GROUP: set(scene.ids("group"))}
    for address, entry in scene.entries.items():
        if entry.principal not in known[entry.kind]:
            what = f"{entry.kind} {entry.principal}"
        elif entry.role not in table.roles:
            what = f"role {entry.role}"
        elif entry.path.startswith("/pool/") and entry.path[6:] not in table.pools:
            what = f"pool {entry.path[6:]}"
        else:
            continue
        yield Hit(
            address,
            f"{what} does not exist",
            "remove the entry: whatever gets that name next inherits it",
        )


def _grant_ends(scene: LintContext) -> Iterable[Hit]:
    month = 30 * 86400
    for address, entry in scene.entries.items():
        declared = scene.declared.get(address)
        if declared is None or not declared.expires or not scene.now:
            continue
        left = declared.expires - scene.now
        text = f"{entry.role} for {entry.kind} {entry.principal} on {entry.path}"
        if left <= 0:
            yield Hit(address, f"the grant of {text} has expired", "take it out of the files")
        elif left <= month:
            yield Hit(
                address,
                f"the grant of {text} expires in {count(max(1, left // 86400), 'day')}",
                "extend it in time, or let it go",
            )


RULES = (
    Rule(
        "LINT_ADMIN_ON_TOP",
        Severity.WARNING,
        "Administrator of everything, given to a person or a token",
        "Whoever holds Administrator on / is root. Given to a group, the list of those people "
        "stands in one place, and leaving the group takes it away. A token with it serves "
        "everybody who gets hold of its secret. Grant a group, or a role with what is needed.",
        _admin_on_top,
    ),
    Rule(
        "LINT_DIRECT_GRANT",
        Severity.NOTE,
        "a grant to a user where a group would do",
        "An entry of a user replaces everything that its groups are granted on the same path and "
        "above it, so it may take more away than it gives. Entries of groups stay true when people "
        "come and go. Make the user a member of a group, and grant to that.",
        _direct,
    ),
    Rule(
        "LINT_WIDE_GRANT",
        Severity.WARNING,
        "a grant on everything, or on all guests, that goes down to all below",
        "With propagation on / or /vms a role also counts for every guest that is made later, by "
        "anybody. Roles that only read are left alone by this rule. Grant on a pool, or on the "
        "paths that are meant.",
        _wide,
    ),
    Rule(
        "LINT_POOL_INSTEAD",
        Severity.NOTE,
        f"the same role on {MANY} or more guests one by one",
        "Entries on single guests are forgotten when a guest is made or moved. A role on a pool "
        "counts for its members, and for nothing else. Remember that NoAccess on a guest or a pool "
        "beats the other.",
        _instead_of_a_pool,
    ),
    Rule(
        "LINT_ORPHAN",
        Severity.WARNING,
        "an entry for something that does not exist",
        "Proxmox VE keeps entries of users, groups and pools that are gone. Whoever is given that "
        "name later finds the grant waiting. Remove the entry.",
        _orphans,
    ),
    Rule(
        "LINT_GRANT_ENDS",
        Severity.NOTE,
        "a grant that has expired or will within 30 days",
        "After its `expires` a grant counts as removed, and the next plan takes it away. Take it "
        "out of the files, or extend it while there is time.",
        _grant_ends,
    ),
)
