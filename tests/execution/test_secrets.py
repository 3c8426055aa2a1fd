"""Secrets come from references and go to sinks, and are seen nowhere else."""

from __future__ import annotations

import os
import stat
import sys
import types
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.desired.secrets import resolve
from reconciler.errors import SinkFailed
from reconciler.execution.secrets.delivery import deliver, probe, read_back, withdraw
from reconciler.model.secret import SecretRef, SecretSink

SECRET = "5f3c9a1e-0000-4000-8000-0ca9a47f0000"
TOKEN = "bot@pve!ci"
FILE = SecretSink(file="secrets/deep/bot")
LINE = SecretSink(env_file="conf/.env", variable="BOT")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


UUID = "1f0c1a2b-2222-4333-8444-555555555555"


def test_a_secret_of_the_environment_that_is_not_text_is_refused() -> None:
    with pytest.raises(SinkFailed, match="not UTF-8"):
        resolve(SecretRef(env="S"), Path(), environ={"S": os.fsdecode(b"\xff\xfe")})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (SecretRef, {"file": "a\0b"}),
        (SecretRef, {"command": ("sh", "a\0b")}),
        (SecretSink, {"file": "a\0b"}),
        (SecretSink, {"env_file": "a\0b", "variable": "X"}),
        (SecretSink, {"command": ("sh", "a\0b")}),
    ],
)
def test_a_nul_in_a_name_or_an_argument_is_a_mistake_in_the_files(
    model: type[SecretRef | SecretSink], fields: dict[str, object]
) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        model.model_validate(fields)


def test_a_secret_comes_from_the_environment() -> None:
    assert resolve(SecretRef(env="S"), Path(), environ={"S": SECRET}) == SECRET


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file_without_its_line_feed(tmp_path: Path, end: str) -> None:
    (tmp_path / "s").write_bytes(f"{SECRET}{end}".encode())
    assert resolve(SecretRef(file="s"), tmp_path) == SECRET


def test_a_secret_comes_from_a_command_that_is_allowed(tmp_path: Path) -> None:
    ref = SecretRef(command=python(f"print('{SECRET}')"))
    assert resolve(ref, tmp_path, allow_commands=True) == SECRET


def test_no_command_runs_while_planning(tmp_path: Path) -> None:
    ref = SecretRef(command=python("open('ran', 'w')"))
    with pytest.raises(SinkFailed, match="do not run while planning"):
        resolve(ref, tmp_path)
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "is empty"), (b"a\nb\n", "more than one line"), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_that_is_not_a_secret_is_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(SinkFailed, match=problem):
        resolve(SecretRef(file="s"), tmp_path)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import sys; print('canary'); sys.exit(3)", "exited with status 3"),
        ("import time; print('canary', flush=True); time.sleep(60)", "took longer"),
    ],
)
def test_a_failing_command_is_named_without_its_output(
    tmp_path: Path, code: str, problem: str
) -> None:
    ref = SecretRef(command=python(code))
    with pytest.raises(SinkFailed, match=problem) as caught:
        resolve(ref, tmp_path, allow_commands=True, timeout=0.5)
    assert "canary" not in repr(caught.value) + caught.value.hint
    assert caught.value.__context__ is None


def test_missing_sources_name_the_reference(tmp_path: Path) -> None:
    with pytest.raises(SinkFailed, match="NOT_SET"):
        resolve(SecretRef(env="NOT_SET"), tmp_path, environ={})
    with pytest.raises(SinkFailed, match="no-such-file"):
        resolve(SecretRef(file="no-such-file"), tmp_path)
    with pytest.raises(SinkFailed, match="no-such-program"):
        resolve(SecretRef(command=("no-such-program",)), tmp_path, allow_commands=True)


@pytest.mark.parametrize("sink", [FILE, LINE])
def test_a_probe_leaves_nothing_behind(tmp_path: Path, sink: SecretSink) -> None:
    probe(sink, tmp_path)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("sink", [FILE, LINE])
