"""Plans, drift, findings and reports -> strings; one module per output, loaded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from reconciler.render.view import View

Renderer = Callable[[Any, View], str]


def _lazy(place: str) -> Renderer:
    module, _, name = place.partition(":")

    def render(document: Any, view: View) -> str:
        function: Renderer = getattr(import_module(f"{__name__}.{module}"), name)
        return function(document, view)

    return render


FORMATS: Mapping[str, Mapping[str, Renderer]] = {
    document: {name: _lazy(place) for name, place in places.items()}
    for document, places in {
        "plan": {
            "text": "documents.plan:text",
            "markdown": "documents.plan:markdown",
            "json": "json:plan",
            "sarif": "sarif:plan",
            "junit": "junit:plan",
            "metrics": "metrics:plan",
            "codequality": "codequality:plan",
            "html": "plan_page.html:html",
        },
        "drift": {
            "text": "documents.drift:text",
            "markdown": "documents.drift:markdown",
            "json": "documents.drift:json",
            "sarif": "sarif:drift",
            "junit": "junit:drift",
            "metrics": "metrics:drift",
            "nagios": "nagios:drift",
        },
        "findings": {
            "text": "documents.findings:text",
            "markdown": "documents.findings:markdown",
            "json": "json:findings",
            "sarif": "sarif:findings",
            "junit": "junit:findings",
            "codequality": "codequality:findings",
        },
        "failure": {
            **{
                name: f"documents.failure:{name}"
                for name in ("text", "markdown", "json", "metrics", "sarif", "junit", "csv", "html")
            },
            "nagios": "nagios:failure",
            "codequality": "codequality:failure",
        },
        "report": {
            "text": "documents.run_report:text",
            "markdown": "documents.run_report:markdown",
            "json": "documents.run_report:json",
        },
        "journal": {
            "text": "documents.journal:text",
            "markdown": "documents.journal:markdown",
            "json": "documents.journal:json",
        },
        "log": {
            "text": "documents.log:text",
            "markdown": "documents.log:markdown",
            "json": "documents.log:json",
        },
        "status": {
            "text": "documents.status:text",
            "json": "documents.status:json",
        },
        "targets": {
            "text": "documents.targets:text",
            "json": "documents.targets:json",
            "github-matrix": "documents.targets:github",
            "gitlab-matrix": "documents.targets:gitlab",
        },
        "page": {
            "text": "documents.code_page:text",
            "markdown": "documents.code_page:markdown",
            "json": "documents.code_page:json",
        },
        "call": {
            "text": "documents.call:text",
            "markdown": "documents.call:markdown",
            "json": "documents.call:json",
        },
        "subject": {
            "text": "documents.subject:text",
            "markdown": "documents.subject:markdown",
            "json": "documents.subject:json",
        },
        "explanation": {
            "text": "documents.explanation:text",
            "markdown": "documents.explanation:markdown",
            "json": "documents.explanation:json",
        },
        "holders": {
            "text": "documents.who_can:text",
            "markdown": "documents.who_can:markdown",
            "json": "documents.who_can:json",
        },
        "escalation": {
            "text": "documents.escalation:text",
            "markdown": "documents.escalation:markdown",
            "json": "documents.escalation:json",
        },
        "bootstrap": {
            "text": "documents.bootstrap:text",
            "markdown": "documents.bootstrap:markdown",
            "json": "documents.bootstrap:json",
        },
        "verification": {
            "text": "documents.verification:text",
            "markdown": "documents.verification:markdown",
            "json": "documents.verification:json",
            "junit": "documents.verification:junit",
        },
        "retention": {
            "text": "documents.retention:text",
            "markdown": "documents.retention:markdown",
            "json": "documents.retention:json",
        },
        "backup_status": {
            "text": "documents.backup_status:text",
            "markdown": "documents.backup_status:markdown",
            "json": "documents.backup_status:json",
            "junit": "documents.backup_status:junit",
            "metrics": "documents.backup_status:metrics",
            "nagios": "nagios:backup_status",
        },
        "backup_run": {
            "text": "documents.backup_run:text",
            "markdown": "documents.backup_run:markdown",
            "json": "documents.backup_run:json",
            "junit": "documents.backup_run:junit",
        },
        "drill": {
            "text": "documents.drill:text",
            "markdown": "documents.drill:markdown",
            "json": "documents.drill:json",
            "junit": "documents.drill:junit",
            "metrics": "documents.drill:metrics",
        },
        "graph": {
            name: f"documents.graph:{name}"
            for name in ("text", "markdown", "mermaid", "dot", "svg", "json")
        },
        "review": {
            "text": "review.text:text",
            "markdown": "review.markdown:markdown",
            "csv": "review.csv:csv",
            "html": "review.html:html",
            "json": "review.json:json",
        },
    }.items()
}
"""Document -> name of a format -> what renders it."""
