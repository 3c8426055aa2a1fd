"""What is fuzzed: bytes -> a command that reads them, which must end with an error of its own.

Each target has a folder of seeds and of what once failed in `corpus/`. A target raises Failed for a
traceback; the fuzzer itself notices what hangs and what takes too much memory.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from reconciler.cli.app import run
from reconciler.errors import ExitStatus, UnexpectedAnswer
from reconciler.execution.journal.journal import START
from reconciler.live.answer_check import check_answer
from reconciler.model.request import Request
from reconciler.model.spec import canonical, digest

CORPUS = Path(__file__).parent / "corpus"
FIXTURE = Path(__file__).parents[1] / "data" / "fixtures" / "self-backup"

ACCEPTED = frozenset(ExitStatus) - {ExitStatus.BUG}


class Failed(AssertionError):
    """A command ended with a traceback, or with a status that is none of ours."""


@cache
def _folder() -> Path:
    """One folder for all runs of this process, in memory where the system has such a place."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="pvectl-fuzz-", dir=base))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("state", "other"):
        (folder / name).mkdir()
    shutil.copytree(FIXTURE, folder / "pve")
    return folder


def _command(*words: str) -> int:
    out, err = io.StringIO(), io.StringIO()
    os.environ.update(PVECTL_HOME=str(_folder() / "home"), CI="true")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(words)
    if status not in ACCEPTED:
        raise Failed(f"pvectl {' '.join(words)} ended with {status}: {err.getvalue()[-2000:]}")
    return int(status)


@contextlib.contextmanager
def _holding(path: Path, data: bytes) -> Any:
    """A file with this content for a while; what was there before comes back."""
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data)
    try:
        yield path
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def state_files(data: bytes) -> None:
    """A file of declared objects: checked, formatted and planned."""
    folder = _folder()
    state = str(folder / "state")
    with _holding(folder / "state" / "a.toml", data):
        valid = _command("validate", "--state", state) == ExitStatus.OK
        _command("fmt", "--check", "--state", state)
        if valid:
            _command("plan", "--state", state, "--against", str(folder / "other"))


def settings(data: bytes) -> None:
    """A pvectl.toml."""
    folder = _folder()
    with _holding(folder / "state" / "pvectl.toml", data):
        _command("validate", "--state", str(folder / "state"))


CONFIGS = ("user.cfg", "domains.cfg", "storage.cfg", "jobs.cfg", "vzdump.cron", "priv/tfa.cfg")


def config_files(data: bytes) -> None:
    """A file of /etc/pve, which one its first byte says: planned against, and imported."""
    folder = _folder()
    name = CONFIGS[data[0] % len(CONFIGS)] if data else CONFIGS[0]
    target = f"sandbox:{folder / 'pve'}"
    (folder / "pve" / name).parent.mkdir(exist_ok=True)
    with _holding(folder / "pve" / name, data[1:]):
        shutil.rmtree(folder / "new", ignore_errors=True)
        _command("import", "--out", str(folder / "new"), "--on", target)
        if (folder / "new").is_dir():
            _command("plan", "--state", str(folder / "new"), "--on", target)


def saved_plans(data: bytes) -> None:
    """A plan file as it is, and with its digests made to fit."""
    path = _folder() / "plan.json"
    for content in (data, _sealed(data)):
        if content is not None:
            with _holding(path, content):
                _command("show", str(path), "--format", "text", "--format", "html")


def _sealed(data: bytes) -> bytes | None:
    try:
        content = json.loads(data)
        content.pop("seal", None)
        content["digest"] = digest(content["plan"])
        return canonical({**content, "seal": digest(content)}) + b"\n"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def journals(data: bytes) -> None:
    """A journal as it is, and with its hashes made to fit."""
    path = _folder() / "journal.jsonl"
    for content in (data, _chained(data)):
        if content is not None:
            with _holding(path, content):
                _command("show", str(path))


def _chained(data: bytes) -> bytes | None:
    import hashlib

    lines, before = [], START
    try:
        for number, line in enumerate(data.splitlines()):
            given = json.loads(line)
            body = {"n": number, "event": given["event"], "data": given["data"]}
            hashed = hashlib.sha256(before.encode() + canonical(body)).hexdigest()
            lines.append(canonical({**body, "before": before, "hash": hashed}) + b"\n")
            before = hashed
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return b"".join(lines)


VALUES: tuple[Any, ...] = (
    *(None, "", "x", 0, 1, -1, 10**30, 1.5, True, [], {}, [[]], {"a": 1}, "1", "0,1", "a b"),
    *("../../x", "a|b:c", "\ud800", "\x1b[2J", "a\nb", "=1+1", "<b>", "root@pam", "/", "VM.Audit"),
)


