"""Where the secrets of a run's tokens go, and what is known of their arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.execution.journal.journal import Event
from reconciler.execution.journal.replay import IN_FORCE, is_delivered
from reconciler.execution.run.context import Direction
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.plan import Step
from reconciler.model.secret import SecretSink

REDIRECTED = "redirected"
"""The event that a secret goes elsewhere than the plan says."""

Sinks = Mapping[int, SecretSink]
"""Number of a step, from 0 -> where its secret goes"""


def token_of(step: Step) -> Address:
    """The object whose new secret the answer to this step holds."""
    return next(c.address for c in step.changes if kind_of(c.address).sink(c) is not None)


def undelivered(events: Iterable[Event], steps: Sequence[Step]) -> Mapping[Address, int]:
    """The objects whose secret is not known to have arrived, also those that are still to be made;
    each with the number of its step."""
    known = tuple(events)
    return {
        token_of(step): number
        for number, step in enumerate(steps)
        if step.sink is not None and not is_delivered(known, number)
    }


def redirected(
    events: Iterable[Event], steps: Sequence[Step], declared: Mapping[Address, SecretSink]
) -> Sinks:
    """The undelivered secrets that are to go elsewhere than the run knows."""
    waiting = undelivered(events, steps).items()
    return {
        number: declared[token]
        for token, number in waiting
        if token in declared and declared[token] != steps[number].sink
    }


def with_sinks(steps: Sequence[Step], sinks: Sinks) -> tuple[Step, ...]:
    """The same steps, their secrets sent there."""
    return tuple(
        step._replace(sink=sinks.get(number, step.sink)) for number, step in enumerate(steps)
    )


def redirection(step: int, sink: SecretSink) -> dict[str, Any]:
    """What the event says."""
    return {"step": step, "sink": str(sink), "to": sink.model_dump(exclude_none=True)}


def as_redirected(events: Iterable[Event], steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a plan as the run went on with them; raises ValueError or KeyError for an event
    that cannot be read."""
    sinks = {
        event.step: SecretSink.model_validate(event.data["to"])
        for event in events
        if event.name == REDIRECTED
    }
    return with_sinks(steps, sinks)


def is_second(events: Iterable[Event], step: int) -> bool:
    """Whether the delivered secret may not be the first one that arrived: a run stopped while an
    earlier one was on its way."""
    sent = made = stopped = False
    for event in events:
        if event.name == "continued":
            stopped = stopped or sent or made
        elif event.step != step or event.data.get("direction") == Direction.BACK:
            continue
        elif event.name == "delivered":
            return stopped
        elif event.name == "refused":
            sent, stopped = False, stopped and made
        elif event.name == "intent":
            sent = True
        elif event.name in IN_FORCE:
            made = True
    return False
