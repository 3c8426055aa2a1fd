"""Least-privilege grants that pvectl itself needs to plan and to apply a state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.contents import ROOT, TOKEN, USER, Principal, split_token
from reconciler.access.escalation.search import Escalation, escalations
from reconciler.access.explain.remediation import NewRole
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.kinds import access_table, all_kinds, kind_of
from reconciler.kinds.group import LOCK_NEED
from reconciler.kinds.kind import Need
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Desired
from reconciler.model.spec import State
from reconciler.planning.offline import as_live
from reconciler.pve.acl_paths import chain

PLAN, APPLY = "AutomationPlan", "AutomationApply"
"""Prefix of the generated roles; Proxmox VE reserves names that begin with PVE, in any case."""

_PLACES = {
    "/": "Cluster",
    "/access/groups": "Groups",
    "/access/realm": "Realms",
    "/access/realm/-": "RealmSync",
    "/mapping": "Mappings",
    "/pool": "Pools",
    "/storage": "Storages",
    "/vms": "Guests",
}
"""ACL path -> what a role for it is called; others are called after their parts."""

_REASON = Reason(Cause.MISSING, "what if")


class NeededGrant(NamedTuple):
    """All of `privileges` on `path` and, with `propagate`, below."""

    path: str
    privileges: tuple[str, ...]
    propagate: bool


class Granted(NamedTuple):
    """Roles to create and entries to set for `principal`; a token's user gets the same entries."""

    principal: str
    grants: tuple[NeededGrant, ...]
    roles: tuple[NewRole, ...]
    entries: tuple[TracedEntry, ...]


def ways_to_root(granted: Granted) -> tuple[Escalation, ...]:
    """How these grants alone can be escalated to root."""
    table = AccessTable(users={ROOT: Principal()})
    user, mark, _ = granted.principal.partition("!")
    table.users[user] = Principal()
    if mark:
        table.tokens[granted.principal] = Principal()
    table.roles.update({role.name: frozenset(role.privileges) for role in granted.roles})
    for entry in granted.entries:
        table.add_entry(
            entry.path, entry.kind, entry.principal, entry.role, propagate=entry.propagate
        )
    return tuple(way for way in escalations(table) if granted.principal in way.principals)


def bootstrap(
    needs: Iterable[Need], principal: str, prefix: str, lifted: Mapping[str, str] | None = None
) -> Granted:
    """A minimal set of grants that meets all needs: none of them can be left out.

    `lifted`: path -> the path to grant on instead.
    """
    cover = _Cover(tuple(dict.fromkeys(needs)), lifted or {})
    cover.reduce()
    return granted_as(principal, tuple(_grants(cover)), prefix)


def granted_as(principal: str, grants: tuple[NeededGrant, ...], prefix: str) -> Granted:
    """The roles and entries for these grants."""
    names = _role_names(grants, prefix)
    roles = tuple(NewRole(name, held) for held, name in names.items())
    entries = [
        TracedEntry(grant.path, kind, who, names[grant.privileges], grant.propagate)
        for grant in grants
        for kind, who in _holders(principal)
    ]
    return Granted(principal, grants, roles, tuple(sorted(entries)))


def planning_needs(names: Iterable[str]) -> Iterator[Need]:
    """Privileges needed to read all objects of these kinds."""
    for name in names:
        yield from all_kinds()[name].reads.needs


def applying_needs(desired: Desired) -> Iterator[Need]:
    """Privileges needed to create, change and delete what is declared, and to hold the lock.

    Deleting is included, since a failed run rolls back what it has created.
    """
    yield LOCK_NEED
    state = as_live(desired)
    table = access_table(state)
    for change in _possible(desired, state):
        yield from kind_of(change.address).writes.needs(change, table)


def _possible(desired: Desired, state: State) -> Iterator[Change]:
    declared = desired.state
    for address, spec in {**declared, **state}.items():
        for before, after in ((None, spec), (spec, spec), (spec, None)):
            yield Change(address, before, after, _REASON)
    for address in _going(desired):
        nothing_known = kind_of(address).spec.model_construct()
        yield Change(address, nothing_known, None, _REASON)


def vanishing(desired: Desired) -> Mapping[str, str]:
    """Paths whose entries may be deleted -> the parent path to grant on instead."""
    declared = desired.state
    objects = [a for a, spec in declared.items() if not kind_of(a).reads.is_builtin(a.id, spec)]
    return {
        f"{links.acl_parent}/{address.id}": links.acl_parent
        for address in (*objects, *_going(desired))
        if (links := kind_of(address).links).entries_vanish
    }


def _going(desired: Desired) -> list[Address]:
    """Stand-ins for objects of which only the name is known."""
    return sorted({*desired.removed, *(moved.old for moved in desired.moved)})


def _holders(principal: str) -> tuple[tuple[str, str], ...]:
    split = split_token(principal)
    if split is None:
        return ((USER, principal),)
    if split[0] == ROOT:
        return ((TOKEN, principal),)
    return ((USER, split[0]), (TOKEN, principal))


_Atom = tuple[str, str]
"""A path and a privilege"""


