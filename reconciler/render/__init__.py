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
            "text": "plan:text",
            "markdown": "plan:markdown",
            "json": "json:plan",
            "sarif": "sarif:plan",
            "junit": "junit:plan",
            "metrics": "metrics:plan",
        },
        "drift": {
            "text": "drift:text",
            "markdown": "drift:markdown",
            "json": "drift:json",
            "sarif": "sarif:drift",
            "junit": "junit:drift",
            "metrics": "metrics:drift",
        },
        "findings": {
            "text": "findings:text",
            "markdown": "findings:markdown",
            "json": "json:findings",
            "sarif": "sarif:findings",
            "junit": "junit:findings",
        },
        "report": {
            "text": "report:text",
            "markdown": "report:markdown",
            "json": "report:json",
        },
        "journal": {
            "text": "journal:text",
            "markdown": "journal:markdown",
            "json": "journal:json",
        },
        "status": {
            "text": "journal:status",
            "json": "journal:json",
        },
        "standing": {
            "text": "standing:text",
            "json": "standing:json",
        },
        "page": {
            "text": "page:text",
            "markdown": "page:markdown",
            "json": "page:json",
        },
        "explanation": {
            "text": "explanation:text",
            "markdown": "explanation:markdown",
            "json": "explanation:json",
        },
        "holders": {
            "text": "holders:text",
            "markdown": "holders:markdown",
            "json": "holders:json",
        },
        "escalation": {
            "text": "escalation:text",
            "markdown": "escalation:markdown",
            "json": "escalation:json",
        },
        "bootstrap": {
            "text": "bootstrap:text",
            "markdown": "bootstrap:markdown",
            "json": "bootstrap:json",
        },
        "verification": {
            "text": "verification:text",
            "markdown": "verification:markdown",
            "json": "verification:json",
            "junit": "verification:junit",
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
"""Document -> name of a format -> what renders it. A document is a Plan, a Drift, a sequence of
Findings, the Report of a run, or (`journal`, `status`) the events of a journal."""
