"""Files that are written whole or not at all; devices, pipes and links stay what they are."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

_OPEN_FILES = ("/dev/fd/", "/dev/std", "/proc/")
"""Names of what a process has open: `/dev/stdout`, `/dev/fd/3`, `/proc/self/fd/3`."""

_MOST_LINKS = 40
"""Links that lead to a file, one after the other; Linux follows no more."""

_ROOM = 4096
"""Bytes that a trial writes, so that a full disk shows."""


def atomic_write(path: Path, data: bytes, *, private: bool = False, follow: bool = True) -> None:
    """Write a file; on the disk when this returns. Raises OSError, and then it is as it was.

    Links are followed, and what is not a regular file (a device, a pipe) is written in place; with
    `follow` False, for folders of pvectl's own, both are replaced. A new file gets the mode that
    the umask leaves, one that is there keeps mode and owner; a `private` file has mode 0600.
    """
    if follow:
        _refuse_planted(path)
    if follow and _is_in_place(path):
        _write_in_place(path, data)
        return
    if follow:
        path = Path(os.path.realpath(path))
    temporary = _write_beside(path, data, 0o600 if private else 0o666)
    try:
        if not private:
            _keep_mode(temporary, path)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_once(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 where there is none; one that is there, or that another process
    writes meanwhile, stays. Raises OSError."""
    temporary = _write_beside(path, data, 0o600)
    try:
        with suppress(FileExistsError):
            os.link(temporary, path, follow_symlinks=False)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def try_write(path: Path) -> None:
    """Find out whether `atomic_write` would succeed, and leave nothing behind; raises OSError.

    What is not a regular file is not opened: that alone would wake whoever reads from it.
    """
    _refuse_planted(path)
    if _is_in_place(path):
        if stat.S_ISDIR(path.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    path = Path(os.path.realpath(path))
    folder = next(parent for parent in path.parents if parent.exists())
    _write_beside(folder / path.name, b"\0" * _ROOM, 0o600).unlink()


def _refuse_planted(path: Path) -> None:
    """Raise PermissionError for a link or a pipe that another account made in a folder such as
    /tmp, as Linux does where it opens one itself (fs.protected_symlinks, proc_sys_fs(5))."""
    for _ in range(_MOST_LINKS):
        try:
            found, folder = os.lstat(path), path.parent.stat()
        except OSError:
            return
        shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
        if (
            shared
            and not stat.S_ISREG(found.st_mode)
            and found.st_uid not in {os.geteuid(), folder.st_uid}
        ):
            raise PermissionError(errno.EACCES, "another account made it", str(path))
        if not stat.S_ISLNK(found.st_mode):
            return
        path = path.parent / path.readlink()


def _is_in_place(path: Path) -> bool:
    """A regular file that a process has open, such as /dev/stdout, is not to be replaced either."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) or str(path.absolute()).startswith(_OPEN_FILES)


def _write_in_place(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb", 0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) or 0 :]


def _write_beside(path: Path, data: bytes, mode: int) -> Path:
    """A new file in the same folder, on the disk."""
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _keep_mode(temporary: Path, path: Path) -> None:
    """Owner before mode: a change of owner clears bits of the mode."""
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    new = temporary.stat()
    if os.geteuid() == 0 and (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(stat.S_IMODE(old.st_mode))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
