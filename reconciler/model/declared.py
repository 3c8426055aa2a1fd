"""What the state files declare: objects with their place in the files, and the directives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Finding, Source
from reconciler.model.policy import Policy, Unspecified
from reconciler.model.spec import Spec
from reconciler.pve.release import NEWEST, Release


class Declaration(NamedTuple):
    """What a kind reads from one TOML table: an object, and notes about it.

    `notes` (purpose, owner, reason, ...) are never sent to Proxmox VE. `derived` objects follow
    from another one (the user's entry of a token pair) and may be declared more than once. After
    `expires` (Unix seconds, 0 = never) the object counts as removed.
    """

    id: str
    spec: Spec
    notes: Mapping[str, Any] = {}
    derived: bool = False
    expires: int = 0


class Declared(NamedTuple):
    """A declaration and its place.

    `unspecified`: fields and options of `spec` that the file omits; on an existing object they are
    left unchanged. `by_name`: the table gives the name alone.
    """

    spec: Spec
    source: Source
    notes: Mapping[str, Any] = {}
    derived: bool = False
    expires: int = 0
    unspecified: frozenset[str] = frozenset()
    by_name: bool = False


class Moved(NamedTuple):
    """The object `old` is renamed to `new`."""

    old: Address
    new: Address
    source: Source


class Expectation(NamedTuple):
    """One `[[expect]]`: who can or cannot do what, where.

    `who`: principals, globs, `group:NAME` for its members, or `*`; `but`: principals that are
    exempt. `paths`: ACL paths or globs. Of `can`, `cannot` and `cannot_both` one is not empty.
    `cannot_both`: privileges that no person holds together, on any of the paths, as user or by a
    token.
    """

    who: tuple[str, ...]
    paths: tuple[str, ...]
    can: tuple[str, ...]
    cannot: tuple[str, ...]
    but: tuple[str, ...]
    source: Source
    reason: str = ""
    cannot_both: tuple[str, ...] = ()


class CallExpectation(NamedTuple):
    """One `[[expect]]` with an API call: how Proxmox VE answers each of `who`.

    `status` is that of the answer. `task`: how the task's exit status must begin; "" where none is
    named. `harmless`: the call may succeed although it writes.
    """

    who: tuple[str, ...]
    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    status: int
    task: str
    harmless: bool
    source: Source
    reason: str = ""

    @property
    def is_refused_in_task(self) -> bool:
        """Whether the call is accepted and its task refused."""
        return self.task.startswith("403")

    @property
    def title(self) -> str:
        """`POST /nodes/pve/vzdump vmid=100`"""
        return " ".join((self.method, self.path, *(f"{k}={v}" for k, v in self.params)))


class Waiver(NamedTuple):
    """One `[[waive]]`: findings of one code that are accepted for a while.

    `code`: of the findings; `address`: a glob over their addresses; `expires` in Unix seconds. A
    waiver without a reason or an expiry is a mistake in the file.
    """

    code: str
    address: str
    reason: str
    expires: int
    source: Source


class NoBackup(NamedTuple):
    """One `[[no_backup]]`: guests that deliberately have no backup job.

    `guests` by id, those of `pools`, and with `templates` every template. `expires` in Unix
    seconds, 0 = never.
    """

    guests: tuple[int, ...]
    pools: tuple[str, ...]
    templates: bool
    reason: str
    expires: int
    source: Source


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that a state folder declares."""

    objects: Mapping[Address, Declared] = field(default_factory=dict)
    removed: Mapping[Address, Source] = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    no_backup: tuple[NoBackup, ...] = ()
    policy: Policy = field(default_factory=Policy)
    release: Release = NEWEST
    """of Proxmox VE, for which the files were checked"""
    findings: tuple[Finding, ...] = ()
    broken: frozenset[Address] = frozenset()
    """objects that are not among `objects` since their tables have mistakes"""
    calls: tuple[CallExpectation, ...] = ()
    removed_globs: Mapping[Address, Source] = field(default_factory=dict)
    """what [[removed]] names with * or ?: a kind, and a glob over its ids"""
    included: tuple[str, ...] = ()
    """the files that others include, as seen from the state folder"""
    rules: tuple[CustomRule, ...] = ()
    """those of the files, and of the trusted settings"""
    policy_places: Mapping[str, Source] = field(default_factory=dict)
    """where the settings give values of `policy`, by dotted keys"""
    revoked: frozenset[Address] = frozenset()
    """entries of a temporary grant that is being ended before its expiry"""

    def removes(self, address: Address) -> Source | None:
        """Where [[removed]] names an object; what is declared is never matched by a glob."""
        if address in self.removed:
            return self.removed[address]
        if address in self.objects or address in self.broken:
            return None
        globs = self.removed_globs.items()
        return next((source for glob, source in globs if address.matches(str(glob))), None)

    def goal(self, address: Address, live: Spec | None) -> Spec:
        """The declared spec, with omitted fields as they are in `live`."""
        declared = self.objects[address]
        manage = self.policy.managed(address.kind)
        if live is None:
            return declared.spec
        if manage.unspecified is Unspecified.CLEAR:
            return declared.spec.as_whole(live)
        if not declared.unspecified or not declared.spec.keeps(live):
            return declared.spec
        return declared.spec.with_parts(live.parts(declared.unspecified))

    @property
    def state(self) -> dict[Address, Spec]:
        """The declared objects alone."""
        return {address: declared.spec for address, declared in self.objects.items()}
