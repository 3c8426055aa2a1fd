"""Where secrets may come from and go to: names that a system can take, and no state file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.desired.secrets import resolve
from reconciler.errors import ExitStatus, SinkFailed
from reconciler.execution.secrets.delivery import deliver, probe, withdraw
from reconciler.model.secret import SecretRef, SecretSink
from tests.cli.site import Site

TOKEN, SECRET = "ci@pve!t1", "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize("name", ["a\0b", "\0", "", "\ud800"])
def test_a_name_that_no_system_takes_is_a_mistake(name: str) -> None:
    for kind, fields in ((SecretRef, ("env", "file")), (SecretSink, ("file", "keyring"))):
        for field in fields:
            with pytest.raises(ValidationError):
                kind.model_validate({field: name})
        with pytest.raises(ValidationError):
            kind.model_validate({"command": (name,)})
        with pytest.raises(ValidationError):
            kind.model_validate({"command": ()})
    with pytest.raises(ValidationError):
        SecretSink(env_file=name, variable="X")


@pytest.mark.parametrize(
    "line",
    [
        'password = { file = "a\\u0000b" }',
        'password = { command = ["sh", "a\\u0000b"] }',
        "password = { command = [] }",
        '[user."bot@pve".token.t1]\nsecret_to = { file = "a\\u0000b" }',
        '[user."bot@pve".token.t1]\nsecret_to = { command = ["a\\u0000b"] }',
        '[user."bot@pve".token.t1]\nsecret_to = { file = "a.toml" }',
        '[user."bot@pve".token.t1]\nsecret_to = { env_file = "./pvectl.toml", variable = "X" }',
    ],
)
def test_a_place_that_cannot_be_is_reported_with_its_line(line: str, site: Site) -> None:
    site.write("a.toml", f'[user."bot@pve"]\n{line}\n')
    for command in ("validate", "plan"):
        ended = site.run(command)
        assert ended.status == ExitStatus.FILES_INVALID, ended
        assert "a.toml:" in ended.err + ended.out
    assert site.untouched


@pytest.mark.parametrize("sink", ["state", "link"])
def test_no_secret_is_written_into_a_state_file(sink: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "a.toml").write_text("[group.ops]\n")
    (tmp_path / "link").symlink_to(state)
    for name in ("a.toml", "new.toml"):
        path = str(tmp_path / sink / name)
        for place in (SecretSink(env_file=path, variable="X"), SecretSink(file=path)):
            with pytest.raises(SinkFailed, match="it is a state file"):
                probe(place, state)
            with pytest.raises(SinkFailed, match="it is a state file"):
                deliver(place, state, TOKEN, SECRET)
    assert (state / "a.toml").read_text() == "[group.ops]\n"
    assert [path.name for path in state.iterdir()] == ["a.toml"]


def test_what_a_file_contains_by_now_is_not_undone(tmp_path: Path) -> None:
    sink = SecretSink(file="secret")
    deliver(sink, tmp_path, TOKEN, SECRET)
    (tmp_path / "secret").write_text("something of my own\n")
    withdraw(sink, tmp_path, TOKEN)
    assert (tmp_path / "secret").read_text() == "something of my own\n"
    deliver(sink, tmp_path, TOKEN, SECRET)
    withdraw(sink, tmp_path, TOKEN)
    assert not (tmp_path / "secret").exists()


def test_no_child_inherits_the_secret_of_pvectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_TOKEN_SECRET", "mine-alone")
    monkeypatch.setenv("OTHER", "kept")
    code = "import os; print(os.environ.get('PVECTL_TOKEN_SECRET', ''), os.environ['OTHER'])"
    ref = SecretRef(command=(sys.executable, "-c", code))
    assert resolve(ref, tmp_path, allow_commands=True).strip() == "kept"
    write = "import os; open('seen', 'w').write(str('PVECTL_TOKEN_SECRET' in os.environ))"
    deliver(SecretSink(command=(sys.executable, "-c", write)), tmp_path, TOKEN, SECRET)
    assert (tmp_path / "seen").read_text() == "False"


def test_a_command_is_named_with_all_its_arguments() -> None:
    command = ("vault", "kv", "get", "-field=x", "a b")
    assert str(SecretRef(command=command)).endswith("the command: vault kv get -field=x 'a b')")
    assert str(SecretSink(command=command)) == "the command: vault kv get -field=x 'a b'"
