"""What is granted meets every need, as Proxmox VE decides it, and nothing of it is idle."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access.contents import ROOT, Principal
from reconciler.access.table import AccessTable
from reconciler.kinds import access_table, kind_of
from reconciler.kinds.kind import Need
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.spec import Spec
from reconciler.planning.bootstrap.areas import on_whole_areas
from reconciler.planning.bootstrap.least_privilege import Granted, bootstrap, ways_to_root
from reconciler.planning.checks.preflight import holds
from tests.support.random_states import states

WHO = "op@pve!tool"
LIFTED: tuple[dict[str, str], ...] = ({}, {"/pool/p": "/pool", "/storage/nas": "/storage"})


def needs_of(state: dict[Address, Spec]) -> list[Need]:
    """What making, changing and deleting all of it asks for."""
    table, reason = access_table(state), Reason(Cause.MISSING, "")
    return [
        one
        for address, spec in state.items()
        for before, after in ((None, spec), (spec, spec), (spec, None))
        for one in kind_of(address).writes.needs(Change(address, before, after, reason), table)
    ]


def given_to(granted: Granted, *, without: int = -1) -> AccessTable:
    """A cluster with these grants, perhaps without one of them on both sides."""
    table = AccessTable(users={ROOT: Principal(), "op@pve": Principal()})
    table.tokens[WHO] = Principal()
    table.roles.update({role.name: frozenset(role.privileges) for role in granted.roles})
    for entry in granted.entries:
        place = (entry.path, entry.propagate)
        if without < 0 or place != granted.grants[without][::2]:
            table.add_entry(
                entry.path, entry.kind, entry.principal, entry.role, propagate=entry.propagate
            )
    return table


@settings(max_examples=60)
@given(states(), st.sampled_from(LIFTED))
def test_bootstrap_grants_all_that_a_state_needs_and_nothing_more(
    state: dict[Address, Spec], lifted: dict[str, str]
) -> None:
    needs = needs_of(state)
    granted = bootstrap(needs, WHO, "Apply", lifted)
    table = given_to(granted)
    assert [need for need in needs if not holds(table, WHO, need)] == []
    for number, grant in enumerate(granted.grants):
        less = given_to(granted, without=number)
        assert not all(holds(less, WHO, need) for need in needs), grant


@settings(max_examples=60)
@given(states(), st.sampled_from(LIFTED))
def test_few_grants_are_enough_too_and_open_no_way_to_root_that_few_privileges_leave_closed(
    state: dict[Address, Spec], lifted: dict[str, str]
) -> None:
    needs = needs_of(state)
    least = bootstrap(needs, WHO, "Apply", lifted)
    granted = on_whole_areas(least)
    table = given_to(granted)
    assert [need for need in needs if not holds(table, WHO, need)] == []
    assert len(granted.grants) <= len({grant.path for grant in least.grants}) + 1
    assert bool(ways_to_root(granted)) <= bool(ways_to_root(least))
    assert len({role.name for role in granted.roles}) == len(granted.roles)
    assert len({role.name for role in least.roles}) == len(least.roles)