def test_a_delivered_secret_is_readable_by_its_owner_only(tmp_path: Path, sink: SecretSink) -> None:
    deliver(sink, tmp_path, TOKEN, SECRET)
    path = tmp_path / (sink.file or sink.env_file or "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_back(sink, tmp_path, TOKEN) == SECRET
    assert len(tree(tmp_path)) == len(path.relative_to(tmp_path).parts)


def test_a_new_secret_replaces_the_old_one_and_its_mode(tmp_path: Path) -> None:
    old = tmp_path / "bot"
    old.write_text("old and longer than the new one, by far, really")
    old.chmod(0o644)
    deliver(SecretSink(file="bot"), tmp_path, TOKEN, SECRET)
    assert old.read_text() == f"{SECRET}\n"
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


def test_other_lines_of_an_env_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "conf" / ".env"
    path.parent.mkdir()
    path.write_text("A=1\r\nexport BOT='old'\n# BOT=comment\nBOTTOM=2\nBOT=twice\nlast=3")
    deliver(LINE, tmp_path, TOKEN, SECRET)
    text = path.read_bytes().decode()
    assert text == f"A=1\r\nBOT={SECRET}\n# BOT=comment\nBOTTOM=2\nlast=3"
    withdraw(LINE, tmp_path, TOKEN)
    assert path.read_bytes().decode() == "A=1\r\n# BOT=comment\nBOTTOM=2\nlast=3"
    deliver(LINE, tmp_path, TOKEN, SECRET)
    assert path.read_bytes().decode().endswith(f"last=3\nBOT={SECRET}\n")


def test_withdrawing_removes_the_file(tmp_path: Path) -> None:
    deliver(FILE, tmp_path, TOKEN, SECRET)
    withdraw(FILE, tmp_path, TOKEN)
    withdraw(FILE, tmp_path, TOKEN)
    assert read_back(FILE, tmp_path, TOKEN) is None


@pytest.mark.parametrize("step", [probe, lambda sink, at: deliver(sink, at, TOKEN, SECRET)])
def test_symbolic_links_are_not_followed(tmp_path: Path, step: object) -> None:
    state, outside = tmp_path / "state", tmp_path / "outside"
    state.mkdir()
    outside.mkdir()
    (outside / "target").write_text("keep")
    (state / "link").symlink_to(outside / "target")
    (state / "folder").symlink_to(outside)
    for file in ("link", "folder/new"):
        with pytest.raises(SinkFailed) as caught:
            step(SecretSink(file=file), state)  # type: ignore[operator]
        assert SECRET not in f"{caught.value!r} {caught.value.hint}"
    assert tree(outside) == ["target"]
    assert (outside / "target").read_text() == "keep"


@pytest.mark.parametrize("file", ["there/x", ".", "folder"])
def test_a_place_that_cannot_be_written_is_found_before(tmp_path: Path, file: str) -> None:
    (tmp_path / "there").write_text("a file, no folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SinkFailed, match="cannot write the secret"):
        probe(SecretSink(file=file), tmp_path)


def test_a_command_gets_the_secret_on_standard_input(tmp_path: Path) -> None:
    code = "import os,sys; open('got','w').write(os.environ['PVECTL_TOKEN']+' '+sys.stdin.read())"
    sink = SecretSink(command=python(code))
    probe(sink, tmp_path)
    assert tree(tmp_path) == []
    deliver(sink, tmp_path, TOKEN, SECRET)
    assert (tmp_path / "got").read_text() == f"{TOKEN} {SECRET}"


def test_a_command_that_fails_does_not_show_the_secret(tmp_path: Path) -> None:
    sink = SecretSink(command=python("import sys; sys.exit(sys.stdin.read())"))
    with pytest.raises(SinkFailed, match="exited with status 1") as caught:
        deliver(sink, tmp_path, TOKEN, SECRET)
    assert SECRET not in f"{caught.value!r} {caught.value.hint}"
    assert caught.value.__context__ is None


def test_a_missing_command_is_found_before(tmp_path: Path) -> None:
    for name in ("no-such-program", "./no-such-script"):
        with pytest.raises(SinkFailed, match=name):
            probe(SecretSink(command=(name,)), tmp_path)


def test_a_missing_keyring_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SinkFailed) as caught:
        probe(SecretSink(keyring="pve"), tmp_path)
    assert "pip install 'pvectl[keyring]'" in caught.value.hint


def test_the_keyring_holds_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries: dict[tuple[str, str], str] = {}
    fake = types.SimpleNamespace(
        errors=types.SimpleNamespace(KeyringError=KeyError),
        set_password=lambda service, user, value: entries.update({(service, user): value}),
        get_password=lambda service, user: entries.get((service, user)),
        delete_password=lambda service, user: entries.pop((service, user)),
    )
    monkeypatch.setitem(sys.modules, "keyring", fake)
    sink = SecretSink(keyring="pve")
    probe(sink, tmp_path)
    assert entries == {}
    deliver(sink, tmp_path, TOKEN, SECRET)
    assert entries == {("pve", TOKEN): SECRET}
    assert read_back(sink, tmp_path, TOKEN) == SECRET
    withdraw(sink, tmp_path, TOKEN)
    assert read_back(sink, tmp_path, TOKEN) is None


@pytest.mark.parametrize("text", ["my notes\n", f"{UUID}\nand more\n", "\n# TODO\n"])
def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(SinkFailed, match="contains something other than a token secret") as caught:
        probe(SecretSink(file="x"), tmp_path)
    assert "move the file away" in caught.value.hint
    assert (tmp_path / "x").read_text() == text


@pytest.mark.parametrize("text", ["", "\n", UUID, f"{UUID}\n"])
def test_an_earlier_secret_may_be_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    probe(SecretSink(file="x"), tmp_path)
    deliver(SecretSink(file="x"), tmp_path, "bot@pve!ci", "new")
    assert (tmp_path / "x").read_text() == "new\n"
