"""The change of one object, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.address import Address
from reconciler.model.spec import Spec


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Undo(StrEnum):
    """What undoing a change costs: nothing, something, or that it is impossible."""

    FULL = "FULL"
    LOSSY = "LOSSY"
    NONE = "NONE"

    @property
    def rank(self) -> int:
        return ("FULL", "LOSSY", "NONE").index(self.value)


class Cause(StrEnum):
    """Why a change is planned; the stable code behind each reason."""

    MISSING = "missing"
    """declared, not in the cluster"""
    DIFFERS = "differs"
    """differs from its declaration"""
    REMOVED = "removed"
    """named in [[removed]]"""
    MOVED = "moved"
    """the old name of a [[moved]]"""
    EXPIRED = "expired"
    """declared until a date that has passed"""
    UNDECLARED = "undeclared"
    """not declared, inside the managed scope"""
    DEPENDENT = "dependent"
    """depends on a deleted object"""
    UNDO = "undo"
    """undone by a rollback"""


class Reason(NamedTuple):
    """Why a change is planned. `text` is displayed: where it is declared, or what it depends on."""

    cause: Cause
    text: str


class Change(NamedTuple):
    """One object from `before` to `after`; None stands for absent, never for both."""

    address: Address
    before: Spec | None
    after: Spec | None
    reason: Reason

    @property
    def action(self) -> Action:
        if self.before is None:
            return Action.CREATE
        return Action.DELETE if self.after is None else Action.UPDATE

    def inverse(self) -> Change:
        """The change that undoes this one."""
        reason = Reason(Cause.UNDO, f"undoes: {self.action} {self.address}")
        return Change(self.address, self.after, self.before, reason)

    def to_json(self) -> dict[str, Any]:
        return {
            "address": str(self.address),
            "action": str(self.action),
            "before": None if self.before is None else self.before.to_json(),
            "after": None if self.after is None else self.after.to_json(),
            "reason": {"cause": str(self.reason.cause), "text": self.reason.text},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], specs: Mapping[str, type[Spec]]) -> Change:
        """The reverse of `to_json`; `specs` maps the name of a kind to its spec."""
        address = Address.parse(data["address"])
        spec = specs[address.kind]
        before, after = (
            None if side is None else spec.model_validate(side)
            for side in (data["before"], data["after"])
        )
        if before is None and after is None:
            raise ValueError(f"{address} is absent before and after")
        reason = Reason(Cause(data["reason"]["cause"]), data["reason"]["text"])
        return cls(address, before, after, reason)
