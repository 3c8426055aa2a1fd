"""No step of a plan may take from the operator, or from those who help in need, what must stay."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.analysis.equivalence import held
from reconciler.access.analysis.lockout import (
    EXPIRY_HORIZON,
    LockoutLoss,
    ProtectedAccess,
    administrators,
    first_loss,
)
from reconciler.access.contents import GROUP, TOKEN, USER, Principal
from reconciler.access.delta import Delta, apply_delta, difference
from reconciler.access.login import Login, active
from reconciler.access.table import AccessTable
from reconciler.model.policy import Lockout
from reconciler.pve.release import NEWEST
from tests.support.random_tables import PATHS, TOKENS, USERS, tables

PRIVILEGES = NEWEST.privileges

ACTOR = "auto@pve!pvectl"


def _cluster() -> AccessTable:
    table = AccessTable()
    for user in ("root@pam", "auto@pve", "chief@pve"):
        table.users[user] = Principal()
    table.tokens[ACTOR] = Principal(expires=5000)
    table.add_members("chief@pve", ["admins"])
    table.add_entry("/", USER, "auto@pve", "Administrator", propagate=True)
    table.add_entry("/", TOKEN, ACTOR, "Administrator", propagate=True)
    table.add_entry("/", GROUP, "admins", "Administrator", propagate=True)
    return table


def _loss(after: AccessTable, policy: Lockout | None = None, now: int = 100) -> LockoutLoss | None:
    start = _cluster()
    return first_loss(policy or Lockout(), ACTOR, start, [difference(start, after)], now)


def test_a_plan_that_takes_nothing_from_them_passes() -> None:
    after = _cluster()
    after.add_entry("/vms/100", GROUP, "admins", "PVEVMUser", propagate=True)
    assert _loss(after) is None


def test_a_narrower_entry_for_the_acting_token_locks_it_out_by_addition() -> None:
    after = _cluster()
    after.add_entry("/access", TOKEN, ACTOR, "PVEUserAdmin", propagate=True)
    loss = _loss(after)
    assert loss is not None
    assert (loss.kept, loss.path, loss.lost) == (
        ProtectedAccess.SELF,
        "/access",
        ("Permissions.Modify",),
    )
    assert loss.decision is not None
    assert "would lose Permissions.Modify on /access" in str(loss)


def test_a_narrower_entry_for_the_user_of_the_token_locks_it_out_too() -> None:
    after = _cluster()
    after.add_entry("/access", USER, "auto@pve", "PVEUserAdmin", propagate=True)
    loss = _loss(after)
    assert loss is not None
    assert loss.principal == ACTOR


def test_disabling_its_user_or_letting_the_token_expire_locks_it_out() -> None:
    after = _cluster()
    after.users["auto@pve"] = Principal(enabled=False)
    loss = _loss(after)
    assert loss is not None
    assert loss.login is Login.OWNER_DISABLED
    after = _cluster()
    after.tokens[ACTOR] = Principal(expires=99)
    loss = _loss(after)
    assert loss is not None
    assert loss.login is Login.EXPIRED
    after.tokens[ACTOR] = Principal(expires=101)
    assert _loss(after) is None


def test_what_the_plan_lets_end_within_a_day_is_a_loss_and_what_ends_anyhow_is_none() -> None:
    now = 10_000
    start = _cluster()
    start.tokens[ACTOR] = Principal(expires=now + 2 * EXPIRY_HORIZON)
    after = start.copy()
    after.tokens[ACTOR] = Principal(expires=now + 3600)
    loss = first_loss(Lockout(), ACTOR, start, [difference(start, after)], now)
    assert loss is not None
    assert loss.login is Login.EXPIRED
    assert str(loss).endswith("could no longer log in within a day: expired")
    other = after.copy()
    other.add_entry("/vms", TOKEN, ACTOR, "PVEVMAdmin", propagate=True)
    assert first_loss(Lockout(), ACTOR, after, [difference(after, other)], now) is None
    other.add_entry("/access", TOKEN, ACTOR, "PVEAuditor", propagate=True)
    assert first_loss(Lockout(), ACTOR, after, [difference(after, other)], now) is not None


def test_an_administrator_who_ends_within_a_day_does_not_make_up_for_one_who_goes() -> None:
    now = 10_000
    policy = Lockout(break_glass=(), keep_self=(), administrators=2)
    start = _cluster()
    start.users["root@pam"] = Principal(enabled=False)
    start.users["next@pve"] = Principal(expires=now + 3600)
    start.add_members("next@pve", ["admins"])
    after = start.copy()
    after.users["chief@pve"] = Principal(enabled=False)
    loss = first_loss(policy, ACTOR, start, [difference(start, after)], now)
    assert loss is not None
    assert (loss.left, loss.soon, loss.gone) == (1, True, ("chief@pve (disabled)",))
    after.users["next@pve"] = Principal()
    assert first_loss(policy, ACTOR, start, [difference(start, after)], now) is None


def test_a_break_glass_principal_keeps_everything_also_on_objects_that_nobody_names() -> None:
    policy = Lockout(break_glass=("chief@pve",))
    after = _cluster()
    after.add_entry("/vms/100", USER, "chief@pve", "PVEVMUser", propagate=True)
    loss = _loss(after, policy)
    assert loss is not None
    assert (loss.kept, loss.principal, loss.path) == (
        ProtectedAccess.BREAK_GLASS,
        "chief@pve",
        "/vms/100",
    )
    after = _cluster()
    after.add_entry("/", GROUP, "admins", "Administrator", propagate=False)
    loss = _loss(after, policy)
    assert loss is not None
    assert loss.principal == "chief@pve"


def test_a_break_glass_user_that_joins_a_denied_group_is_locked_out_by_membership() -> None:
    start = _cluster()
    start.add_entry("/vms", GROUP, "interns", "NoAccess", propagate=True)
    after = start.copy()
    after.add_members("chief@pve", ["interns"])
    policy = Lockout(break_glass=("chief@pve",))
    loss = first_loss(policy, ACTOR, start, [difference(start, after)], 100)
    assert loss is not None
    assert loss.path == "/vms"


def test_root_that_is_disabled_counts_as_locked_out() -> None:
    after = _cluster()
    after.users["root@pam"] = Principal(enabled=False)
    loss = _loss(after)
    assert loss is not None
    assert (loss.kept, loss.principal) == (ProtectedAccess.BREAK_GLASS, "root@pam")


def test_the_minimum_of_administrators_is_kept_after_each_step() -> None:
    policy = Lockout(break_glass=(), keep_self=(), administrators=3)
    start = _cluster()
    assert administrators(start) == ("auto@pve", "chief@pve", "root@pam")
    without = _cluster()
    del without.acl["/"][GROUP]
    other = without.copy()
    other.users["next@pve"] = Principal()
    other.add_entry("/", USER, "next@pve", "Administrator", propagate=True)
    steps = [difference(start, without), difference(without, other)]
    loss = first_loss(policy, ACTOR, start, steps, 100)
    assert loss is not None
    assert (loss.step, loss.left, loss.wanted) == (0, 2, 3)
    both = other.copy()
    both.add_entry("/", GROUP, "admins", "Administrator", propagate=True)
    steps = [difference(start, both), difference(both, other)]
    assert first_loss(policy, ACTOR, start, steps, 100) is None


def test_a_changed_role_can_lock_out() -> None:
    start = _cluster()
    start.roles["Ops"] = frozenset({"Sys.Modify", "Permissions.Modify"})
    for kind, who in ((USER, "auto@pve"), (TOKEN, ACTOR)):
        start.add_entry("/access", kind, who, "Ops", propagate=True)
    after = start.copy()
    after.roles["Ops"] = frozenset({"Permissions.Modify"})
    loss = first_loss(Lockout(), ACTOR, start, [difference(start, after)], 100)
    assert loss is not None
    assert loss.lost == ("Sys.Modify",)


def _single(delta: Delta) -> list[Delta]:
    return [
        Delta(**{name: {key: sides}})
        for name in ("roles", "users", "tokens", "entries", "members", "pooled")
        for key, sides in getattr(delta, name).items()
    ]


@given(tables(), tables(), st.sampled_from(TOKENS), st.sampled_from(USERS))
def test_the_first_loss_is_the_first_one_that_asking_after_every_step_finds(
    start: AccessTable, after: AccessTable, actor: str, glass: str
) -> None:
    policy = Lockout(
        keep_self=("VM.Audit on /vms/100", "User.Modify on /access"),
        break_glass=(glass,),
        administrators=2,
    )
    now = 100
    steps = _single(difference(start, after))
    expected = min(
        (
            number
            for moment in (now, now + EXPIRY_HORIZON)
            for number in _losing(start, steps, moment, actor, glass)
        ),
        default=None,
    )
    found = first_loss(policy, actor, start, steps, now)
    assert (found.step if found else None) == expected


def _losing(
    start: AccessTable, steps: list[Delta], now: int, actor: str, glass: str
) -> Iterator[int]:
    """The steps after which something is not there that was, as of one moment."""
    table = start.copy()
    needed = min(2, _count(start, now))
    for number, step in enumerate(steps):
        apply_delta(table, step)
        keeps = (
            (active(table, actor, now) or not active(start, actor, now))
            and (active(table, glass, now) or not active(start, glass, now))
            and all(
                privilege in held(table, actor, path, now)
                for privilege, path in (("VM.Audit", "/vms/100"), ("User.Modify", "/access"))
                if privilege in held(start, actor, path, now)
            )
            and all(
                held(start, glass, path, now).keys() <= held(table, glass, path, now).keys()
                for path in (*PATHS, "/vms/-", "/access/groups/-")
            )
            and _count(table, now) >= needed
        )
        if not keeps:
            yield number


def _count(table: AccessTable, now: int) -> int:
    return sum(held(table, user, "/", now).keys() >= PRIVILEGES for user in (*USERS, "ghost@pve"))
