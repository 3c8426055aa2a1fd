"""Rules about entries without effect, and entries that deny."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from reconciler.access.analysis.affected import affected_principals, owner_of
from reconciler.access.analysis.effects import names
from reconciler.access.analysis.equivalence import equivalence_classes
from reconciler.access.analysis.impact import known_paths
from reconciler.access.analysis.path_partition import PathPartition
from reconciler.access.contents import GROUP, ROOT, TOKEN
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.login import all_active
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry, trace_decision
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.pve.acl_paths import chain
from reconciler.text.humanize import in_prose
from reconciler.text.shell import shell


class _Does(StrEnum):
    NOTHING = "nothing"
    SOMETHING = "something"
    UNKNOWN = "unknown"
    """granted to no existing principal"""


class _Verdict(NamedTuple):
    """The effect of an entry. `repeats`: an entry that grants the same role without it.

    `whom`: one of its principals. `half`: the user who lacks its half of a token pair.
    """

    does: _Does
    whom: str = ""
    repeats: TracedEntry | None = None
    taken: tuple[str, ...] = ()
    """the privileges that a NoAccess denies, and to whom"""
    victims: tuple[str, ...] = ()
    half: str = ""


@lru_cache(maxsize=1)
def _verdicts(scene: LintContext) -> Mapping[Address, _Verdict]:
    """Remove each entry in turn and see whether any principal's access changes."""
    entries = scene.entries
    alone = {a: entry for a, entry in entries.items() if _acts_alone(scene.table, entry)}
    found = {a: _Verdict(_Does.SOMETHING, entry.principal) for a, entry in alone.items()}
    if len(alone) < len(entries):
        table = all_active(scene.table)
        trial = table.copy()
        paths = known_paths((table,), scene.paths)
        trying = _Trying(table, trial, paths, PathPartition((table, trial), paths))
        found |= {a: _judge(trying, e) for a, e in entries.items() if a not in alone}
    return found


class _Trying(NamedTuple):
    """The table as it is, a copy for trials, and where to look."""

    table: AccessTable
    trial: AccessTable
    paths: PathIndex
    ground: PathPartition


def _judge(trying: _Trying, entry: TracedEntry) -> _Verdict:
    table, trial, paths, ground = trying
    who = _concerned(table, entry)
    if not who or entry.role not in table.roles:
        return _Verdict(_Does.UNKNOWN)
    key = entry.key
    delta = Delta(entries={key: (entry.propagate, None)})
    denies = entry.role == "NoAccess"
    apply_delta(trial, delta)
    try:
        if not denies and any(_differs(table, trial, one, entry.path) for one in who):
            return _Verdict(_Does.SOMETHING, who[0])
        gained: set[str] = set()
        victims: set[str] = set()
        reach = affected_principals(delta, table, trial)
        for cell in equivalence_classes((table, trial), reach, paths, ground=ground):
            before, after = cell.held[0].keys(), cell.held[1].keys()
            if before != after:
                gained |= after - before
                victims.update(cell.principals)
        if victims:
            return _Verdict(_Does.SOMETHING, who[0], None, names(gained), tuple(sorted(victims)))
        half = _missing_half(table, entry)
        if half:
            return _Verdict(_Does.NOTHING, who[0], half=half)
        rest = trace_decision(trial, who[0], entry.path)
        same = [one.entry for side in rest.sides for one in side.entries if one.effect == "decides"]
        repeats = next((one for one in same if one.role == entry.role), None)
        return _Verdict(_Does.NOTHING, who[0], repeats)
    finally:
        apply_delta(trial, delta.inverse())


def _missing_half(table: AccessTable, entry: TracedEntry) -> str:
    """The user of a privilege-separated token, where it holds nothing of the role there."""
    token = table.tokens.get(entry.principal)
    user = owner_of(entry.principal)
    if entry.kind != TOKEN or user is None or token is None or not token.privsep:
        return ""
    held = privileges(table, user, entry.path)
    return "" if any(name in held for name in table.roles[entry.role]) else user


def _acts_alone(table: AccessTable, entry: TracedEntry) -> bool:
    """Whether its user or token has access to its path only by this entry; False: unknown.

    A shortcut: in a large state most entries are alone, and need no second evaluation.
    """
    index = index_of(table)
    token = index.tokens.get(entry.principal)
    by_others = index.groups_of.get(entry.principal) or (token is not None and not token.privsep)
    if entry.kind == GROUP or by_others or entry.principal == ROOT:
        return False
    if not _concerned(table, entry):
        return False
    nodes = index.nodes(entry.principal)
    pools = [place for pool in index.pools_of.get(entry.path, ()) for place in chain(pool)]
    if entry.path not in nodes or any(p in nodes for p in (*chain(entry.path)[:-1], *pools)):
        return False
    here = nodes[entry.path].last
    single = here is not None and len(here.roles) == 1
    return single and bool(privileges(table, entry.principal, entry.path))


