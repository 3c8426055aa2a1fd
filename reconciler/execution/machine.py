"""What this machine keeps about a cluster: who writes here, and the numbers of its locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.errors import JournalFailed, Locked


@contextlib.contextmanager
def local_lock(folder: Path) -> Iterator[Path]:
    """One run per cluster on this machine; the system drops it when the process dies.

    Yields the file that keeps the fencing numbers of this machine. Raises Locked, JournalFailed.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _failed(folder, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Locked(
                "another pvectl on this machine is writing to this cluster", hint="wait for it"
            ) from None
        yield folder / "fence"
    finally:
        os.close(descriptor)


def fences(file: Path) -> frozenset[int]:
    """The last fencing number of this machine, and the claims of its locks that may be there."""
    try:
        return frozenset(int(line) for line in file.read_text().splitlines())
    except (OSError, ValueError):
        return frozenset()


def remember_fences(file: Path, numbers: Iterable[int]) -> None:
    """Keep the numbers, before the lock of the last one is made; raises JournalFailed."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w") as new:
                new.writelines(f"{number}\n" for number in numbers)
                new.flush()
                os.fsync(new.fileno())
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _failed(file.parent, error) from None


def this_host() -> str:
    """What tells this machine from others, also from one that was copied from it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()


def _failed(folder: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"{folder} cannot be written: {error.strerror}",
        hint="nothing was sent; make room or set PVECTL_HOME to another folder",
    )
