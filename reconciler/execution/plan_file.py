"""Save and load plans: canonical JSON, mode 0600, without secrets; reject unusable ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.atomic_write import atomic_write
from reconciler.bounded_read import read_bounded
from reconciler.errors import StalePlan, UsageError
from reconciler.execution.run.observation import is_hidden, left
from reconciler.kinds import specs
from reconciler.kinds.shared.step import misfit, unseen
from reconciler.model.address import Address
from reconciler.model.field_diff import in_one_line, object_text
from reconciler.model.plan import Plan
from reconciler.model.spec import Spec, State, canonical, digest

LIFETIME = 24 * 3600
"""Seconds for which a saved plan may be applied."""

SKEW = 300
"""Seconds by which the clocks of two machines may differ."""

AGAIN = "plan again, then review and apply the new plan"


class SavedPlan(NamedTuple):
    """A plan from a file, and the file as it was read; times in Unix seconds.

    `access`: the access before and after, for display; None if the file has none.
    """

    plan: Plan
    created: int
    expires: int
    path: Path = Path()
    raw: bytes = b""
    access: object = None


def save_plan(
    plan: Plan, path: Path, now: int, lifetime: int = LIFETIME, access: object = None
) -> None:
    """Write a plan file atomically; raises OSError. `access`: as JSON, for display."""
    content = {
        **({} if access is None else {"matrix": access}),
        "kind": "pvectl.plan",
        "plan": plan.to_json(),
        "digest": plan.digest,
        "created": now,
        "expires": now + lifetime,
    }
    atomic_write(path, canonical({**content, "seal": digest(content)}) + b"\n", private=True)


MARKS = (b'{"created":', b'"pvectl.plan"', b'"seal"')
"""Fields of every plan file; a file without any of them never was one."""


def load_plan(path: Path) -> SavedPlan:
    """Read a plan file; raises StalePlan when it was altered, UsageError when it is unreadable or
    not a plan.
    """
    try:
        raw = read_bounded(path)
    except OSError as error:
        raise UsageError(
            f"the plan {path} cannot be read: {error.strerror}",
            hint="save one with: pvectl plan --out FILE",
        ) from None
    try:
        content = json.loads(raw)
        seal = content.pop("seal")
        plan = Plan.from_json(content["plan"], specs())
        saved = SavedPlan(plan, int(content["created"]), int(content["expires"]), path, raw)
        saved = saved._replace(access=content.get("matrix"))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        if not any(mark in raw for mark in MARKS):
            raise _no_plan(path, raw) from None
        raise StalePlan(
            f"{path} cannot be read as a plan: it was changed, or is of another version", hint=AGAIN
        ) from None
    if seal != digest(content) or content["digest"] != plan.digest:
        raise StalePlan(
            f"{path} was altered after it was saved: its digest does not match", hint=AGAIN
        )
    _refuse_forged(plan, path)
    return saved


def _refuse_forged(plan: Plan, path: Path) -> None:
    """Reject a plan whose requests do not follow from the changes shown: whoever can write the file
    can also compute its digests.
    """
    for number, step in enumerate(plan.steps, 1):
        why = misfit(step)
        if why:
            name = f" ({step.changes[0].address})" if step.changes else ""
            raise StalePlan(f"step {number}{name} of {path} is forged: {why}", hint=AGAIN)
    why = unseen(plan)
    if why:
        raise StalePlan(f"{path} is not a plan as pvectl saves it: {why}", hint=AGAIN)


def _no_plan(path: Path, raw: bytes) -> UsageError:
    if raw.startswith(b'{"before":'):
        return UsageError(
            f"{path} is the journal of a run, not a plan",
            hint=f"pvectl show {path} shows it; pvectl resume {path} finishes the run",
        )
    return UsageError(f"{path} is not a saved plan", hint="save one with: pvectl plan --out FILE")


def is_plan(content: Mapping[str, Any]) -> bool:
    """Whether a JSON document is a saved plan."""
    return content.get("kind") == "pvectl.plan"


def check_fits(saved: SavedPlan, cluster: str, actor: str, now: int, identity: str = "") -> None:
    """Raises StalePlan for another cluster, another actor, or a plan that has expired."""
    plan = saved.plan
    if not plan.is_for(cluster, identity):
        raise StalePlan(f"the plan is for {plan.cluster}, not for {cluster}", hint=AGAIN)
    if plan.actor != actor:
        raise StalePlan(f"the plan was made for {plan.actor}, not for {actor}", hint=AGAIN)
    if saved.created > now + SKEW:
        minutes = (saved.created - now) // 60
        raise StalePlan(
            f"the plan is dated {minutes} minutes in the future",
            hint=f"correct the clock of this machine or of the one that planned; {AGAIN}",
        )
    if now >= min(saved.expires, saved.created + LIFETIME):
        hours = (now - saved.created) // 3600
        raise StalePlan(f"the plan was made {hours} hours ago and has expired", hint=AGAIN)


def stale(plan: Plan, live: State) -> tuple[Address, ...]:
    """The objects of the plan that have changed since."""
    return tuple(address for address, spec in plan.seen if live.get(address) != spec)


def check_fresh(plan: Plan, live: State) -> None:
    """Raise StalePlan when an object of the plan has changed; with different words where the plan
    was already applied.
    """
    changed = stale(plan, live)
    if not changed:
        return
    wanted = {
        c.address: left(c, c.after, live.get(c.address)) for c in plan.changes if not is_hidden(c)
    }
    arrived = {address for address, spec in wanted.items() if live.get(address) == spec}
    if arrived == wanted.keys() and arrived.issuperset(changed):
        raise StalePlan(
            "already applied: the cluster is as this plan declares it",
            hint="nothing was sent; run `pvectl plan` to see what is left to change",
        )
    seen = dict(plan.seen)
    lines = [
        f"{address}: is already as planned"
        if address in arrived
        else f"{address}: {_since(seen[address], live.get(address))}"
        for address in changed
    ]
    raise StalePlan(
        "the cluster has changed since the plan was made", hint="\n".join([*lines, AGAIN])
    )


def _since(before: Spec | None, now: Spec | None) -> str:
    """How an object has changed since the plan was made."""
    if before is None or now is None:
        return f"was {object_text(before)}, is {object_text(now)}"
    return in_one_line(before, now)
