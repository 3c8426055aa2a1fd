"""What a drill needs, and how it looks at the guest that it made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from reconciler.errors import (
    AuthenticationFailed,
    CertificateNotTrusted,
    Interrupted,
    RequestRefused,
    Unreachable,
)
from reconciler.execution.drills.state import DrillState
from reconciler.execution.journal.journal import Journal
from reconciler.execution.run.context import LONGEST_PAUSE, SETTLE
from reconciler.execution.run.look import Clock
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.model.api import Api, ForwardingApi
from reconciler.model.drill import DrillPlan
from reconciler.model.request import Request, request
from reconciler.model.run import Event
from reconciler.pve.guest_config import LXC, QEMU, GuestConfig, parse_config


class PatientApi(ForwardingApi):
    """The `Api` in front of another one that reads again while the cluster does not answer."""

    def __init__(self, api: Api, clock: Clock, tell: Callable[[str], None]) -> None:
        super().__init__(api)
        self._clock, self._tell = clock, tell

    def get(self, requests: Sequence[Request]) -> list[Any]:
        until, pause = self._clock.now() + SETTLE, 1.0
        while True:
            try:
                return self._api.get(requests)
            except (AuthenticationFailed, CertificateNotTrusted):
                raise
            except Unreachable as error:
                if self._clock.now() >= until:
                    raise
                self._tell(f"no answer ({error.summary}); asking again")
            self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


@dataclass(slots=True)
class DrillRun:
    """`folder`: where the commands of checks run. `stop` is filled by a signal and looked at
    between requests."""

    api: Api
    plan: DrillPlan
    journal: Journal
    clock: Clock
    folder: Path
    tell: Callable[[str], None]
    stop: list[int]
    state: DrillState = field(init=False)
    _saved: GuestConfig | None = None

    def __post_init__(self) -> None:
        self.state = DrillState.of(self.journal.state.events)

    @property
    def drills(self) -> Path:
        return self.journal.path.parent

    def record(self, name: str, **data: Any) -> None:
        """On the disk when this returns; raises JournalFailed."""
        data.setdefault("time", round(self.clock.now(), 3))
        self.journal.write(name, **data)
        self.state.add(Event(name, data))

    @property
    def is_over(self) -> bool:
        """Whether the drill has ended."""
        return self.state.is_finished

    def heed(self) -> None:
        """Raises Interrupted when a signal asked to stop."""
        if self.stop:
            raise Interrupted("stopped by a signal")

    @property
    def saved(self) -> GuestConfig:
        """The configuration in the archive, read once."""
        if self._saved is None:
            self._saved = saved_config(self.api, self.plan.node, self.plan.archive.volume)
        return self._saved


def saved_config(api: Api, node: str, volume: str) -> dict[str, str]:
    """The configuration of the guest that an archive holds."""
    asked = request("GET", "nodes", node, "vzdump", "extractconfig", volume=volume)
    return parse_config(str(api.get([asked])[0]))


class Occupant(NamedTuple):
    """What is there under an id. `hidden`: why it cannot be looked at."""

    there: bool
    mine: bool = False
    running: bool = False
    config: GuestConfig = MappingProxyType({})
    node: str = ""
    hidden: str = ""


GONE = Occupant(there=False)


def look(run: DrillRun, vmid: int) -> Occupant:
    """What is there under the id, and whether this drill made it: its mark is in the description,
    or nothing but an empty virtual machine is left of the restore that failed."""
    return look_at(run.api, run.plan, run.journal.state.events, vmid)


def look_at(api: Api, plan: DrillPlan, events: Iterable[Event], vmid: int) -> Occupant:
    """The same, for a drill that does not go on."""
    state = DrillState.of(events)
    found = _at(api, plan, state, plan, vmid)
    if found.there and not found.hidden:
        return found
    if is_free(api, vmid):
        return GONE
    if found.hidden:
        return found
    for row in api.get([RESOURCES])[0]:
        if row["type"] in (LXC, QEMU) and int(row["vmid"]) == vmid:
            elsewhere = plan._replace(node=str(row.get("node") or plan.node), kind=row["type"])
            return _at(api, plan, state, elsewhere, vmid)
    return Occupant(there=True, hidden="the caller cannot see it")


def _at(api: Api, plan: DrillPlan, state: DrillState, where: DrillPlan, vmid: int) -> Occupant:
    node, kind = where.node, where.kind
    base = ("nodes", node, kind, str(vmid))
    asked = [request("GET", *base, "config"), request("GET", *base, "status", "current")]
    try:
        config, status = api.get(asked)
    except RequestRefused as refused:
        if "does not exist" in refused.reason:
            return GONE
        if refused.forbidden:
            return Occupant(there=True, node=node, hidden=refused.reason)
        raise
    options = {key: str(value) for key, value in config.items()}
    mine = kind == plan.kind and is_own(plan, state, vmid, options)
    running = status.get("status") == "running"
    return Occupant(there=True, mine=mine, running=running, config=options, node=node)


def is_own(plan: DrillPlan, state: DrillState, vmid: int, config: GuestConfig) -> bool:
    """Whether this drill made a guest."""
    first, last = plan.ids
    if vmid not in state.tried or not first <= vmid <= last:
        return False
    if plan.mark in config.get("description", "").split():
        return True
    failed = state.is_answered and state.vmid == vmid and "restore" not in state.done
    empty = not set(config) - {"digest"}
    return plan.kind == QEMU and failed and empty


def is_free(api: Api, vmid: int) -> bool:
    """Whether no guest of the cluster has the id, visible to the caller or not."""
    try:
        api.get([request("GET", "cluster", "nextid", vmid=vmid)])
    except RequestRefused as refused:
        if "already exists" in refused.summary:
            return False
        raise
    return True
