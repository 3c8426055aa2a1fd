"""Few lines that stand for far too much: told with their place, in no time and little memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from reconciler.desired.loader import load
from tests.support.command import PVECTL, environment

MEMORY = 768 * 1024 * 1024
"""Bytes of address space that a command may take here."""


def listed(name: str, texts: list[str]) -> str:
    return f"{name} = {json.dumps(texts)}\n"


NUMBERS = range(300)
GRANT = (
    "[[acl]]\n"
    + listed("roles", [f"r{n}" for n in NUMBERS])
    + listed("paths", [f"/vms/{n + 100}" for n in NUMBERS])
    + listed("users", [f"u{n}@pve" for n in NUMBERS])
)
SETTINGS = '[target]\nendpoint = "sandbox:pve"\n[target.vars]\n'
LONG = 'v = "' + "x" * 2000 + '"\n'
LIST = listed("v", [f"u{n}@pve" for n in range(2000)])
HALF = "".join(
    f'[[acl]]\nroles = ["PVEAdmin"]\npaths = ["/vms/{n}"]\n'
    + listed("users", [f"u{k}@pve" for k in range(1000)])
    for n in range(100, 202)
)
BOMBS = {
    "entries": (GRANT, "", "a.toml:1:", "expands to 27,000,000 entries"),
    "many tables": (HALF, "", "a.toml:401:", "more than 100,000 objects from here on"),
    "text": (f'[group.g]\ncomment = "{"${v}" * 1000}"\n', LONG, "a.toml:2:", "more than 1024 KiB"),
    "names": (
        "".join(f'[group."{n}-${{v}}"]\n' for n in range(1000)),
        LONG,
        "a.toml:521:",
        "more than 1024 KiB",
    ),
    "lists": (
        '[user."a@pve"]\n' + listed("groups", ["${v}"] * 1000),
        LIST,
        "a.toml:2:",
        "more than 1024 KiB",
    ),
    "deep": (f"[group.g]\ncomment = {'[' * 450}{']' * 450}\n", "", "a.toml:2:", "50 deep"),
    "deeper": (f"[group.g]\ncomment = {'[' * 9999}{']' * 9999}\n", "", "a.toml:2:", "50 deep"),
    "tables": (f"[group.g]\nx = {'{a = ' * 400}1{'}' * 400}\n", "", "a.toml:2:", "50 deep"),
    "dotted": (f"[group.g]\n{'.'.join('a' * 3000)} = 1\n", "", "a.toml", "50 deep"),
    "digits": (f'[user."a@pve"]\nexpires = {"9" * 5000}\n', "", "a.toml:2:", "64 bits"),
    "hexadecimal": (f'[user."a@pve"]\nexpires = 0x{"f" * 5000}\n', "", "a.toml:2:", "64 bits"),
    "65 bits": ('[user."a@pve"]\nexpires = 18446744073709551616\n', "", "a.toml:2:", "64 bits"),
    "questions": (
        "[[expect]]\n"
        + listed("who", [f"u{n}@pve" for n in NUMBERS])
        + listed("paths", [f"/vms/{n + 100}" for n in NUMBERS])
        + 'can = ["VM.Audit", "VM.Backup"]\n',
        "",
        "a.toml:1:",
        "more than 100,000 combinations",
    ),
    "templates": (
        "".join(f"[[{'each.' * n}each]]\n" + listed(f"v{n}", ["x"] * 300) for n in range(3))
        + "[each.each.each.group.g]\n",
        "",
        "a.toml:5:",
        "more than 10,000 times from here on",
    ),
    "a long template": (
        "[[each]]\n"
        + listed("v", [str(n) for n in range(9000)])
        + f'[each.group."g${{v}}"]\ncomment = "{"x" * 5000}"\n',
        "",
        "a.toml:1:",
        "more than 8 MiB",
    ),
    "a long value": (
        "[[each]]\n"
        + listed("v", ["x" * 50_000] * 10)
        + "[each.group.g]\n"
        + 'comment = "'
        + "${v}" * 5000
        + '"\n',
        "",
        "a.toml:4:",
        "more than 8 MiB",
    ),
    "slips": ("[group.g]\nx = \n" * 5000, "", "a.toml:2:", "not a valid value"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_reported_with_its_place(name: str, tmp_path: Path) -> None:
    text, variables, place, words = BOMBS[name]
    state = tmp_path / "state"
    state.mkdir()
    (state / "a.toml").write_text(text)
    (state / "pvectl.toml").write_text(SETTINGS + variables)
    ended = subprocess.run(
        [PVECTL, "validate"],
        cwd=tmp_path,
        env=environment({"PVECTL_HOME": str(tmp_path / "home")}),
        capture_output=True,
        timeout=30,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    said = ended.stdout.decode() + ended.stderr.decode()
    assert ended.returncode == 3, said[-2000:]
    assert [line for line in said.splitlines() if line.startswith(place) and words in line], said


@pytest.mark.parametrize(
    "text",
    ['["{}"]\n', "{} = 1\n", '[[acl]]\npaths=["{}"]\nroles=["PVEAuditor"]\nusers=["a@pve"]\n'],
)
def test_what_a_mistake_quotes_is_shortened(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text.replace("{}", "k" * 100_000))
    (finding,) = load(tmp_path).findings
    assert "characters)" in finding.message
    assert len(finding.message) < 1100


def test_settings_are_bounded_as_well(tmp_path: Path) -> None:
    (tmp_path / "pvectl.toml").write_text(f"[limits]\ntotal = {'9' * 5000}\n")
    ended = subprocess.run(
        [PVECTL, "validate", "--state", tmp_path],
        env=environment({}),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 3
    assert b"pvectl.toml:2:" in ended.stderr + ended.stdout


def test_a_file_that_never_ends_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.toml")
    (tmp_path / "c.toml").write_text("# " + "x" * 8 * 1024 * 1024)
    found = {f.source.file: f.message for f in load(tmp_path).findings if f.source}
    assert "not a regular file" in found["a.toml"]
    assert "not a regular file" in found["b.toml"]
    assert found["c.toml"] == "the file has more than 8 MiB"


def test_what_is_usual_is_not_a_bomb(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[acl]]\nroles = ["PVEVMUser"]\n'
        + listed("paths", [f"/vms/{n + 100}" for n in range(200)])
        + listed("users", [f"u{n}@pve" for n in range(200)])
    )
    assert "TOO_LARGE" not in {f.code for f in load(tmp_path).findings}
    assert len(load(tmp_path).objects) == 40_000
