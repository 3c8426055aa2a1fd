"""Metrics for the textfile collector of Prometheus's node exporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler.kinds import all_kinds
from reconciler.model.change import Action
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import Plan
from reconciler.render.documents.drift import Drift, DriftClass
from reconciler.render.view import View
from reconciler.text.sanitize import clean

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, int]


def plan(content: Plan, view: View) -> str:
    """Changes per kind and action, requests, findings per severity, and when."""
    cluster = ("cluster", content.cluster)
    found = Counter((change.address.kind, change.action) for change in content.changes)
    changes = [
        ((cluster, ("kind", kind), ("action", str(action))), found[kind, action])
        for kind in sorted(all_kinds())
        for action in Action
    ]
    return "".join(
        [
            _metric("pvectl_plan_changes", "Changes that the plan holds.", changes),
            _metric("pvectl_plan_requests", "Requests of it.", [((cluster,), len(content.steps))]),
            _findings(cluster, content.findings),
            _time("pvectl_plan_timestamp_seconds", cluster, view.now),
        ]
    )


def drift(content: Drift, view: View) -> str:
    """Objects that differ per kind and class, findings per severity, and when."""
    cluster = ("cluster", content.cluster)
    found = Counter((one.change.address.kind, one.kind) for one in content.differences)
    differing = [
        ((cluster, ("kind", kind), ("class", of.code)), found[kind, of])
        for kind in sorted(all_kinds())
        for of in DriftClass
    ]
    name, about = "pvectl_drift_objects", "Objects that differ from the declared state."
    groups, crowded = "pvectl_drift_groups", "Groups with members that no state file names."
    return "".join(
        [
            _metric(name, about, differing),
            _metric(groups, crowded, [((cluster,), content.crowded)]),
            _findings(cluster, content.findings),
            _time("pvectl_drift_timestamp_seconds", cluster, view.now),
        ]
    )


def _findings(cluster: tuple[str, str], findings: Sequence[Finding]) -> str:
    found = Counter(finding.severity for finding in findings)
    samples = [((cluster, ("severity", str(one))), found[one]) for one in Severity]
    return _metric("pvectl_findings", "Findings of the last run.", samples)


def _time(name: str, cluster: tuple[str, str], now: int) -> str:
    return _metric(name, "When this was seen, in Unix seconds.", [((cluster,), now)])


def _metric(name: str, about: str, samples: Iterable[Sample]) -> str:
    """A gauge in the exposition format."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        text = ",".join(f'{key}="{_escaped(of)}"' for key, of in labels)
        lines.append(f"{name}{{{text}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return clean(value).replace("\\", "\\\\").replace('"', '\\"')
