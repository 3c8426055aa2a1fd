"""Plans: the steps in order, and the findings about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from reconciler.model.address import Address
from reconciler.model.change import Action, Change, Undo
from reconciler.model.finding import Finding
from reconciler.model.request import Request
from reconciler.model.secret import SecretSink
from reconciler.model.spec import Spec, digest

FORMAT = 1


class Step(NamedTuple):
    """One request that carries one or more changes.

    `lock` is the configuration file that PVE locks for it; `undo` the worst of its changes;
    `sink` where the secret goes that the answer holds, if any; `window` says which privilege
    somebody gains or loses for a moment, where no order avoids that.
    """

    request: Request
    changes: tuple[Change, ...]
    lock: str
    undo: Undo = Undo.FULL
    sink: SecretSink | None = None
    window: str = ""

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "request": self.request.to_json(),
            "changes": [change.to_json() for change in self.changes],
            "lock": self.lock,
            "undo": str(self.undo),
        }
        if self.sink is not None:
            data["sink"] = self.sink.model_dump(exclude_none=True)
        if self.window:
            data["window"] = self.window
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], specs: Mapping[str, type[Spec]]) -> Step:
        """The reverse of `to_json`."""
        sink = data.get("sink")
        return cls(
            Request.from_json(data["request"]),
            tuple(Change.from_json(change, specs) for change in data["changes"]),
            data["lock"],
            Undo(data["undo"]),
            None if sink is None else SecretSink.model_validate(sink),
            data.get("window", ""),
        )


class LeftAlone(NamedTuple):
    """Undeclared live objects of one kind that are left alone, and why; `addresses` in order.

    Plans saved before the addresses were recorded have the number alone.
    """

    kind: str
    why: str
    number: int
    addresses: tuple[Address, ...] = ()

    def to_json(self) -> dict[str, Any]:
        names = [str(address) for address in self.addresses]
        return {"kind": self.kind, "why": self.why, "number": self.number, "addresses": names}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LeftAlone:
        """The reverse of `to_json`."""
        names = tuple(Address.parse(name) for name in data.get("addresses", ()))
        return cls(data["kind"], data["why"], data["number"], names)


class Access(NamedTuple):
    """What a plan does to access, grouped for display; it decides nothing.

    `effects`: who gains and loses which privileges where, the broadest first; `logins`: who can or
    can no longer log in; `sessions`: what those who are logged in notice, and when. All are JSON
    objects; `text` describes each and `mark` is `+`, `-`, `~`
    or `!`. What several effects have in common is in `shared`, and they refer to it by number.
    `more`: how many effects were too many to keep.
    """

    effects: tuple[Mapping[str, Any], ...] = ()
    logins: tuple[Mapping[str, Any], ...] = ()
    shared: Mapping[str, Any] = MappingProxyType({})
    more: int = 0
    sessions: tuple[Mapping[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.effects or self.logins or self.sessions)

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The lines to display: mark and text."""
        said = [(one["mark"], one["text"]) for one in (*self.effects, *self.logins, *self.sessions)]
        rest = [("!", f"and {self.more:,} more; `pvectl plan --format json` has all")]
        return (*said, *(rest if self.more else ()))

    def to_json(self) -> dict[str, Any]:
        return {
            "effects": list(self.effects),
            "logins": list(self.logins),
            "sessions": list(self.sessions),
            "shared": dict(self.shared),
            "more": self.more,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Access:
        """The reverse of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        effects, logins = tuple(data["effects"]), tuple(data["logins"])
        sessions = tuple(data.get("sessions", ()))
        said = [one[key] for one in (*effects, *logins, *sessions) for key in _SAID]
        if not all(isinstance(text, str) for text in said):
            raise ValueError("the access summary is not a string")
        return cls(effects, logins, dict(data["shared"]), int(data["more"]), sessions)


_SAID = ("mark", "text")


@dataclass(frozen=True, slots=True)
class Plan:
    """Explaining and applying walk the same steps, so a dry run cannot disagree with the real one.

    `cluster` is the endpoint, `identity` the fingerprint of the cluster's CA, "" where it is
    unknown; `against` the state folder that it compares with instead of a cluster; `actor` who
    would apply it, `source` the commit of the state folder. `seen` holds exactly the live objects
    that the plan concerns, as they were (None: absent). `allowed` is what the operator allowed;
    `passed` the exact flags of the refusals that this let pass. `files`: SHA-256, in hexadecimal,
    of each file of the state folder that the plan was made from. `access` is for display; plans
    saved before it existed have none.
    """

    cluster: str
    actor: str
    source: str = ""
    steps: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()
    kept: tuple[LeftAlone, ...] = ()
    seen: tuple[tuple[Address, Spec | None], ...] = ()
    allowed: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    access: Access = field(default_factory=Access)
    identity: str = ""
    against: str = ""

    def is_for(self, cluster: str, identity: str) -> bool:
        """Whether the plan is for this cluster: by its CA, otherwise by its address."""
        if self.identity and identity:
            return self.identity == identity
        return self.cluster == cluster

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in the order in which they are applied."""
        return tuple(change for step in self.steps for change in step.changes)

    def concerned(self, action: Action) -> frozenset[Address]:
        """The objects of which this is the action: an object that is created, or created again,
        counts as such, however many requests that takes."""
        changed = {change.address for change in self.changes if change.action is action}
        if action is Action.UPDATE:
            changed -= self.concerned(Action.CREATE) | self.concerned(Action.DELETE)
        return frozenset(changed)

    def count(self, action: Action) -> int:
        """The number of objects of which this is the action."""
        return len(self.concerned(action))

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that forbid applying the plan."""
        return tuple(f for f in self.findings if f.severity == "error")

    def to_json(self) -> dict[str, Any]:
        """Canonical, without secrets and without times."""
        extra: dict[str, Any] = {"access": self.access.to_json()} if self.access else {}
        if self.passed:
            extra["passed"] = list(self.passed)
        if self.files:
            extra["files"] = dict(self.files)
        if self.identity:
            extra["identity"] = self.identity
        if self.against:
            extra["against"] = self.against
        return {
            **extra,
            "format": FORMAT,
            "cluster": self.cluster,
            "actor": self.actor,
            "source": self.source,
            "steps": [step.to_json() for step in self.steps],
            "findings": [finding.to_json() for finding in self.findings],
            "kept": [kept.to_json() for kept in self.kept],
            "seen": {
                str(address): None if spec is None else spec.to_json()
                for address, spec in self.seen
            },
            "allowed": list(self.allowed),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], specs: Mapping[str, type[Spec]]) -> Plan:
        """The reverse of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']} is not {FORMAT}")
        seen = ((Address.parse(name), spec) for name, spec in data["seen"].items())
        return cls(
            cluster=data["cluster"],
            actor=data["actor"],
            source=data["source"],
            steps=tuple(Step.from_json(step, specs) for step in data["steps"]),
            findings=tuple(Finding.from_json(finding) for finding in data["findings"]),
            kept=tuple(LeftAlone.from_json(kept) for kept in data["kept"]),
            seen=tuple(
                (address, None if spec is None else specs[address.kind].model_validate(spec))
                for address, spec in seen
            ),
            allowed=tuple(data["allowed"]),
            passed=tuple(data.get("passed", ())),
            files={str(name): str(value) for name, value in data.get("files", {}).items()},
            access=Access.from_json(data["access"]) if "access" in data else Access(),
            identity=str(data.get("identity", "")),
            against=str(data.get("against", "")),
        )

    @property
    def digest(self) -> str:
        """What a reviewer approves: SHA-256, in hexadecimal, of what is sent where and in which
        order, of the objects that it was computed from, of what forbids it and of what was allowed.

        The planning actor, the commit and other findings do not count: the plan of a pull request
        is approved, and another token applies it after the merge.
        """
        whole = self.to_json()
        covered = {name: whole[name] for name in ("steps", "seen", "allowed")}
        where = {
            "cluster": self.identity or self.cluster or self.against,
            "passed": list(self.passed),
        }
        refusals = sorted([f.code, str(f.address or ""), f.allow] for f in self.refusals)
        return digest({**covered, **where, "refusals": refusals})
