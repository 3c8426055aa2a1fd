"""The state of a drill: its journal, folded once, event by event.

An action (`restore`, `start`, `stop`, `destroy`) leaves `intent`, then `done` (with its task, as
Proxmox VE answered), `found` (with its task, as a later look showed) or `refused` (it had no
effect), then `ended` with the exit status of the task. `network` has no task, and no end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.drill import Difference
from reconciler.model.run import Event

GOOD = ("OK", "WARNINGS")
"""How the exit status of a task begins that went well."""


@dataclass(slots=True)
class DrillState:
    """`vmid`: the id that the restored guest has, or may have; 0 for none. `tried`: every id that a
    restore was asked for.

    `open`: the action that was announced last, if it is not known to have ended. `task`: what it
    runs as, "" where that is not known. `done`: actions that went well.
    """

    vmid: int = 0
    tried: list[int] = field(default_factory=list)
    open: Event | None = None
    task: str = ""
    is_answered: bool = False
    """Proxmox VE itself answered the restore with its task: what that made is the drill's"""
    has_answered: bool = False
    """the QEMU guest agent of the restored guest answered"""
    done: set[str] = field(default_factory=set)
    began: dict[str, float] = field(default_factory=dict)
    """action -> when it was announced last, in Unix seconds"""
    took: dict[str, float] = field(default_factory=dict)
    """action -> seconds"""
    differences: tuple[Difference, ...] = ()
    failure: str = ""
    hint: str = ""
    stopped: str = ""
    """why it is not to go on: a signal, or a person who rolls it back"""
    notes: list[str] = field(default_factory=list)
    is_resumed: bool = False
    is_finished: bool = False

    @classmethod
    def of(cls, events: Iterable[Event]) -> DrillState:
        state = cls()
        for event in events:
            state.add(event)
        return state

    @property
    def turns(self) -> bool:
        """Whether nothing is left to do but to clean up."""
        return bool(self.failure or self.stopped)

    def add(self, event: Event) -> None:
        """Fold one more event."""
        data = event.data
        match event.name:
            case "intent":
                self._announce(event)
            case "done" | "found":
                self._arrive(event)
            case "refused":
                if self.open is not None and self.open.data["action"] == "restore":
                    self.vmid = 0
                self.open, self.task = None, ""
            case "ended":
                self._end(event)
            case "compared" | "up" | "checked":
                self._learn(event)
            case "failed":
                self.failure, self.hint = data["why"], data.get("hint", "")
            case "stopped":
                self.stopped = data["why"]
            case "note":
                self.notes.append(data["text"])
        self.is_resumed |= event.name == "continued"
        self.is_finished = event.name == "end" and not data.get("unfinished")

    def _announce(self, event: Event) -> None:
        action, vmid = event.data["action"], int(event.data["vmid"])
        self.open, self.task = event, ""
        self.began[action] = float(event.data["time"])
        if action == "restore":
            self.vmid, self.is_answered = vmid, False
            if vmid not in self.tried:
                self.tried.append(vmid)

    def _arrive(self, event: Event) -> None:
        action: Any = self.open.data["action"] if self.open is not None else ""
        self.task = event.data.get("task", "")
        if action == "restore":
            self.is_answered = event.name == "done"
        if not self.task:
            self.done.add(action)
            self.open = None

    def _learn(self, event: Event) -> None:
        data = event.data
        self.done.add(event.name)
        self.took[event.name] = float(data.get("seconds", 0))
        self.has_answered |= bool(data.get("agent"))
        if event.name == "compared":
            self.differences = tuple(Difference(**one) for one in data["differences"])

    def _end(self, event: Event) -> None:
        action: Any = self.open.data["action"] if self.open is not None else ""
        if str(event.data["status"]).startswith(GOOD):
            self.done.add(action)
        self.took[action] = float(event.data["seconds"])
        self.open, self.task = None, ""
