"""What `import` writes declares exactly what was there, in few tables."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.export.toml_files import export, write_files
from reconciler.desired.loader import load
from reconciler.desired.toml.formatter import format_text
from reconciler.errors import UsageError
from reconciler.kinds import visible
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.model.spec import Spec
from tests.support.random_states import access_states


def loaded(files: Mapping[str, str], folder: Path) -> dict[Address, Spec]:
    """The objects that the files declare, as Proxmox VE would show them."""
    for name, text in files.items():
        (folder / name).write_text(text)
    desired = load(folder)
    assert [f for f in desired.findings if f.severity is Severity.ERROR] == []
    return {address: visible(address, spec) for address, spec in desired.state.items()}


def entry(text: str, *, propagate: bool = True) -> tuple[Address, Spec]:
    return Address("acl", text), AclSpec(propagate=propagate)


@settings(max_examples=150)
@given(access_states())
def test_loading_what_was_written_gives_the_same_objects(
    tmp_path_factory: pytest.TempPathFactory, state: dict[Address, Spec]
) -> None:
    exported = export(state)
    assert exported.findings == ()
    assert loaded(exported.files, tmp_path_factory.mktemp("state")) == state
    for text in exported.files.values():
        assert format_text(text) == text


def test_a_pair_on_two_paths_is_one_table(tmp_path: Path) -> None:
    state = dict(
        entry(f"{path}|{who}|Felhom")
        for path in ("/storage/local", "/vms/9001")
        for who in ("token:ctl@pve!ctl", "user:ctl@pve")
    )
    files = export(state).files
    assert files == {
        "access.toml": '[[acl]]\nroles = ["Felhom"]\npaths = ["/storage/local", "/vms/9001"]\n'
        'tokens = ["ctl@pve!ctl"]\n'
    }
    assert loaded(files, tmp_path) == state


def test_equal_grants_share_a_table(tmp_path: Path) -> None:
    state = dict(
        [
            entry("/|group:ops|PVEAuditor"),
            entry("/|user:a@pve|PVEAuditor"),
            entry("/vms/1000|user:a@pve|R", propagate=False),
            entry("/vms/1000|user:a@pve|S", propagate=False),
            entry("/vms/1000|token:b@pve!t1|R"),
            entry("/vms/1000|token:root@pam!t1|R"),
        ]
    )
    text = export(state).files["access.toml"]
    assert loaded({"access.toml": text}, tmp_path) == state
    assert text.count("[[acl]]") == 4
    assert text.count("pair = false") == 1


def test_tokens_stand_inside_of_their_user_even_where_that_is_not_declared(tmp_path: Path) -> None:
    state: dict[Address, Spec] = {
        Address("user", "root@pam"): UserSpec(keys=""),
        Address("token", "root@pam!ci"): TokenSpec(privsep=False),
        Address("user", "a@pve"): UserSpec(keys=""),
        Address("token", "a@pve!x1"): TokenSpec(comment="first"),
    }
    files = export(state).files
    assert files == {
        "users.toml": '[user."a@pve"]\n\n[user."a@pve".token.x1]\ncomment = "first"\n\n'
        '[user."root@pam".token.ci]\nprivsep = false\n'
    }
    del state[Address("user", "root@pam")]
    assert loaded(files, tmp_path) == state


def test_what_cannot_be_declared_is_left_out_and_named(tmp_path: Path) -> None:
    state: dict[Address, Spec] = dict(
        [
            entry("/dc/old|user:a@pve|PVEAuditor"),
            (Address("group", "g"), GroupSpec(comment="0")),
            (Address("group", "h"), GroupSpec()),
        ]
    )
    exported = export(state)
    assert {str(f.address) for f in exported.findings} == {
        "acl./dc/old|user:a@pve|PVEAuditor",
        "group.g",
    }
    assert loaded(exported.files, tmp_path) == {Address("group", "h"): GroupSpec()}


def test_files_are_never_overwritten(tmp_path: Path) -> None:
    assert [p.name for p in write_files({"a.toml": "x = 1\n"}, tmp_path / "new")] == ["a.toml"]
    with pytest.raises(UsageError, match=r"a\.toml"):
        write_files({"a.toml": "", "b.toml": ""}, tmp_path / "new")
    assert not (tmp_path / "new" / "b.toml").exists()


def test_on_a_full_disk_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").write_text("# mine\n")
    written: list[int] = []

    def full(_: int) -> None:
        written.append(1)
        if len(written) == 5:  # the third file; of each its folder, too
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_files({"a.toml": "x = 1\n", "b.toml": "", "c.toml": ""}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]
    assert (tmp_path / "a.toml").read_text() == "# mine\n"


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["/", "/vms/100", "/vms/101", "/storage/a"]),
            st.sampled_from(
                ["user:a@pve", "user:b@pve", "group:g", "token:a@pve!t1", "token:b@pve!t1"]
            ),
            st.sampled_from(["R", "S", "T"]),
        ),
        st.booleans(),
    )
)
def test_folded_grants_are_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[tuple[str, str, str], bool]
) -> None:
    state = {
        Address("acl", f"{path}|{who}|{role}"): AclSpec(propagate=flag)
        for (path, who, role), flag in entries.items()
    }
    files = export(state).files
    assert loaded(files, tmp_path_factory.mktemp("state")) == state
    assert json.dumps(files) == json.dumps(export(dict(reversed(state.items()))).files)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_full_disk_leaves_no_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an empty one nor the first of several; what was there stays as it was."""
    (tmp_path / "b.toml").write_text("# mine\n")
    synced = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == number:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    files = {"a.toml": "[group.a]\n", "b.toml": "[group.b]\n", "c.toml": "[group.c]\n"}
    with pytest.raises(UsageError, match="No space left on device"):
        write_files(files, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.toml"]
    assert (tmp_path / "b.toml").read_text() == "# mine\n"


def test_imported_files_are_there_with_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("# mine\n")
    (tmp_path / "b.toml").chmod(0o600)
    write_files({"a.toml": "[group.a]\n", "b.toml": "[group.b]\n"}, tmp_path)
    assert (tmp_path / "b.toml").read_text() == "# mine\n\n[group.b]\n"
    assert (tmp_path / "b.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.toml").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.toml", "b.toml"]
