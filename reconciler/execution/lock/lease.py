"""The lease of a cluster lock and the times derived from it, in seconds."""

from __future__ import annotations

from reconciler.execution.run.context import SETTLE

LEASE = 300.0
"""A lock lives so long without being renewed; longer than any single write can take."""

SKEW = 300.0
"""The clocks of two machines may differ so much before a lease is no longer believed."""

RESERVED = SETTLE + 15.0
"""Seconds before the end of the lease in which no request is sent any more: by the time another run
may take over, an earlier one has arrived or never will."""

LOOK = 5.0
"""In which a look at the lock serves: nobody takes over a lease that has not ended, unless a person
removed the lock."""

PATIENCE = 10
"""The lower of two fresh locks waits so long for the higher one to withdraw."""

TRIES = 3
"""How often, and not how long, the lock is asked for while others write to user.cfg all the time.
"""


def lease_ended(last_time: float, now: float) -> bool:
    """Whether a run whose last event was then (Unix seconds) has lost its lease for certain."""
    return now - last_time > LEASE
