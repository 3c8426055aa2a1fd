"""Check that the acting principal is authorised for each step when it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.access.contents import ROOT
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.kinds import kind_of
from reconciler.kinds.group import LOCK_NEED
from reconciler.kinds.kind import Need
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Step
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.findings.places import place_of

MISSING_PRIVILEGE = "MISSING_PRIVILEGE"
BOOTSTRAP = "`pvectl bootstrap` prints the `pveum` lines that grant what this state needs"
ALTERNATIVES = 3
"""Number of alternatives that are spelled out; there is one per group of a user."""
SHOWN = 20
"""Number of missing privileges with commands written out; each costs an evaluation."""


def check(context: PlanContext) -> Iterable[Finding]:
    if context.request.actor:
        exists = {**context.live, **context.planned}
        found = preflight(
            context.request.actor,
            context.steps,
            context.before,
            context.deltas,
            place=lambda address: place_of(address, exists.get(address), context.desired),
        )
        yield from found


def preflight(
    actor: str,
    steps: Sequence[Step],
    live: AccessTable,
    deltas: Sequence[Delta],
    place: Callable[[Address], Source | None] = lambda _: None,
) -> Iterable[Finding]:
    """Privileges that the steps need and `actor` lacks when they run, each once. `deltas`: what
    each step does to `live`; `place`: where an object is declared.

    An actor that may not even take the cluster lock is meant for planning: one warning instead of
    an error each. What only a rollback would need is a warning, too.
    """
    if not steps:
        return
    walk = _walked(actor, steps, live, deltas)
    never = dict(walk.never.values())
    if not holds(live, actor, LOCK_NEED):
        missing = dict.fromkeys([LOCK_NEED, *never, *dict(walk.taken.values())])
        yield _plans_only(actor, list(missing), live)
        return
    yield from _missing(actor, never, live, place)
    for need, address in walk.taken.values():
        yield Finding(
            MISSING_PRIVILEGE,
            Severity.ERROR,
            f"{actor} will lose {ways(need)}, needed to change {address}, in an earlier step",
            hint="keep that grant, or apply in two plans",
            address=address,
        )
    for need, address in walk.back.values():
        yield Finding(
            "CANNOT_TAKE_BACK",
            Severity.WARNING,
            f"{actor} could not roll back {address} if a later step failed: {ways(need)} is "
            "missing then",
            hint=BOOTSTRAP,
            address=address,
        )


_Noted = dict[tuple[tuple[str, str], ...], tuple[Need, Address]]
"""Privilege to ask for -> the first need that it would meet, and the object that needs it"""


def _note(into: _Noted, need: Need, address: Address) -> None:
    into.setdefault(need.any_of[0], (need, address))


@dataclass
class _Walk:
    """Unmet needs, each with the first object that has it.

    `never`: before the plan; `taken`: only once the step runs; `back`: only for a rollback.
    """

    never: _Noted = field(default_factory=dict)
    taken: _Noted = field(default_factory=dict)
    back: _Noted = field(default_factory=dict)


def _walked(actor: str, steps: Sequence[Step], live: AccessTable, deltas: Sequence[Delta]) -> _Walk:
    walk, now = _Walk(), live.copy()
    for step, delta in zip(steps, deltas, strict=True):
        for need, address in _needed(step.changes, now):
            if not holds(now, actor, need):
                at_first = holds(live, actor, need)
                _note(walk.taken if at_first else walk.never, need, address)
        if delta:
            apply_delta(now, delta)
        if step.undo is not Undo.NONE:
            back = tuple(change.inverse() for change in step.changes)
            for need, address in _needed(back, now):
                if not holds(now, actor, need):
                    _note(walk.back, need, address)
    for asked in walk.never:
        walk.taken.pop(asked, None)
        walk.back.pop(asked, None)
    return walk


def _needed(changes: Iterable[Change], now: AccessTable) -> Iterator[tuple[Need, Address]]:
    for change in changes:
        for need in kind_of(change.address).writes.needs(change, now):
            yield need, change.address


def holds(table: AccessTable, actor: str, need: Need) -> bool:
    """Whether `actor` meets `need` in this state; root's tokens are treated as PVE treats them."""
    if actor in (ROOT, need.own):
        return True
    return any(all(_has(table, actor, atom, need) for atom in way) for way in need.any_of)


def _has(table: AccessTable, actor: str, atom: tuple[str, str], need: Need) -> bool:
    path, name = atom
    flag = privileges(table, actor, path).get(name)
    return flag is not None and (flag or atom not in need.with_propagate)


def ways(need: Need) -> str:
    """`Sys.Modify on /access`, with the alternatives."""
    said = [" and ".join(_words(atom, need) for atom in way) for way in need.any_of[:ALTERNATIVES]]
    return " or ".join(said)


def _words(atom: tuple[str, str], need: Need) -> str:
    path, name = atom
    return f"{name} on {path}{' (propagating)' if atom in need.with_propagate else ''}"


def _missing(
    actor: str,
    lacking: Mapping[Need, Address],
    live: AccessTable,
    place: Callable[[Address], Source | None],
) -> Iterator[Finding]:
    """In display order, since each builds on the commands before it."""
    trial = live.copy()
    found = []
    for need, address in lacking.items():
        message = f"{actor} may not change {address}: {ways(need)} is missing"
        said = Finding(MISSING_PRIVILEGE, Severity.ERROR, message, "", address=address)
        found.append((said._replace(source=place(address)), need))
    found.sort(key=lambda one: one[0].sort_key())
    for number, (said, need) in enumerate(found):
        yield said._replace(hint=_granting(actor, need, trial) if number < SHOWN else BOOTSTRAP)


def _plans_only(actor: str, lacking: Sequence[Need], live: AccessTable) -> Finding:
    names = [ways(need) for need in lacking]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    named = ", ".join(names[:SHOWN]) + more
    return Finding(
        MISSING_PRIVILEGE,
        Severity.WARNING,
        f"{actor} can plan this but not apply it: {named} "
        f"{'is' if len(lacking) == 1 else 'are'} missing",
        hint=_granting(actor, lacking[0], live.copy()) if len(lacking) == 1 else BOOTSTRAP,
    )


def _granting(actor: str, need: Need, trial: AccessTable) -> str:
    """Commands that grant what the first alternative lacks, and keep what is there.

    `trial` is changed as they would change the cluster.
    """
    from reconciler.access.explain.recommendation import apply_remediation, recommended
    from reconciler.access.explain.snippets import pveum

    lines: list[str] = []
    for path, privilege in need.any_of[0]:
        for remedy in recommended(trial, actor, path, privilege)[:1]:
            lines += pveum(remedy)
            apply_remediation(trial, remedy)
    return "\n".join(["to grant it:", *lines]) if lines else BOOTSTRAP
