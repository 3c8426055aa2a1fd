"""One writer per cluster: a file lock on this machine, and a lock object in the cluster.

Proxmox VE has no compare-and-swap, but creating a group is atomic (POST /access/groups under the
cluster-wide lock of user.cfg). A lock is a group `pvectl-lock-CLAIM` whose comment holds owner, run
and end of the lease. After creating one, a run reads the list again: if another live lock exists,
the higher claim withdraws at once and the lower one waits for that. Two holders would each have had
to read the list before the other's creation, which is impossible. Only a run that certainly holds
the lock takes a fencing number and writes it into the comment, so the numbers grow from one holder
to the next.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import (
    JournalFailed,
    Locked,
    PvectlError,
    Refused,
    RequestRefused,
    UnknownOutcome,
    Unreachable,
)
from reconciler.execution.journal.journal import Journal
from reconciler.execution.journal.store import abandon
from reconciler.execution.lock.lease import LEASE, LOOK, PATIENCE, RESERVED, TRIES, lease_ended
from reconciler.execution.lock.local import fences, local_lock, remember_fences, this_host
from reconciler.execution.lock.record import (
    comment,
    known_as,
    lock_records,
    records_in,
    remove,
)
from reconciler.execution.lock.refusals import not_finalised, reject_live
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import SETTLE
from reconciler.execution.run.look import Clock
from reconciler.kinds.group import GROUPS
from reconciler.kinds.kind import Answers
from reconciler.model.api import Api
from reconciler.model.request import Request, request
from reconciler.model.run import LockRecord
from reconciler.model.run_state import OVERTAKEN


class Writer(NamedTuple):
    """The holder of a lock as others see it: a person or account on a machine, and the URL of the
    CI run, if any.
    """

    owner: str
    run: str = ""


@dataclass(slots=True)
class ClusterLock:
    """A held lock: renew it before each write, release it at the end.

    Its state is read again when the last read is older than `LOOK`. Code that reads the cluster
    anyway may add `questions` and `note` their answers, so that a write need not wait for them.
    """

    api: Api
    clock: Clock
    mine: LockRecord
    taken_over: tuple[LockRecord, ...] = ()
    """locks of dead runs that were removed"""
    tell: Callable[[str], None] = lambda _: None
    """hears what is waited for"""
    looked: float = float("-inf")
    """when the last look at the lock began (Unix seconds)"""

    def renew(self) -> None:
        """Make sure that the lock is still held and outlasts another write; raises Locked."""
        if not self._is_fresh(LOOK):
            began = self.clock.now()
            self._check(lock_records(self.api), began)
        now = self.clock.now()
        if self.mine.until - now <= LEASE / 2:
            self._extend(now)

    @property
    def questions(self) -> tuple[Request, ...]:
        """The reads whose answers `note` accepts at the next opportunity."""
        return () if self._is_fresh(LOOK / 2) else (GROUPS,)

    def note(self, answers: Answers, began: float) -> None:
        """Check the lock in answers read from `began` on (Unix seconds); raises Locked."""
        if GROUPS in answers:
            self._check(records_in(answers[GROUPS]), began)

    def _is_fresh(self, seconds: float) -> bool:
        return 0 <= self.clock.now() - self.looked < seconds

    def _check(self, found: Iterable[LockRecord], began: float) -> None:
        there = {holder.claim: holder for holder in found}
        now = self.clock.now()
        rivals = [h for h in there.values() if h.claim != self.mine.claim and h.until > now]
        if self.mine.claim not in there or (now >= self.mine.until and rivals):
            raise Locked(
                "the cluster lock was lost: its lease ended and another run took it over",
                hint="check what that run does, then run `pvectl status`",
            )
        self.looked = began

    def number(self, known: Iterable[int]) -> int:
        """Take a number above all known ones, once no other run can."""
        now = self.clock.now()
        fence = max([int(now * 1000), *known]) + 1
        mine = self.mine._replace(fence=fence, until=now + LEASE)
        self._write(mine)
        self.mine = mine
        return fence

    def _write(self, mine: LockRecord) -> None:
        put = request("PUT", "access", "groups", mine.group, comment=comment(mine))
        self.api.send(put)

    def _extend(self, now: float) -> None:
        """Extend the lease; a failure is harmless while the old lease lasts."""
        longer = self.mine._replace(until=now + LEASE)
        try:
            self._write(longer)
        except (RequestRefused, UnknownOutcome, Unreachable) as error:
            if self.mine.until - self.clock.now() > RESERVED:
                return
            raise Locked(
                f"the cluster lock cannot be renewed: {error.summary}",
                hint="when that is fixed, run `pvectl status`",
            ) from None
        self.mine = longer

    def release(self) -> None:
        """Remove the lock object; on an error it remains until its lease ends."""
        with contextlib.suppress(PvectlError), foreseen():
            remove(self.api, self.mine)

    def expire(self) -> None:
        """End the lease but keep the lock object: while it exists, no other run has written."""
        with contextlib.suppress(PvectlError):
            self._write(self.mine._replace(until=self.clock.now()))


class Ahead(NamedTuple):
    """What spares a run waiting for its lock.

    `free_at`: when a look that showed no lock at all began (Unix seconds); it serves as the first
    of the two looks for as long as a look at the lock does. `held` is called as soon as nobody else
    can write, before the lock has its number: what is read from then on is read under the lock.
    """

    free_at: float = float("-inf")
    held: Callable[[], None] = lambda: None


NOTHING_AHEAD = Ahead()


@contextlib.contextmanager
def one_writer(
    api: Api,
    clock: Clock,
    mine: Writer,
    folder: Path,
    begin: Callable[[], Journal],
    tell: Callable[[str], None] = lambda _: None,
    ahead: Ahead = NOTHING_AHEAD,
) -> Iterator[tuple[ClusterLock, Journal]]:
    """Hold both locks, and the journal that `begin` opens; `folder` is that of the cluster.

    The journal comes before the cluster lock, so that no request goes unrecorded; a new one is
    removed if the lock cannot be taken. An unfinished run leaves the lock object behind, which
    blocks no other run: when the run is resumed, the object proves that no other run wrote in
    between. Raises Locked, JournalFailed, Refused, and what `begin` raises.
    """
    note = ", ".join(filter(None, (f"since {_moment(clock.now())}", mine.run)))
    with local_lock(folder, note) as numbers, begin() as journal:
        late = lease_ended(journal.state.previous_time, clock.now())
        try:
            found = partial(_claim, journal, late=late)
            lock = acquire(api, clock, mine, numbers, tell, found, ahead)
        except BaseException:
            abandon(journal)
            raise
        try:
            _record(journal, lock)
            yield lock, journal
        finally:
            _release_or_expire(lock, journal)


def _moment(now: float) -> str:
    return f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _claim(journal: Journal, mine: LockRecord, there: Iterable[LockRecord], *, late: bool) -> None:
    """For a resumed run: its previous number, and whether another run wrote in between.

    `late`: it is resumed after its lease had ended.
    """
    if not journal.state.has_announced:
        return
    unbroken = journal.state.is_unbroken(known_as(there))
    if not unbroken and not journal.state.is_overtaken:
        journal.write(OVERTAKEN)
    journal.write("taking", claim=mine.claim, **({"late": True} if late else {}))


def _release_or_expire(lock: ClusterLock, journal: Journal) -> None:
    """Remove the lock, unless it is needed to prove later that no other run wrote in between."""
    state = journal.state
    if state.is_finished or state.is_overtaken or not state.has_announced:
        lock.release()
    else:
        lock.expire()


def _record(journal: Journal, lock: ClusterLock) -> None:
    mine, now = lock.mine, round(lock.clock.now(), 3)
    try:
        journal.write("locked", claim=mine.claim, fence=mine.fence, time=now)
    except JournalFailed:
        journal.discard_if_new()
        raise


def acquire(
    api: Api,
    clock: Clock,
    writer: Writer,
    numbers: Path,
    tell: Callable[[str], None] = lambda _: None,
    found: Callable[[LockRecord, Sequence[LockRecord]], None] = lambda _, __: None,
    ahead: Ahead = NOTHING_AHEAD,
) -> ClusterLock:
    """Take the cluster lock; raises Locked with the owner, Refused without the privilege.

    `numbers`: the file with the fencing numbers of this machine. Locks whose lease has ended are
    taken over; so is a live lock of a run of this machine that the local lock proves dead. `found`
    receives the new lock and those, before they are removed.
    """
    now, known = clock.now(), fences(numbers)
    there = [] if 0 <= now - ahead.free_at < LOOK else lock_records(api)
    own = frozenset(holder.claim for holder in _own(there, numbers))
    reject_live([h for h in there if h.claim not in own], now)
    claim = max([int(now * 1000), *known, *(holder.claim for holder in there)]) + 1
    mine = LockRecord(claim, claim, *writer, now + LEASE, this_host())
    remember_fences(numbers, [*sorted(own), claim])
    lock = ClusterLock(api, clock, mine, tuple(there), tell)
    _create(lock)
    _confirm(lock, own)
    ahead.held()
    try:
        found(mine, there)
        for dead in there:
            remove(api, dead)
        fence = lock.number([claim, *known, *(holder.fence for holder in there)])
        remember_fences(numbers, [claim, fence])
    except JournalFailed:
        lock.release()
        raise
    except PvectlError as error:
        lock.release()
        raise not_finalised(lock.mine, api.actor, error) from None
    return lock


def _own(there: Iterable[LockRecord], numbers: Path) -> list[LockRecord]:
    """The locks made by runs of this machine, which are dead while this process has the local
    lock.
    """
    known, host = fences(numbers), this_host()
    return [holder for holder in there if holder.claim in known and holder.host == host]


def clear(api: Api, folder: Path) -> list[LockRecord]:
    """Remove the locks that dead runs of this machine left behind; raises Locked."""
    with local_lock(folder) as numbers:
        dead = _own(lock_records(api), numbers)
        for holder in dead:
            remove(api, holder)
    return dead


def _create(lock: ClusterLock) -> None:
    mine = lock.mine
    post = request("POST", "access", "groups", groupid=mine.group, comment=comment(mine))
    for attempt in range(TRIES):
        try:
            lock.api.send(post)
        except UnknownOutcome:
            return _wait_for(lock)
        except RequestRefused as refused:
            if refused.lock_timeout and attempt + 1 < TRIES:
                continue
            raise _reason(lock, refused) from None
        return None
    return None


def _reason(lock: ClusterLock, refused: RequestRefused) -> PvectlError:
    if "already exists" in refused.reason:
        return Locked("another run is taking the lock right now", hint="try again")
    if refused.forbidden:
        return Refused(
            f"{lock.api.actor} may not take the cluster lock",
            hint="the lock is a group: grant it Group.Allocate on /access/groups",
        )
    return refused


def _wait_for(lock: ClusterLock) -> None:
    """Wait for a lock whose creation was not answered."""
    until = lock.clock.now() + SETTLE
    lock.tell(f"no answer to the lock request; checking for up to {SETTLE:g} s")
    while lock.mine.claim not in {holder.claim for holder in lock_records(lock.api)}:
        if lock.clock.now() >= until:
            raise Unreachable("the cluster lock could not be taken: no answer")
        lock.clock.sleep(1.0)


def _confirm(lock: ClusterLock, dead: frozenset[int]) -> None:
    """Of two locks made at the same moment, keep one; raises Locked in the other run.

    `dead`: claims to ignore although their lease has not ended.
    """
    mine = lock.mine.claim
    for _ in range(PATIENCE):
        now = lock.clock.now()
        there = lock_records(lock.api)
        rivals = [h.claim for h in there if h.until > now and h.claim not in dead | {mine}]
        if mine not in {holder.claim for holder in there}:
            break
        if not rivals:
            lock.looked = now
            return
        if min(rivals) < mine:
            break
        lock.clock.sleep(1.0)
    lock.release()
    raise Locked("another run took the lock at the same moment", hint="try again")
