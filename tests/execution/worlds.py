"""A cluster in a folder, two states of it, and whether it is as it was."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.execution.apply import apply_plan, resume_run, roll_back_run
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import Journal
from reconciler.execution.run.context import RunContext
from reconciler.kinds import all_kinds, visible
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.policy import Manage, Mode, Policy
from reconciler.model.request import Request
from reconciler.model.run import RunReport
from reconciler.model.spec import Spec, State
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.settings import Settings
from tests.kinds.samples import fresh_folder
from tests.support.engine import FRESH, NOW, MemorySecrets, NoLease, Passing, TestClock

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""Where a sync to the disk costs nothing, so that more faults fit into the same time."""

PASSED = ("IRREVERSIBLE=*", "LIMIT_DELETE=*", "LIMIT_TOTAL=*", "PROTECTED=*", "REPLACE=*")
_runs = itertools.count()
"""Each run begins a second after the one before, so that each journal has a name of its own."""
SECTION_FILES = ("storage.cfg", "jobs.cfg", "domains.cfg")
BY_DEFAULT = {"storage.cfg": [], "domains.cfg": [], "jobs.cfg": ["enabled 1"]}
"""Lines that Proxmox VE adds to a section at the next write of the file, whoever writes."""
LOOSE = ("content ", "nodes ")
"""Keys whose elements Proxmox VE writes in random order."""


def build(folder: Path) -> Path:
    """A freshly installed cluster whose files are in Proxmox VE's normal form."""
    fresh_folder(folder)
    (folder / "user.cfg").write_text(FRESH)
    (folder / "priv").mkdir(exist_ok=True)
    (folder / "priv" / "token.cfg").write_text(
        "root@pam!bootstrap 11111111-2222-4333-8444-555555555555\n"
    )
    return folder


@dataclass
class World:
    """One cluster; `journal` is where runs keep theirs."""

    folder: Path
    journal: Path
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = SandboxApi(self.folder, settings=Settings(lock_wait=0.0))

    def files(self) -> dict[str, bytes]:
        """Everything below the folder."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Put the cluster back, whatever happened to it."""
        for name in self.files().keys() - files.keys():
            (self.folder / name).unlink()
        for name, data in files.items():
            path = self.folder / name
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)


@contextmanager
def world() -> Iterator[World]:
    """A fresh one, gone at the end."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield World(build(Path(name) / "pve"), Path(name) / "journal")


def declare(state: State) -> Desired:
    """`state` as the whole truth: everything else that Proxmox VE does not own is to go."""
    exclude = {"user": ("root@pam",), "token": ("root@pam!bootstrap",), "storage": ("local*",)}
    manage = {
        kind: Manage(mode=Mode.AUTHORITATIVE, exclude=exclude.get(kind, ())) for kind in all_kinds()
    }
    objects = {address: Declared(spec, Source("state.toml", 1)) for address, spec in state.items()}
    return Desired(objects=objects, policy=Policy(manage=manage))


def look(api: Api) -> dict[Address, Spec]:
    """All objects."""
    return read_state(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))[0]


def plan_for(api: Api, state: State, cluster: str = "", actor: str = "") -> Plan:
    """The plan to `state`, with everything allowed that can be allowed."""
    where, who = cluster or api.endpoint, actor or api.actor
    question = PlanRequest(where, who, NOW, allowed=PASSED)
    return build_plan(declare(state), look(api), Facts(), question).plan


@dataclass
class Watched(Passing):
    """An `Api` that lets no write pass unless its record is on the disk."""

    journal: Path

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        last = json.loads(self.journal.read_bytes().rstrip(b"\n").rpartition(b"\n")[2])
        assert last["event"] == "intent", f"{request.target} without its record"
        assert last["data"]["request"] == json.loads(json.dumps(request.to_json()))
        return self.api.send(request, secrets)


@dataclass
class Bench:
    """One plan, to be run and run again, each time with a journal of its own."""

    world: World
    plan: Plan
    clock: TestClock = field(default_factory=TestClock)
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    lease: Any = field(default_factory=NoLease)
    before: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.world.files()

    def begin(self) -> Path:
        """A new journal that begins with the plan; returns its file."""
        self.clock.time = float(NOW + next(_runs))
        with store.start(self.world.journal, self.plan, "tester", "", self.clock.time) as new:
            return new.path

    def run(self, api: Api, journal: Journal) -> RunContext:
        return RunContext(api, self.plan.steps, journal, self.clock, self.secrets, self.lease)

    def apply(self, api: Api, path: Path | None = None) -> tuple[RunReport, Path]:
        return self._go(api, path or self.begin(), apply_plan)

    def resume(self, path: Path, api: Api | None = None) -> RunReport:
        return self._go(api or self.world.api, path, resume_run)[0]

    def roll_back(self, path: Path, api: Api | None = None) -> RunReport:
        return self._go(api or self.world.api, path, roll_back_run)[0]

    def _go(
        self, api: Api, path: Path, work: Callable[[RunContext], RunReport]
    ) -> tuple[RunReport, Path]:
        with Journal.open(path) as journal:
            return work(self.run(Watched(api, path), journal)), path

    def reset(self) -> None:
        """The cluster as it was, and no secret delivered."""
        self.world.restore(self.before)
        self.secrets.delivered.clear()


def bench(world: World, first: State, second: State) -> Bench:
    """A cluster in state `first`, and the plan to `second`."""
    plan = plan_for(world.api, first)
    assert not plan.refusals, plan.refusals
    ready = Bench(world, plan)
    report, _ = ready.apply(world.api)
    assert report.complete, report
    return Bench(world, plan_for(world.api, second))


def is_declared(world: World, state: State) -> None:
    """The cluster shows the declared state, and a second plan is empty."""
    plan = plan_for(world.api, state)
    assert plan.steps == (), [step.request for step in plan.steps]
    live = look(world.api)
    for address, spec in state.items():
        if address.kind not in {"realm", "storage"}:
            assert live[address] == visible(address, spec), address


def is_as_before(world: World, before: Mapping[str, bytes]) -> None:
    """user.cfg byte for byte, section files section by section, the same secrets of tokens."""
    now = world.files()
    assert now["user.cfg"].decode() == before["user.cfg"].decode()
    for name in SECTION_FILES:
        assert sections(now.get(name, b""), name) == sections(before.get(name, b""), name), name
    assert now["priv/token.cfg"] == before["priv/token.cfg"]
    assert now.get("priv/shadow.cfg", b"") == before.get("priv/shadow.cfg", b"")


def sections(raw: bytes, name: str) -> dict[str, list[str]]:
    """Heading -> lines; without order of sections, `content` and `nodes`."""
    found: dict[str, list[str]] = {}
    if name == "domains.cfg":
        found = {
            "pam: pam": ["comment Linux PAM standard authentication"],
            "pve: pve": ["comment Proxmox VE authentication server"],
        }
    for block in raw.decode().split("\n\n"):
        heading, *lines = [line.strip() for line in block.strip().splitlines()] or [""]
        if heading:
            said = [] if any(line.startswith("enabled ") for line in lines) else BY_DEFAULT[name]
            found[heading] = sorted([*map(_sorted, lines), *said])
    return found


def _sorted(line: str) -> str:
    if not line.startswith(LOOSE):
        return line
    key, _, value = line.partition(" ")
    return f"{key} {','.join(sorted(value.split(',')))}"
