"""Read the live state through the API; check first what the caller may see, and never guess
absence.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import SecretStr

from reconciler.access.contents import ROOT
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.errors import Blind, RequestRefused
from reconciler.kinds import access_table, all_kinds
from reconciler.kinds.group import GROUPS
from reconciler.kinds.kind import Need
from reconciler.kinds.role import built_in_roles
from reconciler.kinds.shared.field_types import split_list
from reconciler.kinds.shared.reader import RESOURCES, Wanted, read_state
from reconciler.live.health import STATUS, VERSION, health_of
from reconciler.model.address import Address
from reconciler.model.api import Api, SeesFiles
from reconciler.model.inventory import Facts, Guest
from reconciler.model.request import Request, request
from reconciler.model.spec import State
from reconciler.pve.acl_paths import chain
from reconciler.pve.release import release_of
from reconciler.text.shell import shell

PERMISSIONS = request("GET", "access", "permissions")

DECIDING = ("role", "group", "user", "token", "acl")
"""The kinds that say what the caller may see; read whatever else is."""

Permissions = Mapping[str, Mapping[str, int]]
"""path -> privilege -> 1 where it holds on everything below as well."""


AnsweredSecrets = Mapping[Address, Mapping[str, SecretStr]]
"""Object -> parameter -> value; "" for one that is not set."""


class Live(NamedTuple):
    """A snapshot of a cluster.

    `groups`: the answer to `GET /access/groups`, which shows locks as well; `began`: Unix seconds,
    all of it was read after that. `answered`: the secrets that PVE returns, `shown`: what it
    returns in the place of others.
    """

    state: State
    facts: Facts
    groups: Sequence[Mapping[str, Any]] = ()
    began: float = 0.0
    answered: AnsweredSecrets = MappingProxyType({})
    shown: Mapping[Address, Mapping[str, str]] = MappingProxyType({})

    def table(self) -> AccessTable:
        """The access table, including members of groups that do not exist, which the state cannot
        hold.
        """
        table = access_table(self.state, self.facts.pve, self.facts.strays)
        for user, groups in self.facts.ghosts.items():
            table.add_members(user, groups)
        return table


def read_live(api: Api, names: Iterable[str], wanted: Wanted) -> Live:
    """All objects of the named kinds, and of those that decide visibility.

    Raises `Blind` when the caller would see only a part.

    Proxmox VE silently filters its lists by what the caller may see, so an empty answer to a weak
    token means nothing. Requests: two, then the lists and details in parallel.
    """
    names = tuple(dict.fromkeys((*names, *DECIDING)))
    needs = [need for name in names for need in all_kinds()[name].reads.needs]
    permissions: Permissions = {}
    began = time.time()
    try:
        version, permissions = api.get([VERSION, PERMISSIONS])
        _refuse_blind(api.actor, permissions, unmet(permissions, needs))
        about = [STATUS] if "Sys.Audit" in held_on(permissions, "/") else []
        state, answers = read_state(api, names, wanted, [RESOURCES, *about])
    except RequestRefused as refused:
        raise _unreadable(api, refused, permissions) from refused
    facts = facts_of(version, answers[RESOURCES])
    release = release_of(facts.release, built_in_roles(answers))
    _refuse_blind(api.actor, permissions, _cut_off(access_table(state, release), api.actor, needs))
    health = health_of(answers[RESOURCES], answers.get(STATUS), api)
    facts = replace(facts, health=health, ghosts=_ghosts(answers[GROUPS], state), pve=release)
    if isinstance(api, SeesFiles):
        facts = replace(facts, unread=tuple(api.unread()), strays=api.strays())
    shown = {
        Address(name, id_): own
        for name in names
        for id_, own in all_kinds()[name].secrets.shown(answers).items()
    }
    return Live(state, facts, answers[GROUPS], began, _answered(names, answers), shown)


def returned_secrets(live: Live) -> Mapping[Address, Mapping[str, str]]:
    """The secrets that Proxmox VE returned and that are set, to be hashed and never shown."""
    return {
        address: {name: value.get_secret_value() for name, value in own.items() if value}
        for address, own in live.answered.items()
    }


def _answered(names: Iterable[str], answers: Mapping[Request, Any]) -> AnsweredSecrets:
    return {
        Address(name, id_): {key: SecretStr(value) for key, value in own.items()}
        for name in names
        for id_, own in all_kinds()[name].secrets.answered(answers).items()
    }


def _unreadable(api: Api, refused: RequestRefused, permissions: Permissions) -> Blind:
    """The error for a list that Proxmox VE refuses to return."""
    where = refused.asked or api.endpoint
    why = f"{refused.status} {refused.reason}".strip()
    if refused.forbidden:
        from reconciler.access.explain.explain import parse_refusal

        refusal = parse_refusal(refused.reason)
        place = refusal.path if refusal and refusal.path else "/"
        hint = "\n".join(["grant it read access:", *grants(api.actor, place, permissions)])
    else:
        hint = (
            "try again; if it persists, `journalctl -u pvedaemon -u pveproxy` on the node says why"
        )
    return Blind(f"{api.actor} cannot see enough to decide: {where} was refused: {why}", hint=hint)


def _refuse_blind(actor: str, permissions: Permissions, missing: Sequence[Need]) -> None:
    if missing:
        raise Blind(
            f"{actor} cannot see enough to decide: {_words(missing)}",
            hint="\n".join(["grant it read access:", *_help(actor, permissions, missing)]),
        )


def unmet(permissions: Permissions, needs: Iterable[Need]) -> tuple[Need, ...]:
    """The needs that the caller's own permissions do not meet, each once, in order.

    One that is met where it counts but overridden further down is reported for the paths below.
    """
    lacking = [need for need in dict.fromkeys(needs) if not _met(permissions, need)]
    return tuple(dict.fromkeys(one for need in lacking for one in _closer(permissions, need)))


def _closer(permissions: Permissions, need: Need) -> Iterable[Need]:
    for way in need.any_of if need.propagated else ():
        spreads = all(int(held_on(permissions, path).get(name, 0)) for path, name in way)
        prefixes = tuple(path.rstrip("/") + "/" for path, _ in way)
        below = [place for place in sorted(permissions) if place.startswith(prefixes)]
        cut = [p for p in below if not permissions[p].keys() >= {name for _, name in way}]
        if spreads and cut:
            ways = need.any_of
            return [Need(tuple(tuple((at, n) for _, n in way) for way in ways)) for at in cut]
    return [need]


def _met(permissions: Permissions, need: Need) -> bool:
    return any(
        all(_holds(permissions, path, privilege, below=need.propagated) for path, privilege in way)
        for way in need.any_of
    )


def _holds(permissions: Permissions, path: str, privilege: str, *, below: bool) -> bool:
    """Whether a privilege is held on `path`; with `below`, also on everything under it that PVE
    lists.
    """
    held = held_on(permissions, path).get(privilege)
    if held is None or not below:
        return held is not None
    prefix = path.rstrip("/") + "/"
    return bool(int(held)) and all(
        privilege in privileges
        for place, privileges in permissions.items()
        if place.startswith(prefix)
    )


def held_on(permissions: Permissions, path: str) -> Mapping[str, int]:
    """The privileges on a path; an unlisted path inherits from its nearest listed parent."""
    if path in permissions:
        return permissions[path]
    for above in reversed(chain(path)[:-1]):
        if above in permissions:
            return {name: flag for name, flag in permissions[above].items() if int(flag)}
    return {}


def _cut_off(table: AccessTable, actor: str, needs: Iterable[Need]) -> tuple[Need, ...]:
    """The needs that an entry further down overrides, evaluated as PVE does from what was read.

    /access/permissions leaves out the paths on which the caller has nothing, so it cannot tell.
    Where users or entries are hidden, nothing else can be computed from the rest.
    """
    missing = []
    for need in dict.fromkeys(needs):
        for path in table.acl if need.propagated else ():
            here = privileges(table, actor, path)
            if any(all(name in here for _, name in way) for way in need.any_of):
                continue
            ways = [[name for place, name in way if _is_above(place, path)] for way in need.any_of]
            if not any(all(name in here for name in way) for way in ways):
                cut = tuple(tuple((path, name) for name in way) for way in ways if way)
                missing.append(Need(cut))
    missing = [one for one in missing if not any(_asks_more(other, one) for other in missing)]
    about_access = [one for one in missing if one.any_of[0][0][0].startswith("/access")]
    return tuple(about_access or missing)


def _asks_more(other: Need, need: Need) -> bool:
    """Whether anything that meets `other` also meets `need`."""
    return set(other.any_of) < set(need.any_of)


def _is_above(place: str, path: str) -> bool:
    return place in {"/", path} or path.startswith(f"{place}/")


def _words(missing: Iterable[Need]) -> str:
    parts = []
    for need in missing:
        ways = [" and ".join(f"{name} on {path}" for path, name in way) for way in need.any_of]
        below = " and all below" if need.propagated else ""
        parts.append(f"{' or '.join(ways)}{below} is missing")
    return "; ".join(parts)


def _help(actor: str, permissions: Permissions, missing: Iterable[Need]) -> list[str]:
    """Where to grant: at the top, or where an entry further down overrides what is inherited."""
    places = [need.any_of[0][0][0] if _is_cut(need) else "/" for need in missing]
    return [line for place in dict.fromkeys(places) for line in grants(actor, place, permissions)]


def _is_cut(need: Need) -> bool:
    """Whether the need is about one place further down; those of kinds are on known paths."""
    kinds = {one for kind in all_kinds().values() for one in kind.reads.needs}
    return need not in kinds


def grants(actor: str, path: str, permissions: Permissions) -> list[str]:
    """The `pveum` lines that let `actor` read everything from `path` on.

    A token also needs its user's entry, unless that is root@pam. Where inheritance is blocked,
    NoAccess has to be removed first, since it wins on its path.
    """
    user, _, token = actor.partition("!")
    holders = [("--users", user)] if user != ROOT else []
    holders += [("--tokens", actor)] if token else []
    words = [word for holder in holders for word in holder]
    denied = path != "/" and any(permissions.get("/", {}).values()) and not permissions.get(path)
    lines = [shell("pveum", "acl", "delete", path, "--roles", "NoAccess", *words)] if denied else []
    return [*lines, shell("pveum", "acl", "modify", path, "--roles", "PVEAuditor", *words)]


def _ghosts(rows: Iterable[Mapping[str, Any]], state: State) -> dict[str, tuple[str, ...]]:
    """Group members that do not exist, which PVE keeps (AccessControl.pm, `parse_user_config`)."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for user in split_list(row.get("users") or ""):
            if Address("user", user) not in state:
                found.setdefault(user, []).append(row["groupid"])
    return {user: tuple(sorted(groups)) for user, groups in sorted(found.items())}


def facts_of(version: Mapping[str, Any], resources: Iterable[Mapping[str, Any]]) -> Facts:
    """The guests and nodes among the rows of /cluster/resources."""
    guests = {}
    nodes = set()
    for row in resources:
        if row.get("type") in {"qemu", "lxc"}:
            vmid = int(row["vmid"])
            guests[vmid] = Guest(
                vmid,
                row.get("name") or "",
                row["type"],
                row.get("node") or "",
                bool(int(row.get("template") or 0)),
                row.get("pool") or "",
            )
        elif row.get("type") == "node":
            nodes.add(row["node"])
    return Facts(version.get("version") or "", dict(sorted(guests.items())), tuple(sorted(nodes)))
