"""The change of one object, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.address import Address
from reconciler.model.spec import Spec
from reconciler.text.humanize import moment


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
    REVOKED = "revoked"
    """a temporary grant that is ended early"""
    UNDECLARED = "undeclared"
    """not declared, inside the managed scope"""
    DEPENDENT = "dependent"
    """depends on a deleted object"""
    UNDO = "undo"
    """undone by a rollback"""


class Reason(NamedTuple):
    """Why a change is planned. `text` is displayed: where it is declared, or what it depends on.

    `expires` (Unix seconds; 0: never) and `purpose` of a grant are part of the text. `inherits`:
    field -> value, in words, that the object takes from another one, as it has none of its own.
    """

    cause: Cause
    text: str
    expires: int = 0
    purpose: str = ""
    inherits: tuple[tuple[str, str], ...] = ()

    @classmethod
    def declared(cls, cause: Cause, text: str, expires: int, purpose: str) -> Reason:
        """With the expiry and the reason of a grant: part of what a reviewer signs."""
        if cause is Cause.REVOKED:
            text = f"revoked before its end; {text}"
        elif cause is Cause.EXPIRED:
            text = f"expired on {moment(expires)}; {text}"
        elif expires:
            text = f"{text}; until {moment(expires)}"
        return cls(cause, f"{text}; reason: {purpose}" if purpose else text, expires, purpose)

    def to_json(self) -> dict[str, Any]:
        terms: dict[str, Any] = {"expires": self.expires, "purpose": self.purpose}
        terms["inherits"] = dict(self.inherits)
        known = {name: value for name, value in terms.items() if value}
        return {"cause": str(self.cause), "text": self.text, **known}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reason:
        """The reverse of `to_json`."""
        purpose = str(data.get("purpose", ""))
        inherits = tuple((str(k), str(v)) for k, v in sorted(data.get("inherits", {}).items()))
        expires = int(data.get("expires", 0))
        return cls(Cause(data["cause"]), data["text"], expires, purpose, inherits)


class Change(NamedTuple):
    """One object from `before` to `after`; None means absent, never for both."""

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
            "reason": self.reason.to_json(),
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
        return cls(address, before, after, Reason.from_json(data["reason"]))