def _concerned(table: AccessTable, entry: TracedEntry) -> list[str]:
    if entry.kind == GROUP:
        members = table.groups.get(entry.principal, set())
        return sorted(members & table.users.keys())
    known = entry.principal in table.users or entry.principal in table.tokens
    return [entry.principal] if known else []


def _differs(table: AccessTable, trial: AccessTable, who: str, path: str) -> bool:
    return privileges(table, who, path).keys() != privileges(trial, who, path).keys()


def _text(entry: TracedEntry) -> str:
    return f"{entry.role} for {entry.kind} {entry.principal} on {entry.path}"


def _idle(scene: LintContext) -> Iterable[Hit]:
    for address, verdict in _verdicts(scene).items():
        entry = scene.entries[address]
        nothing = verdict.does is _Does.NOTHING and verdict.repeats is None
        if not nothing or entry.role == "NoAccess":
            continue
        asked = f"`{shell('pvectl', 'explain', verdict.whom, entry.path)}` shows what decides there"
        if verdict.half:
            yield Hit(
                address,
                f"{_text(entry)} has no effect: {verdict.half} has none of its privileges there",
                f"grant {verdict.half} {entry.role} on {entry.path} as well, or remove the entry",
            )
        elif not scene.is_derived(address):
            yield Hit(
                address,
                f"{_text(entry)} has no effect",
                f"{asked}; remove the entry, or what shadows it"
                if scene.table.roles.get(entry.role)
                else f"role {entry.role} has no privileges; add some, or remove the entry",
            )


def _repeats(scene: LintContext) -> Iterable[Hit]:
    verdicts = _verdicts(scene)
    idle = {scene.entries[address].key for address, one in verdicts.items() if one.repeats}
    for address, verdict in verdicts.items():
        if verdict.repeats is None or scene.is_derived(address):
            continue
        entry = scene.entries[address]
        which = "one of them" if verdict.repeats.key in idle else "this entry"
        yield Hit(
            address,
            f"{_text(entry)} repeats {_text(verdict.repeats)}",
            f"remove {which}, and keep the other",
        )


def _denials(scene: LintContext) -> Iterable[Hit]:
    for address, verdict in _verdicts(scene).items():
        entry = scene.entries[address]
        if entry.role == "NoAccess" and verdict.does is _Does.SOMETHING:
            yield Hit(
                address,
                f"{_text(entry)} denies {in_prose(verdict.taken)} to {in_prose(verdict.victims)}",
                "grant less in the first place, so that nothing needs to be denied",
            )


def _idle_denials(scene: LintContext) -> Iterable[Hit]:
    for address, verdict in _verdicts(scene).items():
        entry = scene.entries[address]
        if entry.role == "NoAccess" and verdict.does is _Does.NOTHING and not verdict.repeats:
            yield Hit(
                address,
                f"{_text(entry)} denies nothing",
                "a deeper entry, or one of the user, overrides it; remove it",
            )


def _unused_roles(scene: LintContext) -> Iterable[Hit]:
    used = {entry.role for entry in scene.entries.values()}
    if scene.complete:
        for role in scene.ids("role"):
            if role not in used:
                yield Hit(
                    Address("role", role),
                    f"role {role} is not granted to anyone",
                    "remove it, or grant it",
                )


RULES = (
    Rule(
        "LINT_NO_EFFECT",
        Severity.WARNING,
        "an entry without effect",
        "Removing it would change nothing: a deeper entry, an entry of the user itself or the "
        "missing half of a token pair overrides it. Its author probably believes that it works.",
        _idle,
    ),
    Rule(
        "LINT_REPEATS",
        Severity.NOTE,
        "an entry that repeats another one",
        "The same principals hold the same role there through another entry. Removing one of the "
        "two looks like a revocation, but changes nothing.",
        _repeats,
    ),
    Rule(
        "LINT_NOACCESS_HIDES",
        Severity.NOTE,
        "a NoAccess that denies privileges",
        "NoAccess overrides all other roles of its path, also those of other groups and of pools, "
        "and every deeper entry overrides it in turn. What remains is hard to see from the "
        "entries. Grant less above instead.",
        _denials,
    ),
    Rule(
        "LINT_NOACCESS_IDLE",
        Severity.WARNING,
        "a NoAccess that denies nothing",
        "It is shadowed, or there is nothing to deny. It protects nothing.",
        _idle_denials,
    ),
    Rule(
        "LINT_UNUSED_ROLE",
        Severity.NOTE,
        "a role that is not granted to anyone",
        "Its privileges change unnoticed until it is granted, and then surprise. Remove it, or "
        "grant it to those for whom it was created.",
        _unused_roles,
    ),
)
