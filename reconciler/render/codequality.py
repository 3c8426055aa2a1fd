"""Findings for GitLab's Code Quality report, which a merge request shows in its diff.

The format is the part of the Code Climate specification that GitLab documents: a list of issues
with `description`, `check_name`, `fingerprint`, `severity` and `location`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Plan
from reconciler.model.spec import digest
from reconciler.render.view import View
from reconciler.text.sanitize import clean

if TYPE_CHECKING:
    from reconciler.render.documents.failure import Failure

_SEVERITIES: Mapping[Severity, str] = {
    Severity.ERROR: "critical",
    Severity.WARNING: "major",
    Severity.NOTE: "info",
}


def findings(content: Sequence[Finding], view: View) -> str:
    """One issue per finding; those without a place are shown at the settings file."""
    issues = [_issue(finding, view.prefix) for finding in sorted(content, key=Finding.sort_key)]
    return json.dumps(issues, indent=2, sort_keys=True) + "\n"


def plan(content: Plan, view: View) -> str:
    """The findings of a plan."""
    return findings(content.findings, view)


def failure(content: Failure, view: View) -> str:
    """The mistakes, or the error itself."""
    return findings(content.all_findings, view)


def _issue(finding: Finding, prefix: str) -> dict[str, Any]:
    source = finding.source or Source("pvectl.toml")
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    about = [finding.code, source.file, str(finding.address or ""), clean(finding.message)]
    return {
        "description": clean(finding.message),
        "check_name": finding.code,
        "fingerprint": digest(about),
        "severity": _SEVERITIES[finding.severity],
        "location": {
            "path": clean(folder + source.file),
            "lines": {"begin": source.line or 1},
        },
    }
