"""Findings as SARIF 2.1.0, which code scanning shows at the lines of the state files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from reconciler import __version__
from reconciler.model.change import Action
from reconciler.model.drift import DRIFT, Drift
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Plan
from reconciler.model.spec import digest
from reconciler.render.documents.drift_items import in_one_line, ways_to_root, why_undeclared
from reconciler.render.view import View
from reconciler.text.humanize import hint_lines
from reconciler.text.sanitize import clean

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def findings(content: Sequence[Finding], view: View, about: str = "") -> str:
    """One run with one result per finding. `about`: what they are the findings of."""
    ordered = sorted(content, key=Finding.sort_key)
    codes = sorted({finding.code for finding in ordered})
    driver = {
        "name": "pvectl",
        "semanticVersion": __version__,
        "rules": [{"id": code, "name": _name(code)} for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes, view.prefix) for finding in ordered],
    }
    if about:
        run["automationDetails"] = {"description": {"text": clean(about)}}
    whole = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def plan(content: Plan, view: View) -> str:
    """The findings of a plan."""
    about = f"plan against {content.against}" if content.against else ""
    return findings(content.findings, view, about)


def drift(content: Drift, view: View) -> str:
    """Who has become root, each object that differs, and the findings."""
    return findings([*_differing(content), *content.findings], view)


def _differing(content: Drift) -> Iterable[Finding]:
    """Each where it is declared; what nothing declares has no place."""
    for way in ways_to_root(content):
        yield Finding(DRIFT, Severity.ERROR, way)
    for one in content.differences:
        address, how = one.change.address, one.change.action is Action.UPDATE and in_one_line(one)
        told = f"{address} is {one.difference} ({one.kind})" + (f": {how}" if how else "")
        yield Finding(DRIFT, Severity.WARNING, told, address=address, source=one.source)
    for extra in content.ringing:
        told = f"{extra.address} is extra: {why_undeclared(extra)}"
        yield Finding(DRIFT, Severity.WARNING, told, address=extra.address)


def _result(finding: Finding, codes: Sequence[str], prefix: str) -> dict[str, Any]:
    text = "\n".join(map(clean, [finding.message, *hint_lines(finding.hint)]))
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": str(finding.severity),
        "message": {"text": text},
        "locations": [_location(finding, prefix)],
        "partialFingerprints": {"finding/v1": _fingerprint(finding)},
    }


def _location(finding: Finding, prefix: str) -> dict[str, Any]:
    """A result needs a location: without one in a file, the settings file is used."""
    source = finding.source or Source("pvectl.toml")
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    uri = quote(folder + source.file, errors="surrogatepass")
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if source.line:
        region = {"startLine": source.line}
        if source.column:
            region["startColumn"] = source.column
        physical["region"] = region
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.address is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": clean(str(finding.address))}]
    return location


def _fingerprint(finding: Finding) -> str:
    """A fingerprint that survives moved lines."""
    file = finding.source.file if finding.source else ""
    return digest([finding.code, file, str(finding.address or ""), clean(finding.message)])


def _name(code: str) -> str:
    return "".join(_words(code))


def _words(code: str) -> Iterable[str]:
    return (word.capitalize() for word in code.split("_"))
