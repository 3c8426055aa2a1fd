"""What every kind of object promises, whoever wrote it; says what a new kind still lacks.

A kind brings `tests/data/contract/NAME.toml`: `address` of an object, `[around...]` what must be
there before it, `[first...]` and `[second...]` two versions of it, as tables of a state file.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tomli_w

from reconciler.desired.export.toml_files import export
from reconciler.desired.loader import load, require_valid
from reconciler.errors import RequestRefused
from reconciler.kinds import access_table, all_kinds, references, specs
from reconciler.kinds.kind import Kind, Need
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.address import Address
from reconciler.model.change import Action, Cause, Change, Reason, Undo
from reconciler.model.declared import Declared
from reconciler.model.plan import Step
from reconciler.model.request import request
from reconciler.model.spec import Spec
from reconciler.planning.ordering.order import order
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import SECRETS, fresh_folder

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parents[1] / "data" / "contract"
REFERENCE = ROOT / "packaging" / "reference" / "examples"
ACTOR = "limited@pve!t1"
KINDS = list(all_kinds())
ACTIONS = list(Action)


class Sample(NamedTuple):
    """Two versions of one object, and the objects that must be there before."""

    address: Address
    around: Mapping[Address, Spec]
    first: Spec
    second: Spec

    @property
    def kind(self) -> Kind[Any]:
        return all_kinds()[self.address.kind]


def declared(tables: Mapping[str, Any], folder: Path) -> Mapping[Address, Declared]:
    """What these tables of a state file declare."""
    folder.mkdir()
    (folder / "state.toml").write_text(tomli_w.dumps(tables))
    found = load(folder)
    require_valid(found.findings)
    return found.objects


def sample_of(name: str, tmp_path: Path) -> Sample:
    path = SAMPLES / f"{name}.toml"
    content = tomllib.loads(path.read_text())
    address = Address.parse(content["address"])
    around = declared(content.get("around", {}), tmp_path / "around")
    first, second = (declared(content[key], tmp_path / key) for key in ("first", "second"))
    return Sample(
        address,
        {known: one.spec for known, one in around.items()},
        first[address].spec,
        second[address].spec,
    )


@pytest.fixture(params=[name for name in KINDS if (SAMPLES / f"{name}.toml").exists()])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return sample_of(request.param, tmp_path)


def read(api: SandboxApi) -> dict[Address, Spec]:
    kinds = all_kinds()
    return read_state(api, kinds, dict.fromkeys(kinds, EVERYTHING))[0]


def send(api: SandboxApi, *changes: Change) -> None:
    for step in order(changes):
        api.send(step.request, SECRETS)


def change_of(address: Address, before: Spec | None, after: Spec | None) -> Change:
    return Change(address, before, after, Reason(Cause.DIFFERS, "declared in state.toml:1"))


class World:
    """A cluster in which everything around the sample is there."""

    def __init__(self, folder: Path, sample: Sample) -> None:
        self.folder = fresh_folder(folder)
        self.api = SandboxApi(folder)
        self.sample = sample
        for address, spec in sample.around.items():
            made = all_kinds()[address.kind].writes.merge_with_live(spec, None)
            if read(self.api).get(address) is None:
                send(self.api, change_of(address, None, made))

    @property
    def live(self) -> Spec | None:
        return read(self.api).get(self.sample.address)

    def change(self, wanted: Spec | None) -> Change:
        """From what is there to what is wanted."""
        before = self.live
        after = None if wanted is None else self.sample.kind.writes.merge_with_live(wanted, before)
        return change_of(self.sample.address, before, after)

    def prepared(self, action: Action) -> Change:
        """A change of this action, ready to be sent."""
        first = self.change(self.sample.first)
        if action is Action.CREATE:
            return first
        if first.after != first.before:
            send(self.api, first)
        return self.change(self.sample.second if action is Action.UPDATE else None)


@pytest.fixture
def world(sample: Sample, tmp_path: Path) -> World:
    return World(tmp_path / "pve", sample)


def examples() -> Mapping[str, str]:
    """Kinds that some example or the demo declares -> where."""
    folders = [ROOT / "state", *sorted(p for p in (ROOT / "examples").iterdir() if p.is_dir())]
    found: dict[str, str] = {}
    for folder in folders:
        if list(folder.glob("*.toml")):
            for address in load(folder).objects:
                found.setdefault(address.kind, folder.name)
    return found


def test_every_kind_is_complete() -> None:
    """Lists what is missing, for all kinds at once."""
    shown, manual = examples(), (ROOT / "docs" / "state-files.md").read_text()
    described = tomllib.loads((ROOT / "reconciler/pve/option_descriptions.toml").read_text())
    missing = []
    for name, kind in all_kinds().items():
        place = kind.toml.place
        header = f"[[{place.key}]]" if place.array else f".{place.key}." if place.inside else ""
        needed = {
            f"tests/data/contract/{name}.toml": (SAMPLES / f"{name}.toml").exists(),
            f"a table of kind {name} in a folder of examples/": name in shown,
            f"a table of kind {name} in docs/state-files.md": (header or f"[{place.key}.")
            in manual,
            f"packaging/reference/examples/{name}.toml": (REFERENCE / f"{name}.toml").exists(),
            f"[{name}] in reconciler/pve/option_descriptions.toml": name in described,
        }
        missing += [what for what, there in needed.items() if not there]
    assert missing == []


def test_specs_come_back_from_json(sample: Sample) -> None:
    for spec in (sample.first, sample.second):
        text = json.dumps(spec.to_json())
        assert type(spec).model_validate(json.loads(text)) == spec
        change = change_of(sample.address, spec, None)
        again = Change.from_json(json.loads(json.dumps(change.to_json())), specs())
        assert again == change


def test_steps_come_back_from_json(world: World) -> None:
    for action in ACTIONS:
        for step in order([world.prepared(action)]):
            assert Step.from_json(json.loads(json.dumps(step.to_json())), specs()) == step
            world.api.send(step.request, SECRETS)


def test_what_is_sent_is_what_is_seen(world: World) -> None:
    for wanted in (world.sample.first, world.sample.second, None, world.sample.second):
        change = world.change(wanted)
        send(world.api, change)
        seen = None if change.after is None else world.sample.kind.reads.as_read(change.after)
        assert world.live == seen
        assert wanted is None or world.change(wanted).after == seen


def test_nothing_else_changes(world: World) -> None:
    before = read(world.api)
    send(world.api, world.change(world.sample.first))
    send(world.api, world.change(world.sample.second))
    send(world.api, world.change(None))
    assert read(world.api) == before


def test_what_was_exported_declares_the_same(world: World, tmp_path: Path) -> None:
    send(world.api, world.change(world.sample.first))
    state = read(world.api)
    files = export(state).files
    folder = tmp_path / "exported"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    found = load(folder)
    require_valid(found.findings)
    again = found.objects[world.sample.address].spec
    assert world.sample.kind.writes.merge_with_live(again, world.live) == world.live


@pytest.mark.parametrize("action", ACTIONS)
def test_a_change_can_be_rolled_back(action: Action, world: World) -> None:
    change = world.prepared(action)
    before = world.live
    assert change.action is action
    assert change.inverse().inverse()[:3] == change[:3]
    send(world.api, change)
    send(world.api, change.inverse())
    undo = world.sample.kind.writes.undo(change)
    assert undo in Undo
    if undo is Undo.FULL or action is not Action.DELETE:
        assert world.live == before


def test_what_a_spec_names_is_declared_or_always_there(sample: Sample) -> None:
    there = {**sample.around, sample.address: sample.first}
    for spec in (sample.first, sample.second):
        for ref in references(sample.address, spec):
            kind = all_kinds()[ref.kind]
            assert ref.kind in sample.kind.links.refers_to | {sample.address.kind}
            known = (
                ref in there
                or ref.id in kind.reads.builtin_ids
                or ref.kind in sample.kind.links.may_dangle
            )
            assert known or ref.id in {"pve", "local"}


@pytest.mark.parametrize("action", ACTIONS)
def test_needs_are_enough_and_none_is_too_much(
    action: Action, world: World, tmp_path: Path
) -> None:
    """A token with all of them succeeds; with any one missing it is refused for that."""
    change = world.prepared(action)
    needs = list(world.sample.kind.writes.needs(change, access_table(read(world.api))))
    assert needs
    world.api.send(request("POST", "access", "users", userid="limited@pve"))
    world.api.send(request("POST", "access", "users", "limited@pve", "token", "t1"))
    for number, held in enumerate(_enough(needs)):
        folder = shutil.copytree(world.folder, tmp_path / f"enough-{number}")
        _try(folder, held, change, propagate=number > 0)
    least = _enough(needs)[0]
    for number, left_out in enumerate(least):
        folder = shutil.copytree(world.folder, tmp_path / f"less-{number}")
        held = [pair for pair in least if pair != left_out]
        with pytest.raises(RequestRefused) as refused:
            _try(folder, held, change, propagate=False)
        assert refused.value.forbidden


def _enough(needs: Iterable[Need]) -> list[list[tuple[str, str]]]:
    """Each combination of ways to meet all needs; the one that is asked for comes first."""
    ways = itertools.product(*(need.any_of for need in needs))
    return [list(dict.fromkeys(pair for way in chosen for pair in way)) for chosen in ways]


def _try(folder: Path, held: Sequence[tuple[str, str]], change: Change, *, propagate: bool) -> None:
    """As a token that holds exactly these (path, privilege), and its user with it."""
    root = SandboxApi(folder)
    for path, pairs in itertools.groupby(sorted(held), key=lambda pair: pair[0]):
        role = f"r{path.replace('/', '-')}"
        privs = ",".join(privilege for _, privilege in pairs)
        root.send(request("POST", "access", "roles", roleid=role, privs=privs))
        who = {"users": ACTOR.partition("!")[0], "tokens": ACTOR}
        entry = request("PUT", "access", "acl", path=path, roles=role, propagate=propagate, **who)
        root.send(entry)
    send(SandboxApi(folder, ACTOR), change)
