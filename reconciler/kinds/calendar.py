"""Schedules of jobs as calendar events: checked when they are read, odd ones pointed out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from reconciler.model import calendar
from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity

_LONGEST = 128

_LONG_AGO = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - the event's own clock, whatever its zone


def valid_schedule(text: str) -> str:
    """A calendar event without blanks at its ends; raises ValueError with PVE's words."""
    event = text.strip()
    if len(event) > _LONGEST:
        raise ValueError(f"value may only be {_LONGEST} characters long")
    calendar.parse(event)
    return event


Schedule = Annotated[str, AfterValidator(valid_schedule)]


def schedule_findings(address: Address, text: str) -> Iterable[Finding]:
    """What Proxmox VE accepts, though hardly anybody means it."""
    event = calendar.parse(text)
    if event.minute_and_second:
        yield Finding(
            "SCHEDULE_MINUTES",
            Severity.WARNING,
            f"'{text}' of {address} has no such hour: Proxmox VE reads minute and second, and runs "
            "it every hour",
            hint="hours go from 00 to 23; write 00:00 for midnight",
            address=address,
        )
    elif event.next_after(_LONG_AGO) is None:
        yield Finding(
            "SCHEDULE_NEVER",
            Severity.WARNING,
            f"'{text}' of {address} never comes: no year has such a date",
            hint="correct the date",
            address=address,
        )
