"""Which ACL entries decide a principal's access to a path, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.access.evaluate import index_of, own_privileges, privileges
from reconciler.access.index import NO_ACCESS, Flags
from reconciler.access.table import AccessTable
from reconciler.model.acl_entry import AclEntry
from reconciler.pve.acl_paths import chain


class EntryEffect(StrEnum):
    """The outcome of one entry at one path."""

    DECIDES = "decides"
    SHADOWED_DEEPER = "shadowed by a deeper entry"
    SHADOWED_USER = "shadowed by an entry of the user itself"
    NOT_PROPAGATED = "not propagated"
    NO_ACCESS = "cut by NoAccess"
    UNKNOWN_ROLE = "role does not exist"


@dataclass(frozen=True, slots=True, order=True)
class TracedEntry:
    """One ACL entry with its propagate flag; `kind` is user, group or token."""

    path: str
    kind: str
    principal: str
    role: str
    propagate: bool

    @property
    def key(self) -> AclEntry:
        """The entry without its flag."""
        return AclEntry(self.path, self.kind, self.principal, self.role)


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """An entry with its effect. `pool`: it is on that pool's path and applies through it."""

    entry: TracedEntry
    effect: EntryEffect
    pool: str = ""


@dataclass(frozen=True, slots=True)
class IdentityTrace:
    """One identity's entries, outermost first, and the privileges that they alone grant."""

    principal: str
    entries: tuple[EntryOutcome, ...]
    privileges: Flags


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for `principal` on `path`.

    `sides`: one for a user; for a token with privilege separation the token's own and then, unless
    that is root@pam, its owner's; for a token without it the owner's. None for root@pam itself and
    for tokens that do not exist. `lost`: granted by the token's entries, but not held by the owner.
    """

    principal: str
    path: str
    privileges: Flags
    sides: tuple[IdentityTrace, ...] = ()
    lost: tuple[str, ...] = ()


def trace_decision(table: AccessTable, principal: str, path: str) -> Decision:
    """Explain `evaluate.privileges(table, principal, path)`; `path` in normal form."""
    sides = tuple(
        IdentityTrace(
            identity,
            _judge_all(table, identity, path),
            own_privileges(table, identity, path),
        )
        for identity in _identities(table, principal)
    )
    found = privileges(table, principal, path)
    lost = sorted(sides[0].privileges.keys() - found.keys()) if len(sides) > 1 else ()
    return Decision(principal, path, found, sides, tuple(lost))


def deciding_entries(table: AccessTable, principal: str, path: str) -> tuple[TracedEntry, ...]:
    """The entries that decide what a principal has on a path, whatever they grant; on both sides of
    a token."""
    return tuple(
        one.entry
        for identity in _identities(table, principal)
        for one in _judge_all(table, identity, path)
        if one.effect is EntryEffect.DECIDES
    )


def _identities(table: AccessTable, principal: str) -> tuple[str, ...]:
    split = split_token(principal)
    if split is None:
        return () if principal == ROOT else (principal,)
    token = table.tokens.get(principal)
    if token is None:
        return ()
    own = (principal,) if token.privsep else ()
    return own if split[0] == ROOT else (*own, split[0])


def _judge_all(table: AccessTable, identity: str, path: str) -> tuple[EntryOutcome, ...]:
    """The entries above and at the path, then those that apply through pools."""
    direct = _judge(table, identity, path)
    through = [
        EntryOutcome(one.entry, one.effect, pool.removeprefix("/pool/"))
        for pool in index_of(table).pools_of.get(path, ())
        for one in _judge(table, identity, pool)
    ]
    if _denies(direct):
        return (*direct, *_cut(through, EntryEffect.DECIDES))
    if _denies(through):
        return (*_cut(direct), *_cut(through))
    return (*direct, *through)


def _denies(judged: list[EntryOutcome]) -> bool:
    return any(one.effect is EntryEffect.DECIDES and one.entry.role == NO_ACCESS for one in judged)


def _cut(judged: list[EntryOutcome], *also: EntryEffect) -> list[EntryOutcome]:
    """Deciding entries lose to NoAccess; NoAccess itself still decides unless `also` says so."""
    return [
        EntryOutcome(one.entry, EntryEffect.NO_ACCESS, one.pool)
        if one.effect is EntryEffect.DECIDES and (also or one.entry.role != NO_ACCESS)
        else one
        for one in judged
    ]


def _judge(table: AccessTable, identity: str, path: str) -> list[EntryOutcome]:
    """Walk from the end: the last node with a selection decides and shadows all before it."""
    result: list[EntryOutcome] = []
    decided = False
    for place in reversed(chain(path)):
        if place not in table.acl:
            continue
        judged, selected = _judge_node(table, identity, place, last=place == path)
        if decided:
            judged = [
                EntryOutcome(one.entry, EntryEffect.SHADOWED_DEEPER)
                if one.effect
                in (EntryEffect.DECIDES, EntryEffect.SHADOWED_USER, EntryEffect.NO_ACCESS)
                else one
                for one in judged
            ]
        decided = decided or selected
        result = judged + result
    return result


def _judge_node(
    table: AccessTable, identity: str, place: str, *, last: bool
) -> tuple[list[EntryOutcome], bool]:
    """The identity's entries at one node, and whether they form a selection there."""
    judged: list[EntryOutcome] = []
    selected = False
    for kind in (TOKEN, USER, GROUP):
        here = []
        for entry in _entries(table, identity, place, kind):
            if entry.role not in table.roles:
                effect = EntryEffect.UNKNOWN_ROLE
            elif not (last or entry.propagate):
                effect = EntryEffect.NOT_PROPAGATED
            else:
                effect = EntryEffect.SHADOWED_USER if selected else EntryEffect.DECIDES
            here.append(EntryOutcome(entry, effect))
        selected = selected or any(one.effect is EntryEffect.DECIDES for one in here)
        judged += here
    return (_cut(judged) if _denies(judged) else judged), selected


def _entries(table: AccessTable, identity: str, place: str, kind: str) -> list[TracedEntry]:
    principals = table.acl.get(place, {}).get(kind)
    if not principals:
        return []
    if kind == GROUP:
        names = sorted(name for name in principals if identity in table.groups.get(name, ()))
    else:
        names = [identity] if identity in principals else []
    return [
        TracedEntry(place, kind, name, role, principals[name][role])
        for name in names
        for role in sorted(principals[name])
    ]


def deciding(decision: Decision, table: AccessTable, privilege: str) -> tuple[TracedEntry, ...]:
    """The entries that grant `privilege`, on both sides of a token."""
    return tuple(
        dict.fromkeys(
            one.entry
            for side in decision.sides
            for one in side.entries
            if one.effect is EntryEffect.DECIDES
            and privilege in table.roles.get(one.entry.role, frozenset())
        )
    )
