"""Documents for programs: canonical JSON, one per line, with their kind and format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model.change import Action
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import FORMAT as PLAN_FORMAT
from reconciler.model.plan import Plan
from reconciler.render.view import View

FINDINGS_FORMAT = 1


def document(kind: str, version: int, content: Mapping[str, Any]) -> str:
    """One line in ASCII with sorted keys: the same content always gives the same bytes."""
    whole = {**content, "kind": kind, "format": version}
    return json.dumps(whole, sort_keys=True, separators=(",", ":")) + "\n"


def plan(content: Plan, view: View) -> str:
    """The whole plan with its digest, counts, and effect on access."""
    counts = {str(action): content.count(action) for action in Action}
    extra = {} if view.impact_json is None else {"impact": view.impact_json}
    whole = {
        **content.to_json(),
        "digest": content.digest,
        "counts": {**counts, "requests": len(content.steps)},
        **extra,
    }
    return document("plan", PLAN_FORMAT, whole)


def findings(content: Sequence[Finding], view: View) -> str:
    """All findings in order, and their number by severity."""
    del view
    ordered = sorted(content, key=Finding.sort_key)
    counts = {str(s): sum(one.severity is s for one in ordered) for s in Severity}
    whole = {"findings": [one.to_json() for one in ordered], "counts": counts}
    return document("findings", FINDINGS_FORMAT, whole)
