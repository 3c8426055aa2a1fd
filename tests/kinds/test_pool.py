from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.kinds import all_kinds
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts, Guest
from reconciler.model.spec import Spec
from reconciler.planning.changes.diff import diff, narrow
from reconciler.planning.checks.pool_removals import taken
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import carried, change, declared, fresh_folder, live, requests

KIND = all_kinds()["pool"]


def pool(*guests: int, comment: str = "", storages: tuple[str, ...] = ()) -> PoolSpec:
    return PoolSpec(comment=comment, guests=guests, storages=storages)


def update(name: str, before: PoolSpec | None, after: PoolSpec | None) -> Change:
    return change("pool", name, before, after)


def test_a_pool_is_made_then_filled() -> None:
    assert requests(update("dev", None, pool(101, 120, comment="d", storages=("local",)))) == [
        ("POST", "/pools", {"poolid": "dev", "comment": "d"}),
        ("PUT", "/pools", {"poolid": "dev", "vms": "101,120", "storage": "local"}),
    ]


def test_parents_are_made_first_and_go_last() -> None:
    made = requests(update("a/b", None, pool()), update("a", None, pool()))
    assert [sent[2]["poolid"] for sent in made] == ["a", "a/b"]
    gone = requests(update("a", pool(), None), update("a/b", pool(), None))
    assert [sent[2]["poolid"] for sent in gone] == ["a/b", "a"]


def test_members_leave_before_a_pool_is_deleted() -> None:
    assert requests(update("dev", pool(101, storages=("local",)), None)) == [
        ("PUT", "/pools", {"poolid": "dev", "vms": "101", "storage": "local", "delete": "1"}),
        ("DELETE", "/pools", {"poolid": "dev"}),
    ]


def test_members_that_come_and_a_comment_are_one_request_and_those_that_go_another() -> None:
    assert requests(update("dev", pool(101, 102, comment="a"), pool(101, 103, comment="b"))) == [
        ("PUT", "/pools", {"poolid": "dev", "comment": "b", "vms": "103"}),
        ("PUT", "/pools", {"poolid": "dev", "vms": "102", "delete": "1"}),
    ]


def test_a_comment_that_changes_while_members_go_needs_no_request_of_its_own() -> None:
    assert requests(update("dev", pool(101, comment="a"), pool())) == [
        ("PUT", "/pools", {"poolid": "dev", "comment": "", "vms": "101", "delete": "1"})
    ]


def test_a_guest_that_moves_takes_one_request_for_both_pools() -> None:
    moved = carried(update("a", pool(101), pool()), update("b", pool(), pool(101)))
    ((sent, changes),) = moved
    assert dict(sent.params) == {"poolid": "b", "vms": "101", "allow-move": "1"}
    assert [(c.address.id, c.before, c.after) for c in changes] == [
        ("b", pool(), pool(101)),
        ("a", pool(101), pool()),
    ]


def test_requests_say_who_moves_and_who_comes() -> None:
    def titles(*changes: Change) -> list[str]:
        return [KIND.writes.title(pieces) for _, pieces in carried(*changes)]

    assert titles(update("a", pool(101), pool()), update("b", None, pool(101, 102))) == [
        "create pool b",
        "move guest 101 from a to pool b",
    ]
    assert titles(update("a", pool(1, 2), pool(3, storages=("s",)))) == [
        "pool a: add guest 3 and storage s",
        "pool a: remove guests 1, 2",
    ]


def test_guests_that_go_to_several_pools_and_nowhere() -> None:
    sent = requests(
        update("a", pool(101, 102, 103), pool()),
        update("b", pool(), pool(101)),
        update("c", None, pool(102)),
    )
    assert sent == [
        ("POST", "/pools", {"poolid": "c"}),
        ("PUT", "/pools", {"poolid": "b", "vms": "101", "allow-move": "1"}),
        ("PUT", "/pools", {"poolid": "c", "vms": "102", "allow-move": "1"}),
        ("PUT", "/pools", {"poolid": "a", "vms": "103", "delete": "1"}),
    ]


def test_what_the_requests_carry_leads_from_before_to_after_without_a_gap() -> None:
    """Two pools swap a guest, a third one is emptied into them and goes."""
    changes = [
        update("a", pool(1, 2), pool(3, 5)),
        update("b", pool(3, comment="x"), pool(1, 2, 4)),
        update("c", pool(4, 5, storages=("s",)), None),
    ]
    now: dict[str, PoolSpec | None] = {"a": pool(1, 2), "b": pool(3, comment="x")}
    now["c"] = pool(4, 5, storages=("s",))
    for _, pieces in carried(*changes):
        for piece in pieces:
            assert now[piece.address.id] == piece.before
            assert isinstance(piece.after, PoolSpec | None)
            now[piece.address.id] = piece.after
    assert now == {"a": pool(3, 5), "b": pool(1, 2, 4), "c": None}


