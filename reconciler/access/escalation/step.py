"""A step towards root: the actor, the privilege used, and what it leads to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.access.analysis.unexpected import entry_json
from reconciler.access.trace import TracedEntry


class Technique(StrEnum):
    """The stable codes of steps."""

    MAKE_TOKEN = "MAKE_TOKEN"  # noqa: S105 - a code, no secret
    """create a token without privilege separation for another user, or regenerate its secret"""
    JOIN_GROUP = "JOIN_GROUP"
    """add a user that the actor creates or manages to a group"""
    MAKE_USER = "MAKE_USER"
    """create a user that entries or groups already name"""
    EDIT_ROLE = "EDIT_ROLE"
    """add every privilege to a role that the actor holds"""
    GRANT = "GRANT"
    """grant itself Administrator on a path"""
    TAKE_REALM = "TAKE_REALM"
    """point a realm at an own server and log in as one of its users"""
    NODE = "NODE"
    """reach the operating system of a node"""


FRESH = "new-in-"
"""Prefix of the names of users created on the way."""


class EscalationStep(NamedTuple):
    """`actor` holds `privilege` on `path` by the entries in `proof`, and thereby gains `target`.

    `target`: a user, a group, a role, or a path. `through`: the user that joins the group; the
    group in which a user is made.
    """

    way: Technique
    actor: str
    privilege: str
    path: str
    target: str
    proof: tuple[TracedEntry, ...] = ()
    through: str = ""

    def __str__(self) -> str:
        does = {
            Technique.MAKE_TOKEN: f"creates a token of {self.target} without privilege separation",
            Technique.JOIN_GROUP: f"adds {self._joining} to group {self.target}",
            Technique.MAKE_USER: f"creates {self.target}, already named, in group {self.through}",
            Technique.EDIT_ROLE: f"adds every privilege to role {self.target}, which it holds",
            Technique.GRANT: f"grants itself Administrator on {self.target}",
            Technique.TAKE_REALM: f"points the realm at its server and logs in as {self.target}",
            Technique.NODE: f"reaches the operating system below {self.target}",
        }
        return f"{self.actor} holds {self.privilege} on {self.path} and {does[self.way]}"

    @property
    def _joining(self) -> str:
        fresh = self.through.startswith(FRESH)
        return "a user of its own" if fresh else f"{self.through}, for which it creates a token,"

    @property
    def beginning(self) -> tuple[str, ...]:
        """Equal for steps that need the same privilege on the same path for the same end."""
        return (str(self.way), self.privilege, self.path)

    def to_json(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "way": str(self.way),
            "proof": [entry_json(entry) for entry in self.proof],
            "text": str(self),
        }
