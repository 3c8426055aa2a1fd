"""Changes of pools -> the fewest requests: a guest that moves takes one request for both pools."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.model.address import Address
from reconciler.model.change import Change, Reason
from reconciler.model.declared import Declared
from reconciler.model.request import Request, request
from reconciler.model.spec import Spec

HINT: Mapping[str, str] = {
    "vms": "write guests = [...]",
    "vmids": "write guests = [...]",
    "storage": "write storages = [...]",
}
"""Keys that people try -> what to write."""


class PoolSpec(Spec):
    """`storages` is None if they were not read: unknown, not empty."""

    comment: str = ""
    guests: tuple[int, ...] = ()
    storages: tuple[str, ...] | None = ()

    def without(self, guests: Collection[int], storages: Collection[str]) -> PoolSpec:
        """The same pool without these members."""
        kept = None if self.storages is None else [s for s in self.storages if s not in storages]
        return self.model_copy(
            update={
                "guests": tuple(vmid for vmid in self.guests if vmid not in guests),
                "storages": None if kept is None else tuple(kept),
            }
        )

    def joined_by(self, guests: Collection[int], storages: Collection[str]) -> PoolSpec:
        """The same pool with these members added."""
        return self.model_copy(
            update={
                "guests": tuple(sorted({*self.guests, *guests})),
                "storages": tuple(sorted({*(self.storages or ()), *storages}))
                if storages
                else self.storages,
            }
        )


def join_members(
    name: str, goal: PoolSpec, live: PoolSpec, declared: Mapping[Address, Declared]
) -> PoolSpec:
    """An additive pool keeps who is in it."""
    own = declared.get(Address("pool", name))
    if own is None or own.notes.get("members") != "additive":
        return goal
    return goal.joined_by(live.guests, live.storages or ())


Carried = tuple[Request, tuple[Change, ...]]


def pool_requests(changes: Sequence[Change]) -> Iterable[Carried]:
    """Pools are created, then filled, then emptied, then deleted.

    Changes of one pool must be consecutive. A request carries exactly the changes that it makes, so
    one change may be split among requests.
    """
    work = _Work()
    for change in changes:
        work.start(change)
    yield from work.create()
    for name in sorted(work.goal):
        yield from work.fill(name)
    for name in sorted(work.goal):
        yield from work.empty(name)
    for name in sorted(work.goal, reverse=True):
        if work.goal[name] is None:
            yield request("DELETE", "pools", poolid=name), (work.change(name, None),)


def pool_title(changes: Sequence[Change]) -> str:
    """The title of a request; names the guests that move between two pools."""
    first, *others = changes
    moves = [
        f"{_guests(gone)} from {other.address.id}"
        for other in others
        if (gone := _members(other.before) - _members(other.after))
    ]
    name = first.address.id
    if moves:
        return f"move {' and '.join(moves)} to pool {name}"
    if first.before is None or first.after is None:
        return f"{'create' if first.after else 'delete'} pool {name}"
    come = _members(first.after) - _members(first.before)
    go = _members(first.before) - _members(first.after)
    said = [f"add {_guests(come)}"] if come else []
    said += [f"remove {_guests(go)}"] if go else []
    return f"pool {name}: {' and '.join(said)}" if said else f"change pool {name}"


def _members(spec: Spec | None) -> set[int | str]:
    return {*spec.guests, *(spec.storages or ())} if isinstance(spec, PoolSpec) else set()


def _guests(members: set[int | str]) -> str:
    """Guests by number, then storages by name."""
    guests = sorted(member for member in members if isinstance(member, int))
    storages = sorted(member for member in members if isinstance(member, str))
    said = []
    if guests:
        said.append(f"guest{'s' * (len(guests) > 1)} {', '.join(map(str, guests))}")
    if storages:
        said.append(f"storage{'s' * (len(storages) > 1)} {', '.join(storages)}")
    return " and ".join(said)


@dataclass(slots=True)
class _Work:
    """`now`: the pools after the requests so far."""

    now: dict[str, PoolSpec | None] = field(default_factory=dict)
    goal: dict[str, PoolSpec | None] = field(default_factory=dict)
    reasons: dict[str, Reason] = field(default_factory=dict)

    def start(self, change: Change) -> None:
        name = change.address.id
        before, after = change.before, change.after
        self.now.setdefault(name, before if isinstance(before, PoolSpec) else None)
        self.goal[name] = after if isinstance(after, PoolSpec) else None
        self.reasons.setdefault(name, change.reason)

    def change(self, name: str, after: PoolSpec | None) -> Change:
        before, self.now[name] = self.now[name], after
        return Change(Address("pool", name), before, after, self.reasons[name])

    def create(self) -> Iterable[Carried]:
        for name, goal in sorted(self.goal.items()):
            if self.now[name] is None and goal is not None:
                comment = goal.comment or None
                made = goal.without(goal.guests, goal.storages or ())
                post = request("POST", "pools", poolid=name, comment=comment)
                yield post, (self.change(name, made),)

    def fill(self, name: str) -> Iterable[Carried]:
        """Add members, together with a new comment; guests leave their current pool."""
        now, goal = self.now[name], self.goal[name]
        if now is None or goal is None:
            return
        guests = [vmid for vmid in goal.guests if vmid not in now.guests]
        storages = [s for s in goal.storages or () if s not in (now.storages or ())]
        leaves = {
            other: sorted(set(spec.guests) & set(guests))
            for other, spec in sorted(self.now.items())
            if spec is not None and set(spec.guests) & set(guests)
        }
        if not (guests or storages):
            return
        put = request(
            "PUT",
            "pools",
            poolid=name,
            comment=goal.comment if goal.comment != now.comment else None,
            vms=_list(guests),
            storage=_list(storages),
            allow_move=True if leaves else None,
        )
        joined = now.joined_by(guests, storages).model_copy(update={"comment": goal.comment})
        carried = [self.change(name, joined)]
        for other, moved in leaves.items():
            left = self.now[other]
            if left is not None:
                carried.append(self.change(other, left.without(moved, ())))
        yield put, tuple(carried)

    def empty(self, name: str) -> Iterable[Carried]:
        """Remove members, or set only a comment."""
        now, goal = self.now[name], self.goal[name]
        if now is None:
            return
        target = goal or PoolSpec(comment=now.comment)
        guests = [vmid for vmid in now.guests if vmid not in target.guests]
        storages = [s for s in now.storages or () if s not in (target.storages or ())]
        comment = target.comment if target.comment != now.comment else None
        if not (guests or storages) and comment is None:
            return
        put = request(
            "PUT",
            "pools",
            poolid=name,
            comment=comment,
            vms=_list(guests),
            storage=_list(storages),
            delete=True if guests or storages else None,
        )
        left = now.without(guests, storages).model_copy(update={"comment": target.comment})
        yield put, (self.change(name, left),)


def _list(items: Sequence[object]) -> str | None:
    return ",".join(map(str, items)) or None
