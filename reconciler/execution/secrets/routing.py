"""Where the secrets of a run's tokens go, and their delivery status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.plan import Step
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretSink

REDIRECTED = "redirected"
"""The event that a secret goes elsewhere than the plan says."""

Sinks = Mapping[int, SecretSink]
"""Number of a step, from 0 -> where its secret goes"""


def token_of(step: Step) -> Address:
    """The object whose new secret the answer to this step holds."""
    return next(c.address for c in step.changes if kind_of(c.address).secrets.sink(c) is not None)


def undelivered(run: RunState, steps: Sequence[Step]) -> Mapping[Address, int]:
    """The objects whose secret is not known to be delivered, those still to be created included;
    each with the number of its step."""
    return {
        token_of(step): number
        for number, step in enumerate(steps)
        if step.sink is not None and not run.step(number).is_delivered
    }


def redirected(
    run: RunState, steps: Sequence[Step], declared: Mapping[Address, SecretSink]
) -> Sinks:
    """The undelivered secrets that are to go elsewhere than the run knows."""
    waiting = undelivered(run, steps).items()
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


def as_redirected(run: RunState, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a plan as the run went on with them; raises ValueError or KeyError for an event
    that cannot be read."""
    sinks = {
        event.step: SecretSink.model_validate(event.data["to"])
        for event in run.events
        if event.name == REDIRECTED
    }
    return with_sinks(steps, sinks)
