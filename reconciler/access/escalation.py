"""Who can become root, and by which steps: the closure over single moves, each with its proof."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.access.cells import signature
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.moves import Move, Reached, Way, moves
from reconciler.access.privileges import BUILT_IN_ROLES, PRIVILEGES
from reconciler.access.table import GROUP, ROOT, AccessTable, Principal

_TRIGGERS = frozenset(
    {"Permissions.Modify", "Realm.Allocate", "Sys.Console", "Sys.Modify", "User.Modify"}
)
"""Without one of these, held on `/` or below /access or /nodes, nobody gets anywhere."""

_LIMIT = 12
"""Rounds of a search; each makes at least one move, and no way is longer."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """One way by which each of `principals` becomes root, or, without steps, is root already.

    In `steps` the first of the principals stands for all of them. Not `sure`: the last step leads
    through a node's operating system, and whether it succeeds depends on that.
    """

    principals: tuple[str, ...]
    steps: tuple[Move, ...] = ()

    @property
    def sure(self) -> bool:
        return all(step.way is not Way.NODE for step in self.steps)

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it another way than others: its first step, whoever takes it."""
        return (str(self.steps[0].way), *self.steps[0][2:5]) if self.steps else ()

    def to_json(self) -> dict[str, Any]:
        return {
            "principals": list(self.principals),
            "sure": self.sure,
            "steps": [step.to_json() for step in self.steps],
        }


def escalations(table: AccessTable) -> tuple[Escalation, ...]:
    """All ways to root: one for each first step, those that are root already first.

    Whether somebody is disabled or has expired does not matter here: that is easily undone.
    Principals whose entries are the same share an escalation.
    """
    work = _all_active(table)
    useful = _useful(work)
    alike: dict[Hashable, list[str]] = {}
    for who in sorted(useful | _of_root(work)):
        sign = signature(work, who)
        if sign is not None:
            alike.setdefault(sign, []).append(who)
    found = [
        Escalation(tuple(principals), steps)
        for principals in alike.values()
        for steps in _ways(work, principals[0], useful)
    ]
    return tuple(sorted(found, key=lambda one: (not one.sure, len(one.steps), one.principals)))


def opened(before: AccessTable, after: AccessTable) -> tuple[Escalation, ...]:
    """The ways to root that are there after a change and were not before.

    Whoever was root already opens no new way for itself.
    """
    old = {(who, one.key) for one in escalations(before) for who in one.principals}
    fresh = []
    for one in escalations(after):
        principals = tuple(
            who for who in one.principals if (who, one.key) not in old and (who, ()) not in old
        )
        if principals:
            fresh.append(Escalation(principals, one.steps))
    return tuple(fresh)


def _all_active(table: AccessTable) -> AccessTable:
    """A copy in which everybody who exists can log in."""
    work = table.copy()
    work.users = {user: Principal() for user in sorted({ROOT, *table.users})}
    work.tokens = {token: Principal(privsep=login.privsep) for token, login in table.tokens.items()}
    return work


def _of_root(table: AccessTable) -> set[str]:
    return {ROOT, *index_of(table).tokens_of.get(ROOT, ())}


def _useful(table: AccessTable) -> frozenset[str]:
    """Principals with a role in the decisive places that leads on, or that can be made to."""
    found: set[str] = set()
    for path, kinds in table.acl.items():
        if path != "/" and not path.startswith(("/access", "/nodes")):
            continue
        for kind, holders in kinds.items():
            for who, roles in holders.items():
                if any(_leads_on(table, role) for role in roles):
                    found.update(table.groups.get(who, ()) if kind == GROUP else (who,))
    owned = index_of(table).tokens_of
    for user in sorted(found):
        found.update(token for token in owned.get(user, ()) if not table.tokens[token].privsep)
    return frozenset(found & (table.users.keys() | table.tokens.keys()))


def _leads_on(table: AccessTable, role: str) -> bool:
    held = table.roles.get(role, frozenset())
    return not held.isdisjoint(_TRIGGERS) or (role in table.roles and role not in BUILT_IN_ROLES)


def _ways(table: AccessTable, who: str, useful: frozenset[str]) -> Iterator[tuple[Move, ...]]:
    if privileges(table, who, "/").keys() >= PRIVILEGES:
        yield ()
        return
    reached = Reached(table, who)
    first = list(moves(reached, useful))
    any_sure = False
    for move in first:
        if move.way is not Way.NODE:
            steps = _search(table, who, useful, move, first)
            if steps:
                any_sure = True
                yield steps
    if not any_sure:
        yield from ((move,) for move in first if move.way is Way.NODE)


def _search(
    table: AccessTable, who: str, useful: frozenset[str], move: Move, first: Sequence[Move]
) -> tuple[Move, ...]:
    """From `move` on by steps that only become open after it; empty: it does not lead to root."""
    reached = Reached(table, who)
    others = {_what(other) for other in first}
    steps = [move]
    reached.take(move)
    for _ in range(_LIMIT):
        if reached.is_root:
            break
        known = others | {_what(step) for step in steps}
        fresh = [
            one
            for one in moves(reached, useful)
            if _what(one) not in known and one.way is not Way.NODE
        ]
        if not fresh:
            break
        for one in fresh:
            steps.append(one)
            reached.take(one)
    arrived = reached.is_root
    reached.back()
    return _shortened(table, who, steps) if arrived else ()


def _what(move: Move) -> tuple[Way, str]:
    """Two moves to the same end are one, whoever makes them."""
    return move.way, move.target


def _shortened(table: AccessTable, who: str, steps: list[Move]) -> tuple[Move, ...]:
    """Without every step that is not needed, but for the first."""
    kept = list(steps)
    for step in steps[:0:-1]:
        without = [one for one in kept if one is not step]
        if _leads_to_root(table, who, without):
            kept = without
    return tuple(kept)


def _leads_to_root(table: AccessTable, who: str, steps: Sequence[Move]) -> bool:
    reached = Reached(table, who)
    try:
        for step in steps:
            if step.actor not in reached.identities or not reached.holds(
                step.actor, step.privilege, step.path
            ):
                return False
            reached.take(step)
        return reached.is_root
    finally:
        reached.back()
