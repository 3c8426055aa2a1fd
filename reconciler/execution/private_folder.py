"""Folders that only this account can write to: created 0700, refused where others could write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.errors import UsageError

MODE = 0o700
HINT = "set PVECTL_HOME to a folder that only you can write to"

_inspected: dict[str, tuple[int, int, int]] = {}
"""The folders whose content this process has seen: device, inode and time of the last change. No
other account can change what is in them meanwhile."""


def make(folder: Path) -> None:
    """Create a folder and its missing parents, each with mode 0700. Raises OSError."""
    for part in reversed((folder, *folder.parents)):
        if not part.exists():
            part.mkdir(MODE, exist_ok=True)
            part.chmod(MODE)  # a umask may have removed too much


def check(top: Path, folder: Path) -> None:
    """Make sure that `top`, and `folder` below it with its content, belong to this account and are
    closed to others; missing ones are fine. Raises UsageError.

    `top` itself may be a link made by this account or root; below it, links are refused.
    """
    for above in top.parents:
        _refuse_open(above)
    if top.is_symlink() and os.lstat(top).st_uid not in (0, os.geteuid()):
        raise _refusal(top, "is a link that another account made")
    parts = [part for part in (folder, *folder.parents) if part.is_relative_to(top)]
    for part in reversed(parts):
        try:
            found = top.stat() if part == top else os.lstat(part)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _refusal(part, f"cannot be inspected: {error.strerror}") from None
        if not stat.S_ISDIR(found.st_mode):
            raise _refusal(part, "is not a folder")
        _refuse_others(part, found)
        _close(part, found)
        _inspect(part, (found.st_dev, found.st_ino, found.st_ctime_ns))


def _inspect(part: Path, change: tuple[int, int, int]) -> None:
    """Refuse a folder with content of others; its content is looked at once for each change."""
    if _inspected.get(str(part)) == change:
        return
    for entry in _entries(part):
        with suppress(FileNotFoundError):  # another run has just put it in its place
            _refuse_others(Path(entry.path), entry.stat(follow_symlinks=False))
    _inspected[str(part)] = change


def check_file(path: Path) -> None:
    """Raise UsageError for a file that belongs to another account, since its content would be
    executed.
    """
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise UsageError(
            f"{path} belongs to user id {owner}, not to {os.geteuid()}, who runs pvectl",
            hint="a journal decides what is sent and run, so only its owner may resume it",
        )


def _refuse_open(above: Path) -> None:
    """Raise UsageError for a parent folder in which others could replace ours."""
    try:
        mode = above.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise _refusal(above, "is writable by every account")


def _refuse_others(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _refusal(path, "is a link")
    if found.st_uid != os.geteuid():
        raise _refusal(path, f"belongs to user id {found.st_uid}, not to {os.geteuid()}")


def _close(part: Path, found: os.stat_result) -> None:
    if stat.S_IMODE(found.st_mode) & 0o077:
        try:
            part.chmod(MODE)
        except OSError as error:
            raise _refusal(part, f"is open to others: {error.strerror}") from None


def _entries(part: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(part) as found:
            yield from found
    except OSError as error:
        raise _refusal(part, f"cannot be read: {error.strerror}") from None


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} {why}: pvectl refuses to use it", hint=HINT)
