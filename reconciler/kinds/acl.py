"""ACL entries: who holds which role on which path (/access/acl).

One object is one (path, principal, role); a `[[acl]]` table declares many of them at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from pydantic import Field, field_validator, model_validator

from reconciler.access.paths import normalize_path
from reconciler.access.privileges import BUILT_IN_ROLES
from reconciler.access.table import GROUP, TOKEN, USER, AccessTable
from reconciler.kinds.kind import Kind, Need, Place, Reads
from reconciler.kinds.text import TOKEN as TOKEN_ID
from reconciler.kinds.text import USER as USER_ID
from reconciler.kinds.text import Expiry, flag, names
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Declaration
from reconciler.model.policy import Table
from reconciler.model.request import Request, Value, request
from reconciler.model.state import Spec

ACL = request("GET", "access", "acl")


class AclSpec(Spec):
    propagate: bool = True


class Entry(NamedTuple):
    """The parts of an entry's id, `PATH|KIND:PRINCIPAL|ROLE`."""

    path: str
    kind: str
    principal: str
    role: str

    def __str__(self) -> str:
        return f"{self.path}|{self.kind}:{self.principal}|{self.role}"


@cache
def parse_entry(name: str) -> Entry:
    """The reverse of `str(Entry)`; raises ValueError."""
    path, who, role = name.split("|")
    kind, _, principal = who.partition(":")
    return Entry(path, kind, principal, role)


class AclTable(Table):
    """[[acl]]"""

    roles: list[str] = Field(min_length=1, description="names of roles")
    paths: list[str] = Field(min_length=1, description="ACL paths, such as /vms/100")
    users: list[str] = Field(default=[], description="user ids, such as alice@pve")
    groups: list[str] = Field(default=[], description="names of groups")
    tokens: list[str] = Field(default=[], description="full ids, such as bot@pve!ci")
    propagate: bool = Field(default=True, description="also on everything below the path")
    pair: bool = Field(
        default=True,
        description="give the user of each token the same entry; without it a token has nothing",
    )
    expires: Expiry = Field(default=0, description="date from which the grant is planned away")
    reason: str = ""

    @field_validator("paths")
    @classmethod
    def _valid_paths(cls, paths: list[str]) -> list[str]:
        return [valid_path(path) for path in paths]

    @field_validator("users")
    @classmethod
    def _valid_users(cls, users: list[str]) -> list[str]:
        for user in users:
            if user == "root@pam":
                raise ValueError(
                    "root@pam holds every privilege anyway and Proxmox VE drops its entries; "
                    "remove it"
                )
            if not USER_ID.fullmatch(user):
                raise ValueError(f"'{user}' is no user id: NAME@REALM is expected")
        return users

    @field_validator("tokens")
    @classmethod
    def _valid_tokens(cls, tokens: list[str]) -> list[str]:
        for token in tokens:
            if not TOKEN_ID.fullmatch(token):
                raise ValueError(f"'{token}' is no token id: NAME@REALM!TOKEN is expected")
        return tokens

    @model_validator(mode="after")
    def _somebody(self) -> AclTable:
        if not (self.users or self.groups or self.tokens):
            raise ValueError("a grant to nobody: give at least one of users, groups, tokens")
        return self


def valid_path(path: str) -> str:
    """The path in normal form; raises ValueError with what is probably meant."""
    normal = normalize_path(path)
    if normal is not None:
        return normal
    if path.strip("/") in {"dc", "datacenter", "cluster", "root"}:
        raise ValueError(f"'{path}' is no ACL path in Proxmox VE; write '/' for everything")
    raise ValueError(
        f"'{path}' is no ACL path in Proxmox VE; it knows /, /access, /access/groups/G, "
        "/access/realm/R, /nodes/N, /pool/P, /storage/S, /vms/ID (from 100), /sdn/..., /mapping/..."
    )


def _declare(name: str, parent: str, table: AclTable) -> Iterable[Declaration]:
    del name, parent
    spec = AclSpec(propagate=table.propagate)
    notes = {"reason": table.reason} if table.reason else {}
    named = [
        *((USER, user) for user in table.users),
        *((GROUP, group) for group in table.groups),
        *((TOKEN, token) for token in table.tokens),
    ]
    paired = names(token.partition("!")[0] for token in table.tokens) if table.pair else ()
    derived = [(USER, user) for user in paired if user != "root@pam" and user not in table.users]
    for path in names(table.paths):
        for role in names(table.roles):
            for kind, who in sorted(set(named)):
                entry = str(Entry(path, kind, who, role))
                yield Declaration(entry, spec, notes, expires=table.expires)
            for kind, who in derived:
                entry = str(Entry(path, kind, who, role))
                yield Declaration(entry, spec, notes, derived=True, expires=table.expires)