def test_swapped_guests_on_the_embedded_server(tmp_path: Path) -> None:
    api = SandboxApi(fresh_folder(tmp_path / "pve"))
    for forward in (True, False):
        if forward:
            changes = [update("a", None, pool(9000)), update("b", None, pool(9001))]
        else:
            changes = [
                update("a", pool(9000), pool(9001)),
                update("b", pool(9001), pool(9000)),
            ]
        for sent, _ in carried(*changes):
            api.send(sent)
    assert live(api, "pool", "a") == pool(9001)
    assert live(api, "pool", "b") == pool(9000)


def test_storages_are_known_only_of_pools_that_were_asked_for(tmp_path: Path) -> None:
    api = SandboxApi(fresh_folder(tmp_path / "pve"))
    for sent, _ in carried(update("a", None, pool(9000, storages=("local",)))):
        api.send(sent)
    from reconciler.kinds.shared.reader import read_state

    undeclared = read_state(api, ["pool"], {})[0][Address("pool", "a")]
    assert undeclared == PoolSpec(guests=(9000,), storages=None)
    assert live(api, "pool", "a") == pool(9000, storages=("local",))


def test_a_guest_is_not_taken_from_a_pool_that_nobody_declared() -> None:
    b, source = Address("pool", "b"), Source("pools.toml", 1)
    desired = Desired(objects={b: Declared(pool(101), source)})
    for storages in (None, ("local",)):
        there = {b: pool(), Address("pool", "a"): PoolSpec(guests=(101,), storages=storages)}
        changes = diff(desired, there, now=0).changes
        (finding,) = taken(desired, changes)
        assert (finding.code, finding.source) == ("POOL_TAKEN", source)
        assert "declare pool.a with a `guests` list" in finding.hint


def test_a_target_that_takes_a_guest_brings_the_pool_that_loses_it() -> None:
    a, b, source = Address("pool", "a"), Address("pool", "b"), Source("pools.toml", 1)
    there = {a: pool(101, 102), b: pool()}
    desired = Desired(objects={a: Declared(pool(102), source), b: Declared(pool(101), source)})
    changes = narrow(diff(desired, there, now=0).changes, ["pool.b"], there)
    assert requests(*changes) == [
        ("PUT", "/pools", {"poolid": "b", "vms": "101", "allow-move": "1"})
    ]


def test_a_guest_in_two_pools_is_a_mistake() -> None:
    source = Source("pools.toml", 1)
    desired = {Address("pool", name): Declared(pool(101), source) for name in ("a", "b")}
    found = list(KIND.checks.declared_kind(desired))
    assert [(f.code, str(f.address)) for f in found] == [("POOL_TWICE", "pool.b")]


def test_a_member_that_is_hidden_is_taken_out_and_added_again() -> None:
    wanted = update("dev", pool(1), pool(1, 4711))
    away, again = KIND.writes.fallbacks(
        wanted, "update pools failed: VM 4711 is already a pool member"
    )
    assert requests(away) == [("PUT", "/pools", {"poolid": "dev", "vms": "4711", "delete": "1"})]
    assert requests(again) == [("PUT", "/pools", {"poolid": "dev", "vms": "4711"})]
    assert not KIND.writes.fallbacks(wanted, "pool 'dev' does not exist")


def test_guests_that_do_not_exist_and_grants_on_empty_pools_are_reported() -> None:
    planned: dict[Address, Spec] = {
        Address("pool", "dev"): pool(4711),
        Address("pool", "void"): pool(),
        Address("acl", "/pool/void|user:a@pve|PVEVMUser"): all_kinds()["acl"].spec(),
        Address("acl", "/pool/dev|user:a@pve|PVEVMUser"): all_kinds()["acl"].spec(),
    }
    facts = Facts(guests={9000: Guest(9000, "vm", "qemu", "n")}, nodes=("n",))
    found = [(f.code, str(f.address)) for f in KIND.checks.planned_state(planned, facts)]
    assert found == [("NO_SUCH_GUEST", "pool.dev"), ("EMPTY_POOL", "pool.void")]


@pytest.mark.parametrize("name", ["a/b/c/d", "a b", "a//b", "ü"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError, match="pool name"):
        declared("pool", name, {})


def test_an_exported_pool_reads_back() -> None:
    spec = pool(101, comment="c", storages=("local",))
    assert declared("pool", "dev", KIND.toml.export("dev", spec)) == spec
