"""Declared users of a synchronised realm who have disappeared from the directory."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.model.finding import Finding
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    """Users who have left do not silently regain access. Files alone do not show who exists."""
    if not context.facts.complete:
        return
    users = [one for one in context.changes if one.address.kind == "user" and one.before is None]
    realms = synchronised(context.live) if users else frozenset[str]()
    for change in users:
        realm = copied(change.address, realms)
        if not realm or change.after is None:
            continue
        declared = context.desired.objects.get(change.address)
        yield refusal(
            "LEFT_DIRECTORY",
            f"{change.address} would be created again: has it left the directory? Realm {realm} is "
            "synchronised, and the sync creates every user that the directory has",
            f"LEFT_DIRECTORY={change.address}",
            change.address,
        )._replace(source=declared.source if declared else None)