class _Cover:
    """Granted atoms, each with its propagate flag, and the needs that they meet."""

    def __init__(self, needs: tuple[Need, ...], lifted: Mapping[str, str]) -> None:
        self.atoms: dict[_Atom, bool] = {}
        self._needs = needs
        self._mentioned: dict[_Atom, list[Need]] = {}
        self._of_privilege: dict[str, list[Need]] = {}
        for need in needs:
            for path, privilege in need.any_of[0]:
                atom = (lifted.get(path, path), privilege)
                spreads = need.propagated or path in lifted
                self.atoms[atom] = self.atoms.get(atom, False) or spreads
            for atom in dict.fromkeys(atom for way in need.any_of for atom in way):
                self._mentioned.setdefault(atom, []).append(need)
                self._of_privilege.setdefault(atom[1], []).append(need)

    def reduce(self) -> None:
        """Drop atoms that others imply, the innermost first."""
        for atom in sorted(self.atoms, key=lambda atom: (-len(chain(atom[0])), atom)):
            if not self._is_needed(atom, instead=None):
                del self.atoms[atom]
        for atom in [atom for atom, spreads in self.atoms.items() if spreads]:
            if not self._is_needed(atom, instead=False):
                self.atoms[atom] = False

    def is_everywhere(self, atom: _Atom) -> bool:
        """Whether it must hold on everything below, whatever else is granted there."""
        return any(need.propagated for need in self._mentioned.get(atom, ()))

    def relied_on(self) -> Mapping[_Atom, bool]:
        """Atom that meets a need -> whether a need requires its propagate flag."""
        found: dict[_Atom, bool] = {}
        for need in self._needs:
            for atom in next(way for way in need.any_of if self._meets(way, need)):
                found[atom] = found.get(atom, False) or atom in need.with_propagate
        return found

    def _is_needed(self, atom: _Atom, *, instead: bool | None) -> bool:
        """Whether a need is unmet once `atom` is removed or no longer propagates.

        An atom that does not propagate matters only to needs that name it.
        """
        spreads = self.atoms.pop(atom)
        if instead is not None:
            self.atoms[atom] = instead
        concerned = self._of_privilege[atom[1]] if spreads else self._mentioned[atom]
        needed = not all(self._is_met(need) for need in concerned)
        self.atoms[atom] = spreads
        return needed

    def _is_met(self, need: Need) -> bool:
        return any(self._meets(way, need) for way in need.any_of)

    def _meets(self, way: Iterable[_Atom], need: Need) -> bool:
        return all(self._holds(atom, need) for atom in way)

    def _holds(self, atom: _Atom, need: Need) -> bool:
        path, privilege = atom
        here = self.atoms.get(atom)
        if atom in need.with_propagate and here is not None:
            return here
        if here is not None and (here or not need.propagated):
            return True
        return any(self.atoms.get((above, privilege), False) for above in chain(path)[:-1])


def _grants(cover: _Cover) -> Iterator[NeededGrant]:
    """An entry replaces what is inherited, so it repeats what is needed from above.

    One that does not propagate replaces it on its own path only.
    """
    spread: dict[str, set[str]] = {}
    alone: dict[str, set[str]] = {}
    for (path, privilege), propagate in cover.atoms.items():
        (spread if propagate else alone).setdefault(path, set()).add(privilege)
    relied = cover.relied_on()
    below_of: dict[str, set[str]] = defaultdict(set)
    """privilege -> the paths on or below which it is needed"""
    for path, privilege in relied:
        below_of[privilege].update(chain(path))
    for path in sorted({*spread, *alone}):
        above = {
            name
            for place in chain(path)[:-1]
            for name in spread.get(place, ())
            if cover.is_everywhere((place, name)) or path in below_of[name]
        }
        flagged = any(relied.get((path, name)) for name in above)
        below = spread.get(path, set()) | (above if path in spread or flagged else set())
        only_here = (alone.get(path, set()) | above) - below
        if below:
            yield NeededGrant(path, tuple(sorted(below)), propagate=True)
        if only_here:
            yield NeededGrant(path, tuple(sorted(only_here)), propagate=False)


def _role_names(grants: Sequence[NeededGrant], prefix: str) -> dict[tuple[str, ...], str]:
    """One role per set of privileges: `prefix` for the only one, else with its first place."""
    every = dict.fromkeys(grant.privileges for grant in grants)
    names: dict[tuple[str, ...], str] = {}
    for grant in grants:
        if grant.privileges not in names:
            name = whole = prefix if len(every) == 1 else f"{prefix}{_in_a_word(grant.path)}"
            while name in names.values():
                name += "-only" if not grant.propagate and name == whole else "-too"
            names[grant.privileges] = name
    return dict(sorted(names.items(), key=lambda item: item[1]))


def _in_a_word(path: str) -> str:
    """`Pools` for `/pool`, `Pool-dev` for `/pool/dev`, `Access` for `/access`."""
    for place in reversed(chain(path)):
        if place == path and path in _PLACES:
            return _PLACES[path]
        if place in _PLACES and place != "/":
            rest = path.removeprefix(f"{place}/").replace("/", "-")
            return f"{_PLACES[place].removesuffix('s')}-{rest}"
    return path[1:].replace("/", "-").capitalize()
