"""Commands that only ask, run in this process and without any network."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from tests.support.built_once import run
from tests.support.command import Ended


def ask(*arguments: object, on: Path | None = None, state: Path | None = None) -> Ended:
    """`on`: a folder laid out like /etc/pve."""
    given = [str(argument) for argument in arguments]
    given += ["--on", f"sandbox:{on}"] if on else []
    given += ["--state", str(state)] if state else []
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(given)
    return Ended(int(status), out.getvalue(), err.getvalue())


def ask_json(*arguments: object, on: Path | None = None, state: Path | None = None) -> Any:
    """The same, as programs read it."""
    ended = ask(*arguments, "--format", "json", on=on, state=state)
    assert ended.out, ended
    return json.loads(ended.out)
