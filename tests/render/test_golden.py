"""The output for people and programs; `pytest --rewrite-goldens` updates the files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from reconciler.errors import FilesInvalid
from reconciler.kinds.backup.table import BackupSpec, Selection
from reconciler.model.drift_memory import Memory
from reconciler.model.plan import Plan
from reconciler.planning.drift import drift_of
from reconciler.render import FORMATS, sarif
from reconciler.render.documents.findings import error_text
from reconciler.render.documents.journal import status
from reconciler.render.documents.run_report import losses
from reconciler.render.documents.schedule_preview import remarks
from reconciler.render.view import View
from tests.render import samples

Golden = Callable[[str, str], None]

ENDINGS = {
    "text": "txt",
    "markdown": "md",
    "json": "json",
    "sarif": "sarif",
    "junit": "xml",
    "metrics": "prom",
}
VIEW = View(
    next_command="pvectl apply", impact=samples.DRIFTED, now=1764000000, prefix="clusters/state"
)
PREVIOUS = Memory(differences=("role.Old", "user.alice@ldap"))
ALL = ("text", "markdown", "json", "sarif", "junit", "metrics")
SHOWN: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "plan-first": ("plan", samples.first_plan(), ("text", "markdown")),
    "plan-busy": ("plan", samples.busy_plan(), ALL),
    "plan-hostile": ("plan", samples.hostile_plan(), ("text", "markdown")),
    "plan-empty": ("plan", Plan(samples.CLUSTER, samples.ACTOR), ("text", "markdown")),
    "drift-busy": ("drift", drift_of(samples.busy_plan(), memory=PREVIOUS), ALL),
    "drift-none": ("drift", drift_of(Plan(samples.CLUSTER, samples.ACTOR)), ("text",)),
    "findings": ("findings", samples.findings(), ALL[:-1]),
    "findings-none": ("findings", (), ("text", "junit")),
    "report-done": ("report", samples.done_report(), ("text",)),
    "report-restored": ("report", samples.restored_report(), ("text", "json")),
    "report-broken": ("report", samples.broken_report(), ("text", "markdown")),
    "journal-cut": ("journal", samples.journal(samples.first_plan(), ended=False), ("text",)),
    "journal-done": ("journal", samples.journal(samples.first_plan(), ended=True), ("text",)),
}
CASES = [(name, format_) for name, (_, _, formats) in SHOWN.items() for format_ in formats]


@pytest.mark.parametrize(("name", "format_"), CASES)
def test_documents_look_as_they_always_do(
    name: str, format_: str, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif, "__version__", "1.2.3")
    kind, content, _ = SHOWN[name]
    golden(f"{name}.{ENDINGS[format_]}", FORMATS[kind][format_](content, VIEW))


def test_the_state_of_a_run_alone(golden: Golden) -> None:
    run = samples.journal(samples.first_plan(), ended=False)
    golden("status-cut.txt", status(run, VIEW))


def test_a_terminal_with_colours(golden: Golden) -> None:
    view = View(color=True, next_command="pvectl apply")
    golden("plan-busy-colour.txt", FORMATS["plan"]["text"](samples.busy_plan(), view))


def test_a_new_schedule_shows_its_next_runs(golden: Golden) -> None:
    job = BackupSpec(
        schedule="mon..fri 02:30",
        selection=Selection(guests=(9001,)),
        options=(
            ("compress", "zstd"),
            ("mode", "snapshot"),
            ("prune-backups", "keep-daily=7,keep-weekly=4"),
            ("quiet", "1"),
            ("storage", "local"),
        ),
    )
    plan = samples.plan([samples.change("backup.nightly", None, job)])
    view = View(remarks=remarks(plan, datetime(2026, 11, 27, 9, 0)))  # noqa: DTZ001 - the node's own clock
    golden("plan-schedule.txt", FORMATS["plan"]["text"](plan, view))


def test_a_report_names_what_came_back_only_in_part(golden: Golden) -> None:
    view = View(remarks=losses(samples.busy_plan().steps))
    golden("report-losses.txt", FORMATS["report"]["text"](samples.lossy_report(), view))


def test_an_error_says_what_happened_and_what_to_do() -> None:
    error = FilesInvalid("2 mistakes in state/", hint="correct them", findings=samples.findings())
    assert error_text(error).splitlines()[-2:] == [
        "error E_FILES: 2 mistakes in state/",
        "  correct them",
    ]