def _altered(answer: Any, program: bytes) -> Any:
    """Each two bytes: a place in the answer, counted through, and one of VALUES."""
    for place, value in zip(program[::2], program[1::2], strict=False):
        places = list(_places(answer))
        if not places:
            return copy.deepcopy(VALUES[value % len(VALUES)])
        within, key = places[place % len(places)]
        within[key] = copy.deepcopy(VALUES[value % len(VALUES)])
    return answer


def _places(answer: Any) -> Iterator[tuple[Any, Any]]:
    keys = (
        list(answer)
        if isinstance(answer, dict)
        else range(len(answer))
        if isinstance(answer, list)
        else ()
    )
    for key in keys:
        yield answer, key
        yield from _places(answer[key])


READS = (
    "access/acl",
    "access/domains",
    "access/groups",
    "access/permissions",
    "access/roles",
    "access/users",
    "cluster/backup",
    "cluster/resources",
    "nodes",
    "pools",
    "storage",
    "version",
)


READING = (
    ("plan",),
    ("drift",),
    ("report",),
    ("status",),
    ("verify",),
    ("backup", "status"),
    ("escalation",),
    ("explain", "root@pam", "/vms/9001"),
    ("who-can", "VM.Audit", "/"),
    ("import", "--out", "NEW"),
)
"""Commands that read; each with its own part of the answers."""


def answers(data: bytes) -> None:
    """An answer of the API, to which read its first byte says, and in which command: refused, or
    worked with.

    Input that is not JSON selects positions in a recorded answer, and their replacements.
    """
    from reconciler.sandbox.http.direct import SandboxApi

    data = data or b"\0"
    target = READS[data[0] % len(READS)]
    words = READING[data[0] // len(READS) % len(READING)]
    try:
        json.loads(data[1:])
    except (ValueError, RecursionError):
        recorded = json.loads((CORPUS / "answer" / target.replace("/", "-")).read_bytes()[1:])
        data = data[:1] + json.dumps(_altered(recorded, data[1:])).encode()
    asked = Request("GET", tuple(target.split("/")))
    answer = json.loads(data[1:])
    try:
        check_answer(asked, answer)
    except UnexpectedAnswer:
        return
    folder, usual = _folder(), SandboxApi.get

    def get(api: SandboxApi, requests: Any) -> list[Any]:
        return [
            json.loads(data[1:]) if one.target == f"/{target}" else found
            for one, found in zip(requests, usual(api, requests), strict=True)
        ]

    with mock.patch.object(SandboxApi, "get", get):
        shutil.rmtree(folder / "new", ignore_errors=True)
        given = [word.replace("NEW", str(folder / "new")) for word in words]
        _command(*given, "--state", str(folder / "state"), "--on", f"sandbox:{folder / 'pve'}")


def reviews(data: bytes) -> None:
    """The JSON of an access review, compared with the cluster as it is.

    Input that is not JSON selects positions in a review, and their replacements.
    """
    folder = _folder()
    target = f"sandbox:{folder / 'pve'}"
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        review = json.loads((CORPUS / "review" / "self-backup").read_bytes())
        data = json.dumps(_altered(review, data)).encode()
    with _holding(folder / "review.json", data) as path:
        _command("report", "--since", str(path), "--on", target)


def grants(data: bytes) -> None:
    """A grants.toml, as `revoke` and a second `grant` read it; nothing is granted."""
    folder = _folder()
    on = ("--state", str(folder / "state"), "--on", f"sandbox:{folder / 'pve'}")
    with _holding(folder / "state" / "grants.toml", data) as path:
        _command("grant", *GRANT, "--for", "4h", "--reason", "x", *on)
        if path.read_bytes() != data:
            raise Failed("grants.toml is another one although nothing was granted")
        _command("revoke", *GRANT, *on)


GRANT = ("ctl@pve", "PVEAuditor", "/vms/9001")


def refusals(data: bytes) -> None:
    """A pasted refusal, as `explain` takes one."""
    text = data.decode("utf-8", "replace").replace("\0", "")
    if text.startswith("-"):
        return
    target = f"sandbox:{_folder() / 'pve'}"
    _command("explain", text, "--who", "root@pam", "--on", target)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "state": state_files,
    "settings": settings,
    "config": config_files,
    "plan": saved_plans,
    "journal": journals,
    "answer": answers,
    "refusal": refusals,
    "review": reviews,
    "grants": grants,
}
"""Name -> what is done with the bytes; each has a folder of that name in `corpus/`."""
