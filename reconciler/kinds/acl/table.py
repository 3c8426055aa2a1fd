"""`[[acl]]`: one table grants roles on paths to principals, many entries at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue, Problem, refuse
from reconciler.kinds.shared.field_types import NAME, Expiry, asked_release, names
from reconciler.kinds.shared.field_types import TOKEN as TOKEN_ID
from reconciler.kinds.shared.field_types import USER as USER_ID
from reconciler.kinds.shared.omitted_keys import DEFAULT, FILE
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.declared import Declaration, Declared
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import TomlTable
from reconciler.model.spec import Spec
from reconciler.pve.acl_paths import check_path_of_any_release, normalize_path
from reconciler.pve.release import NotInRelease, known_role


class AclSpec(Spec):
    propagate: bool = True


_MEANT = {"datacenter": "/", "dc": "/", "cluster": "/", "root": "/", "pools": "/pool"}
_MEANT |= {"vm": "/vms", "node": "/nodes", "storages": "/storage", "qemu": "/vms", "lxc": "/vms"}


def _valid_path(path: str, info: ValidationInfo) -> str:
    """The path in normal form; raises ValueError with a suggestion."""
    release = asked_release(info)
    normal = normalize_path(path)
    if normal is not None and release.takes_path(normal):
        return normal
    if normal is not None and check_path_of_any_release(normal):
        raise NotInRelease(
            f"{release.name} accepts no entry on '{path}'", "grant on a path above it"
        )
    head, slash, rest = path.strip("/").partition("/")
    if head in _MEANT:
        likely = _MEANT[head] + (slash + rest if _MEANT[head] != "/" else "")
        raise InvalidValue(f"'{path}' is not a valid ACL path", f"did you mean '{likely}'?")
    raise InvalidValue(
        f"'{path}' is not a valid ACL path",
        "valid paths: /, /access, /access/groups/G, /access/realm/R, /nodes/N, /pool/P, "
        "/storage/S, /vms/ID (from 100), /sdn/..., /mapping/...",
    )


def _valid_role(role: str, info: ValidationInfo) -> str:
    release = asked_release(info)
    if role in release.privileges:
        raise InvalidValue(f"'{role}' is a privilege, not a role", "declare a role that has it")
    if not NAME.fullmatch(role):
        raise InvalidValue(
            f"'{role}' is not a valid role name", "use letters, digits, '.', '-' and '_'"
        )
    return known_role(role, release)


def _valid_user(user: str) -> str:
    if user == ROOT:
        raise InvalidValue(
            "root@pam holds every privilege, so Proxmox VE drops its entries", "remove it"
        )
    if TOKEN_ID.fullmatch(user):
        raise InvalidValue(f"'{user}' is a token", "write it under tokens")
    if not USER_ID.fullmatch(user):
        raise InvalidValue(f"'{user}' is not a valid user ID", "write NAME@REALM")
    return user


def _valid_group(group: str) -> str:
    if not NAME.fullmatch(group):
        hint = "write it under users" if "@" in group.lstrip("@") else "write the name without '@'"
        raise InvalidValue(f"'{group}' is not a valid group name", hint)
    return group


def _valid_token(token: str) -> str:
    if not TOKEN_ID.fullmatch(token):
        raise InvalidValue(f"'{token}' is not a valid token ID", "NAME@REALM!TOKEN is expected")
    return token


MOST = 100_000
"""Maximum number of objects per table and per state folder; user.cfg (1 MiB) holds about a tenth
of that."""


class AclTable(TomlTable):
    """[[acl]]"""

    roles: list[Annotated[str, AfterValidator(_valid_role)]] = Field(
        min_length=1, description="role names"
    )
    paths: list[Annotated[str, AfterValidator(_valid_path)]] = Field(
        min_length=1, description="ACL paths, such as /vms/100"
    )
    users: Annotated[list[Annotated[str, AfterValidator(_valid_user)]], DEFAULT] = Field(
        default=[], description="user IDs, such as alice@pve"
    )
    groups: Annotated[list[Annotated[str, AfterValidator(_valid_group)]], DEFAULT] = Field(
        default=[], description="group names"
    )
    tokens: Annotated[list[Annotated[str, AfterValidator(_valid_token)]], DEFAULT] = Field(
        default=[], description="full token IDs, such as bot@pve!ci"
    )
    propagate: Annotated[bool, DEFAULT] = Field(
        default=True, description="also applies to everything below the path"
    )
    pair: Annotated[bool, DEFAULT] = Field(
        default=True,
        description="also grant it to the user of each token; otherwise the token has no access",
    )
    expires: Annotated[Expiry, FILE] = Field(
        default=0, description="date from which a plan revokes the grant"
    )
    reason: Annotated[str, FILE] = Field(default="", description="why; shown in plans and reports")


def declare(name: str, parent: str, table: AclTable) -> Iterable[Declaration]:
    """Every entry of the table; those of token pairs are derived."""
    del name, parent
    if not (table.users or table.groups or table.tokens):
        nobody = InvalidValue("[[acl]] has no users, groups or tokens", "name at least one of them")
        refuse([Problem(("users", "groups", "tokens"), nobody)])
    spec = AclSpec(propagate=table.propagate)
    notes = {"reason": table.reason} if table.reason else {}
    named = {
        *((USER, user) for user in table.users),
        *((GROUP, group) for group in table.groups),
        *((TOKEN, token) for token in table.tokens),
    }
    paired = (token.rpartition("!")[0] for token in table.tokens) if table.pair else ()
    derived = {(USER, user) for user in paired if user != ROOT} - named
    number = len(set(table.paths)) * len(set(table.roles)) * (len(named) + len(derived))
    if number > MOST:
        raise InvalidValue(
            f"the table expands to {number:,} entries, more than {MOST:,}",
            "grant to groups instead of users, or to pools instead of single guests",
        )
    holders = [(kind, who, False) for kind, who in sorted(named)]
    holders += [(kind, who, True) for kind, who in sorted(derived)]
    for path in names(table.paths):
        for role in names(table.roles):
            for kind, who, follows in holders:
                entry = AclEntry(path, kind, who, role)
                yield Declaration(str(entry), spec, notes, follows, table.expires)


def export(name: str, spec: AclSpec) -> dict[str, Any]:
    """A table for this one entry."""
    entry = AclEntry.parse(name)
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


class _Grant(NamedTuple):
    """Grants of a table; `alone` marks tokens whose users lack the same entries."""

    paths: tuple[str, ...]
    roles: tuple[str, ...]
    propagate: bool
    alone: bool


def merge_tables(tables: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Merge tables of `export` into few that declare the same entries.

    A token and its user with the same entry become a pair; then principals with the same roles on
    the same paths share a table.
    """
    there = {_entry_of(table) for table in tables}
    derived = {(_of_user(entry), flag) for entry, flag in there if entry.kind == TOKEN} & there
    roles: dict[tuple[str, str, bool, bool], dict[str, list[str]]] = defaultdict(dict)
    for entry, flag in sorted(there - derived):
        user = _of_user(entry)
        alone = entry.kind == TOKEN and user.principal != ROOT and (user, flag) not in there
        held = roles[entry.kind, entry.principal, flag, alone]
        held.setdefault(entry.path, []).append(entry.role)
    holders: dict[_Grant, dict[str, list[str]]] = defaultdict(dict)
    for (kind, principal, flag, alone), held in roles.items():
        for same in sorted({tuple(held_there) for held_there in held.values()}):
            paths = tuple(path for path, held_there in held.items() if tuple(held_there) == same)
            grant = _Grant(paths, same, flag, alone)
            holders[grant].setdefault(f"{kind}s", []).append(principal)
    return [_folded(grant, holders[grant]) for grant in sorted(holders)]