def _export(name: str, spec: AclSpec) -> dict[str, Any]:
    entry = parse_entry(name)
    table: dict[str, Any] = {
        "roles": [entry.role],
        "paths": [entry.path],
        f"{entry.kind}s": [entry.principal],
    }
    if not spec.propagate:
        table["propagate"] = False
    if entry.kind == TOKEN:
        table["pair"] = False
    return table


def _read(reads: Reads) -> Iterable[tuple[str, AclSpec]]:
    flags = (AclSpec(propagate=False), AclSpec(propagate=True))
    for row in reads[ACL]:
        name = f"{row['path']}|{row['type']}:{row['ugid']}|{row['roleid']}"
        yield name, flags[flag(row.get("propagate"), default=True)]


def _references(name: str, spec: AclSpec) -> Iterable[Address]:
    del spec
    entry = parse_entry(name)
    yield Address(entry.kind, entry.principal)
    if entry.role not in BUILT_IN_ROLES:
        yield Address("role", entry.role)
    head, _, rest = entry.path[1:].partition("/")
    if rest and head in {"pool", "storage"}:
        yield Address(head, rest)


def _rename(name: str, spec: AclSpec, old: Address, new: Address) -> tuple[str, AclSpec]:
    entry = parse_entry(name)
    if old == Address("role", entry.role):
        return str(entry._replace(role=new.id)), spec
    return str(entry._replace(principal=new.id)), spec


def _owners(name: str, spec: AclSpec) -> Iterable[Address]:
    del spec
    entry = parse_entry(name)
    yield Address(entry.kind, entry.principal)


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    """The fewest requests: one per path, direction, flag and distinct set of roles."""
    roles: dict[tuple[str, bool, bool], dict[tuple[str, str], list[str]]] = {}
    carried: dict[tuple[str, bool, bool], dict[tuple[str, str], list[Change]]] = {}
    for change in sorted(changes, key=lambda change: change.address):
        entry = parse_entry(change.address.id)
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


_MODIFY = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """Permissions.Modify, or the right to hand out what one holds (ACL.pm, `perm-modify`)."""
    entry = parse_entry(change.address.id)
    ways: list[tuple[tuple[str, str], ...]] = [((entry.path, "Permissions.Modify"),)]
    head, _, rest = entry.path[1:].partition("/")
    privileges = table.roles.get(entry.role, frozenset())
    if rest and head in _MODIFY and entry.role != "NoAccess":
        held = tuple((entry.path, privilege) for privilege in sorted(privileges))
        ways.append(((entry.path, _MODIFY[head]), *held))
    yield Need(tuple(ways))


def _grants(name: str, spec: AclSpec, table: AccessTable) -> None:
    path, kind, principal, role = parse_entry(name)
    table.add_entry(path, kind, principal, role, propagate=spec.propagate)


def _weigh(objects: Sequence[tuple[str, AclSpec]]) -> int:
    """Principals with exactly the same roles share a line, as PVE writes them."""
    held: dict[tuple[str, bool, str], list[str]] = defaultdict(list)
    for name, spec in objects:
        entry = parse_entry(name)
        held[entry.path, spec.propagate, entry.principal].append(entry.role)
    lines: dict[tuple[str, bool, str], int] = defaultdict(int)
    for (path, propagate, principal), roles in held.items():
        lines[path, propagate, ",".join(sorted(roles))] += len(principal) + 1
    return sum(len(f"acl:1:{path}::{roles}:\n") + size for (path, _, roles), size in lines.items())


KIND = Kind(
    name="acl",
    spec=AclSpec,
    place=Place("acl", array=True),
    table=AclTable,
    declare=_declare,
    export=_export,
    refers_to=frozenset({"role", "user", "group", "token", "pool", "storage"}),
    lock="user.cfg",
    reads=(ACL,),
    read=_read,
    sees=(Need(((("/access", "Sys.Audit"),),), propagated=False),),
    references=_references,
    tolerates=frozenset({"pool", "storage"}),
    owners=_owners,
    rename=_rename,
    requests=lambda changes: tuple(_requests(changes)),
    needs=_needs,
    grants=_grants,
    weigh=_weigh,
)
