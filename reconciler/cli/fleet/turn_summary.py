"""One cluster in the summary of several, from the document that is shown for it."""

from __future__ import annotations

from typing import Any

from reconciler.cli.turn import capturing
from reconciler.model.plan import Plan
from reconciler.model.spec import State, digest
from reconciler.render.document import severities
from reconciler.render.view import View
from reconciler.text.humanize import count

MOST = 2
"""Principals that a cell names."""


def note_document(document: str, content: Any, view: View) -> None:
    """Take changes, findings and effect on access from a document of one of several clusters."""
    turn = capturing()
    if turn is None:
        return
    from reconciler.model.drift import Drift

    if isinstance(content, Plan):
        turn.changes = len({change.address for change in content.changes})
        turn.findings = severities(content.findings)
    elif isinstance(content, Drift):
        turn.changes = len(content.differences) + len(content.ringing)
        turn.findings = severities(content.findings)
    elif document == "review":
        turn.findings = severities(content.findings)
    elif document == "verification":
        turn.findings = f"{count(content.failed, 'expectation')} failed" if content.failed else ""
    if view.impact_json is not None:
        turn.access = access_words(view.impact_json)


def access_words(impact: Any) -> str:
    """Who gains and who loses privileges: `anna@pve, ops@pve gain; bob@pve loses`."""
    said = []
    for key, verb in (("gained", "gain"), ("lost", "lose")):
        who = {name for effect in impact["effects"] if effect[key] for name in effect["principals"]}
        if who:
            names = ", ".join(sorted(who)[:MOST])
            more = f" and {len(who) - MOST:,} more" if len(who) > MOST else ""
            said.append(f"{names}{more} {verb}{'s' if len(who) == 1 else ''}")
    return "; ".join(said)


def note_declared(state: State) -> None:
    """Keep what the files of a cluster declare, to compare it with those of the others."""
    turn = capturing()
    if turn is not None:
        for address, spec in state.items():
            turn.declared[str(address)] = digest(spec.to_json())
