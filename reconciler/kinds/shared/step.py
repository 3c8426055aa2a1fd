"""Build steps from requests, and verify that a loaded step matches its changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from reconciler.kinds import kind_of, references
from reconciler.kinds.kind import Kind
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.plan import Plan, Step
from reconciler.model.request import Request
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec


def step_of(kind: Kind[Any], request: Request, carried: Sequence[Change]) -> Step:
    """The step of one request: everything but the request follows from its changes."""
    undo = max((kind.writes.undo(change) for change in carried), key=lambda undo: undo.rank)
    sink = next(filter(None, map(kind.secrets.sink, carried)), None)
    return Step(request, tuple(carried), kind.writes.lock, undo, sink)


def misfit(step: Step) -> str:
    """How a step deviates from its changes, in a few words; "" if it does not.

    A step from a file is sent only if this is empty: it must do what it shows.
    """
    if not step.changes:
        return "it carries no change"
    kind = kind_of(step.changes[0].address)
    if any(change.address.kind != kind.name for change in step.changes):
        return "it carries changes of several kinds"
    try:
        given = [step_of(kind, *pair) for pair in kind.writes.requests(step.changes)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its changes cannot be sent"
    if len(given) != 1 or given[0].changes != step.changes:
        return "its changes need other requests"
    return _difference(step, given[0])


def _difference(step: Step, right: Step) -> str:
    """How a step differs from the right one; files do not preserve the order of parameters."""
    if right.request.to_json() != step.request.to_json():
        return "its request sends something else than its changes need"
    if right.sink != step.sink:
        return f"its secret goes to {step.sink or 'nowhere'}, not to {right.sink or 'nowhere'}"
    if (right.undo, right.lock) != (step.undo, step.lock):
        return "its rollback is not the one that its changes need"
    return ""


def concerned(changes: Sequence[Change]) -> tuple[Address, ...]:
    """The objects that change, and those that they name."""
    named = {change.address for change in changes}
    for change in changes:
        if change.after is not None:
            named.update(references(change.address, change.after))
    return tuple(sorted(named))


def unseen(plan: Plan) -> str:
    """What a saved plan lacks of the objects that it was made from, in words; "" for nothing."""
    seen = dict(plan.seen)
    missing = [address for address in concerned(plan.changes) if address not in seen]
    if missing:
        return f"it lacks the state of {missing[0]}"
    first: set[Address] = set()
    for change in plan.changes:
        if change.address not in first and change.before != seen[change.address]:
            return f"it starts from a different {change.address} than it was made from"
        first.add(change.address)
    return ""


def secrets_of(spec: Spec | None) -> Iterator[SecretRef | SecretSink]:
    """Every place from which this object reads a secret, or in which it stores one."""
    yield from () if spec is None else _secrets_in(spec)


def _secrets_in(value: object) -> Iterator[SecretRef | SecretSink]:
    if isinstance(value, SecretRef | SecretSink):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _secrets_in(item)
