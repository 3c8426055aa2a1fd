"""The rules of calls say what a Proxmox VE 9.2 answered, call for call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.access.explain.call import CallAnswer, judge
from reconciler.access.explain.explain import parse_refusal
from reconciler.access.table import AccessTable
from reconciler.kinds import access_table
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import read_live
from reconciler.pve.calls.table import find_call, known_calls
from reconciler.sandbox.http.direct import SandboxApi
from tests.support.replay import recordings, replay

ELSEWHERE = re.compile(r"does not exist|no such user|\(, |URI '")
"""Refusals that have other reasons than what somebody holds."""


def _table(folder: Path) -> AccessTable:
    live = read_live(SandboxApi(folder), ("acl", "pool"), {"pool": EVERYTHING})
    return access_table(live.state, live.facts.pve, live.facts.strays)


def _judged(folder: Path, step: dict[str, Any]) -> CallAnswer | None:
    found = find_call(step["method"], step["path"])
    if found is None:
        return None
    call, given = found
    params = {**given, **{name: str(v) for name, v in (step.get("params") or {}).items()}}
    return judge(_table(folder), step["by"], call, params)


def _wrong(step: dict[str, Any], answer: CallAnswer | None) -> str:
    """What the rules say otherwise than the recording; "" for nothing."""
    if answer is None:
        return "unknown call" if step["status"] == 403 else ""
    refusal = parse_refusal(step["reason"])
    if step["status"] == 403:
        unmet = " ".join(one.text for one in answer.rules if one.held is False)
        named = not refusal or not refusal.path or refusal.path in unmet
        missing = answer.refused is not None or answer.ticket
        return "" if missing and named else f"refused, {answer.missing}"
    if step["status"] == 200 and answer.refused is not None:
        return f"let through, {answer.refused}"
    if "task_exitstatus" not in step:
        return ""
    refused = "Permission check failed" in (step["task_exitstatus"] or "")
    wrong = answer.allowed if refused else answer.refused_in_task
    return f"task {step['task_exitstatus']}, {answer.task}" if wrong else ""


@pytest.mark.parametrize("scenario", recordings("exchanges"), ids=lambda one: one["name"])
def test_recorded_refusals_and_grants(scenario: dict[str, Any], tmp_path: Path) -> None:
    """Who was refused lacks what the answer names; who was let through has what is asked."""
    seen: list[str] = []

    def before(folder: Path, step: dict[str, Any]) -> None:
        by = step.get("by") or ""
        if "@" not in by or by.startswith(("ticket:", "root@pam")) or "status" not in step:
            return
        if step["status"] == 401 or ELSEWHERE.search(step["reason"]):
            return
        wrong = _wrong(step, _judged(folder, step))
        if wrong:
            seen.append(f"{wrong}: {by} {step['method']} {step['path']} {step.get('params')}")

    replay(scenario, tmp_path, before)
    assert seen == []


def test_every_call_is_there_once() -> None:
    calls = [(call.method, call.template) for call in known_calls()]
    assert len(calls) == len(set(calls))
    assert find_call("POST", "/nodes/pve/qemu/100/status/start") is not None
    assert find_call("POST", "/api2/json/nodes/pve/vzdump") is not None
    assert find_call("POST", "/no/such/call") is None
