"""Who can become root, and by which steps: the closure over techniques, each with its proof."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.access.analysis.equivalence import signature
from reconciler.access.contents import GROUP, ROOT, USER, split_token
from reconciler.access.delta import Delta, difference
from reconciler.access.escalation.step import EscalationStep, Technique
from reconciler.access.escalation.techniques import (
    AttackerState,
    Useful,
    decisive,
    possible_steps,
    proven_steps,
)
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.login import all_active
from reconciler.access.table import AccessTable

_TRIGGERS = frozenset(
    {"Permissions.Modify", "Realm.Allocate", "Sys.Console", "Sys.Modify", "User.Modify"}
)
"""Every escalation needs one of these, held on `/` or below /access or /nodes."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """One way by which each of `principals` becomes root; without steps, they already are root.

    In `steps` the first principal represents all of them. Not `sure`: the last step goes through a
    node's operating system, and its success depends on that.
    """

    principals: tuple[str, ...]
    steps: tuple[EscalationStep, ...] = ()

    @property
    def sure(self) -> bool:
        return all(step.way is not Technique.NODE for step in self.steps)

    @property
    def key(self) -> tuple[str, ...]:
        """The identity of a way: its beginning."""
        return self.steps[0].beginning if self.steps else ()

    def to_json(self) -> dict[str, Any]:
        return {
            "principals": list(self.principals),
            "sure": self.sure,
            "steps": [step.to_json() for step in self.steps],
        }


def escalations(table: AccessTable) -> tuple[Escalation, ...]:
    """All ways to root, one for each beginning; principals that already are root come first.

    Disabled and expired principals are included: that is easily undone.
    Principals whose entries are the same share an escalation.
    """
    work = all_active(table)
    useful = _useful(work)
    search = _Search(work, useful)
    alike: dict[Hashable, list[str]] = {}
    for who in sorted(useful.acting | _of_root(work)):
        sign = signature(work, who)
        if sign is not None:
            alike.setdefault(sign, []).append(who)
    found = [
        Escalation(tuple(principals), steps)
        for principals in alike.values()
        for steps in search.ways(principals[0])
    ]
    return tuple(sorted(found, key=lambda one: (not one.sure, len(one.steps), one.principals)))


def opened(before: AccessTable, after: AccessTable) -> tuple[Escalation, ...]:
    """The ways to root that a change opens.

    Principals that already were root open no new way for themselves.
    """
    if not _concerned(difference(before, after)):
        return ()
    old = {(who, one.key) for one in escalations(before) for who in one.principals}
    fresh = []
    for one in escalations(after):
        principals = tuple(
            who for who in one.principals if (who, one.key) not in old and (who, ()) not in old
        )
        if principals:
            fresh.append(Escalation(principals, one.steps))
    return tuple(fresh)


def _concerned(delta: Delta) -> bool:
    """Entries elsewhere, and members of pools, open no way."""
    return bool(
        delta.roles
        or delta.users
        or delta.tokens
        or delta.members
        or any(decisive(key.path) for key in delta.entries)
    )


def _of_root(table: AccessTable) -> set[str]:
    return {ROOT, *index_of(table).tokens_of.get(ROOT, ())}


def _useful(table: AccessTable) -> Useful:
    """Principals whose roles on the decisive paths allow a step, or can be made to."""
    found: set[str] = set()
    groups: set[str] = set()
    placed: set[str] = set()
    own: dict[str, list[object]] = {}
    for path, kinds in table.acl.items():
        if not decisive(path):
            continue
        placed.update(kinds.get(GROUP, ()))
        for kind, holders in kinds.items():
            for who, roles in holders.items():
                if kind == USER:
                    own.setdefault(who, []).append((path, tuple(sorted(roles.items()))))
                if any(_leads_on(table, role) for role in roles):
                    (groups if kind == GROUP else found).add(who)
    for group in groups:
        found.update(table.groups.get(group, ()))
    owned = index_of(table).tokens_of
    for user in sorted(found):
        found.update(token for token in owned.get(user, ()) if not table.tokens[token].privsep)
    there = table.users.keys() | table.tokens.keys()
    ghosts = {who for who in found - there if split_token(who) is None}
    return Useful(
        frozenset(found & there),
        frozenset(groups),
        frozenset(ghosts),
        frozenset(placed),
        {user: tuple(entries) for user, entries in own.items()},
    )


def _leads_on(table: AccessTable, role: str) -> bool:
    held = table.roles.get(role, frozenset())
    custom = role in table.roles and role not in table.release.roles
    return custom or not held.isdisjoint(_TRIGGERS)


class _Search:
    """Searches ways on its own table; `top`: principals that hold every privilege on `/`."""

    def __init__(self, table: AccessTable, useful: Useful) -> None:
        self._table = table
        self._useful = useful
        self._top = frozenset(
            who
            for who in {ROOT, *useful.acting, *useful.ghosts}
            if privileges(table, who, "/").keys() >= table.release.privileges
        )

    def ways(self, who: str) -> Iterator[tuple[EscalationStep, ...]]:
        """One for each privilege and path with which a way can begin."""
        every = self._table.release.privileges
        if who in self._top or privileges(self._table, who, "/").keys() >= every:
            yield ()
            return
        first = list(possible_steps(AttackerState(self._table, who), self._useful))
        beginnings: dict[tuple[str, ...], list[EscalationStep]] = {}
        for move in first:
            beginnings.setdefault(move.beginning, []).append(move)
        known = {_what(move) for move in first}
        nodes = [move for move in first if move.way is Technique.NODE]
        sure = [
            steps
            for alike in beginnings.values()
            if alike[0].way is not Technique.NODE
            for steps in [self._from(who, alike, known)]
            if steps
        ]
        yield from sure or (self._proved(who, [move]) for move in nodes)

    def _from(
        self, who: str, alike: Sequence[EscalationStep], others: set[tuple[Technique, str, str]]
    ) -> tuple[EscalationStep, ...]:
        """Continue with steps that only then become possible; empty: it does not lead to root."""
        reached = AttackerState(self._table, who)
        known = set(others)
        steps: list[EscalationStep] = []
        fresh = list(alike)
        while fresh:
            direct = next((move for move in fresh if self._is_last(move)), None)
            for move in fresh if direct is None else [direct]:
                steps.append(move)
                known.add(_what(move))
                reached.take(move)
            if direct is not None or reached.is_root:
                break
            fresh = [
                move
                for move in possible_steps(reached, self._useful)
                if _what(move) not in known and move.way is not Technique.NODE
            ]
        arrived = bool(fresh)
        reached.back()
        return self._proved(who, self._shortened(who, steps)) if arrived else ()

    def _is_last(self, move: EscalationStep) -> bool:
        return move.target in self._top or (move.way is Technique.GRANT and move.target == "/")

    def _proved(self, who: str, steps: Iterable[EscalationStep]) -> tuple[EscalationStep, ...]:
        reached = AttackerState(self._table, who)
        found = []
        for step in steps:
            found.append(proven_steps(reached, step))
            reached.take(step)
        reached.back()
        return tuple(found)

    def _shortened(self, who: str, steps: Sequence[EscalationStep]) -> Sequence[EscalationStep]:
        """Without unnecessary steps."""
        kept = list(steps)
        for step in reversed(steps):
            without = [one for one in kept if one is not step]
            if without and without[0].beginning == steps[0].beginning:
                kept = without if self._leads_to_root(who, without) else kept
        return kept

    def _is_open(self, reached: AttackerState, step: EscalationStep) -> bool:
        actor, holds = step.actor, reached.holds
        if actor not in reached.identities or not holds(actor, step.privilege, step.path):
            return False
        if step.way is Technique.MAKE_USER:
            return holds(actor, "User.Modify", f"/access/groups/{step.through}")
        if step.way is not Technique.JOIN_GROUP:
            return True
        if step.through not in self._table.users:
            realm = step.through.rpartition("@")[2]
            return holds(actor, "Realm.AllocateUser", f"/access/realm/{realm}")
        return any(
            holds(actor, "User.Modify", f"/access/groups/{group}")
            for group in index_of(self._table).groups_of.get(step.through, ())
        )

    def _leads_to_root(self, who: str, steps: Sequence[EscalationStep]) -> bool:
        reached = AttackerState(self._table, who)
        try:
            for step in steps:
                if not self._is_open(reached, step):
                    return False
                reached.take(step)
            return reached.is_root
        finally:
            reached.back()


def _what(move: EscalationStep) -> tuple[Technique, str, str]:
    """Steps to the same end are equal, regardless of who takes them."""
    return move.way, move.target, move.through
