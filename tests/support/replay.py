"""Replays recorded requests on the embedded Proxmox VE, without sockets, and tells what differs.

What is not fixed is not compared: the order of lists, token values, digests, task ids, load
figures, and the order within comma lists of names.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.http.wire import Answer, Request, respond
from tests.support.pve import lay_out

DATA = Path(__file__).parents[1] / "data"

_UPID = re.compile(r"UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:([^:]+):([^:]*):([^:]+):")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STAMP = re.compile(r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d")
_NEW_MAC = re.compile(r"(?i)\bBC:24:11:(?!00:9[09]:)[0-9A-F]{2}(:[0-9A-F]{2}){2}")
"""A MAC address that PVE made; those that the fixture has are compared."""
_BROKEN = "pve.run/storage/local/dump/vzdump-qemu-9000-2026_11_28-02_31_00.vma.zst"
_BROKEN_SIZE = 200_016
_ONE_OF_MISSING = re.compile(r"missing value for required option '\S+'")
_NAME_LISTS = frozenset({"content", "nodes", "groups", "users", "privs"})
_ONLY_PRESENT = frozenset(
    {"digest", "next-run", "ticket", "CSRFPreventionToken", "exitstatus_time"}
)
_WITH_FIGURES = re.compile(r"/(cluster/(resources|status|tasks)|nodes($|/)|pools)")
_STATUS_ONLY = re.compile(r"/(cluster/tasks|cluster/options|nodes$|cluster/jobs/schedule-analyze)")
_COMPARED_BESIDE_FIGURES = frozenset(
    (
        *("comment", "content", "exitstatus", "id", "node", "plugintype", "pool", "poolid"),
        *("storage", "template", "tokenid", "type", "upid", "user", "userid", "vmid", "volid"),
    )
)


def recordings(kind: str) -> list[dict[str, Any]]:
    """`exchanges` or `traces`."""
    raw = gzip.decompress((DATA / "recordings" / f"{kind}.json.gz").read_bytes())
    found: list[dict[str, Any]] = json.loads(raw)
    return found


def replay(
    scenario: dict[str, Any],
    work: Path,
    before: Callable[[Path, dict[str, Any]], None] = lambda *_: None,
) -> list[str]:
    """Send all requests of a scenario to a fresh copy of its fixture; one text per difference.

    `before` is called with the folder and each step before it is done.
    """
    folder = lay_out(scenario["fixture"], work)
    if scenario["fixture"] == "backups":
        # The recorded archive holds random bytes; what matters is that it cannot be read.
        (work / _BROKEN).write_bytes(bytes(_BROKEN_SIZE))
    run = _Run(folder)
    found = []
    for number, step in enumerate(scenario["steps"]):
        before(folder, step)
        difference = run.file(step) if "file" in step else run.exchange(step)
        if difference:
            found.append(f"{scenario['name']} step {number} {_title(step)}: {difference}")
    return found


def _title(step: dict[str, Any]) -> str:
    if "file" in step:
        return str(step["file"])
    return f"{step['by']} {step['method']} {step['path']} {step.get('params')}"


class _Run:
    """One scenario: the folder, and what earlier answers gave for later requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder)
        lines = (folder / "priv/token.cfg").read_text().split("\n")
        self.secrets = {line.split()[0]: [line.split()[1]] for line in lines if line}
        self.tickets: dict[str, tuple[str, str]] = {}
        self.names: dict[str, str] = {}

    def file(self, step: dict[str, Any]) -> str:
        path = self.folder / step["file"]
        got = path.read_text() if path.exists() else ""
        a, b = _file(step["file"], step["content"]), _file(step["file"], got)
        return "" if a == b else f"want {a}\n got {b}"

    def exchange(self, step: dict[str, Any]) -> str:
        answer = self.send(step)
        body = json.loads(answer.body) if answer.body else None
        self._learn(step, body)
        if (answer.status, _plain(answer.reason)) != (step["status"], _plain(step["reason"])):
            got = f"{answer.status} {answer.reason}"
            return f"want {step['status']} {step['reason']}\n got {got} {body}"
        asks_from = "starttime" in (step.get("params") or {})
        if answer.status == 200 and _STATUS_ONLY.match(step["path"]) and not asks_from:
            return ""
        some = answer.status == 200 and _WITH_FIGURES.match(step["path"]) is not None
        a, b = _value(step.get("body"), "", some), _value(body, "", some)
        return self._task(step, body) if a == b else f"want {a}\n got {b}"

    def send(self, step: dict[str, Any]) -> Answer:
        path = step["path"]
        params = step.get("params")
        for old, new in self.names.items():
            path = path.replace(old, new)
        if params and params.get("digest") in self.names:
            params = {**params, "digest": self.names[params["digest"]]}
        target, body = f"/api2/json{path}", ""
        headers = self._credentials(step)
        if "json" in step:
            body, headers["content-type"] = json.dumps(step["json"]), "application/json"
        elif "form" in step:
            body = step["form"]
        elif params and step["method"] in ("POST", "PUT"):
            body = urlencode(params, doseq=True)
        elif params:
            target += "?" + urlencode(params, doseq=True)
        raw = body.encode()
        request = Request(step["method"], target, headers, len(raw), lambda: raw)
        return respond(request, lambda actor: Context(self.store, actor))

    def _credentials(self, step: dict[str, Any]) -> dict[str, str]:
        by = step.get("by")
        if not by:
            return {}
        if by.startswith("ticket:"):
            ticket, csrf = self.tickets[by.removeprefix("ticket:")]
            headers = {"cookie": f"PVEAuthCookie={quote(ticket)}"}
            return headers | ({"csrfpreventiontoken": csrf} if step.get("csrf", True) else {})
        known = self.secrets.get(by, ["unknown"])
        secret = {"wrong": "0", "previous": known[-2:][0]}.get(step.get("secret", ""), known[-1])
        return {"authorization": f"PVEAPIToken={by}={secret}"}

    def _learn(self, step: dict[str, Any], body: Any) -> None:
        """Secrets and tickets of answers; names that PVE made -> those made here."""
        wanted = (step.get("body") or {}).get("data")
        got = body["data"] if isinstance(body, dict) else None
        if isinstance(wanted, str) and isinstance(got, str) and wanted.startswith("UPID:"):
            self.names[wanted] = got
        if not isinstance(got, dict):
            return
        if isinstance(wanted, dict) and "digest" in wanted and "digest" in got:
            self.names[wanted["digest"]] = got["digest"]
        if "full-tokenid" in got:
            self.secrets.setdefault(got["full-tokenid"], []).append(got["value"])
        if "ticket" in got:
            user = step["params"]["username"]
            self.tickets[user] = (got["ticket"], got["CSRFPreventionToken"])

    def _task(self, step: dict[str, Any], body: Any) -> str:
        """How the task ended that the call started, where the recording tells."""
        if "task_exitstatus" not in step:
            return ""
        upid = body["data"]
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid)}/status"
        answer = self.send({"by": "root@pam!bootstrap", "method": "GET", "path": path})
        end = json.loads(answer.body)["data"].get("exitstatus")
        wanted = step["task_exitstatus"]
        return "" if end == wanted else f"task: want {wanted}\n got {end}"


