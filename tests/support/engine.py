"""What tests of the engine share: a cluster in a folder, a clock of their own, faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.errors import RequestRefused, SinkFailed
from reconciler.execution.apply import apply_plan
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Journal
from reconciler.execution.run.context import RunContext
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Manage, Mode, Policy
from reconciler.model.request import Request
from reconciler.model.run import RunReport
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec, State
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.sandbox.http.direct import SandboxApi

NOW = 1_800_000_000
ACCESS_KINDS = ("role", "group", "user", "token", "acl")
FRESH = """user:root@pam:1:0:::root@example.invalid:::
token:root@pam!bootstrap:0:0::




"""
"""A user.cfg in PVE's normal form."""


@dataclass
class TestClock:
    """Time that passes only when somebody sleeps."""

    time: float = float(NOW)
    __test__ = False

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class MemorySecrets:
    """Sinks in memory; `broken` ones refuse to take a secret."""

    delivered: dict[str, str] = field(default_factory=dict)
    broken: bool = False

    def resolve(self, reference: SecretRef) -> str:
        return f"value of {reference.env}"

    def probe(self, sink: SecretSink) -> None:
        """Everything is writable here."""

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        if self.broken:
            raise SinkFailed(f"{sink} cannot be written")
        self.delivered[token] = value

    def withdraw(self, sink: SecretSink, token: str) -> None:
        self.delivered.pop(token, None)


class NoLease:
    """One writer by construction."""

    questions = ()

    def renew(self) -> None:
        """Nothing to renew."""

    def note(self, answers: Any, began: float) -> None:
        """Nothing to hear."""


@dataclass
class Passing:
    """An `Api` in front of another one that passes everything on."""

    api: Api

    @property
    def actor(self) -> str:
        return self.api.actor

    @property
    def endpoint(self) -> str:
        return self.api.endpoint

    def get(self, requests: Sequence[Request]) -> list[Any]:
        return self.api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        return self.api.send(request, secrets)

    def close(self) -> None:
        self.api.close()


@dataclass
class Faulty(Passing):
    """An `Api` in front of another one: `fault(number, request, send)` decides on every write."""

    fault: Callable[[int, Request, Callable[[], Any]], Any]
    sent: list[Request] = field(default_factory=list)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self.sent.append(request)
        return self.fault(len(self.sent), request, lambda: self.api.send(request, secrets))


def refuse_at(step: int) -> Callable[[int, Request, Callable[[], Any]], Any]:
    """Refuse the write of this number, let all others through."""

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number == step:
            raise RequestRefused(500, "refused by the test")
        return send()

    return fault


def cluster(folder: Path, user_cfg: str = FRESH) -> SandboxApi:
    """A fresh embedded PVE in `folder`."""
    (folder / "priv").mkdir(parents=True, exist_ok=True)
    (folder / "user.cfg").write_text(user_cfg)
    return SandboxApi(folder)


def declare(state: State) -> Desired:
    """`state` as the whole truth: everything else inside these kinds is to go."""
    kinds = {address.kind for address in state} | set(ACCESS_KINDS)
    exclude = {"user": ("root@pam",), "token": ("root@pam!bootstrap",)}
    manage = {
        kind: Manage(mode=Mode.AUTHORITATIVE, exclude=exclude.get(kind, ())) for kind in kinds
    }
    objects = {address: Declared(spec, Source("state.toml", 1)) for address, spec in state.items()}
    return Desired(objects=objects, policy=Policy(manage=manage))


def plan_for(api: Api, desired: Desired, kinds: Sequence[str] = ACCESS_KINDS) -> Plan:
    """The plan, with everything allowed that can be allowed."""
    wanted = {kind: frozenset(a.id for a in desired.objects if a.kind == kind) for kind in kinds}
    live, _ = read_state(api, kinds, wanted)
    allowed = ("IRREVERSIBLE=*", "LIMIT_DELETE=*", "LIMIT_TOTAL=*", "PROTECTED=*")
    question = PlanRequest(api.endpoint, api.actor, NOW, allowed=allowed)
    return build_plan(desired, live, Facts(), question).plan


def run_plan(
    api: Api,
    plan: Plan,
    folder: Path,
    clock: TestClock | None = None,
    secrets: MemorySecrets | None = None,
) -> tuple[RunReport, Journal]:
    """Apply a plan with a journal in `folder`."""
    clock = clock or TestClock()
    journal = store.start(folder, plan, "tester", "", clock.now())
    run = RunContext(api, plan.steps, journal, clock, secrets or MemorySecrets(), NoLease())
    with journal:
        return apply_plan(run), journal


def access_state(api: Api) -> dict[Address, Spec]:
    """The live access objects without root and its token."""
    state, _ = read_state(api, ACCESS_KINDS, {})
    return {
        address: spec
        for address, spec in state.items()
        if not all_kinds()[address.kind].reads.is_builtin(address.id, spec)
        and address.id != "root@pam!bootstrap"
    }
