"""Findings and expectations as JUnit test cases, which every CI system shows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reconciler.model.drift import Drift
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Plan
from reconciler.render.documents.drift_items import details, reason, ways_to_root, why_undeclared
from reconciler.render.view import View
from reconciler.text.humanize import count
from reconciler.text.sanitize import clean


class Case(NamedTuple):
    """One test. `failure`: why it failed, "" if it passed; `note`: a further remark."""

    name: str
    group: str
    failure: str = ""
    note: str = ""
    source: Source | None = None


def cases(title: str, content: Iterable[Case], view: View) -> str:
    """One suite with these tests."""
    tests = list(content)
    failed = sum(bool(case.failure) for case in tests)
    root = ET.Element("testsuites", name="pvectl")
    suite = ET.SubElement(
        root, "testsuite", name=title, tests=str(len(tests)), failures=str(failed), errors="0"
    )
    for case in tests:
        element = ET.SubElement(suite, "testcase", name=clean(case.name), classname=case.group)
        if case.source is not None:
            folder = f"{view.prefix.rstrip('/')}/" if view.prefix else ""
            element.set("file", clean(folder + case.source.file))
            element.set("line", str(case.source.line))
        if case.failure:
            failure = ET.SubElement(element, "failure", message=clean(case.failure))
            failure.text = _lines(case.note)
        elif case.note:
            ET.SubElement(element, "system-out").text = _lines(case.note)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def findings(content: Sequence[Finding], view: View) -> str:
    """One test per finding, errors failed; one that passes when there are no errors."""
    return cases("findings", _cases(content), view)


def plan(content: Plan, view: View) -> str:
    """The findings of a plan."""
    title = f"plan against {clean(content.against)}" if content.against else "plan"
    return cases(title, _cases(content.findings), view)


def drift(content: Drift, view: View) -> str:
    """One failed test for who has gained or lost access, one per object that differs, and the
    findings."""
    group = "pvectl.drift"
    effects = [*ways_to_root(content), *view.impact]
    more = f" and {count(len(effects) - 1, 'more change')} of access" if effects[1:] else ""
    access = [Case("access", group, effects[0] + more, "\n".join(effects))] if effects else []
    differing = (
        Case(
            str(one.change.address),
            group,
            f"{one.difference}: {reason(one)} ({one.kind})",
            "\n".join(f"{name}: {text}" for name, text in details(one.change, one.by_hand)),
            one.source,
        )
        for one in content.differences
    )
    undeclared = (
        Case(str(one.address), group, f"extra: {why_undeclared(one)}") for one in content.ringing
    )
    return cases("drift", [*access, *differing, *undeclared, *_cases(content.findings)], view)


def _cases(content: Sequence[Finding]) -> Iterable[Case]:
    ordered = sorted(content, key=Finding.sort_key)
    if not any(finding.severity is Severity.ERROR for finding in ordered):
        yield Case("no errors", "pvectl.findings")
    for finding in ordered:
        subject = f"{finding.code} {finding.source or finding.address or ''}".rstrip()
        group = f"pvectl.findings.{finding.severity}"
        if finding.severity is Severity.ERROR:
            yield Case(subject, group, finding.message, finding.hint, finding.source)
        else:
            note = "\n".join(filter(None, (finding.message, finding.hint)))
            yield Case(subject, group, "", note, finding.source)


def _lines(text: str) -> str:
    return "\n".join(map(clean, text.splitlines()))
