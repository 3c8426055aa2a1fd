"""Drift as a value: what differs, since when as far as known, and what is undeclared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.errors import ExitStatus
from reconciler.model.address import Address
from reconciler.model.change import Action, Change
from reconciler.model.custom_rule import is_of_rule
from reconciler.model.drill import NOT_DRILLED
from reconciler.model.finding import UNDECLARED_MEMBER, Finding, Severity, Source
from reconciler.model.plan import LeftAlone
from reconciler.model.records import Records
from reconciler.model.recoverability import STALE_BACKUP
from reconciler.model.spec import Spec

EXPECT = "EXPECT"
EXPIRES_SOON = "EXPIRES_SOON"
ROTATION_DUE = "ROTATION_DUE"
DRIFT = "DRIFT"
"""The code of a difference where a format knows nothing but findings."""

UNKNOWN = "?"
"""Instead of a digest: the state of the object is unknown."""


class DriftClass(StrEnum):
    """Where a difference comes from, as far as known."""

    UNDECLARED = "undeclared"
    CHANGED = "changed in the cluster"
    CHANGED_IN_FILES = "changed in the files since the last apply"
    NEVER_APPLIED = "declared and never applied"
    UNKNOWN = "of unknown origin"
    EXPIRED = "expired grant"

    @property
    def code(self) -> str:
        """The identifier in machine-readable output."""
        return self.name.lower().replace("_", "-")


DIFFERENCES: Mapping[Action, str] = {
    Action.CREATE: "missing",
    Action.UPDATE: "changed",
    Action.DELETE: "extra",
}
"""What an action of a plan says about the cluster, seen from the files."""


class DriftItem(NamedTuple):
    """One object that differs: `change` leads from the live to the declared state."""

    kind: DriftClass
    change: Change
    left: tuple[str, ...] = ()
    """what of it no file gives: fields and options that no plan changes"""
    source: Source | None = None
    """where it is declared, or what it belongs to"""
    observed: tuple[str, ...] = ()
    """what of it no file can give, such as second factors"""

    def to_json(self) -> dict[str, Any]:
        data = {"class": self.kind.code, "difference": self.difference, **self.change.to_json()}
        if self.by_hand:
            data["not_given"] = list(self.by_hand)
        if self.source is not None:
            data["source"] = self.source.to_json()
        return data

    @property
    def by_hand(self) -> tuple[str, ...]:
        """What of it no plan changes back."""
        return (*self.left, *self.observed)

    @property
    def difference(self) -> str:
        """How the cluster differs from the files: `missing`, `changed` or `extra`."""
        return DIFFERENCES[self.change.action]


class WayToRoot(NamedTuple):
    """The `steps` by which each of `principals` becomes root; without steps it is root already.

    Not `sure`: whether the last step succeeds depends on a node's operating system.
    """

    principals: tuple[str, ...]
    steps: tuple[str, ...]
    sure: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "principals": list(self.principals),
            "steps": list(self.steps),
            "sure": self.sure,
        }


class Undeclared(NamedTuple):
    """An object that no file declares and no plan deletes.

    `rings`: it changes access, or its kind is watched, and it was not acknowledged in this state.
    `new`: the previous report did not have it in this state. `left_files`: it is as the last apply
    left it, and the files no longer declare it.
    """

    address: Address
    spec: Spec
    rings: bool = False
    new: bool = True
    acknowledged: bool = False
    left_files: bool = False

    def to_json(self) -> dict[str, Any]:
        state = {"rings": self.rings, "new": self.new, "acknowledged": self.acknowledged}
        told = {"class": self.kind.code, **state}
        return {"address": str(self.address), "object": self.spec.to_json(), **told}

    @property
    def kind(self) -> DriftClass:
        """Where it comes from."""
        return DriftClass.CHANGED_IN_FILES if self.left_files else DriftClass.UNDECLARED


@dataclass(frozen=True, slots=True)
class Drift:
    """`differences` by class and address; `gone`: addresses that an earlier report still named.

    `roots`: ways to root that are open in the cluster and were not as declared. `failing`: codes
    and severities of findings that the settings or the caller take for a failure. `records`: who
    and when, where anything differs.
    """

    cluster: str
    source: str = ""
    differences: tuple[DriftItem, ...] = ()
    findings: tuple[Finding, ...] = ()
    gone: tuple[str, ...] = ()
    undeclared: tuple[Undeclared, ...] = ()
    kept: tuple[LeftAlone, ...] = ()
    roots: tuple[WayToRoot, ...] = ()
    failing: frozenset[str] = frozenset()
    records: Records | None = None

    @property
    def crowded(self) -> int:
        """The number of groups with undeclared members, drift that no plan removes."""
        return self._number(UNDECLARED_MEMBER)

    @property
    def broken(self) -> int:
        """The number of expectations that fail in the live cluster."""
        return self._number(EXPECT)

    @property
    def expiring(self) -> int:
        """The number of logins, tokens and waivers that expire soon or have expired."""
        return self._number(EXPIRES_SOON)

    @property
    def due(self) -> int:
        """How many tokens are due for a new secret."""
        return self._number(ROTATION_DUE)

    @property
    def unproven(self) -> int:
        """Findings that say that backups are stale, or were not restored in time."""
        return self._number(STALE_BACKUP) + self._number(NOT_DRILLED)

    @property
    def failed(self) -> int:
        """The number of other findings that count as a failure."""
        return sum(one.code != EXPECT and self.fails(one) for one in self.findings)

    def fails(self, finding: Finding) -> bool:
        """Whether a finding counts as a failure: an expectation or a `[[rule]]` that does not hold,
        and what the settings or the caller say.

        Refusals of a plan, which may be allowed, say nothing about the cluster and do not count.
        """
        if finding.code == EXPECT:
            return True
        if is_of_rule(finding.code) and finding.severity is Severity.ERROR:
            return True
        listed = not self.failing.isdisjoint((finding.code, finding.severity))
        return listed and not finding.allow

    @property
    def ringing(self) -> tuple[Undeclared, ...]:
        """The undeclared objects that are an alarm."""
        return tuple(one for one in self.undeclared if one.rings)

    def number(self, kind: DriftClass) -> int:
        """How many objects have this class, the undeclared ones that are an alarm among them."""
        found = [one.kind for one in self.differences] + [one.kind for one in self.ringing]
        return found.count(kind)

    @property
    def concerned(self) -> frozenset[Address]:
        """The objects that differ from their declaration."""
        crowded = (one.address for one in self.findings if one.code == UNDECLARED_MEMBER)
        return frozenset(
            {one.change.address for one in self.differences}
            | {one.address for one in self.ringing}
            | {address for address in crowded if address is not None}
        )

    @property
    def is_refused(self) -> bool:
        """Whether an expectation fails, or a finding counts as a failure."""
        return bool(self.broken or self.failed)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to look into."""
        differs = self.differences or self.crowded or self.ringing or self.roots
        late = self.expiring or self.due or self.unproven
        return not (differs or late or self.is_refused)

    @property
    def status(self) -> ExitStatus:
        """The exit status of `drift`: the worst that applies."""
        if self.is_refused:
            return ExitStatus.REFUSED
        return ExitStatus.OK if self.is_quiet else ExitStatus.CHANGES

    def _number(self, code: str) -> int:
        return sum(finding.code == code for finding in self.findings)
