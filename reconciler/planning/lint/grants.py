"""Rules about single grants: to whom, where, how far."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER
from reconciler.access.evaluate import index_of
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.humanize import count, duration, in_prose

MANY = 3
"""Number of guests from which a pool is recommended."""

_OBJECTS = {"/pool/": "pool", "/vms/": "guest", "/nodes/": "node", "/storage/": "storage"}


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
    """A group that a directory fills is not an alternative, nor is any group to a temporary grant,
    which is for one person."""
    groups_of, realms = index_of(scene.table).groups_of, synchronised(scene.state)
    for address, entry in scene.entries.items():
        if entry.kind != USER or entry.role == "NoAccess" or scene.is_derived(address):
            continue
        declared = scene.declared.get(address)
        if declared is not None and declared.expires:
            continue
        holders = scene.table.acl.get(entry.path, {}).get(GROUP, {})
        same = [
            group
            for group in sorted(holders)
            if entry.role in holders[group]
            and (Address("group", group) in scene.state or not scene.complete)
            and not copied(Address("group", group), realms)
        ]
        groups = groups_of.get(entry.principal, ())
        own = [group for group in groups if not copied(Address("group", group), realms)]
        if same:
            hint = f"make it a member of {same[0]}, which has the same role there"
            yield Hit(address, f"user {entry.principal} is granted {entry.role} directly", hint)
        elif own and not index_of(scene.table).tokens_of.get(entry.principal):
            yield Hit(
                address,
                f"user {entry.principal} is in {in_prose(own)} but has entries of its own as well",
                "grant to the group; an entry for the user overrides those of its groups there",
            )


def _wide(scene: LintContext) -> Iterable[Hit]:
    for address, entry in scene.entries.items():
        privileges = scene.table.roles.get(entry.role, frozenset())
        only_reads = all(name.endswith(".Audit") for name in privileges)
        if entry.propagate and entry.path in ("/", "/vms") and not only_reads:
            yield Hit(
                address,
                f"{entry.role} for {entry.kind} {entry.principal} reaches everything below "
                f"{entry.path}, including what is created later",
                "grant on a pool or on single paths, or set propagate = false",
            )


def _instead_of_a_pool(scene: LintContext) -> Iterable[Hit]:
    guests: dict[tuple[str, str, str, bool], list[Address]] = {}
    for address, entry in scene.entries.items():
        if entry.path.startswith("/vms/") and entry.role != "NoAccess":
            key = (entry.kind, entry.principal, entry.role, entry.propagate)
            guests.setdefault(key, []).append(address)
    for (kind, who, role, _), found in sorted(guests.items()):
        if len(found) >= MANY:
            paths = {scene.entries[address].path for address in found}
            text = f"{kind} {who} holds {role} on {len(found)} guests one by one"
            yield Hit(found[0], text, _pool_hint(scene, paths))


def _pool_hint(scene: LintContext, paths: set[str]) -> str:
    """The pools whose members, those of nested pools included, are all among the paths."""
    whole: dict[str, set[str]] = {}
    pools = index_of(scene.table).members
    for pool in sorted(pools):
        below = {
            one for name in pools if (name + "/").startswith(pool + "/") for one in pools[name]
        }
        if len(below) > 1 and below <= paths and not any(below <= one for one in whole.values()):
            whole[pool] = below
    if not whole:
        return "add them to a pool and grant it there"
    rest = sorted(paths.difference(*whole.values()))
    kept = f", and keep {in_prose(rest)}" if rest else ""
    return f"grant it on {in_prose(tuple(whole))} instead{kept}"


def _orphans(scene: LintContext) -> Iterable[Hit]:
    """Only where the state is the whole cluster: otherwise objects may exist undeclared."""
    if not scene.complete:
        return
    table = scene.table
    paths = frozenset(scene.paths)
    known = {USER: {*table.users, ROOT}, TOKEN: set(table.tokens), GROUP: set(scene.ids("group"))}
    for address, entry in scene.entries.items():
        if entry.principal not in known[entry.kind]:
            what = f"{entry.kind} {entry.principal}"
        elif entry.role not in table.roles:
            what = f"role {entry.role}"
        else:
            what = _nowhere(entry.path, table.pools, paths)
        if what:
            yield Hit(
                address,
                f"{what} does not exist",
                "remove the entry: whatever gets that name next inherits it",
            )


def _nowhere(path: str, pools: Collection[str], paths: Collection[str]) -> str:
    """The object of a path, where there is none; "" where there is, or it is not known."""
    for head, kind in _OBJECTS.items():
        name = path.removeprefix(head)
        if name == path or (kind != "pool" and "/" in name):
            continue
        if kind == "pool":
            return "" if name in pools else f"pool {name}"
        missing = path not in paths and any(one.startswith(head) for one in paths)
        return f"{kind} {name}" if missing else ""
    return ""


def _grant_ends(scene: LintContext) -> Iterable[Hit]:
    month = 30 * 86400
    for address, entry in scene.entries.items():
        declared = scene.declared.get(address)
        if declared is None or not declared.expires or not scene.now:
            continue
        left = declared.expires - scene.now
        text = f"{entry.role} for {entry.kind} {entry.principal} on {entry.path}"
        if left <= 0:
            yield Hit(address, f"the grant of {text} has expired", "remove it from the files")
        elif left <= month:
            yield Hit(
                address,
                f"the grant of {text} expires in "
                + (count(left // 86400, "day") if left >= 86400 else duration(left)),
                "extend it in time, or let it expire",
            )


RULES = (
    Rule(
        "LINT_ADMIN_ON_TOP",
        Severity.WARNING,
        "Administrator of everything, granted to a user or a token",
        "Administrator on / is as good as root. Granted to a group, its holders are listed in one "
        "place, and leaving the group revokes it. A token with it serves anyone who obtains its "
        "secret. Grant it to a group, or grant a role with just what is needed.",
        _admin_on_top,
    ),
    Rule(
        "LINT_DIRECT_GRANT",
        Severity.NOTE,
        "a grant to a user where a group would do",
        "An entry of a user replaces everything that its groups are granted on the same path and "
        "above it, so it may remove more than it grants. Entries of groups stay right when people "
        "come and go. Make the user a member of a group, and grant to that.",
        _direct,
    ),
    Rule(
        "LINT_WIDE_GRANT",
        Severity.WARNING,
        "a propagating grant on everything, or on all guests",
        "With propagation on / or /vms a role also applies to every guest that is created later. "
        "Roles that only read are exempt from this rule. Grant on a pool, or on the intended "
        "paths.",
        _wide,
    ),
    Rule(
        "LINT_POOL_INSTEAD",
        Severity.NOTE,
        f"the same role granted on {MANY} or more guests individually",
        "Entries on single guests are easily forgotten when a guest is created or moved. A role on "
        "a pool applies to its members only. NoAccess on a guest or on its pool overrides the "
        "other.",
        _instead_of_a_pool,
    ),
    Rule(
        "LINT_ORPHAN",
        Severity.WARNING,
        "an entry for something that does not exist",
        "Proxmox VE keeps entries of deleted users, groups, pools, nodes and storages, and accepts "
        "entries for guests that do not exist. A new object of that name inherits the grant. "
        "Remove the entry.",
        _orphans,
    ),
    Rule(
        "LINT_GRANT_ENDS",
        Severity.NOTE,
        "a grant that has expired or will within 30 days",
        "After its `expires` a grant counts as removed, and the next plan revokes it. Remove it "
        "from the files, or extend it while there is time.",
        _grant_ends,
    ),
)
