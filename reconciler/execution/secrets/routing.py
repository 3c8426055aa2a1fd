"""Where the secrets of a run's tokens are delivered, and whether they have been."""

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
    """The token whose new secret is in the answer to this step."""
    return next(c.address for c in step.changes if kind_of(c.address).secrets.sink(c) is not None)


def undelivered(run: RunState, steps: Sequence[Step]) -> Mapping[Address, int]:
    """The tokens whose secret is not known to be delivered, including those still to be created;
    each with the number of its step.
    """
    return {
        token_of(step): number
        for number, step in enumerate(steps)
        if step.sink is not None and not run.step(number).is_delivered
    }


def redirected(
    run: RunState, steps: Sequence[Step], declared: Mapping[Address, SecretSink]
) -> Sinks:
    """The undelivered secrets whose destination differs from the run's."""
    waiting = undelivered(run, steps).items()
    return {
        number: declared[token]
        for token, number in waiting
        if token in declared and declared[token] != steps[number].sink
    }


def with_sinks(steps: Sequence[Step], sinks: Sinks) -> tuple[Step, ...]:
    """The same steps with these destinations for their secrets."""
    return tuple(
        step._replace(sink=sinks.get(number, step.sink)) for number, step in enumerate(steps)
    )


def redirection(step: int, sink: SecretSink) -> dict[str, Any]:
    """The destinations in the event."""
    return {"step": step, "sink": str(sink), "to": sink.model_dump(exclude_none=True)}


def as_redirected(run: RunState, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of a plan with the destinations that the run used last; raises ValueError or
    KeyError for an unreadable event.
    """
    sinks = {
        event.step: SecretSink.model_validate(event.data["to"])
        for event in run.events
        if event.name == REDIRECTED
    }
    return with_sinks(steps, sinks)
