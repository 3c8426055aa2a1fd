"""Why somebody lacks a privilege: one reason per side that lacks it, and a true one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.evaluate import privileges
from reconciler.access.explain.denial import DenialCause, DenialReason, denial_reasons, held_on
from reconciler.access.table import AccessTable
from reconciler.access.trace import EntryEffect, IdentityTrace, trace_decision
from tests.support.random_tables import PATHS, PRIVILEGES, TOKENS, USERS, tables


def is_true(table: AccessTable, side: IdentityTrace, reason: DenialReason, privilege: str) -> bool:
    """Whether the entries of that side are as the reason says."""
    deciding = [one.entry for one in side.entries if one.effect is EntryEffect.DECIDES]
    gives = [one for one in side.entries if privilege in table.roles.get(one.entry.role, ())]
    if reason.cause is DenialCause.DENIED:
        return {entry.role for entry in reason.deciding} == {"NoAccess"}
    if reason.would is not None:
        shadow = next(one.effect for one in gives if one.entry == reason.would)
        return str(shadow) != "decides" and set(reason.deciding) <= {e.entry for e in side.entries}
    if reason.cause is DenialCause.ROLES_LACK:
        return not gives and list(reason.deciding) == deciding != []
    unknown = [one for one in side.entries if one.effect is EntryEffect.UNKNOWN_ROLE]
    return (
        not deciding and not gives and bool(unknown) is (reason.cause is DenialCause.UNKNOWN_ROLE)
    )


@given(
    tables(),
    st.sampled_from((*USERS, *TOKENS, "ghost@pve")),
    st.sampled_from(PATHS),
    st.sampled_from(PRIVILEGES),
)
def test_each_side_that_lacks_it_has_one_true_reason(
    table: AccessTable, who: str, path: str, privilege: str
) -> None:
    decision = trace_decision(table, who, path)
    found = {reason.principal: reason for reason in denial_reasons(table, decision, privilege)}
    lacking = {side.principal: side for side in decision.sides if privilege not in side.privileges}
    assert found.keys() == lacking.keys()
    assert bool(lacking) is (privilege not in privileges(table, who, path)) or not decision.sides
    for name, side in lacking.items():
        assert is_true(table, side, found[name], privilege), found[name]


@given(tables(), st.sampled_from((*USERS, *TOKENS)), st.sampled_from(PRIVILEGES))
def test_the_other_paths_are_those_on_which_it_is_held(
    table: AccessTable, who: str, privilege: str
) -> None:
    found = held_on(table, who, privilege)
    assert set(found) <= {path for path in found if privilege in privileges(table, who, path)}
    assert {"/", "/vms"}.intersection(found) == {
        path for path in ("/", "/vms") if privilege in privileges(table, who, path)
    }
