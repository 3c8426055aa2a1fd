"""The local lock of a cluster, and the fencing numbers that this machine has used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.atomic_write import atomic_write
from reconciler.errors import JournalFailed, Locked
from reconciler.execution.private_folder import make

PROBES, PROBE = 10, 0.02
"""How often the lock is tried, and seconds in between: a query holds it only for a moment."""


@contextlib.contextmanager
def local_lock(folder: Path, note: str = "") -> Iterator[Path]:
    """One run per cluster on this machine; the operating system releases it when the process dies.

    `note` tells others what is running, along with its process id. Yields the file that keeps the
    fencing numbers of this machine. Raises Locked, JournalFailed.
    """
    try:
        make(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(folder / "lock", flags, 0o600)
    except OSError as error:
        raise _failed(folder, error) from None
    try:
        if not _taken(descriptor):
            raise _locked(_note(descriptor))
        with contextlib.suppress(OSError):  # on a full disk the running process is not named
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, ", ".join(filter(None, (f"pid {os.getpid()}", note))).encode(), 0)
        yield folder / "fence"
    finally:
        os.close(descriptor)


def running(folder: Path) -> str:
    """The run of this machine that is writing to this cluster, in words; "" for none."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _note(descriptor)
    finally:
        os.close(descriptor)
    return ""


def refuse_running(folder: Path) -> None:
    """Raise Locked while another run of this machine writes."""
    note = running(folder)
    if note:
        raise _locked(note)


def _taken(descriptor: int) -> bool:
    for attempt in range(PROBES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(PROBE if attempt + 1 < PROBES else 0)
        else:
            return True
    return False


def _note(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace") or "just started"


def _locked(note: str) -> Locked:
    return Locked(
        f"another pvectl on this machine is writing to this cluster: running now, {note}",
        hint="wait for it, as with --lock-timeout 10m; `pvectl status` shows how far it is",
    )


def fences(file: Path) -> frozenset[int]:
    """The last fencing number of this machine, and the claims of its locks that may exist."""
    try:
        return frozenset(int(line) for line in file.read_text().splitlines())
    except (OSError, ValueError):
        return frozenset()


def remember_fences(file: Path, numbers: Iterable[int]) -> None:
    """Store the numbers, before the last one's lock is created; raises JournalFailed."""
    try:
        atomic_write(
            file, "".join(f"{number}\n" for number in numbers).encode(), private=True, follow=False
        )
    except OSError as error:
        raise _failed(file.parent, error) from None


def this_host() -> str:
    """What distinguishes this machine from others, including its clones."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()


def _failed(folder: Path, error: OSError) -> JournalFailed:
    return JournalFailed(
        f"{folder} cannot be written: {error.strerror}",
        hint="nothing was sent; free some space, or set PVECTL_HOME to another folder",
    )
