"""What a plan does to access, as findings: surprises, and new ways to root."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.effects import listed
from reconciler.access.escalation import Escalation, opened
from reconciler.access.impact import Impact
from reconciler.access.surprises import Surprise
from reconciler.access.table import AccessTable
from reconciler.model.facts import Facts
from reconciler.model.finding import Finding, Severity
from reconciler.model.state import State

_NAMED = {"storage": "/storage/", "pool": "/pool/", "realm": "/access/realm/"}


def real_paths(state: State, facts: Facts) -> tuple[str, ...]:
    """The ACL paths of all that exists, also without any entry."""
    paths = {f"/vms/{vmid}" for vmid in facts.guests}
    paths.update(f"/nodes/{node}" for node in facts.nodes)
    paths.update(_NAMED[address.kind] + address.id for address in state if address.kind in _NAMED)
    paths.update(f"/access/groups/{a.id}" for a in state if a.kind == "group")
    return tuple(sorted(paths))


def surprises(impact: Impact) -> Iterable[Finding]:
    """What a reader of the entries alone would not expect."""
    for surprise in impact.surprises:
        message = f"{listed(surprise.principals)}: {surprise.why}"
        yield Finding(str(surprise.code), Severity.WARNING, message, _by(surprise))


def _by(surprise: Surprise) -> str:
    entries = [f"{e.role} for {e.kind} {e.principal} on {e.path}" for e in surprise.entries[:3]]
    return f"through {listed(entries)}" if entries else ""


def new_ways_to_root(before: AccessTable, after: AccessTable) -> Iterable[Finding]:
    """Everybody who can become root after the plan and could not before, with the first proof."""
    for way in opened(before, after):
        who = listed(way.principals)
        certain = "becomes" if way.sure else "may become"
        message = f"this plan opens a way to root: {who} {certain} root"
        yield Finding("NEW_WAY_TO_ROOT", Severity.WARNING, message, _steps(way))


def _steps(way: Escalation) -> str:
    if not way.steps:
        return "it holds Administrator on / or belongs to root@pam"
    return ", then ".join(str(step) for step in way.steps)
