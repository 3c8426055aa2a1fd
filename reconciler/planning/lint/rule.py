"""Lint rules: their type and their input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.declared import Declared
from reconciler.model.finding import Severity
from reconciler.model.policy import Policy
from reconciler.model.spec import State


class Hit(NamedTuple):
    """One violation of a rule."""

    address: Address
    message: str
    hint: str = ""


@dataclass(frozen=True, eq=False)
class LintContext:
    """Input of a rule: the objects of a state, and the access that results from them.

    `declared`: the objects that the files declare. `complete`: the state is the whole
    cluster, so that what is not in it does not exist. `now` in Unix seconds; 0: ignore expiry.
    """

    state: State
    table: AccessTable
    declared: Mapping[Address, Declared] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    paths: tuple[str, ...] = ()
    now: int = 0
    complete: bool = False

    @cached_property
    def entries(self) -> Mapping[Address, TracedEntry]:
        """The ACL entries, in order."""
        found = {}
        for address in sorted(a for a in self.state if a.kind == "acl"):
            propagate = bool(getattr(self.state[address], "propagate", True))
            found[address] = TracedEntry(*AclEntry.parse(address.id), propagate)
        return found

    def ids(self, kind: str) -> list[str]:
        """The ids of one kind, in order."""
        return sorted(address.id for address in self.state if address.kind == kind)

    def is_derived(self, address: Address) -> bool:
        """Whether it is derived from another declaration: the user's half of a token pair."""
        declared = self.declared.get(address)
        return declared is not None and declared.derived


class Rule(NamedTuple):
    """`page`: what `pvectl explain CODE` shows: why it matters, and what to do."""

    code: str
    severity: Severity
    title: str
    page: str
    find: Callable[[LintContext], Iterable[Hit]]
