"""One writer per cluster: a file lock on this machine, and a lock object in the cluster.

Proxmox VE has no compare-and-swap, but creating a group is atomic (POST /access/groups under the
cluster-wide lock of user.cfg). A lock is a group `pvectl-lock-N` whose comment tells owner, run and
end of the lease; N is the fencing number and only grows. Who has created one reads the list again:
if another live lock is there, the higher number withdraws at once and the lower one waits for that.
Two holders would each have had to read the list before the other one's creation, which is not
possible.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import Locked, RequestRefused, UnknownOutcome
from reconciler.execution.run import Clock
from reconciler.kinds.group import GROUPS, LOCK_PREFIX
from reconciler.model.api import Api
from reconciler.model.request import request

LEASE = 300.0
"""Seconds that a lock lives without being renewed; longer than any single write can take."""

PATIENCE = 10
"""How many seconds the lower of two fresh locks waits for the higher one to withdraw."""


class Holder(NamedTuple):
    """A lock object as it stands in the cluster; `until` in Unix seconds."""

    fence: int
    owner: str
    run: str
    until: float

    @property
    def group(self) -> str:
        return f"{LOCK_PREFIX}{self.fence}"

    def comment(self) -> str:
        """What the group's comment holds."""
        fields = {"owner": self.owner, "run": self.run, "until": int(self.until)}
        return "lock of pvectl " + json.dumps(fields, sort_keys=True)


def holders(api: Api) -> list[Holder]:
    """All lock objects, live and dead, lowest fencing number first."""
    found = []
    for row in api.get([GROUPS])[0]:
        number = row["groupid"].removeprefix(LOCK_PREFIX)
        if number != row["groupid"] and number.isdigit():
            found.append(_parse(int(number), row.get("comment") or ""))
    return sorted(found)


def _parse(fence: int, comment: str) -> Holder:
    """A comment that cannot be read counts as a lock that never ends: a person is to look at it."""
    try:
        fields = json.loads(comment[comment.index("{") :])
        return Holder(fence, str(fields["owner"]), str(fields["run"]), float(fields["until"]))
    except (ValueError, KeyError, TypeError):
        return Holder(fence, "unknown", "", float("inf"))


@dataclass(slots=True)
class ClusterLock:
    """A held lock; renew it before each write, release it at the end."""

    api: Api
    clock: Clock
    mine: Holder

    def renew(self) -> None:
        """Make sure that the lock is still ours and lives for another write; raises Locked."""
        now = self.clock.now()
        if self.mine.until - now > LEASE / 2:
            return
        there = {holder.fence: holder for holder in holders(self.api)}
        if self.mine.fence not in there or now >= self.mine.until:
            others = [h for h in there.values() if h.fence != self.mine.fence and h.until > now]
            if self.mine.fence not in there or others:
                raise Locked(
                    "the lock on the cluster was lost: the lease ended and somebody took it over",
                    hint="look at what they do, then: pvectl status",
                )
        self.mine = self.mine._replace(until=now + LEASE)
        self.api.send(
            request("PUT", "access", "groups", self.mine.group, comment=self.mine.comment())
        )

    def release(self) -> None:
        """Remove the lock object; an error leaves it to the end of its lease."""
        with contextlib.suppress(RequestRefused, UnknownOutcome):
            self.api.send(request("DELETE", "access", "groups", self.mine.group))


def acquire(api: Api, clock: Clock, owner: str, run: str, floor: int = 0) -> ClusterLock:
    """Take the cluster's lock; raises Locked with the owner, RequestRefused without the right.

    `floor`: the highest fencing number seen so far on this machine. Expired locks are taken over.
    """
    now = clock.now()
    there = holders(api)
    _refuse_if_live(there, now)
    fence = max([int(now), floor, *(holder.fence for holder in there)]) + 1
    mine = Holder(fence, owner, run, now + LEASE)
    try:
        api.send(request("POST", "access", "groups", groupid=mine.group, comment=mine.comment()))
    except RequestRefused as refused:
        if "already exists" in refused.reason:
            _refuse_if_live(holders(api), now)
            raise Locked("somebody else takes the lock at this moment", hint="try again") from None
        raise
    lock = ClusterLock(api, clock, mine)
    _make_sure(lock)
    for dead in there:
        with contextlib.suppress(RequestRefused):
            api.send(request("DELETE", "access", "groups", dead.group))
    return lock


def _refuse_if_live(there: list[Holder], now: float) -> None:
    for holder in there:
        if holder.until > now:
            left = "" if holder.until == float("inf") else f" for {int(holder.until - now)} s more"
            raise Locked(
                f"{holder.owner} holds the lock{left}" + (f" ({holder.run})" if holder.run else ""),
                hint=f"wait; if that run is dead for certain: pvectl unlock --fence {holder.fence}",
            )


def _make_sure(lock: ClusterLock) -> None:
    """Of two locks made at the same moment only one remains; raises Locked in the other run."""
    for _ in range(PATIENCE):
        now = lock.clock.now()
        there = holders(lock.api)
        rivals = [h for h in there if h.fence != lock.mine.fence and h.until > now]
        if lock.mine.fence not in {holder.fence for holder in there}:
            break
        if not rivals:
            return
        if any(rival.fence < lock.mine.fence for rival in rivals):
            break
        lock.clock.sleep(1.0)
    lock.release()
    raise Locked("somebody else took the lock at the same moment", hint="try again")


def unlock(api: Api, fence: int) -> Holder:
    """Remove one lock by its fencing number; raises Locked when it is not there."""
    for holder in holders(api):
        if holder.fence == fence:
            api.send(request("DELETE", "access", "groups", holder.group))
            return holder
    raise Locked(f"there is no lock with the number {fence}", hint="pvectl status shows the lock")


@contextlib.contextmanager
def local_lock(folder: Path) -> Iterator[Path]:
    """One run per cluster on this machine; the system drops it when the process dies.

    Yields the file that keeps the highest fencing number. Raises Locked.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def highest_fence(file: Path) -> int:
    """The highest fencing number that this machine has used."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def remember_fence(file: Path, fence: int) -> None:
    """Keep the number for the next run on this machine."""
    file.write_text(f"{fence}\n")
