"""What all jobs share: schedules as calendar events, and one set of ids in jobs.cfg."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator

from reconciler.invalid_value import InvalidValue
from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import Spec
from reconciler.pve.calendar.event import parse

_LONGEST = 128

_LONG_AGO = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - the event's own clock, whatever its zone


def valid_schedule(text: str) -> str:
    """A calendar event, trimmed; raises ValueError with PVE's message, and what was
    probably meant."""
    event = text.strip()
    if len(event) > _LONGEST:
        raise ValueError(f"value may only be {_LONGEST} characters long")
    try:
        parse(event)
    except ValueError as error:
        from reconciler.pve.calendar.meant import advice

        raise InvalidValue(str(error), advice(event)) from None
    return event


def same_schedule(declared: str, live: str) -> str:
    """The live value if both mean the same, as `2:00` and `02:00` do."""
    try:
        events = [replace(parse(text), text="") for text in (declared, live)]
    except ValueError:
        return declared
    return live if events[0] == events[1] else declared


Schedule = Annotated[str, AfterValidator(valid_schedule)]


def schedule_findings(address: Address, text: str) -> Iterable[Finding]:
    """Schedules that Proxmox VE accepts, but that are hardly intended."""
    event = parse(text)
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
            f"'{text}' of {address} never runs: no year has such a date",
            hint="correct the date",
            address=address,
        )


def id_findings(here: Address, other: str, state: Mapping[Address, Spec]) -> Iterable[Finding]:
    """All jobs share one file, so an ID must be unique across kinds."""
    rival = Address(other, here.id)
    if rival in state:
        yield Finding(
            "JOB_ID_TWICE",
            Severity.ERROR,
            f"{here} and {rival} have the same ID, and Proxmox VE keeps all jobs in one file",
            hint="use another ID for one of them",
            address=here,
        )
