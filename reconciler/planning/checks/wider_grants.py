"""Grants and roles that a plan makes wider than the expectations about their holders ask for.

Expectations say what somebody needs. Where a plan replaces a grant by one on a wider path, or a
role by a more powerful one, and the missing privilege alone would do, a reviewer should know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.expectations.check import expectation_subjects, is_glob, matches
from reconciler.access.path_index import parents
from reconciler.access.review.privilege_catalog import Level, level
from reconciler.access.table import AccessTable
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import in_prose, listed

NAMED = 4
"""Number of unneeded privileges that are named."""
REMEDIES = 3
"""Number of narrower grants that are written out."""

_COLLECTIONS = frozenset(
    {"/", "/access", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
)
"""Paths that represent all objects of a sort, including future ones."""


class _Need(NamedTuple):
    """A privilege that a principal must have on a path; `broad`: on all matches of a glob."""

    principal: str
    path: str
    privilege: str
    broad: bool = False


class _Grown(NamedTuple):
    """An entry that is new or propagates from now on. `had`: the roles of its holder on the same
    path before; `narrower`: those on paths below it."""

    entry: AclEntry
    added: bool
    gives: frozenset[str]
    had: tuple[str, ...]
    narrower: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        path, kind, principal, role = self.entry
        return f"{role} for {kind} {principal} on {path}"

    @property
    def was(self) -> list[str]:
        return [f"{in_prose(roles)} on {path}" for path, roles in self.narrower.items()]


def check(context: PlanContext) -> Iterable[Finding]:
    if not any(one.can for one in context.desired.expectations):
        return
    delta = context.impact.delta
    entries = list(_grown(context))
    roles = {
        role: new - old
        for role, (old, new) in delta.roles.items()
        if old is not None and new is not None and level(new - old) > Level.VIEW
    }
    if entries or roles:
        needs = _Needs(context)
        for one in entries:
            yield from _wider_entry(context, needs, one)
        for role, grown in roles.items():
            yield from _wider_role(context, needs, role, grown)


def _grown(context: PlanContext) -> Iterable[_Grown]:
    """Entries that may be too wide; the user's half of a pair is judged by its token's."""
    before, after = context.filled
    changed = context.impact.delta.entries
    pairs = {
        (entry.path, entry.principal.partition("!")[0], entry.role)
        for entry in changed
        if entry.kind == TOKEN
    }
    held = _entries_of(before, {(entry.kind, entry.principal) for entry in changed})
    for entry, (propagated, propagates) in changed.items():
        gives = after.roles.get(entry.role, frozenset())
        half = entry.kind == USER and (entry.path, entry.principal, entry.role) in pairs
        if not propagates or half or level(gives) <= Level.VIEW:
            continue
        own = held.get((entry.kind, entry.principal), {})
        below = {path: names for path, names in own.items() if _below(before, entry.path, path)}
        one = _Grown(entry, propagated is None, gives, own.get(entry.path, ()), below)
        if below or one.had or entry.path in _COLLECTIONS:
            yield one


def _entries_of(
    table: AccessTable, holders: Collection[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, tuple[str, ...]]]:
    """Holder -> path -> the roles that it has there, in the order of the paths."""
    found: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for path in sorted(table.acl):
        for kind, own in table.acl[path].items():
            for who, roles in own.items():
                names = tuple(sorted(name for name in roles if table.roles.get(name)))
                if names and (kind, who) in holders:
                    found.setdefault((kind, who), {})[path] = names
    return found


class _Needs:
    """The privileges that the expectations require."""

    def __init__(self, context: PlanContext) -> None:
        self._before, self._after = context.filled
        self._of: dict[str, list[_Need]] = {}
        wanted = (one for one in context.desired.expectations if one.can)
        for asked in expectation_subjects(self._after, wanted, context.paths):
            globs = [one for one in asked.expectation.paths if is_glob(one)]
            for path in asked.named:
                broad = any(matches(path, one) for one in globs)
                for who in asked.principals:
                    found = self._of.setdefault(who, [])
                    for privilege in asked.expectation.can:
                        found.append(_Need(who, path, privilege, broad))

    def held_by(self, kind: str, holder: str) -> list[_Need]:
        """Those of a user, a group or a token, and of the tokens behind them."""
        users = self._after.groups.get(holder, ()) if kind == GROUP else (holder,)
        tokens = index_of(self._after).tokens_of
        people = sorted({one for user in users for one in (user, *tokens.get(user, ()))})
        return [need for one in people for need in self._of.get(one, ())]

    def everybody(self) -> list[_Need]:
        return [need for who in sorted(self._of) for need in self._of[who]]

    def newly_met(self, needs: Iterable[_Need]) -> list[_Need]:
        """Those that hold after the plan and not before."""
        return [
            one
            for one in needs
            if one.privilege not in privileges(self._before, one.principal, one.path)
            and one.privilege in privileges(self._after, one.principal, one.path)
        ]


def _wider_entry(context: PlanContext, needs: _Needs, grown: _Grown) -> Iterable[Finding]:
    before, after = context.filled
    entry = grown.entry
    here = [
        need
        for need in needs.held_by(entry.kind, entry.principal)
        if need.privilege in grown.gives and _covers(after, entry.path, need.path)
    ]
    beyond = not any(need.broad or need.path == entry.path for need in here)
    if here and beyond and (grown.narrower or not grown.had):
        message = f"{grown} reaches further than [[expect]] asks, which is {_said(here)}"
        message += f"; it had {in_prose(grown.was)}" if grown.was else ""
        yield _finding(context, entry.address, message, _narrower(before, grown, here))
    elif here and grown.had and grown.added:
        known = frozenset[str]().union(*(before.roles[role] for role in grown.had))
        missing = [one for one in needs.newly_met(here) if one.privilege not in known]
        rest = grown.gives - known - {need.privilege for need in here}
        if missing and level(rest) > Level.VIEW:
            roles = in_prose(grown.had)
            message = f"{grown}, where it had {roles}, also gives {_some(rest)}; {_only(missing)}"
            kept = f"keep {roles} on {entry.path}"
            yield _finding(context, entry.address, message, _written(before, missing, kept))


def _wider_role(
    context: PlanContext, needs: _Needs, role: str, grown: frozenset[str]
) -> Iterable[Finding]:
    """A role that gets more privileges than its holders are expected to have."""
    before, after = context.filled
    asked = [one for one in needs.everybody() if one.privilege in grown]
    missing = [one for one in needs.newly_met(asked) if _holds(after, one, role)]
    rest = grown - {need.privilege for need in asked}
    if missing and level(rest) > Level.VIEW:
        message = (
            f"role {role} also gets {_some(rest)}; for [[expect]] only {_said(missing)} is missing"
        )
        names = sorted(before.roles[role] | {need.privilege for need in missing})
        hint = "privileges = [{}]".format(", ".join(f'"{name}"' for name in names))
        yield _finding(context, Address("role", role), message, hint)


def _holds(table: AccessTable, need: _Need, role: str) -> bool:
    """Whether the role reaches the principal of a need on its path by some entry."""
    own = {need.principal, need.principal.partition("!")[0]}
    groups = {group for group, members in table.groups.items() if own & members}
    for path, kinds in table.acl.items():
        if not _covers(table, path, need.path):
            continue
        for kind, holders in kinds.items():
            names = groups if kind == GROUP else own
            if any(role in holders[one] for one in names if one in holders):
                return True
    return False


def _covers(table: AccessTable, path: str, other: str) -> bool:
    """Whether a propagating entry on `path` reaches `other`."""
    return other == path or _below(table, path, other)


def _below(table: AccessTable, path: str, other: str) -> bool:
    """Whether `other` is below a path, or a member of it or of a pool below it."""
    if path in parents(other):
        return True
    if not path.startswith("/pool/"):
        return False
    members = index_of(table).members
    return any(
        other in found
        for pool, found in members.items()
        if pool == path or pool.startswith(f"{path}/")
    )


def _narrower(before: AccessTable, grown: _Grown, here: Sequence[_Need]) -> str:
    """What would do instead: what was there, and what the expectations lack of it."""
    if not grown.narrower:
        paths = sorted({need.path for need in here})
        return f"grant it on {listed(paths, NAMED)} instead"
    missing = [
        one for one in here if one.privilege not in privileges(before, one.principal, one.path)
    ]
    return _written(before, missing, f"keep {in_prose(grown.was)}")


def _written(before: AccessTable, missing: Sequence[_Need], kept: str) -> str:
    """What stays, and the narrower grants as tables to paste."""
    from reconciler.access.explain.recommendation import apply_remediation, recommended
    from reconciler.access.explain.snippets import toml

    trial, tables = before.copy(), list[str]()
    for one in missing:
        if one.privilege not in privileges(trial, one.principal, one.path):
            for remedy in recommended(trial, one.principal, one.path, one.privilege)[:1]:
                apply_remediation(trial, remedy)
                tables.append(toml(remedy).rstrip())
    more = len(tables) - REMEDIES
    lines = [f"{kept} and add:", *tables[:REMEDIES], *([f"and {more:,} more"] if more > 0 else ())]
    return "\n".join(lines) if tables else kept


def _said(needs: Iterable[_Need]) -> str:
    """`VM.Audit and VM.Clone on /vms/100, Datastore.Audit on /storage/nas`."""
    by_path: dict[str, dict[str, None]] = {}
    for one in needs:
        by_path.setdefault(one.path, {})[one.privilege] = None
    said = [f"{in_prose(list(names))} on {path}" for path, names in by_path.items()]
    return listed(said, NAMED)


def _only(missing: Iterable[_Need]) -> str:
    return f"for [[expect]] only {_said(missing)} is missing"


def _some(privileges_: Collection[str]) -> str:
    """The most powerful first."""
    ranked = sorted(privileges_, key=lambda name: (-level((name,)), name))
    return listed(ranked, NAMED)


def _finding(context: PlanContext, address: Address, message: str, hint: str) -> Finding:
    declared = context.desired.objects.get(address)
    source = declared.source if declared else None
    return Finding(
        "WIDER_THAN_NEEDED", Severity.WARNING, message, hint, address=address, source=source
    )
