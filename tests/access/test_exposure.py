"""Every privilege that is held, or missing, only between two states is found."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.access.analysis.affected import affected_principals
from reconciler.access.analysis.equivalence import held
from reconciler.access.analysis.exposure import ExposureWindow, exposure_window
from reconciler.access.analysis.impact import known_paths
from reconciler.access.contents import GROUP, USER, Principal
from reconciler.access.delta import Delta, apply_delta, difference
from reconciler.access.table import AccessTable
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.spec import Spec
from reconciler.planning.ordering.exposure_tracker import ExposureTracker
from reconciler.planning.ordering.order import order
from tests.support.random_tables import PATHS, TOKENS, USERS, tables

_EVERYONE = (*USERS, *TOKENS, "ghost@pve")
_Spots = dict[tuple[str, str], tuple[frozenset[str], frozenset[str]]]


def _single(delta: Delta) -> Iterator[Delta]:
    """One delta for each thing that changes."""
    for name in ("roles", "users", "tokens", "entries", "members", "pooled"):
        for key, sides in getattr(delta, name).items():
            yield Delta(**{name: {key: sides}})


def _asked(before: AccessTable, after: AccessTable, now: AccessTable) -> _Spots:
    """By asking for everybody everywhere."""
    found: _Spots = {}
    for who in _EVERYONE:
        for path in PATHS:
            old, new, mid = (held(t, who, path).keys() for t in (before, after, now))
            extra, missing = mid - old - new, (old & new) - mid
            if extra or missing:
                found[who, path] = frozenset(extra), frozenset(missing)
    return found


def _told(found: ExposureWindow | None) -> _Spots:
    return {
        (who, path): (frozenset(effect.gained), frozenset(effect.lost))
        for effect in (found.effects if found else ())
        for who in effect.principals
        for path in effect.paths
        if path in PATHS
    }


@settings(max_examples=40)
@given(tables(), tables(), st.randoms(use_true_random=False))
def test_looking_only_at_what_each_step_touches_finds_every_window(
    before: AccessTable, after: AccessTable, dice: object
) -> None:
    steps = list(_single(difference(before, after)))
    dice.shuffle(steps)  # type: ignore[attr-defined]
    now = before.copy()
    paths = known_paths((before, after), PATHS)
    known: _Spots = {}
    for step in steps:
        apply_delta(now, step)
        reach = affected_principals(step, before, after, now)
        found = _told(exposure_window(before, after, now, reach, paths))
        expected = _asked(before, after, now)
        assert found == {spot: expected[spot] for spot in found}
        known = {spot: open_ for spot, open_ in known.items() if spot[0] not in reach} | {
            spot: open_ for spot, open_ in expected.items() if spot[0] in reach
        }
        assert known == expected
        fresh = affected_principals(difference(before, after), before, after, now)
        assert _told(exposure_window(before, after, now, fresh, paths)) == expected
    assert (
        exposure_window(
            before, after, now, affected_principals(difference(before, after), before, after)
        )
        is None
    )


def _entry(path: str, who: str, role: str, *, there: bool) -> Change:
    spec: Spec = AclSpec()
    before, after = (spec, None) if there else (None, spec)
    return Change(Address("acl", f"{path}|{who}|{role}"), before, after, Reason(Cause.DIFFERS, ""))


def _ends(*changes: Change) -> tuple[AccessTable, AccessTable]:
    from reconciler.kinds import access_delta

    before = AccessTable(users={"ann@pve": Principal()})
    for change in changes:
        if change.before is not None:
            before.add_entry(*AclEntry.parse(change.address.id), propagate=True)
    after = before.copy()
    apply_delta(after, access_delta(changes))
    return before, after


def test_a_role_is_replaced_without_a_moment_of_losing_what_both_give() -> None:
    changes = (
        _entry("/vms/100", "user:ann@pve", "PVEVMUser", there=True),
        _entry("/vms/100", "user:ann@pve", "PVEVMAdmin", there=False),
    )
    before, after = _ends(*changes)
    steps = order(changes, ExposureTracker(before, after))
    assert [AclEntry.parse(step.changes[0].address.id).role for step in steps] == [
        "PVEVMAdmin",
        "PVEVMUser",
    ]
    assert not any(step.window for step in steps)


def test_a_denial_that_moves_down_opens_no_window_when_the_new_one_comes_first() -> None:
    changes = (
        _entry("/vms", "user:ann@pve", "PVEAuditor", there=False),
        _entry("/vms/100", "user:ann@pve", "NoAccess", there=False),
    )
    before, after = _ends(*changes)
    steps = order(changes, ExposureTracker(before, after))
    assert [step.changes[0].address.id for step in steps] == [
        "/vms/100|user:ann@pve|NoAccess",
        "/vms|user:ann@pve|PVEAuditor",
    ]
    assert not any(step.window for step in steps)


def test_a_window_that_no_order_avoids_is_put_in_words_once() -> None:
    """NoAccess and a role are swapped: either order gives too little or too much."""
    before = AccessTable(users={"ann@pve": Principal()})
    before.add_entry("/", USER, "ann@pve", "PVEVMUser", propagate=True)
    after = before.copy()
    now = before.copy()
    now.add_entry("/vms", USER, "ann@pve", "NoAccess", propagate=True)
    reach = affected_principals(difference(before, now), before, after, now)
    found = exposure_window(before, after, now, reach)
    assert found is not None
    assert str(found).startswith("ann@pve would lack VM.Audit, VM.Backup, ")
    assert " on /vms" in str(found)


def test_enabling_a_user_waits_until_its_old_entries_are_gone() -> None:
    user = Address("user", "ann@pve")
    reason = Reason(Cause.DIFFERS, "")
    changes = (
        Change(user, UserSpec(enabled=False), UserSpec(), reason),
        _entry("/vms", "user:ann@pve", "PVEVMAdmin", there=True),
    )
    before = AccessTable(users={"ann@pve": Principal(enabled=False)})
    before.add_entry("/vms", USER, "ann@pve", "PVEVMAdmin", propagate=True)
    after = AccessTable(users={"ann@pve": Principal()})
    steps = order(changes, ExposureTracker(before, after))
    assert [step.changes[0].address.kind for step in steps] == ["acl", "user"]
    assert not any(step.window for step in steps)


def test_an_expired_user_is_readmitted_only_after_its_old_entries_are_gone() -> None:
    reason = Reason(Cause.DIFFERS, "")
    changes = (
        Change(Address("user", "ann@pve"), UserSpec(expires=50), UserSpec(), reason),
        _entry("/vms", "user:ann@pve", "PVEVMAdmin", there=True),
    )
    before = AccessTable(users={"ann@pve": Principal(expires=50)})
    before.add_entry("/vms", USER, "ann@pve", "PVEVMAdmin", propagate=True)
    after = AccessTable(users={"ann@pve": Principal()})
    steps = order(changes, ExposureTracker(before, after, time=100))
    assert [step.changes[0].address.kind for step in steps] == ["acl", "user"]
    assert not any(step.window for step in steps)


def test_a_group_seen_from_its_members() -> None:
    before = AccessTable(users={"ann@pve": Principal()})
    before.add_members("ann@pve", ["ops"])
    before.add_entry("/vms", GROUP, "ops", "PVEVMUser", propagate=True)
    after = before.copy()
    now = before.copy()
    delta = difference(before, AccessTable(users=before.users, acl=before.acl))
    apply_delta(now, delta)
    found = exposure_window(before, after, now, affected_principals(delta, before, after, now))
    assert found is not None
    assert [effect.principals for effect in found.effects] == [("ann@pve",)]
