"""For random clusters, files and subsets of the keys that the files give: apply changes these and
nothing else, and rollback restores everything, byte for byte. Members that are additive stay, and
kinds with `unspecified = "clear"` keep nothing that is not given."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.kinds import all_kinds, kind_of, references, visible
from reconciler.kinds.shared.omitted_keys import WhenOmitted, rules
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts
from reconciler.model.policy import Manage, Mode, Policy, Unspecified
from reconciler.model.spec import Spec, State
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.pve.realm_options import REALM_TYPES
from reconciler.pve.storage_options import STORAGE_TYPES
from tests.execution.worlds import PASSED, Bench, World, bench, is_as_before, look, world
from tests.kinds.samples import declared
from tests.support.engine import NOW
from tests.support.random_states import states

HERE = Source("state.toml", 1)
JOINED = {"pool": ("guests", "storages"), "user": ("groups",)}
"""Fields that additive members add to."""


class Case(NamedTuple):
    """A cluster; files that give some keys of some of its objects; and kinds of which the others
    are cleared."""

    first: State
    files: dict[Address, Declared]
    cleared: frozenset[str]

    @property
    def desired(self) -> Desired:
        manage = {
            kind: Manage(
                mode=Mode.ADDITIVE,
                unspecified=Unspecified.CLEAR if kind in self.cleared else Unspecified.KEEP,
            )
            for kind in all_kinds()
        }
        return Desired(objects=self.files, policy=Policy(manage=manage))

    def is_additive(self, kind: str, name: str) -> bool:
        one = self.files.get(Address(kind, name))
        return one is not None and one.notes.get("members") == "additive"


def open_keys(address: Address) -> list[str]:
    """The fields and options that a file may leave as they are."""
    table = rules(kind_of(address).toml.table).values()
    return sorted(one.field for one in table if one.rule in (WhenOmitted.LEFT, WhenOmitted.WATCHED))


def is_possible(address: Address, old: Spec, new: Spec, there: State) -> bool:
    """Whether the object can be changed to the other one without making anything else."""
    named = set(references(address, new))
    known = all(ref in there or ref.id in kind_of(ref).reads.builtin_ids for ref in named)
    return known and getattr(old, "type", "") == getattr(new, "type", "")


def written(spec: Spec, left: frozenset[str], *, cleared: bool) -> Spec:
    """The spec of a table without these keys: a storage's says no more than what it gives."""
    if isinstance(spec, StorageSpec):
        options = tuple(one for one in spec.options if one[0] not in left)
        unset = tuple(name for name in spec.unset if name not in left)
        return spec.model_copy(update={"options": options, "unset": unset})
    if not cleared:
        return spec  # whatever is in it counts for nothing
    fields = type(spec).model_fields
    return spec.with_parts({key: fields[key].default if key in fields else None for key in left})


def needed(spec: Spec) -> frozenset[str]:
    """What no object can do without, and so no file that clears the rest."""
    fields = type(spec).model_fields.items()
    name = getattr(spec, "type", "")
    section = REALM_TYPES.get(name)
    if isinstance(spec, StorageSpec):
        section = STORAGE_TYPES[name].section
    keys = section.required | section.fixed if section else frozenset[str]()
    return keys | {key for key, one in fields if one.is_required()}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    first, second = draw(states()), draw(states())
    if Address("realm", "corp") in first:  # the rarest kind
        job = declared("realm_sync", "nightly", {"schedule": "*/30", "scope": "both"}, "corp")
        first.setdefault(Address("realm_sync", "nightly"), job)
    cleared = draw(st.frozensets(st.sampled_from(sorted(all_kinds()))))
    files = {}
    for address, old in first.items():
        spec = second.get(address, old)
        if not is_possible(address, old, spec, first):
            continue
        keys = open_keys(address)
        subset = st.sets(st.sampled_from(keys)) if keys else st.just(set[str]())
        left = frozenset(draw(subset))
        if address.kind in cleared:
            left -= needed(spec)
        notes = {}
        if address.kind in {"pool", "group"} and draw(st.booleans()):
            notes["members"] = "additive"
        table = written(spec, left, cleared=address.kind in cleared)
        files[address] = Declared(table, HERE, notes, unspecified=left)
    return Case(first, files, cleared)


def plan(of: World, desired: Desired) -> Any:
    question = PlanRequest(of.api.endpoint, of.api.actor, NOW, allowed=PASSED)
    return build_plan(desired, look(of.api), Facts(), question).plan


def check_object(case: Case, address: Address, before: Spec, after: Spec) -> None:
    """What is given is as given, and the rest is as before, or cleared."""
    table = case.files.get(address)
    if table is None:
        assert after == before, address
        return
    left = table.unspecified - {"keys"}
    joined = JOINED.get(address.kind, ())
    cleared = address.kind in case.cleared
    shown = visible(address, table.spec)
    for key in left:
        (now,), (was,) = after.parts([key]).values(), before.parts([key]).values()
        if not cleared:
            assert now == was, (address, key)
        elif key in joined:
            assert set(now or ()) == stays(case, address, was), (address, key)
        else:
            value = shown.parts([key])[key]
            if key == "content":
                value = tuple(sorted(STORAGE_TYPES[getattr(after, "type", "")].default_content))
            assert now == value, (address, key)
    if isinstance(table.spec, StorageSpec):
        return
    for key, value in shown.parts(set(open_keys(address)) - left - {"keys"}).items():
        (now,), (was,) = after.parts([key]).values(), before.parts([key]).values()
        if key in joined:
            assert set(now or ()) == set(value or ()) | stays(case, address, was), (address, key)
        else:
            assert now == value, (address, key)


def stays(case: Case, address: Address, members: Any) -> set[Any]:
    """Of the members before: all of an additive pool, and the groups that are additive."""
    if address.kind == "pool":
        return set(members or ()) if case.is_additive("pool", address.id) else set()
    return {group for group in members or () if case.is_additive("group", group)}


def test_apply_changes_only_what_is_given_and_rollback_restores_all() -> None:
    seen, cleared, additive = set[str](), set[str](), set[str]()

    @settings(max_examples=20, deadline=None, phases=[Phase.generate])
    @given(cases())
    def check(case: Case) -> None:
        kinds = {address.kind for address in case.files}
        seen.update(kinds)
        cleared.update(kinds & case.cleared)
        additive.update(a.kind for a, one in case.files.items() if one.notes)
        with world() as cluster:
            bench(cluster, case.first, case.first)
            before, bytes_before = look(cluster.api), cluster.files()
            wanted = plan(cluster, case.desired)
            assume(not wanted.refusals)
            ready = Bench(cluster, wanted)
            report, journal = ready.apply(cluster.api)
            assert report.complete, report
            after = look(cluster.api)
            assert after.keys() == before.keys()
            for address, spec in before.items():
                check_object(case, address, spec, after[address])
            assert not plan(cluster, case.desired).steps
            if all(step.undo is Undo.FULL for step in wanted.steps):
                ready.roll_back(journal)
                is_as_before(cluster, bytes_before)

    check()
    assert seen == set(all_kinds())
    assert len(cleared) > 5
    assert additive == {"group", "pool"}
