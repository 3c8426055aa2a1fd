"""Metrics for the textfile collector of Prometheus's node exporter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler.errors import ExitStatus
from reconciler.kinds import all_kinds
from reconciler.model.change import Action
from reconciler.model.drift import Drift, DriftClass, Undeclared
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import Plan
from reconciler.render.view import View
from reconciler.text.sanitize import clean

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, int]


def plan(content: Plan, view: View) -> str:
    """Objects per kind and action, requests, findings per severity, and when."""
    cluster = ("against", content.against) if content.against else ("cluster", content.cluster)
    found = Counter(
        (address.kind, action) for action in Action for address in content.concerned(action)
    )
    changes = [
        ((cluster, ("kind", kind), ("action", str(action))), found[kind, action])
        for kind in sorted(all_kinds())
        for action in Action
    ]
    return "".join(
        [
            metric("pvectl_plan_changes", "Objects that the plan changes.", changes),
            metric(
                "pvectl_plan_requests", "Requests in the plan.", [((cluster,), len(content.steps))]
            ),
            _findings(cluster, content.findings),
            outcome("plan", ExitStatus.REFUSED if content.refusals else ExitStatus.OK, view),
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
    return "".join(
        [
            metric(name, about, differing),
            _undeclared(cluster, content),
            *(
                metric(f"pvectl_{name}", about, [((cluster,), number)])
                for name, about, number in (
                    ("drift_groups", "Groups with undeclared members.", content.crowded),
                    (
                        "drift_ways_to_root",
                        "Ways to root that the state files do not declare.",
                        len(content.roots),
                    ),
                    ("expectations_failed", "Expectations that fail.", content.broken),
                    ("expiring", "Logins, tokens and waivers that expire soon.", content.expiring),
                    ("rotation_due", "Tokens that are due for a new secret.", content.due),
                    (
                        "backups_unproven",
                        "Findings about stale backups, and guests not drilled in time.",
                        content.unproven,
                    ),
                    ("findings_failed", "Findings that count as a failure.", content.failed),
                )
            ),
            _findings(cluster, content.findings),
            outcome("drift", content.status, view),
        ]
    )


def _undeclared(cluster: tuple[str, str], content: Drift) -> str:
    """Undeclared objects: alarms, acknowledged ones, and others."""
    found = Counter((one.address.kind, _state(one)) for one in content.undeclared)
    samples = [
        ((cluster, ("kind", kind), ("state", state)), found[kind, state])
        for kind in sorted(all_kinds())
        for state in ("alarm", "acknowledged", "left-alone")
    ]
    return metric("pvectl_drift_undeclared", "Undeclared objects.", samples)


def _state(one: Undeclared) -> str:
    if one.rings:
        return "alarm"
    return "acknowledged" if one.acknowledged else "left-alone"


def outcome(command: str, status: int, view: View, *, failed: bool = False) -> str:
    """Whether a command produced a result, its exit status, and when it last did so.

    The same names and labels whether it `failed` or not, so that one alert rule covers both.
    """
    labels = (("target", view.target),)
    last = _last_success(command, view.earlier) if failed else view.now
    samples = (
        ("success", "1 when the last run produced a result, 0 when it failed.", int(not failed)),
        ("exit_status", "Exit status of the last run.", int(status)),
        ("timestamp_seconds", "When the last run was, in Unix seconds.", view.now),
        (LAST_SUCCESS, "When a run last produced a result, in Unix seconds; 0: never.", last),
    )
    return "".join(
        metric(f"pvectl_{command}_{name}", about, [(labels, value)])
        for name, about, value in samples
    )


LAST_SUCCESS = "last_success_timestamp_seconds"


def _last_success(command: str, earlier: str) -> int:
    """What the metrics of the run before say; 0 where they say nothing."""
    name = f"pvectl_{command}_{LAST_SUCCESS}"
    found = re.search(rf"^{name}\{{.*\}} (\d{{1,12}})$", earlier, re.MULTILINE)
    return int(found[1]) if found else 0


def _findings(cluster: tuple[str, str], findings: Sequence[Finding]) -> str:
    found = Counter(finding.severity for finding in findings)
    samples = [((cluster, ("severity", str(one))), found[one]) for one in Severity]
    return metric("pvectl_findings", "Findings by severity.", samples)


def metric(name: str, about: str, samples: Iterable[Sample]) -> str:
    """A gauge in the exposition format."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        text = ",".join(f'{key}="{_escaped(of)}"' for key, of in labels)
        lines.append(f"{name}{{{text}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return clean(value).replace("\\", "\\\\").replace('"', '\\"')
