"""An embedded Proxmox VE for tests: a copy of a fixture, called without HTTP."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from reconciler.errors import RequestRefused
from reconciler.model.request import Request
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.settings import Settings

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
NOW = 1_795_491_600
"""Unix seconds; 2026-11-24 03:40:00 UTC, a Tuesday."""


def lay_out(fixture: str, work: Path) -> Path:
    """A fresh copy of a fixture, what runs on it beside it; the folder."""
    folder = work / "pve"
    shutil.copytree(FIXTURES / fixture, folder)
    beside = FIXTURES / f"{fixture}.run"
    if beside.exists():
        shutil.copytree(beside, work / "pve.run")
    return folder


class Pve:
    """Calls as one actor; `now` is its clock and may be moved. `task_time`: seconds of a task."""

    def __init__(self, tmp_path: Path, fixture: str = "fresh", task_time: float = 0.0) -> None:
        self.folder = lay_out(fixture, tmp_path)
        self.run = tmp_path / "pve.run"
        self.settings = Settings(lock_wait=0, task_time=task_time)
        self.now = NOW

    def call(self, method: str, path: str, /, actor: str = "root@pam", **params: Any) -> Any:
        """The answer's data. `_` in a parameter's name stands for `-`; `base_dn_` for itself."""
        api = SandboxApi(self.folder, actor, settings=self.settings, clock=lambda: self.now)
        given = tuple((_name(key), _value(value)) for key, value in params.items())
        request = Request(method, tuple(path.strip("/").split("/")), given)
        return api.get([request])[0] if method == "GET" else api.send(request)

    def get(self, path: str, /, actor: str = "root@pam", **params: Any) -> Any:
        return self.call("GET", path, actor, **params)

    def post(self, path: str, /, actor: str = "root@pam", **params: Any) -> Any:
        return self.call("POST", path, actor, **params)

    def put(self, path: str, /, actor: str = "root@pam", **params: Any) -> Any:
        return self.call("PUT", path, actor, **params)

    def delete(self, path: str, /, actor: str = "root@pam", **params: Any) -> Any:
        return self.call("DELETE", path, actor, **params)

    def refusal(self, method: str, path: str, /, actor: str = "root@pam", **params: Any) -> str:
        """`STATUS REASON`, with the complaints about parameters behind it."""
        try:
            answer = self.call(method, path, actor, **params)
        except RequestRefused as error:
            details = [f"{key}: {text.strip()}" for key, text in sorted(error.errors.items())]
            return "; ".join([f"{error.status} {error.reason}", *details])
        raise AssertionError(f"{method} {path} was not refused but answered {answer}")

    def ended(self, upid: str) -> str:
        """How a task ended, which must have ended by now."""
        node = upid.split(":")[1]
        return str(self.get(f"/nodes/{node}/tasks/{upid}/status")["exitstatus"])

    def log(self, upid: str) -> list[str]:
        node = upid.split(":")[1]
        return [row["t"] for row in self.get(f"/nodes/{node}/tasks/{upid}/log", limit=0)]

    def text(self, name: str) -> str:
        """A file below the folder, empty when it is not there."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def _name(key: str) -> str:
    return key.rstrip("_") if key.endswith("_") else key.replace("_", "-")


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else str(value)