def _entry_of(table: Mapping[str, Any]) -> tuple[AclEntry, bool]:
    kind = next(kind for kind in (USER, GROUP, TOKEN) if f"{kind}s" in table)
    entry = AclEntry(table["paths"][0], kind, table[f"{kind}s"][0], table["roles"][0])
    return entry, table.get("propagate", True)


def _of_user(entry: AclEntry) -> AclEntry:
    """The same entry for the token's user."""
    return entry._replace(kind=USER, principal=entry.principal.rpartition("!")[0])


def _folded(grant: _Grant, holders: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    table: dict[str, Any] = {"roles": list(grant.roles), "paths": list(grant.paths)}
    for key in ("users", "groups", "tokens"):
        if key in holders:
            table[key] = sorted(holders[key])
    if not grant.propagate:
        table["propagate"] = False
    if grant.alone:
        table["pair"] = False
    return table


def review(objects: Mapping[Address, Declared]) -> Iterable[Finding]:
    """Grants outside a role's allowed_paths, and token grants without effect."""
    entries = [
        (address, AclEntry.parse(address.id)) for address in objects if address.kind == "acl"
    ]
    yield from _outside(entries, objects)
    yield from _without_effect(entries, objects)


def _outside(
    entries: Sequence[tuple[Address, AclEntry]], objects: Mapping[Address, Declared]
) -> Iterable[Finding]:
    allowed = {
        address.id: declared.notes["allowed_paths"]
        for address, declared in objects.items()
        if declared.notes.get("allowed_paths")
    }
    seen = set()
    for address, entry in entries:
        globs = allowed.get(entry.role, ())
        place = (entry.role, entry.path, objects[address].source)
        if not globs or place in seen or any(fnmatchcase(entry.path, glob) for glob in globs):
            continue
        seen.add(place)
        yield Finding(
            "PATH_NOT_ALLOWED",
            Severity.WARNING,
            f"the role {entry.role} is granted on {entry.path}, which its allowed_paths exclude",
            f"allowed: {', '.join(globs)}; correct the grant or the role's allowed_paths",
            address,
        )


def _without_effect(
    entries: Sequence[tuple[Address, AclEntry]], objects: Mapping[Address, Declared]
) -> Iterable[Finding]:
    """Privilege-separated tokens with a grant where their user has none."""
    found: dict[tuple[str, Source], list[Address]] = defaultdict(list)
    table: AccessTable | None = None
    for address, entry in entries:
        user, token = _of_user(entry), objects.get(entry.holder)
        if entry.kind != TOKEN or token is None or entry.role == "NoAccess":
            continue
        separated = getattr(token.spec, "privsep", True) and user.principal != ROOT
        known = user.holder in objects
        if not (separated and known) or user.address in objects:
            continue
        if table is None:
            from reconciler.kinds import access_table

            table = access_table({a: declared.spec for a, declared in objects.items()})
        if not privileges(table, entry.principal, entry.path):
            found[entry.principal, objects[address].source].append(address)
    for (token_id, source), addresses in found.items():
        first = AclEntry.parse(addresses[0].id)
        more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
        yield Finding(
            "GRANT_WITHOUT_EFFECT",
            Severity.WARNING,
            f"{first.role} on {first.path}{more} gives {token_id} no access: its user has no "
            "privileges there",
            "remove pair = false, grant the user the same, or declare the token with "
            "privsep = false",
            addresses[0],
            source,
        )
