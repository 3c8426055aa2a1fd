"""The order of requests: make before use, let go before destroy, irreversible last."""

from __future__ import annotations

from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason, Undo
from reconciler.model.plan import Step
from reconciler.model.spec import Spec
from reconciler.planning.ordering.order import order

WHY = Reason(Cause.DIFFERS, "test")


def change(address: str, before: Spec | None, after: Spec | None) -> Change:
    return Change(Address.parse(address), before, after, WHY)


def requests(*changes: Change) -> list[str]:
    return [f"{step.request.method} {step.request.target}" for step in order(changes)]


def test_objects_are_made_before_what_names_them():
    assert requests(
        change("acl./vms/9001|token:a@pve!t1|R", None, AclSpec()),
        change("acl./vms/9001|user:a@pve|R", None, AclSpec()),
        change("token.a@pve!t1", None, TokenSpec()),
        change("user.a@pve", None, UserSpec(groups=("g",))),
        change("group.g", None, GroupSpec()),
        change("role.R", None, RoleSpec()),
    ) == [
        "POST /access/groups",
        "POST /access/roles",
        "POST /access/users",
        "POST /access/users/a@pve/token/t1",
        "PUT /access/acl",
    ]


def test_a_pair_is_one_request():
    (step,) = order(
        [
            change("acl./vms/9001|token:a@pve!t1|R", None, AclSpec()),
            change("acl./vms/9001|user:a@pve|R", None, AclSpec()),
        ]
    )
    assert dict(step.request.params) == {
        "path": "/vms/9001",
        "roles": "R",
        "users": "a@pve",
        "tokens": "a@pve!t1",
        "propagate": "1",
    }


def test_entries_and_tokens_go_before_their_user_and_the_irreversible_comes_last():
    steps = order(
        [
            change("user.a@ldap", UserSpec(keys="", groups=("g",)), None),
            change("token.a@ldap!t1", TokenSpec(), None),
            change("acl./|user:a@ldap|R", AclSpec(), None),
            change("group.g", GroupSpec(), None),
            change("role.R", RoleSpec(), None),
        ]
    )
    assert [f"{s.request.method} {s.request.target}" for s in steps] == [
        "PUT /access/acl",
        "DELETE /access/roles/R",
        "DELETE /access/users/a@ldap/token/t1",
        "DELETE /access/users/a@ldap",
        "DELETE /access/groups/g",
    ]
    assert [s.undo for s in steps] == [Undo.FULL, Undo.FULL, Undo.NONE, Undo.FULL, Undo.FULL]


def test_a_changed_propagate_flag_is_one_request():
    steps = order([change("acl./|user:a@pve|R", AclSpec(propagate=True), AclSpec(propagate=False))])
    assert [dict(s.request.params)["propagate"] for s in steps] == ["0"]


def test_fifty_pairs_on_twenty_paths_are_twenty_requests():
    changes = [
        change(f"acl./vms/{100 + path}|{who}|R", None, AclSpec())
        for path in range(20)
        for n in range(50)
        for who in (f"user:u{n}@pve", f"token:u{n}@pve!tk")
    ]
    assert len(order(changes)) == 20


def test_different_sets_of_roles_need_requests_of_their_own():
    changes = [
        change("acl./vms/100|user:a@pve|R1", None, AclSpec()),
        change("acl./vms/100|user:a@pve|R2", None, AclSpec()),
        change("acl./vms/100|user:b@pve|R1", None, AclSpec()),
        change("acl./vms/100|user:c@pve|R1", AclSpec(), None),
    ]
    assert [dict(s.request.params) for s in order(changes)] == [
        {"path": "/vms/100", "roles": "R1,R2", "users": "a@pve", "propagate": "1"},
        {"path": "/vms/100", "roles": "R1", "users": "b@pve", "propagate": "1"},
        {"path": "/vms/100", "roles": "R1", "users": "c@pve", "delete": "1"},
    ]


def test_only_changed_fields_are_sent():
    before, after = UserSpec(comment="x", groups=("g",)), UserSpec(groups=())
    (step,) = order([change("user.a@pve", before, after)])
    assert step.request.params == (("comment", ""), ("groups", ""))


class Permitted:
    """Windows that stay shut only along given orders of the groups that are made."""

    def __init__(self, *orders: str) -> None:
        self.orders, self.taken, self.effort = orders, "", 0

    def opens(self, step: Step) -> str:
        self.effort += 1
        so_far = self.taken + step.changes[0].address.id
        return "" if any(one.startswith(so_far) for one in self.orders) else "a window"

    def take(self, step: Step) -> None:
        self.taken += step.changes[0].address.id

    def take_back(self, step: Step) -> None:
        self.taken = self.taken.removesuffix(step.changes[0].address.id)


def made(groups: str, windows: Permitted) -> tuple[str, list[str]]:
    """The order in which they are made, and the windows."""
    steps = order([change(f"group.{name}", None, GroupSpec()) for name in groups], windows)
    return "".join(s.changes[0].address.id for s in steps), [s.window for s in steps]


def test_an_earlier_choice_is_revised_if_it_leads_to_a_window():
    assert made("abcd", Permitted("abd", "bdca")) == ("bdca", [""] * 4)


def test_a_window_that_no_order_avoids_is_named_where_it_opens():
    found, windows = made("abc", Permitted("ab"))
    assert found == "abc"
    assert windows == ["", "", "a window"]


def test_a_search_without_end_is_given_up():
    names = "abcdefghijklmnopqrst"
    windows = Permitted(names[:-1])
    windows.opens = lambda step: "" if step.changes[0].address.id != "t" else "a window"  # type: ignore[method-assign]
    found, opened = made(names, windows)
    assert found == names
    assert opened[-1] == "a window"
