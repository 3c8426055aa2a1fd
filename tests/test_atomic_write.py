"""Files appear whole; what is not a regular file stays what it is."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from reconciler.atomic_write import atomic_write, try_write


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "real", tmp_path / "link"
    target.write_text("old")
    link.symlink_to("there/real")
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("real")
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_link_in_a_folder_of_our_own_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    atomic_write(link, b"new", private=True, follow=False)
    assert not link.is_symlink()
    assert target.read_text() == "old"


def test_a_pipe_is_written_in_place(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    try_write(pipe)  # would hang if it opened it
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, b"x" * 200_000)
    reader.join()
    assert got == [b"x" * 200_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/null", "link"])
def test_a_device_is_written_in_place(tmp_path: Path, name: str) -> None:
    device = tmp_path / name
    if name == "link":
        device.symlink_to("/dev/null")
    before = Path("/dev/null").lstat()
    try_write(device)
    atomic_write(device, b"gone")
    after = Path("/dev/null").lstat()
    assert (after.st_ino, after.st_rdev, after.st_mode) == (
        before.st_ino,
        before.st_rdev,
        before.st_mode,
    )


def test_a_full_device_says_so() -> None:
    with pytest.raises(OSError, match="No space left"):
        atomic_write(Path("/dev/full"), b"x")


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (lambda: atomic_write(path, b"new"), lambda: try_write(path)):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = os.umask(0o027)
    try:
        atomic_write(path, b"")
        assert mode(path) == 0o640
        path.chmod(0o604)
        atomic_write(path, b"")
        assert mode(path) == 0o604
        atomic_write(path, b"", private=True)
        assert mode(path) == 0o600
    finally:
        os.umask(before)


def test_a_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    try_write(tmp_path / "new" / "deeper" / "a")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "a"):
        with pytest.raises(OSError, match="directory"):
            try_write(path)


def test_what_a_process_has_open_is_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as opened:
        inode = (tmp_path / "out").stat().st_ino
        atomic_write(Path(f"/dev/fd/{opened.fileno()}"), b"said")
    assert (tmp_path / "out").stat().st_ino == inode
    assert (tmp_path / "out").read_text() == "said"


@pytest.mark.parametrize("kind", ["link", "pipe", "link to a link"])
def test_what_another_account_planted_in_a_shared_folder_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root into /tmp, where somebody made a link of the name to a file of root's."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    planted = Path(tempfile.gettempdir()) / f"pvectl-{os.getpid()}-{kind.replace(' ', '-')}"
    name = planted
    if kind == "pipe":
        os.mkfifo(planted)
    else:
        planted.symlink_to(precious)
    if kind == "link to a link":
        name = tmp_path / "own"
        name.symlink_to(planted)
    try:
        atomic_write(tmp_path / "other", b"")  # our own links, and files elsewhere, are fine
        if os.geteuid() == 0:
            os.chown(planted, 54_321, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        for work in (lambda: atomic_write(name, b"new"), lambda: try_write(name)):
            with pytest.raises(PermissionError, match="another account made it"):
                work()
    finally:
        planted.unlink()
    assert precious.read_text() == "kept"
