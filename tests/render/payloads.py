"""Foreign text that tries to be more than text, and documents that hold it everywhere.

`documents` runs the commands themselves on a small cluster in which names, comments and files hold
MARKER, and keeps what each of them gives to be shown. `poisoned` puts a payload in its place. A new
document or format meets every payload as soon as it stands in `FORMATS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from pydantic import BaseModel

from reconciler.cli.terminal import output
from reconciler.model.finding import Finding
from reconciler.render import FORMATS
from reconciler.text.sanitize import clean
from tests.cli.in_process import ask
from tests.support.command import copy_fixture

MARKER = "marker"
"""What stands wherever a cluster or a file can put a text; it is a valid name in Proxmox VE."""

PAYLOADS: Mapping[str, str] = {
    "control characters": "\x00\x07\x08\x7f\x85",
    "line ends": "a\r\nb\u2028c\u2029d\x0be",
    "escape sequences": "\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example\x1b\\x\x9b31m",
    "bidirectional overrides": "\u202egnp.exe\u202c\u2066\u2069\u200f",
    "invisible letters": "a\u3164b\uffa0c\u115fd\u2800e\ufe0ff\u200bg",
    "lone surrogate": "\ud800",
    "HTML": "</script></style></code></td><img src=x onerror=alert(1)><script>alert(1)</script>",
    "HTML attributes": '" onmouseover="alert(1)" x=\'',
    "HTML comment": "<!-- --> ]]> <![CDATA[ <?xml ?>",
    "entities": "&lt;script&gt; &amp; &#60;b&#62;",
    "Markdown": "[a](https://evil.example) ![b](https://evil.example) **c** # d `e` ~~~ ``` | f |",
    "links": "https://evil.example www.evil.example eve@evil.example",
    "mentions": "@octocat @org/team #1 GH-1 org/repo#1 :tada:",
    "tables and blocks": "a | b \\| c\n| --- |\n```\n+ forged line\n</details>",
    "mathematics": "$$x$$ $`x`$",
    "template": "{{ 7*7 }} {% raw %} ${{ secrets.TOKEN }} ${HOME} %(x)s {0}",
    "formula": "=cmd|' /C calc'!A0",
    "formula after whitespace": " \t+1+1",
    "JSON": '","injected":true,"x":"',
    "metrics": 'x"} 1\nforged_metric{a="',
    "workflow commands": "\n::set-output name=x::y\n##vso[task.setvariable]x\n::error::z",
    "shell": "'; touch owned; $(touch owned) `touch owned`",
}

STATE = f"""
[role.{MARKER}]
privileges = ["VM.Audit", "Sys.Audit"]

[group.{MARKER}]
comment = "{MARKER}"

[user."{MARKER}@pve"]
comment = "{MARKER}"
groups = ["{MARKER}"]

[user."{MARKER}@pve".token.{MARKER}]
comment = "{MARKER}"
secret_to = {{ file = "secrets/{MARKER}" }}

[[acl]]
roles = ["{MARKER}"]
paths = ["/vms/100", "/pool/{MARKER}"]
groups = ["{MARKER}"]
tokens = ["{MARKER}@pve!{MARKER}"]

[backup.{MARKER}]
schedule = "daily"
guests = [9000, 9001]

[pool.{MARKER}]
comment = "{MARKER}"

[[expect]]
who = ["{MARKER}@pve!{MARKER}"]
paths = ["/vms/100"]
can = ["VM.Audit"]
cannot = ["VM.Allocate"]
"""
DRILL = f"""
[drill]
ids = "9900-9909"
storage = "local-lvm"
timeout = "1s"
[drill.guest.9001]
check = {{ command = ["sh", "-c", "echo {MARKER} >&2; exit 1"] }}
"""
UNDECLARED = (
    f"\nuser:evil-{MARKER}@pve:1:0::::{MARKER}::\n"
    f"group:evil-{MARKER}:evil-{MARKER}@pve:{MARKER}:\n"
    f"acl:1:/:@evil-{MARKER}:Administrator:\n"
)
BROKEN = f"""
[user."{MARKER}"]
{MARKER} = "{MARKER}"
groups = ["{MARKER}"]

