"""How long the sandbox takes where the real server is slow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.errors import UsageError

LOCK_WAIT = "PVECTL_SANDBOX_LOCK_WAIT"
AUTH_DELAY = "PVECTL_SANDBOX_AUTH_DELAY"
TASK_TIME = "PVECTL_SANDBOX_TASK_TIME"
REQUEST_TIME = "PVECTL_SANDBOX_REQUEST_TIME"
ENTRY_TIME = "PVECTL_SANDBOX_ENTRY_TIME"
CLOCK_AHEAD = "PVECTL_SANDBOX_CLOCK_AHEAD"

_PVE_LOCK_WAIT = 9.95


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds. `lock_wait`: until a held lock is an error. `auth_delay`: before a 401. PVE waits
    9.95 and 3; the sandbox waits as long for locks, but sends a 401 at once. `task_time`: of a
    backup, a restore or a start; 0: it has ended when the call returns. `request_time`: the minimum
    time of an answer over HTTPS, to which each ACL entry adds `entry_time`, since PVE reads all of
    user.cfg for a request; writes are delayed one at a time. `clock_ahead`: how far the clock of
    the nodes is ahead, over HTTPS.
    """

    lock_wait: float = _PVE_LOCK_WAIT
    auth_delay: float = 0.0
    task_time: float = 0.0
    request_time: float = 0.0
    entry_time: float = 0.0
    clock_ahead: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises UsageError for a value that is not a number of seconds."""
        return cls(
            _seconds(environment, LOCK_WAIT, _PVE_LOCK_WAIT),
            _seconds(environment, AUTH_DELAY, 0.0),
            _seconds(environment, TASK_TIME, 0.0),
            _seconds(environment, REQUEST_TIME, 0.0),
            _seconds(environment, ENTRY_TIME, 0.0),
            _seconds(environment, CLOCK_AHEAD, 0.0),
        )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < 3600:
        raise UsageError(
            f"{name} is '{text}'", hint="give seconds as a number, for example 0.5, or unset it"
        )
    return value