def _value(value: Any, key: str, beside_figures: bool) -> Any:
    if isinstance(value, dict):
        return {
            name: _value(inner, name, beside_figures)
            for name, inner in value.items()
            if not beside_figures
            or name in _COMPARED_BESIDE_FIGURES
            or isinstance(inner, dict | list)
        }
    if isinstance(value, list):
        elements = [_value(inner, "", beside_figures) for inner in value]
        return sorted(elements, key=lambda inner: json.dumps(inner, sort_keys=True))
    if key in _ONLY_PRESENT:
        return "(present)"
    return _plain(value, key) if isinstance(value, str) else value


def _plain(text: str, key: str = "") -> str:
    if _UUID.fullmatch(text):
        return "(uuid)"
    task = _UPID.fullmatch(text)
    if task is not None:
        return f"(task {task[1]} {task[2]} {task[3]})"
    if key in _NAME_LISTS:
        return ",".join(sorted(filter(None, text.split(","))))
    text = _ONE_OF_MISSING.sub("missing value for required option (one of them)", text)
    text = _NEW_MAC.sub("(new MAC)", text)
    return re.sub(r"UPID:\S+", "(task)", _STAMP.sub("(time)", text))


def _file(name: str, text: str) -> Any:
    if name.endswith("token.cfg"):
        return sorted(line.split()[0] for line in text.split("\n") if line)
    if name.endswith("user.cfg"):
        return text
    sections: list[list[str]] = []
    for line in filter(str.strip, text.split("\n")):
        key, _, value = line.strip().partition(" " if line[0].isspace() else ": ")
        if line[0].isspace():
            sections[-1].append(f"{key} {_plain(value, key)}".rstrip())
        else:
            sections.append([f"{key}: {_plain(value)}"])
    return sorted(sections)