[group.{MARKER}]
{MARKER} = 1
"""


class Shown(NamedTuple):
    """What a command gave to be shown, and who holds what before and after, where it said so."""

    content: Any
    access: Any


Documents = Mapping[str, list[Shown]]
"""Name of a document -> what commands gave to be shown"""


class _Recorder(Mapping[str, Callable[..., str]]):
    """The formats of a document; what is rendered is kept."""

    def __init__(self, name: str, found: dict[str, list[Shown]]) -> None:
        self._name, self._found, self._formats = name, found, FORMATS[name]

    def __getitem__(self, format_: str) -> Callable[..., str]:
        render = self._formats[format_]

        def keep(content: Any, view: Any) -> str:
            self._found.setdefault(self._name, []).append(Shown(content, view.access))
            return render(content, view)

        return keep

    def __iter__(self) -> Any:
        return iter(self._formats)

    def __len__(self) -> int:
        return len(self._formats)


def documents(folder: Path) -> Documents:
    """What the commands show on a small cluster; `folder` is empty."""
    found: dict[str, list[Shown]] = {}
    recorded = {name: _Recorder(name, found) for name in FORMATS}
    pve, state, wrong = copy_fixture("fresh", folder / "pve"), folder / "state", folder / "wrong"
    for path, text in ((state, STATE), (wrong, BROKEN)):
        path.mkdir()
        (path / "a.toml").write_text(text)
    (state / "pvectl.toml").write_text(DRILL)
    with (pve / "nodes/demo-felhom/lxc/9001.conf").open("a") as file:
        file.write(f"hookscript: local:snippets/{MARKER}\n")
    environment = {
        "PVECTL_HOME": str(folder / "home"),
        "PVECTL_RUN_URL": f"https://ci.example.com/{MARKER}",
    }
    with (
        mock.patch.object(output, "FORMATS", recorded),
        mock.patch.dict("os.environ", environment),
        contextlib.chdir(folder),
    ):
        _run(pve, state, wrong)
    return found


def _run(pve: Path, state: Path, wrong: Path) -> None:
    who, token = f"{MARKER}@pve", f"{MARKER}@pve!{MARKER}"
    ask("plan", "--format", "html=plan.html", on=pve, state=state)
    ask("validate", on=pve, state=wrong)
    ask("plan", "--format", "json=failed.json", on=pve, state=wrong)
    ask("bootstrap", "--token", token, on=pve, state=state)
    ask("apply", "--yes", on=pve, state=state)
    dump = pve.parent / "pve.run" / "storage" / "local" / "dump"
    dump.mkdir(parents=True)
    for guest in (9001, 9100):
        archive = dump / f"vzdump-lxc-{guest}-2026_01_01-02_30_00.tar"
        archive.write_bytes(bytes(99999))
        archive.with_name(f"{archive.name}.notes").write_text(MARKER)
    ask("backup", "status", on=pve, state=state)
    ask("backup", "run", MARKER, "--yes", on=pve, state=state)
    ask("drill", "--guest", "9001", "--yes", on=pve, state=state)
    with (pve / "user.cfg").open("a") as file:
        file.write(UNDECLARED)
    for words in (
        ("drift",),
        ("verify",),
        ("report",),
        ("log",),
        ("escalation",),
        ("explain", "E_LOCKED"),
        ("explain", "retention", MARKER),
        ("explain", who, "/vms/100", "VM.Allocate"),
        ("explain", token, "/vms/100", "VM.Audit"),
        ("explain", f"POST /nodes/{MARKER}/lxc vmid=100 pool={MARKER}", "--who", token),
        ("explain", who),
        ("who-can", "VM.Audit", "/vms/100"),
        ("graph",),
    ):
        ask(*words, on=pve, state=state)
    for journal in Path("home/journal").glob("*/*.jsonl"):
        ask("show", journal)
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    ask("status", on=pve, state=state)
    targets = state.parent / "targets"
    targets.mkdir()
    (targets / "pvectl.toml").write_text(f'[target."{MARKER}"]\nendpoint = "sandbox:{MARKER}"\n')
    ask("targets", state=targets)


def poisoned(value: Any, payload: str, marker: str = MARKER) -> Any:
    """The same value with `payload` in place of every `marker`, however deep it stands."""

    def again(one: Any) -> Any:
        return poisoned(one, payload, marker)

    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return value.replace(marker, payload)
    if isinstance(value, Mapping):
        return {again(key): again(one) for key, one in value.items()}
    if isinstance(value, Finding):  # a line end in a hint is ours: names in it are cleaned before
        hint = value.hint.replace(marker, clean(payload))
        return Finding(*(again(one) for one in value._replace(hint="")))._replace(hint=hint)
    if isinstance(value, tuple | list | set | frozenset):
        parts = [again(one) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return _copied(value, again)


def _copied(value: Any, again: Callable[[Any], Any]) -> Any:
    """A value of a class with fields, whatever its constructor asks; anything else as it is."""
    if isinstance(value, BaseModel):
        fields = {name: again(getattr(value, name)) for name in type(value).model_fields}
        return type(value).model_construct(**fields)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    elif isinstance(value, Exception):
        names = list(value.__dict__)
    else:
        return value
    copy = object.__new__(type(value)) if not isinstance(value, Exception) else _bare(value)
    for name in names:
        object.__setattr__(copy, name, again(getattr(value, name)))
    return copy


def _bare(error: Exception) -> Exception:
    return type(error).__new__(type(error))
