"""The state of a run, folded from its journal event by event.

A request leaves `intent`, and then one of: `done` (applied), `refused` (certainly not applied),
`found` (applied, as a later read showed), `unknown` (whether it was applied cannot be observed),
`disowned` (this run or another one may have applied it: it is not undone).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.model.health import Health
from reconciler.model.run import Direction, Event, LockRecord, RunReport

if TYPE_CHECKING:
    from reconciler.model.drill import OpenDrill

ASKED = "E_ASKED"
"""The cause of a rollback that a person asked for."""
OVERTAKEN = "overtaken"
"""The event of a run of which it is not certain that no other one wrote after it."""
APPLIED = frozenset({"done", "found", "unknown"})
"""Outcomes after which the request may have changed something."""
SETTLED = APPLIED | {"refused", "disowned"}
"""Every outcome of a request."""
AFTER_END = frozenset({"continued", "rollback", "stuck", "taking", "locked", OVERTAKEN, "end"})
"""What may follow the end of a run."""


class StepState(StrEnum):
    """The state of a step, by its last event."""

    NOT_STARTED = "not started"
    ANNOUNCED = "announced"
    PARTLY_DONE = "partly done"
    """one of several requests is done"""
    CONFIRMED = "confirmed"
    DELIVERED = "delivered"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    DISOWNED = "disowned"
    DONE = "done"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


_STATES = {
    "intent": StepState.ANNOUNCED,
    "found": StepState.CONFIRMED,
    "delivered": StepState.DELIVERED,
    "refused": StepState.REFUSED,
    "unknown": StepState.UNKNOWN,
    "disowned": StepState.DISOWNED,
    "done": StepState.DONE,
    "skipped": StepState.SKIPPED,
    "withdrawn": StepState.WITHDRAWN,
}


@dataclass(slots=True)
class StepRecord:
    """What the journal says of one step; `direction` is that of its last event.

    `carried` holds the changes (JSON) of requests that carried others than their step.
    """

    state: StepState = StepState.NOT_STARTED
    direction: Direction = Direction.FORWARD
    announced: bool = False
    """a request forward was announced, whatever became of it"""
    was_in_force: bool = False
    """a request forward was applied at some time, or may have been, unseen"""
    is_complete: bool = False
    """the step has been applied to its end: by this run, or before it"""
    is_undone: bool = False
    """the step has been rolled back to its end"""
    was_refused: bool = False
    """Proxmox VE refused a request forward; it may have done half of it"""
    is_delivered: bool = False
    """the sink has the secret"""
    is_withdrawn: bool = False
    """the secret was removed from its sink"""
    is_replacement_secret: bool = False
    """the delivered secret may not be the first one that arrived"""
    carried: list[Mapping[str, Any]] = field(default_factory=list)
    _last: str = ""
    _last_direction: Direction = Direction.FORWARD
    _last_forward: str = ""
    _announced_back: bool = False
    _sent: bool = False
    _made: bool = False
    _interrupted: bool = False
    _interruptions: int = 0

    @property
    def is_touched(self) -> bool:
        """Whether it was announced and at least one request was not refused."""
        return self.was_in_force or self._last_forward == "intent"

    @property
    def is_open(self) -> bool:
        """Whether the outcome of the last request is unknown, in either direction."""
        was_undone = self._last_direction is Direction.BACK and self._last in APPLIED
        return self._last in {"intent", "unknown"} or was_undone

    @property
    def is_disowned(self) -> bool:
        """Whether this run or another one may have created the object of the step."""
        return self._last_forward == "disowned"

    def add(self, event: Event, interruptions: int) -> str:
        """Fold one event of this step; `interruptions` counts how often the run was resumed.
        Returns why the event cannot follow the earlier ones, "" where it can.
        """
        why = self._misfit(event)
        self._follow_secret(event, interruptions)
        self._follow_request(event)
        state = _STATES.get(event.name)
        if state is not None:
            self.state = StepState.PARTLY_DONE if event.data.get("more") else state
            self.direction = event.direction
        return why

    def _misfit(self, event: Event) -> str:
        back = event.direction is Direction.BACK
        announced = self._announced_back if back else self.announced
        if event.name in {"found", "unknown", "disowned", "refused"} and not announced:
            return f"'{event.name}' of a request that was never announced"
        if event.name in {"delivered", "withdrawn"} and not self.announced:
            return f"'{event.name}' of a secret that was never requested"
        if event.name == "done" and not (announced or self.announced):
            return "'done' of a request that was never announced"
        return ""

    def _follow_request(self, event: Event) -> None:
        name, back = event.name, event.direction is Direction.BACK
        if name == "intent" or name in SETTLED:
            self._last, self._last_direction = name, event.direction
            if not back:
                self._last_forward = name
        if name == "intent":
            self.carried.extend(event.data.get("changes", ()))
        ended = name == "done" and not event.data.get("more")
        if back:
            self._announced_back |= name == "intent"
            self.is_undone |= ended
        else:
            self.announced |= name == "intent"
            self.was_in_force |= name in APPLIED
            self.is_complete |= ended or name == "skipped"
            self.was_refused |= name == "refused" and not event.data.get("unsent")
        self.is_delivered |= name == "delivered"
        self.is_withdrawn |= name == "withdrawn"

    def _follow_secret(self, event: Event, interruptions: int) -> None:
        """Track whether a run stopped while an earlier secret was being delivered."""
        if self.is_delivered or event.direction is Direction.BACK:
            return
        if interruptions > self._interruptions:
            self._interrupted |= self._sent or self._made
            self._interruptions = interruptions
        if event.name == "delivered":
            self.is_replacement_secret = self._interrupted
        elif event.name == "refused":
            self._sent, self._interrupted = False, self._interrupted and self._made
        elif event.name == "intent":
            self._sent = True
        elif event.name in APPLIED:
            self._made = True


_NOTHING = StepRecord()


@dataclass(slots=True)
class RunState:
    """The state that the events of a journal amount to; `add` keeps it up to date.

    `steps` holds the steps, from 0, that have events. `broken` says why no run can write this
    sequence of events; "" for a valid one.
    """

    events: list[Event] = field(default_factory=list)
    steps: dict[int, StepRecord] = field(default_factory=dict)
    is_overtaken: bool = False
    """another run may have written since this one stopped; once true, always true"""
    is_resumed: bool = False
    """the run was interrupted and went on later"""
    is_late: bool = False
    """the run went on after its lease had ended: others may rely on what it did"""
    is_requested: bool = False
    """the rollback was asked for by a person, and does not follow from a failure"""
    last_time: float = 0.0
    """Unix seconds of the last recorded event, 0 where there is none"""
    previous_time: float = 0.0
    """the same without the newest event"""
    open_intent: Event | None = None
    """the request that was announced last, if its outcome was never recorded"""
    broken: str = ""
    _turn: Event | None = None
    _ways: tuple[str, ...] = ()
    _held: Mapping[str, Any] = field(default_factory=dict)
    _interruptions: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> RunState:
        state = cls()
        for event in events:
            state.add(event)
        return state

    def add(self, event: Event) -> None:
        """Fold one more event."""
        why = self._misfit(event)
        self.events.append(event)
        if event.step >= 0:
            record = self.steps.setdefault(event.step, StepRecord())
            why = record.add(event, self._interruptions) or why
        if why and not self.broken:
            self.broken = f"line {len(self.events)}: {why}"
        self._follow(event)

    def _misfit(self, event: Event) -> str:
        if self.is_finished and event.name not in AFTER_END:
            return f"'{event.name}' after the end of the run"
        if event.name == "intent" and self.open_intent is not None:
            return "a request was announced before the outcome of another one was known"
        return ""

    def _follow(self, event: Event) -> None:
        name, data = event.name, event.data
        if name == "intent":
            self.open_intent = event
        elif name in SETTLED:
            self.open_intent = None
        if name in {"begin", "rollback", "continued"}:
            self._turn = event
        if name in {"begin", "rollback", "end"}:
            self._ways = (*self._ways[-1:], name)
        if name in {"taking", "locked"}:
            self._held = data
        if name == "rollback":
            self.is_requested = data.get("cause", {}).get("code") == ASKED
        self._interruptions += name == "continued"
        self.is_resumed |= name == "continued"
        self.is_overtaken |= name == OVERTAKEN
        self.is_late |= name == "taking" and bool(data.get("late"))
        self.previous_time = self.last_time
        self.last_time = max(self.last_time, float(data.get("time", 0.0)))

    def step(self, number: int) -> StepRecord:
        """The record of one step, including one that has not started. Must not be changed."""
        return self.steps.get(number, _NOTHING)

    @property
    def announced(self) -> list[int]:
        """The steps for which a request forward was announced, in order."""
        return sorted(number for number, record in self.steps.items() if record.announced)

    @property
    def touched(self) -> list[int]:
        """The announced steps with at least one request that was not refused, in order."""
        return sorted(number for number, record in self.steps.items() if record.is_touched)

    @property
    def has_announced(self) -> bool:
        """Whether any request forward was announced."""
        return any(record.announced for record in self.steps.values())

    @property
    def signer(self) -> str:
        """Who signed the plan of the run, where signatures were required; "" for none."""
        return str(self.events[0].data.get("signer", "")) if self.events else ""

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended; an `end` that leaves work to do can be resumed."""
        if not self.events:
            return False
        last = self.events[-1]
        return last.name == "end" and not last.data.get("unfinished", False)

    @property
    def is_rolling_back(self) -> bool:
        """Whether the run is being rolled back, and has not ended."""
        return not self.is_finished and self.was_rolling_back

    @property
    def was_rolling_back(self) -> bool:
        """Whether the run is being rolled back, or was when it ended."""
        turn = self._turn
        return turn is not None and (turn.name == "rollback" or bool(turn.data.get("back")))

    @property
    def has_turned(self) -> bool:
        """Whether the rollback was started and has not ended since, or has ended only once."""
        return self._ways[-1:] == ("rollback",) or self._ways == ("rollback", "end")

    def is_unbroken(self, numbers: Collection[int]) -> bool:
        """Whether this run's lock proves that no other run held the cluster lock since.

        `numbers`: claims and fencing numbers of the existing lock objects. A run that takes the
        lock first removes all existing ones, so the presence of this run's own is the proof. A run
        that has announced nothing has nothing to lose.
        """
        if self.is_overtaken:
            return False
        if not self.has_announced:
            return True
        own = {int(self._held[name]) for name in ("claim", "fence") if name in self._held}
        return bool(own.intersection(numbers))


class ClusterStatus(NamedTuple):
    """What is known of the runs on a cluster.

    `journal` is the file of the unfinished run, empty where there is none; `running` says what
    writes from this machine at this moment, empty for nothing; `unreachable` why the cluster could
    not be asked, empty where it was. `left`: what a rolled back run could not restore and nobody
    has put right since; `journal` is then its file. `health`: of the cluster, where it was asked.
    """

    journal: str
    run: RunState
    report: RunReport | None
    holders: tuple[LockRecord, ...]
    running: str = ""
    unreachable: str = ""
    left: RunReport | None = None
    health: Health | None = None
    drills: tuple[OpenDrill, ...] = ()
    """restore drills that have not ended"""
    advice: str = ""
    """what to do where the cluster could not be asked"""
