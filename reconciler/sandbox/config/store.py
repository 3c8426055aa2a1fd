"""The folder laid out like /etc/pve: reading, locking, writing.

A file is parsed again only after a change by anyone. Writes are atomic and take a real lock beside
the folder, so several processes can serve the same folder.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from reconciler.access.table import AccessTable
from reconciler.real_path import real_path
from reconciler.sandbox.config import usercfg, userfile
from reconciler.sandbox.config.usercfg import UserConfig
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.grants import access_table
from reconciler.sandbox.release import answers_of

FILE_LIMIT = 1024 * 1024
"""The maximum size of a file in the cluster file system, in bytes."""

_TIME_STAMP_STEP = 20_000_000
"""Nanoseconds within which two changes of a file may get the same timestamp."""

T = TypeVar("T")
Stamp = tuple[int, int, int] | None


class Store:
    """One folder. `lock_wait`: seconds to wait for a lock held by another process. `task_time`:
    seconds that a task takes; 0: it ends within the call. `version`: of Proxmox VE, instead of the
    one in `sandbox.json`; raises UsageError if it is not valid.
    """

    def __init__(
        self, folder: Path, lock_wait: float = 0.0, task_time: float = 0.0, version: str = ""
    ) -> None:
        self.folder = real_path(folder)
        self.version, self.release = answers_of(self.folder, version)
        self.lock_wait = lock_wait
        self.task_time = task_time
        self._parsed: dict[tuple[str, Callable[[bytes], Any]], tuple[Stamp, Any]] = {}
        self._nodes: tuple[Stamp, list[str]] = (None, [])
        self._mutex = threading.RLock()
        self._depth = 0
        self._owner = 0
        self._descriptor = -1

    @property
    def node(self) -> str:
        """The local node: the first of them."""
        return self.nodes[0]

    @property
    def nodes(self) -> list[str]:
        """All nodes: the folders below nodes/, sorted."""
        stamp = _stamp(self.folder / "nodes")
        if self._nodes[0] == stamp is not None:
            return self._nodes[1]
        names = sorted(path.name for path in (self.folder / "nodes").glob("*") if path.is_dir())
        names = names or ["localhost"]
        if stamp is not None and time.time_ns() - stamp[0] > _TIME_STAMP_STEP:
            self._nodes = (stamp, names)
        return names

    def is_up(self, node: str) -> bool:
        """Whether a node exists and is up: `FOLDER.run/nodes/NAME.down` marks it as down. The local
        one never is.
        """
        if node == self.node:
            return True
        down = self.run_folder / "nodes" / f"{node}.down"
        return node in self.nodes and not down.exists()

    @property
    def is_quorate(self) -> bool:
        """Whether more than half of the nodes are up."""
        return sum(map(self.is_up, self.nodes)) * 2 > len(self.nodes)

    @property
    def run_folder(self) -> Path:
        """Runtime state: tasks, archives, disks, the state of guests."""
        return self.folder.with_name(f"{self.folder.name}.run")

    def beside(self, name: str) -> Path:
        """The folder for everything but the cluster configuration: next to it, hidden."""
        return self.folder.with_name(f".{self.folder.name}.{name}")

    def read(self, name: str) -> bytes:
        """The bytes of a file, empty if it does not exist."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return b""

    def parsed(self, name: str, parse: Callable[[bytes], T]) -> T:
        """The file, parsed. Shared between callers: never change it. A file changed a moment ago is
        not cached: another change could have the same timestamp.
        """
        stamp = _stamp(self.folder / name)
        key = (name, parse)
        known = self._parsed.get(key)
        if known is not None and known[0] == stamp:
            result: T = known[1]
            return result
        fresh = parse(self.read(name))
        if stamp is None or time.time_ns() - stamp[0] > _TIME_STAMP_STEP:
            self._parsed[key] = (stamp, fresh)
        return fresh

    def users(self) -> UserConfig:
        """user.cfg, shared: read-only."""
        return self.parsed("user.cfg", self._read_users).cfg

    def access(self) -> AccessTable:
        """The grants of user.cfg, shared: read-only."""
        return self.parsed("user.cfg", self._read_users).access

    def passed_over(self) -> tuple[tuple[int, str], ...]:
        """The parts of user.cfg that PVE skips: line numbers from 1, and what is skipped."""
        return self.parsed("user.cfg", self._read_users).passed_over

    def _read_users(self, raw: bytes) -> _Users:
        passed_over: list[tuple[int, str]] = []
        cfg = usercfg.parse(raw, lambda *one: passed_over.append(one), self.release)
        return _Users(cfg, access_table(cfg), tuple(passed_over))

    def write(self, name: str, data: bytes) -> None:
        """Replace a file; keys and files below priv/ are readable by the owner only."""
        path = self.folder / name
        if len(data) > FILE_LIMIT:
            raise died(f"unable to write '/etc/pve/{name}.tmp.{os.getpid()}' - File too large")
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if name.startswith("priv/") or name.endswith(".key") else 0o640
        new = path.with_name(f"{path.name}.tmp.{os.getpid()}.{threading.get_ident()}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
        new.replace(path)
        for key in [key for key in list(self._parsed) if key[0] == name]:
            self._parsed.pop(key, None)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """PVE's lock of one file. Locks of different files may be nested.

        A directory `priv/lock/file-NAME` means that it is held by another process.
        """
        label = "file-" + name.replace("/", "_").replace(".", "_")
        if not self.is_quorate:
            raise died(f"cfs-lock '{label}' error: no quorum!")
        deadline = time.monotonic() + self.lock_wait
        if not self._mutex_is_mine():
            self._wait(label, deadline)
        with self._mutex:
            self._enter()
            try:
                self._wait(label, deadline)
                yield
            finally:
                self._leave()

    def _mutex_is_mine(self) -> bool:
        return self._owner == threading.get_ident()

    def _wait(self, label: str, deadline: float) -> None:
        held = self.folder / "priv" / "lock" / label
        while held.exists():
            if time.monotonic() >= deadline:
                raise died(f"cfs-lock '{label}' error: got lock request timeout")
            time.sleep(0.02)

    def _enter(self) -> None:
        if self._depth == 0:
            self._descriptor = os.open(self.beside("lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._owner = threading.get_ident()
        self._depth += 1

    def _leave(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = 0
            os.close(self._descriptor)


@contextmanager
def locked(store: Store, name: str, failure: str = "") -> Iterator[None]:
    """Work under the lock of a file; any failure inside becomes a 500 that starts with `failure: `.
    PVE turns exceptions with a status into text there: `create pool failed: 403 Permission ...`.
    """
    try:
        with store.lock(name):
            yield
    except ApiError as refusal:
        prefix = f"{failure}: " if failure else ""
        raise ApiError(f"{prefix}{refusal}") from refusal


@contextmanager
def editing_users(store: Store, failure: str) -> Iterator[UserConfig]:
    """user.cfg, to be changed under its lock; written if the block ends without an error."""
    with locked(store, "user.cfg", failure):
        cfg = usercfg.parse(store.read("user.cfg"), release=store.release)
        yield cfg
        store.write("user.cfg", userfile.render(cfg))


class _Users(NamedTuple):
    cfg: UserConfig
    access: AccessTable
    passed_over: tuple[tuple[int, str], ...]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
