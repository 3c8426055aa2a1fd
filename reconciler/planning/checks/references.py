"""References to objects that do not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from reconciler.kinds import kind_of, references
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.findings.once_per_table import once_per_table
from reconciler.pve.release import NEWEST
from reconciler.text.suggest import did_you_mean

MOST_HINTS = 20
"""Number of unknown names that get a suggestion; more are not typing errors."""

BESIDE = frozenset(
    {"CONFLICT", "DUPLICATE", "INVALID_VALUE", "MISSING_KEY", "UNKNOWN_KEY", "WRONG_TYPE"}
)
"""Mistakes that do not hide which objects the files declare."""


def check(context: PlanContext) -> Iterable[Finding]:
    """Where files are compared with files, what neither declares may exist nevertheless."""
    if not context.facts.complete:
        return
    yield from missing_references(
        context.changes,
        context.planned,
        context.desired.objects,
        context.facts.pve.roles,
    )


def missing_references(
    changes: Sequence[Change],
    planned: State,
    objects: Mapping[Address, Declared],
    roles: Collection[str] = NEWEST.roles.keys(),
) -> Iterable[Finding]:
    """References to objects that will not exist; `roles`: the cluster's built-in ones."""
    for _, finding in _missing(changes, planned, objects, roles):
        yield finding


def _missing(
    changes: Sequence[Change],
    planned: State,
    objects: Mapping[Address, Declared],
    roles: Collection[str],
) -> Iterable[tuple[Address, Finding]]:
    """The missing object, and the finding about it."""
    read = {address.kind for address in planned} | {"role", "group", "user", "token"}
    """a kind without any object may not have been read"""
    likely: dict[Address, str] = {}
    for change in changes:
        if change.after is None:
            continue
        address = change.address
        for ref in references(address, change.after):
            always = roles if ref.kind == "role" else kind_of(ref).reads.builtin_ids
            if ref in planned or ref.kind not in read or ref.id in always:
                continue
            tolerated = ref.kind in kind_of(address).links.may_dangle
            declared = objects.get(address)
            if ref not in likely:
                known = planned if len(likely) < MOST_HINTS else {}
                likely[ref] = _likely(ref, known, always)
            finding = Finding(
                "NOT_THERE" if tolerated else "UNKNOWN_REFERENCE",
                Severity.WARNING if tolerated else Severity.ERROR,
                f"{address} names {ref}, which is neither declared nor in the cluster"
                + ("; Proxmox VE accepts that silently" if tolerated else ""),
                hint=likely[ref],
                address=address,
                source=declared.source if declared else None,
            )
            yield ref, finding


def references_beside_mistakes(desired: Desired, live: State) -> Iterable[Finding]:
    """References to objects neither in the cluster nor in the files; nothing where one of the
    mistakes, `desired.findings`, may hide objects."""
    errors = [one for one in desired.findings if one.severity is Severity.ERROR]
    if any(one.code not in BESIDE for one in errors):
        return
    reason = Reason(Cause.MISSING, "declared")
    state = desired.state
    changes = [Change(a, live.get(a), spec, reason) for a, spec in state.items()]
    there = {**live, **state}
    yield from once_per_table(
        finding
        for ref, finding in _missing(changes, there, desired.objects, NEWEST.roles.keys())
        if finding.severity is Severity.ERROR and ref not in desired.broken
    )


def _likely(ref: Address, planned: State, always: Collection[str]) -> str:
    known = {address.id for address in planned if address.kind == ref.kind}
    meant = did_you_mean(ref.id, sorted(known | set(always)))
    realm = copied(ref, synchronised(planned)) if ref.kind == "group" else ""
    if realm:
        to_come = f"declare {ref}, and the sync of realm {realm} fills it"
        return f"{to_come}; {meant}" if meant else to_come
    return meant or f"declare {ref} or correct its name"
