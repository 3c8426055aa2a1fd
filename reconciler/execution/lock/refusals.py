"""Errors for a cluster lock that cannot be taken."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import Locked, PvectlError, Refused, RequestRefused, Unreachable
from reconciler.execution.lock.lease import LEASE, SKEW
from reconciler.model.run import LockRecord


def reject_live(there: Iterable[LockRecord], now: float) -> None:
    """Raise Locked for a lock whose lease has not ended."""
    for holder in there:
        if holder.until > now:
            run = f" ({holder.run})" if holder.run else ""
            unlock = f"pvectl unlock --fence {holder.fence}"
            if holder.until == float("inf"):
                raise _lasting(
                    f"{holder.owner} holds the lock{run}: the comment of its group {holder.group} "
                    "is unreadable",
                    unlock,
                )
            if holder.until > now + LEASE + SKEW:
                raise _lasting(
                    f"the lock of {holder.owner}{run} ends later than pvectl ever sets it: "
                    "it is forged or damaged, or the clock of one machine is wrong",
                    unlock,
                )
            raise Locked(
                f"{holder.owner} holds the lock for {int(holder.until - now)} s more{run}",
                hint=f"wait, as with --lock-timeout 10m; if that run is certainly dead, "
                f"run `{unlock}`",
            )


def _lasting(summary: str, unlock: str) -> Locked:
    hint = f"waiting does not help; find out who created it, then run `{unlock}`"
    locked = Locked(summary, hint=hint)
    locked.passes = False
    return locked


def not_finalised(mine: LockRecord, actor: str, error: PvectlError) -> PvectlError:
    """The error for a lock that was created but could not be numbered; no other run holds it."""
    summary = f"the cluster lock could not be finalised: {error.summary}"
    left = f"where `pvectl status` still shows it: pvectl unlock --fence {mine.fence}"
    if isinstance(error, RequestRefused) and error.forbidden:
        right = "the lock is a group: grant Group.Allocate on /access/groups to"
        return Refused(summary, hint=f"{right} {actor}\n{left}")
    if isinstance(error, RequestRefused):
        return Refused(summary, hint=f"nothing was sent but the lock itself; try again\n{left}")
    return Unreachable(summary, hint=f"nothing was sent but the lock itself; try again\n{left}")
