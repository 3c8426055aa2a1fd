"""ACL entries: who holds which role on which path (/access/acl).

One object is one (path, principal, role); a `[[acl]]` table declares many of them at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.table import AccessTable
from reconciler.kinds.acl.table import (
    AclSpec,
    AclTable,
    declare,
    export,
    merge_tables,
    review,
)
from reconciler.kinds.kind import (
    AlarmWhen,
    Answers,
    Checks,
    Kind,
    Links,
    Need,
    Reading,
    TablePlace,
    Toml,
    Writing,
)
from reconciler.kinds.shared.answer_shape import FLAG, ID, PATH, WORD, Fields, Rows, one_of
from reconciler.kinds.shared.field_types import flag, names
from reconciler.kinds.shared.known_nodes import unknown_nodes
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Action, Change, Undo
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.request import Request, Value, request
from reconciler.model.spec import State
from reconciler.pve.acl_paths import check_path
from reconciler.pve.release import is_built_in

ACL = request("GET", "access", "acl")
_ENTRY = Fields(
    {"path": PATH, "type": one_of(USER, GROUP, TOKEN), "ugid": ID, "roleid": WORD},
    {"propagate": FLAG},
)


def _parse(answers: Answers) -> Iterable[tuple[str, AclSpec]]:
    flags = (AclSpec(propagate=False), AclSpec(propagate=True))
    for row in answers[ACL]:
        entry = AclEntry(row["path"], row["type"], row["ugid"], row["roleid"])
        yield str(entry), flags[flag(row.get("propagate"), default=True)]


def _references(name: str, spec: AclSpec) -> Iterable[Address]:
    del spec
    entry = AclEntry.parse(name)
    yield entry.holder
    if not is_built_in(entry.role):
        yield Address("role", entry.role)
    head, _, rest = entry.path[1:].partition("/")
    if rest and head in {"pool", "storage"}:
        yield Address(head, rest)


def _rename(name: str, spec: AclSpec, old: Address, new: Address) -> tuple[str, AclSpec] | None:
    """An entry on a path of an old release cannot be renamed: PVE no longer accepts it."""
    entry = AclEntry.parse(name)
    if old.kind == "role":
        entry = entry._replace(role=new.id)
    elif old.kind == entry.kind:
        entry = entry._replace(principal=new.id)
    else:
        entry = entry._replace(path=f"/{new.kind}/{new.id}")
    return (str(entry), spec) if check_path(entry.path) else None


def _owners(name: str, spec: AclSpec) -> Iterable[Address]:
    """An entry that no file can declare has no owner, or an imported state would delete it."""
    del spec
    entry = AclEntry.parse(name)
    if check_path(entry.path):
        yield entry.holder


def _undo(change: Change) -> Undo:
    """An entry on a path of an old release can be deleted, but not recreated."""
    lasting = change.after is not None or check_path(AclEntry.parse(change.address.id).path)
    return Undo.FULL if lasting else Undo.NONE


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    """PVE keeps entries of deleted users and groups, but refuses to delete those entries.

    `live` includes what the plan creates: such an entry can be deleted once its user exists.
    """
    entry = AclEntry.parse(change.address.id)
    who = entry.holder
    if change.after is None and who not in live:
        yield Finding(
            "PRINCIPAL_GONE",
            Severity.ERROR,
            f"{change.address} belongs to {who}, which does not exist: Proxmox VE cannot delete it",
            hint=f"declare {who}, so that it is created first, or exclude this entry in [manage]",
            address=change.address,
        )


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    """One request per path, direction, flag and distinct set of roles.

    Each principal gets or loses all its roles of a path at once. Grouped by role there would
    sometimes be fewer requests, but between two of them somebody would have half of both, and its
    own half overrides what its groups have there.
    """
    roles: dict[tuple[str, bool, bool], dict[tuple[str, str], list[str]]] = {}
    carried: dict[tuple[str, bool, bool], dict[tuple[str, str], list[Change]]] = {}
    for change in sorted(changes, key=lambda change: change.address):
        entry = AclEntry.parse(change.address.id)
        delete = change.after is None
        spec = change.before if delete else change.after
        key = (entry.path, delete, not delete and getattr(spec, "propagate", True))
        who = (entry.kind, entry.principal)
        roles.setdefault(key, {}).setdefault(who, []).append(entry.role)
        carried.setdefault(key, {}).setdefault(who, []).append(change)
    for key, by_principal in roles.items():
        alike: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        for who, held in by_principal.items():
            alike[tuple(held)].append(who)
        for same_roles, principals in alike.items():
            merged = tuple(c for who in principals for c in carried[key][who])
            yield _request(key, same_roles, principals), merged


def _request(
    key: tuple[str, bool, bool], roles: tuple[str, ...], principals: list[tuple[str, str]]
) -> Request:
    path, delete, propagate = key
    params: list[tuple[str, Value]] = [("path", path), ("roles", ",".join(roles))]
    for kind in (USER, GROUP, TOKEN):
        ids = ",".join(name for of, name in principals if of == kind)
        if ids:
            params.append((f"{kind}s", ids))
    last = ("delete", "1") if delete else ("propagate", str(int(propagate)))
    return Request("PUT", ("access", "acl"), (*params, last))


_VERBS = {
    Action.CREATE: ("grant", "to"),
    Action.UPDATE: ("change the propagation of", "for"),
    Action.DELETE: ("revoke", "from"),
}
NAMED = 3
"""Number of principals that a title names; more are counted."""


def _title(changes: Sequence[Change]) -> str:
    entries = [AclEntry.parse(change.address.id) for change in changes]
    verb, towards = _VERBS[changes[0].action]
    roles = " and ".join(names(entry.role for entry in entries))
    who = sorted({(entry.kind, entry.principal) for entry in entries})
    if len(who) <= NAMED:
        said = [f"group {name}" if kind == GROUP else name for kind, name in who]
    else:
        counted = Counter(kind for kind, _ in who)
        said = [f"{number} {kind}{'s' * (number > 1)}" for kind, number in counted.items()]
    return f"{verb} {roles} on {entries[0].path} {towards} {' and '.join(said)}"


_MODIFY = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


_BY_MODIFY_ALONE = {"NoAccess", "Permissions.Modify"}
"""Roles that only a holder of Permissions.Modify may grant."""


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """Permissions.Modify, or the right to grant or revoke privileges that the caller holds.

    Granting a propagating entry requires its privileges with propagation; revoking it does not
    (ACL.pm, update_acl).
    """
    entry = AclEntry.parse(change.address.id)
    ways: list[tuple[tuple[str, str], ...]] = [((entry.path, "Permissions.Modify"),)]
    head, _, rest = entry.path[1:].partition("/")
    privileges = table.roles.get(entry.role, frozenset())
    held: tuple[tuple[str, str], ...] = ()
    if rest and head in _MODIFY and not {entry.role, *privileges} & _BY_MODIFY_ALONE:
        held = tuple((entry.path, privilege) for privilege in sorted(privileges))
        ways.append(tuple(dict.fromkeys([(entry.path, _MODIFY[head]), *held])))
    spreads = isinstance(change.after, AclSpec) and change.after.propagate
    yield Need(tuple(ways), with_propagate=held if spreads else ())


def _fill_access(name: str, spec: AclSpec, table: AccessTable) -> None:
    path, kind, principal, role = AclEntry.parse(name)
    table.add_entry(path, kind, principal, role, propagate=spec.propagate)


def _file_size(objects: Sequence[tuple[str, AclSpec]]) -> int:
    """Principals with exactly the same roles share a line, as PVE writes them."""
    held: dict[tuple[str, bool, str], list[str]] = defaultdict(list)
    for name, spec in objects:
        entry = AclEntry.parse(name)
        held[entry.path, spec.propagate, entry.principal].append(entry.role)
    lines: dict[tuple[str, bool, str], int] = defaultdict(int)
    for (path, propagate, principal), roles in held.items():
        lines[path, propagate, ",".join(sorted(roles))] += len(principal) + 1
    return sum(len(f"acl:1:{path}::{roles}:\n") + size for (path, _, roles), size in lines.items())


def _check_nodes(state: State, facts: Facts) -> Iterable[Finding]:
    """An entry on a node that is not there grants nothing, until there is one of that name."""
    for address in state:
        if address.kind == "acl" and address.id.startswith("/nodes/"):
            path = address.id.partition("|")[0]
            yield from unknown_nodes(address, path.split("/")[2:3], facts)


KIND = Kind(
    name="acl",
    spec=AclSpec,
    toml=Toml(
        place=TablePlace("acl", array=True),
        table=AclTable,
        declare=declare,
        export=export,
        merge_tables=merge_tables,
        file="access.toml",
    ),
    reads=Reading(
        requests=(ACL,),
        answer_shapes={"/access/acl": Rows(_ENTRY)},
        parse=_parse,
        needs=(Need(((("/access", "Sys.Audit"),),), propagated=False),),
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        undo=_undo,
        title=_title,
        file_size=_file_size,
    ),
    links=Links(
        refers_to=frozenset({"role", "user", "group", "token", "pool", "storage"}),
        references=_references,
        owners=_owners,
        rename=_rename,
        may_dangle=frozenset({"pool", "storage"}),
    ),
    checks=Checks(
        declared_kind=review,
        planned_state=_check_nodes,
        change=_check_change,
        undeclared=AlarmWhen.ALWAYS,
    ),
    fill_access=_fill_access,
)
