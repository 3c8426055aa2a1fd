"""Pools with their guests and storages (/pools); a pool `a/b` lies in the pool `a`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reconciler.access.contents import PoolMembers
from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue
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
    need,
)
from reconciler.kinds.pool.membership import HINT, PoolSpec, join_members, pool_requests, pool_title
from reconciler.kinds.shared.answer_shape import ID, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import Text, given, names, quote
from reconciler.kinds.shared.omitted_keys import FILE, LEFT, WATCHED
from reconciler.kinds.shared.reader import ANSWERS, EVERYTHING, RESOURCES
from reconciler.kinds.shared.valid_name import require_valid
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Declaration, Declared
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request, request
from reconciler.model.spec import Spec, State

POOLS = request("GET", "pools")
_POOL = Fields({"poolid": ID}, {"comment": TEXT})
_MEMBER = Fields({"type": ID}, cases=("type", {"storage": Fields({"storage": ID})}))
_WITH_MEMBERS = Fields({"poolid": ID, "members": Rows(_MEMBER)}, {"comment": TEXT})

_HIDDEN_GUEST = re.compile(r"VM (\d+) is already a pool member")
_HIDDEN_STORAGE = re.compile(r"Storage '([^']+)' is already a pool member")

GuestId = Annotated[int, Field(ge=100, le=999_999_999)]


def _no_list(value: object) -> object:
    if isinstance(value, list):
        raise InvalidValue(
            "the members of a pool are given as guests and storages",
            'guests = [100], storages = ["NAME"]; members is "additive" or "exact"',
        )
    return value


class PoolTable(TomlTable):
    """[pool.ID]"""

    instead = HINT
    comment: Annotated[Text, LEFT] = Field(default="", description="free text")
    guests: Annotated[list[GuestId], WATCHED] = Field(default=[], description="ids of its guests")
    storages: Annotated[list[str], WATCHED] = Field(default=[], description="its storages")
    members: Annotated[Literal["exact", "additive"], BeforeValidator(_no_list), FILE] = Field(
        default="exact",
        description="exact: the listed guests and storages are its only members; additive: they "
        "are added, other members stay, and `drift` does not report them",
    )


def _check_name(name: str, parent: str) -> None:
    del parent
    require_valid("pve-poolid", name)


def _declare(name: str, parent: str, table: PoolTable) -> Iterable[Declaration]:
    del parent
    for storage in table.storages:
        require_valid("pve-storage-id", storage)
    guests = tuple(sorted(set(table.guests)))
    yield Declaration(
        name,
        PoolSpec(comment=table.comment, guests=guests, storages=names(table.storages)),
        {"members": table.members} if table.members != "exact" else {},
    )


def _export(name: str, spec: PoolSpec) -> dict[str, Any]:
    del name
    return given(comment=spec.comment, guests=list(spec.guests), storages=list(spec.storages or ()))


def _detail(name: str) -> Request:
    return request("GET", "pools", poolid=name)


def _details(answers: Answers, wanted: frozenset[str]) -> tuple[Request, ...]:
    there = {row["poolid"] for row in answers[POOLS]}
    return tuple(
        _detail(name) for name in sorted(there if wanted == EVERYTHING else wanted & there)
    )


def _parse(answers: Answers) -> Iterable[tuple[str, PoolSpec]]:
    """Guests from the list of all resources, storages only of the pools read in detail."""
    guests: dict[str, list[int]] = {}
    for row in answers[RESOURCES]:
        if row.get("type") in {"qemu", "lxc"} and row.get("pool"):
            guests.setdefault(row["pool"], []).append(int(row["vmid"]))
    for row in answers[POOLS]:
        name = row["poolid"]
        detail = answers.get(_detail(name))
        yield (
            name,
            PoolSpec(
                comment=row.get("comment") or "",
                guests=tuple(sorted(guests.get(name, ()))),
                storages=None if detail is None else _storages(detail),
            ),
        )


def _storages(detail: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return names(
        member["storage"]
        for row in detail
        for member in row.get("members") or ()
        if member.get("type") == "storage"
    )


def _merge_with_live(declared: PoolSpec, live: PoolSpec | None) -> PoolSpec:
    """Storages that were not read stay unknown."""
    if live is not None and live.storages is None and not declared.storages:
        return declared.model_copy(update={"storages": None})
    return declared


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _references(name: str, spec: PoolSpec) -> Iterable[Address]:
    if _parent(name):
        yield Address("pool", _parent(name))
    for storage in spec.storages or ():
        yield Address("storage", storage)


def _without(name: str, spec: PoolSpec, gone: Address) -> PoolSpec:
    """Only an empty pool can be deleted; a storage is simply removed from it."""
    del name
    if gone.kind != "storage":
        return spec
    return spec.model_copy(
        update={"storages": tuple(s for s in spec.storages or () if s != gone.id)}
    )


def _rename(name: str, spec: PoolSpec, old: Address, new: Address) -> tuple[str, PoolSpec] | None:
    if old.kind != "storage" or new.kind != "storage":
        return None
    renamed = names(new.id if s == old.id else s for s in spec.storages or ())
    return name, spec.model_copy(update={"storages": renamed})


def _split(change: Change) -> Sequence[Change]:
    """Members are removed by a separate request, before the comment is set and others are added."""
    before, after = change.before, change.after
    if not isinstance(before, PoolSpec):
        if not isinstance(after, PoolSpec) or not (after.guests or after.storages):
            return (change,)
        empty = after.model_copy(update={"guests": (), "storages": ()})
        return change._replace(after=empty), change._replace(before=empty)
    if not isinstance(after, PoolSpec):
        empty = before.without(before.guests, before.storages or ())
        steps = [(before, empty), (empty, None)]
    else:
        between = before.without(
            set(before.guests) - set(after.guests),
            set(before.storages or ()) - set(after.storages or ()),
        )
        steps = [(before, between), (between, after)]
    return tuple(change._replace(before=a, after=b) for a, b in steps if a != b)


def _guests(spec: Spec | None) -> set[int]:
    return set(spec.guests) if isinstance(spec, PoolSpec) else set()


def _coupled_changes(change: Change, live: State) -> Iterable[Change]:
    """The current pools of the new guests: each guest leaves its own."""
    new = _guests(change.after) - _guests(change.before)
    if not new:
        return
    for address, spec in live.items():
        if isinstance(spec, PoolSpec) and address != change.address and new & set(spec.guests):
            reason = Reason(Cause.DEPENDENT, f"a guest moves to {change.address}")
            yield Change(address, spec, spec.without(new, ()), reason)


def _fallbacks(change: Change, refusal: str) -> Sequence[Change]:
    """A member that PVE hides, since its guest or storage was gone: remove it, add it again."""
    spec = change.before
    guest, storage = _HIDDEN_GUEST.search(refusal), _HIDDEN_STORAGE.search(refusal)
    if not isinstance(spec, PoolSpec) or not (guest or storage):
        return ()
    hidden = spec.joined_by([int(guest[1])] if guest else [], [storage[1]] if storage else [])
    return change._replace(before=hidden, after=spec), change


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    """Pool.pm: Pool.Allocate on the pool, and `perm-modify` on each member added or removed."""
    del table
    yield need(f"/pool/{change.address.id}", "Pool.Allocate")
    before = change.before if isinstance(change.before, PoolSpec) else PoolSpec(storages=())
    after = change.after if isinstance(change.after, PoolSpec) else PoolSpec(storages=())
    for vmid in sorted(set(before.guests) ^ set(after.guests)):
        yield need(f"/vms/{vmid}", "VM.Allocate", "Permissions.Modify")
    for storage in sorted(set(before.storages or ()) ^ set(after.storages or ())):
        yield need(f"/storage/{storage}", "Datastore.Allocate", "Permissions.Modify")


def _fill_access(name: str, spec: PoolSpec, table: AccessTable) -> None:
    table.pools[name] = PoolMembers(frozenset(spec.guests), frozenset(spec.storages or ()))


def _file_size(objects: Sequence[tuple[str, PoolSpec]]) -> int:
    return sum(
        len(f"pool:{name}:{quote(spec.comment)}:")
        + sum(len(str(vmid)) + 1 for vmid in spec.guests)
        + sum(len(storage) + 1 for storage in spec.storages or ())
        for name, spec in objects
    )


def _check_kind(objects: Mapping[Address, Declared]) -> Iterable[Finding]:
    """A guest can be in only one pool."""
    pools = {a: declared.spec for a, declared in objects.items() if a.kind == "pool"}
    holders: dict[int, Address] = {}
    for here in sorted(pools):
        spec = pools[here]
        for vmid in spec.guests if isinstance(spec, PoolSpec) else ():
            other = holders.setdefault(vmid, here)
            if other != here:
                yield Finding(
                    "POOL_TWICE",
                    Severity.ERROR,
                    f"guest {vmid} is declared in {other} and in {here}",
                    hint="a guest can be in only one pool; remove it from one of them",
                    address=here,
                )


def _check_planned(planned: Mapping[Address, Spec], facts: Facts) -> Iterable[Finding]:
    """Guests that do not exist, and grants on empty pools."""
    found = sorted(address for address in planned if address.kind == "pool")
    pools = {a.id: s for a in found if isinstance(s := planned[a], PoolSpec)}
    for name, spec in pools.items():
        for vmid in spec.guests:
            if facts.nodes and vmid not in facts.guests:
                yield Finding(
                    "NO_SUCH_GUEST",
                    Severity.ERROR,
                    f"pool.{name} names guest {vmid}, which the cluster does not have",
                    hint="Proxmox VE would accept it and hide it; remove it from the pool",
                    address=Address("pool", name),
                )
    granted = {
        AclEntry.parse(address.id).path.removeprefix("/pool/")
        for address in planned
        if address.kind == "acl" and address.id.startswith("/pool/")
    }
    for name in sorted(granted & pools.keys()) if facts.complete else ():
        below = [s for other, s in pools.items() if f"{other}/".startswith(f"{name}/")]
        if all(not s.guests and s.storages == () for s in below):
            yield Finding(
                "EMPTY_POOL",
                Severity.WARNING,
                f"a grant on /pool/{name} has no effect: the pool is empty",
                hint="add members, or remove the grant",
                address=Address("pool", name),
            )


KIND = Kind(
    name="pool",
    spec=PoolSpec,
    toml=Toml(
        place=TablePlace("pool"),
        table=PoolTable,
        declare=_declare,
        export=_export,
        check_name=_check_name,
    ),
    reads=Reading(
        requests=(POOLS, RESOURCES),
        answer_shapes={"/pools": Rows(_POOL), "/pools?poolid": Rows(_WITH_MEMBERS), **ANSWERS},
        parse=_parse,
        needs=(
            need("/pool", "Pool.Audit", propagated=True),
            need("/vms", "VM.Audit", propagated=True),
        ),
        details=_details,
    ),
    writes=Writing(
        lock="user.cfg",
        requests=lambda changes: tuple(pool_requests(changes)),
        needs=_needs,
        split=_split,
        join_members=join_members,
        merge_with_live=_merge_with_live,
        coupled_changes=_coupled_changes,
        fallbacks=_fallbacks,
        title=pool_title,
        file_size=_file_size,
    ),
    links=Links(
        refers_to=frozenset({"pool", "storage"}),
        references=_references,
        without=_without,
        rename=_rename,
        acl_parent="/pool",
        entries_vanish=True,
    ),
    checks=Checks(
        declared_kind=_check_kind,
        planned_state=_check_planned,
        undeclared=AlarmWhen.GRANTED,
    ),
    fill_access=_fill_access,
)
