"""Effects of a change that a reviewer would not expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.access.analysis.affected import Affected, affected_principals, owner_of
from reconciler.access.analysis.effects import AccessDifference, names
from reconciler.access.analysis.equivalence import equivalence_classes
from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.delta import Delta
from reconciler.access.evaluate import index_of
from reconciler.access.login import active
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from reconciler.access.trace import (
    Decision,
    EntryEffect,
    IdentityTrace,
    TracedEntry,
    trace_decision,
)
from reconciler.text.humanize import noun


class UnexpectedCause(StrEnum):
    """The stable codes of surprises."""

    LOST_BY_ADDITION = "LOST_BY_ADDITION"
    """an added entry removes access"""
    TOKEN_WITH_NOTHING = "TOKEN_WITH_NOTHING"  # noqa: S105 - a code, no secret
    """a token that can log in but has no access"""
    REACHES_MORE = "REACHES_MORE"
    """principals that the changes name neither directly nor through a group"""
    OLD_GRANTS = "OLD_GRANTS"
    """a new user inherits entries that existed for its name"""


class UnexpectedAccess(NamedTuple):
    """`entries`: those that deny or grant it; `why`: one sentence without a full stop."""

    code: UnexpectedCause
    principals: tuple[str, ...]
    paths: tuple[str, ...]
    privileges: tuple[str, ...]
    entries: tuple[TracedEntry, ...]
    why: str

    def to_json(self) -> dict[str, Any]:
        return {
            "code": str(self.code),
            "principals": list(self.principals),
            "paths": list(self.paths),
            "privileges": list(self.privileges),
            "entries": [entry_json(entry) for entry in self.entries],
            "why": self.why,
        }


def entry_json(entry: TracedEntry) -> dict[str, Any]:
    """The fields of an entry by name."""
    return {
        "path": entry.path,
        "kind": entry.kind,
        "principal": entry.principal,
        "role": entry.role,
        "propagate": entry.propagate,
    }


class Ends(NamedTuple):
    """Two tables, their difference, affected principals and paths, and the time."""

    before: AccessTable
    after: AccessTable
    delta: Delta
    reach: Affected
    paths: PathIndex
    now: int = 0


def unexpected_access(
    ends: Ends, found: Iterable[AccessDifference]
) -> tuple[UnexpectedAccess, ...]:
    """`found`: all differences of access, and only those."""
    differences = list(found)
    return tuple(
        sorted(
            (
                *_lost_by_addition(ends, differences),
                *_tokens_with_nothing(ends, differences),
                *_reaches_more(ends, differences),
                *_old_grants(ends, differences),
            )
        )
    )


def _lost_by_addition(ends: Ends, found: Sequence[AccessDifference]) -> Iterator[UnexpectedAccess]:
    causes: dict[tuple[TracedEntry, ...], list[AccessDifference]] = {}
    for one in found:
        who, where = one.cell.principals[0], one.cell.paths[0]
        if not one.lost or not active(ends.after, who, ends.now):
            continue
        old = trace_decision(ends.before, who, where)
        if all(_survives(ends, side, where, one.lost) for side in old.sides):
            taking = _deciding(trace_decision(ends.after, who, where)) - _deciding(old)
            causes.setdefault(tuple(sorted(taking)), []).append(one)
    for entries, because in causes.items():
        yield UnexpectedAccess(
            UnexpectedCause.LOST_BY_ADDITION,
            names({who for one in because for who in one.cell.principals}),
            ends.paths.ordered(path for one in because for path in one.cell.paths),
            names({name for one in because for name in one.lost}),
            entries,
            "no entry that grants this access is removed, but an added one overrides it",
        )


def _deciding(decision: Decision) -> set[TracedEntry]:
    return {
        judged.entry
        for side in decision.sides
        for judged in side.entries
        if judged.effect is EntryEffect.DECIDES
    }


def _survives(ends: Ends, side: IdentityTrace, path: str, lost: Iterable[str]) -> bool:
    """Whether every entry that granted one of the `lost` privileges is unchanged."""
    wanted = set(lost)
    pools = index_of(ends.after).pools_of.get(path, ())
    for judged in side.entries:
        entry = judged.entry
        if judged.effect is not EntryEffect.DECIDES:
            continue
        given = ends.before.roles[entry.role] & wanted
        key = entry.key
        gone = (
            key in ends.delta.entries
            or not given <= ends.after.roles.get(entry.role, frozenset())
            or (judged.pool and f"/pool/{judged.pool}" not in pools)
            or (
                entry.kind == GROUP
                and side.principal not in ends.after.groups.get(entry.principal, ())
            )
        )
        if given and gone:
            return False
    return True


def _tokens_with_nothing(
    ends: Ends, found: Sequence[AccessDifference]
) -> Iterator[UnexpectedAccess]:
    """Only for tokens that had access, or that the change itself names."""
    named = {key.principal for key in ends.delta.entries if key.kind == TOKEN}
    named.update(ends.delta.tokens)
    losing = {who for one in found if one.lost for who in one.cell.principals}
    for token in ends.reach:
        if owner_of(token) is None or not active(ends.after, token, ends.now):
            continue
        if (token in named or token in losing) and not _holds_anything(ends, token):
            why = "the token will have no access"
            if _has_own_entries(ends.after, token):
                why += ": its user holds none of the privileges that its entries grant"
            yield UnexpectedAccess(UnexpectedCause.TOKEN_WITH_NOTHING, (token,), (), (), (), why)


def _holds_anything(ends: Ends, token: str) -> bool:
    whole = {token: frozenset({"/"})}
    return any(
        cell.held[0] for cell in equivalence_classes((ends.after,), whole, ends.paths, ends.now)
    )


def _has_own_entries(table: AccessTable, token: str) -> bool:
    return table.tokens[token].privsep and bool(index_of(table).nodes(token))


def _reaches_more(ends: Ends, found: Sequence[AccessDifference]) -> Iterator[UnexpectedAccess]:
    """Tokens of the users that are named, holders of a changed role, holders of a pool."""
    named = _named(ends)
    reached = {who for one in found for who in one.cell.principals} - named
    tokens = {who for who in reached if owner_of(who) in named}
    by_roles = (
        reached & affected_principals(Delta(roles=ends.delta.roles), ends.before, ends.after).keys()
    )
    by_pools = (
        reached
        & affected_principals(Delta(pooled=ends.delta.pooled), ends.before, ends.after).keys()
    )
    roles, pools = sorted(ends.delta.roles), sorted({pool for pool, _ in ends.delta.pooled})
    for who, why in (
        (tokens, "tokens of the users that the change names"),
        (by_roles - tokens, f"holders of {_listed('role', roles)}"),
        (by_pools - by_roles - tokens, f"who holds a role on {_listed('pool', pools)}"),
    ):
        if who:
            here = [one for one in found if not who.isdisjoint(one.cell.principals)]
            where = ends.paths.ordered(path for one in here for path in one.cell.paths)
            changed = names({name for one in here for name in (*one.gained, *one.lost)})
            yield UnexpectedAccess(
                UnexpectedCause.REACHES_MORE, names(who), where, changed, (), why
            )


def _named(ends: Ends) -> set[str]:
    found = {*ends.delta.users, *ends.delta.tokens, *(user for _, user in ends.delta.members)}
    for key in ends.delta.entries:
        if key.kind == GROUP:
            for table in (ends.before, ends.after):
                found.update(table.groups.get(key.principal, ()))
        else:
            found.add(key.principal)
    return found


def _listed(what: str, items: Sequence[str]) -> str:
    return f"{noun(len(items), what)} {', '.join(items)}"


def _old_grants(ends: Ends, found: Sequence[AccessDifference]) -> Iterator[UnexpectedAccess]:
    fresh = {user for user, (old, _) in ends.delta.users.items() if old is None}
    gaining: dict[str, list[AccessDifference]] = {}
    for one in found:
        for who in one.cell.principals if one.gained else ():
            if who in fresh:
                gaining.setdefault(who, []).append(one)
    for user, gains in gaining.items():
        entries: set[TracedEntry] = set()
        for one in gains:
            decision = trace_decision(ends.after, user, one.cell.paths[0])
            entries.update(
                entry
                for entry in _deciding(decision)
                if entry.kind == USER
                and entry.key._replace(principal=user) not in ends.delta.entries
            )
        if entries:
            where = ends.paths.ordered(path for one in gains for path in one.cell.paths)
            gained = names({name for one in gains for name in one.gained})
            yield UnexpectedAccess(
                UnexpectedCause.OLD_GRANTS,
                (user,),
                where,
                gained,
                tuple(sorted(entries)),
                "entries for this name existed before the user",
            )
