"""Guests that the state files exempt from backups: `[[no_backup]]`, `[[waive]]`, and those of
restore drills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.kinds.pool.membership import PoolSpec
from reconciler.model.address import Address
from reconciler.model.declared import Desired, NoBackup, Waiver
from reconciler.model.finding import NOT_BACKED_UP, Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.spec import State
from reconciler.planning.lint.waive import faults
from reconciler.text.humanize import in_prose


class Unsaved(NamedTuple):
    """`guests` that are exempt, and problems of the tables that exempt them."""

    guests: frozenset[int]
    findings: tuple[Finding, ...]


def unsaved(desired: Desired, planned: State, facts: Facts, now: int) -> Unsaved:
    """Look them up among the guests of the cluster; `planned` says which pools they will be in."""
    first, last = desired.policy.drill.range
    guests = {vmid for vmid in facts.guests if first <= vmid <= last}
    findings: list[Finding] = []
    for one in desired.no_backup:
        if 0 < one.expires <= now:
            findings.append(_expired(one))
            continue
        named = _named(one, planned, facts)
        guests |= named
        idle = _without_guests(one, planned, facts) if named else []
        if facts.guests and (idle or not named):
            findings.append(_idle(one, idle))
    for waiver in desired.waivers:
        if waiver.code == NOT_BACKED_UP:
            matching = frozenset(_matching(waiver, planned, facts))
            guests |= matching if now < waiver.expires else frozenset()
            if facts.guests:
                findings += faults(waiver, (NOT_BACKED_UP,), now, used=bool(matching))
    return Unsaved(frozenset(guests), tuple(findings))


def _named(one: NoBackup, planned: State, facts: Facts) -> frozenset[int]:
    found = {vmid for vmid in one.guests if vmid in facts.guests}
    for name in one.pools:
        found |= _of_pool(name, planned, facts)
    if one.templates:
        found |= {vmid for vmid, guest in facts.guests.items() if guest.template}
    return frozenset(found)


def _without_guests(one: NoBackup, planned: State, facts: Facts) -> list[str]:
    """What the table names but that matches no guest, such as a mistyped pool."""
    return [
        *(f"guest {vmid}" for vmid in one.guests if vmid not in facts.guests),
        *(f"pool {name}" for name in one.pools if not _of_pool(name, planned, facts)),
    ]


def _of_pool(name: str, planned: State, facts: Facts) -> frozenset[int]:
    pool = planned.get(Address("pool", name))
    if isinstance(pool, PoolSpec):
        return frozenset(pool.guests)
    return frozenset(vmid for vmid, guest in facts.guests.items() if guest.pool == name)


def _matching(waiver: Waiver, planned: State, facts: Facts) -> Iterator[int]:
    """By `guest.101`, or by `pool.test` for the guests of a pool."""
    pools = {a.id for a in planned if a.kind == "pool"} | {g.pool for g in facts.guests.values()}
    for name in sorted(pools - {""}):
        if Address("pool", name).matches(waiver.address):
            yield from _of_pool(name, planned, facts)
    for vmid in facts.guests:
        if Address("guest", str(vmid)).matches(waiver.address):
            yield vmid


def _expired(one: NoBackup) -> Finding:
    return Finding(
        "WAIVER_EXPIRED",
        Severity.WARNING,
        f"[[no_backup]] has expired; its reason was: {one.reason}",
        "back the guests up, or extend it with a reason that still holds",
        source=one.source,
    )


def _idle(one: NoBackup, idle: Sequence[str]) -> Finding:
    """`idle`: the part that exempts no guest; empty where nothing of the table does."""
    verb = "match" if len(idle) > 1 else "matches"
    part = f"names {in_prose(idle)}, which {verb}" if idle else "matches"
    return Finding(
        "WAIVER_UNUSED",
        Severity.NOTE,
        f"[[no_backup]] {part} no guest of the cluster",
        "correct it, or delete it",
        source=one.source,
    )
