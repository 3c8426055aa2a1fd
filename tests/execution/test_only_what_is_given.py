"""For random clusters, files and subsets of the keys that the files give: apply changes these and
nothing else, and rollback restores everything, byte for byte."""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.kinds import all_kinds, kind_of, references, visible
from reconciler.kinds.shared.ungiven import Rule, rules
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts
from reconciler.model.policy import Manage, Mode, Policy
from reconciler.model.spec import Spec, State
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from tests.execution.worlds import PASSED, Bench, World, bench, is_as_before, look, world
from tests.support.engine import NOW
from tests.support.random_states import states

HERE = Source("state.toml", 1)
ADDITIVE = Policy(manage={kind: Manage(mode=Mode.ADDITIVE) for kind in all_kinds()})


def open_keys(address: Address) -> list[str]:
    """The fields and options that a file may leave as they are."""
    table = rules(kind_of(address).toml.table).values()
    return sorted(one.field for one in table if one.rule in (Rule.LEFT, Rule.WATCHED))


def is_possible(address: Address, old: Spec, new: Spec, there: State) -> bool:
    """Whether the object can be changed to the other one without making anything else."""
    named = set(references(address, new))
    known = all(ref in there or ref.id in kind_of(ref).reads.builtin_ids for ref in named)
    return known and getattr(old, "type", "") == getattr(new, "type", "")


def written(spec: Spec, left: frozenset[str]) -> Spec:
    """A storage's file says no more than what it gives."""
    if not isinstance(spec, StorageSpec):
        return spec
    options = tuple(one for one in spec.options if one[0] not in left)
    unset = tuple(name for name in spec.unset if name not in left)
    return spec.model_copy(update={"options": options, "unset": unset})


@st.composite
def cases(draw: st.DrawFn) -> tuple[State, dict[Address, Declared]]:
    """A cluster, and files that give some keys of some of its objects."""
    first, second = draw(states()), draw(states())
    files = {}
    for address, spec in second.items():
        if address in first and is_possible(address, first[address], spec, first):
            keys = open_keys(address)
            subset = st.sets(st.sampled_from(keys)) if keys else st.just(set[str]())
            left = frozenset(draw(subset))
            files[address] = Declared(written(spec, left), HERE, unspecified=left)
    return first, files


def plan(of: World, files: dict[Address, Declared]) -> Any:
    question = PlanRequest(of.api.endpoint, of.api.actor, NOW, allowed=PASSED)
    return build_plan(Desired(objects=files, policy=ADDITIVE), look(of.api), Facts(), question).plan


@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(cases())
def test_apply_changes_only_what_is_given_and_rollback_restores_all(case):
    first, files = case
    with world() as cluster:
        bench(cluster, first, first)
        before, bytes_before = look(cluster.api), cluster.files()
        wanted = plan(cluster, files)
        assume(not wanted.refusals)
        ready = Bench(cluster, wanted)
        report, journal = ready.apply(cluster.api)
        assert report.complete, report
        after = look(cluster.api)
        assert after.keys() == before.keys()
        for address, spec in before.items():
            declared = files.get(address)
            if declared is None:
                assert after[address] == spec, address
                continue
            left = declared.unspecified
            assert after[address].parts(left) == spec.parts(left), address
            given_keys = set(open_keys(address)) - left
            if not isinstance(declared.spec, StorageSpec):
                shown = visible(address, declared.spec)
                for key, value in shown.parts(given_keys - {"keys"}).items():
                    assert after[address].parts([key])[key] == value, (address, key)
        assert not plan(cluster, files).steps
        if all(step.undo is Undo.FULL for step in wanted.steps):
            ready.roll_back(journal)
            is_as_before(cluster, bytes_before)
