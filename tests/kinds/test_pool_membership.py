"""Any set of pools becomes any other one, and step by step back again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.api import Api
from reconciler.model.change import Change
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import NODE, carried, change, fresh_folder

GUESTS = range(9001, 9007)
NAMES = ("a1", "a1/b1", "a1/b1/c1", "d1")
Pools = Mapping[str, PoolSpec]


@st.composite
def pools(draw: st.DrawFn) -> Pools:
    """Every pool with its parents; each guest in one pool at most."""
    found = set(draw(st.sets(st.sampled_from(NAMES))))
    there = sorted(name for name in NAMES if any(f"{n}/".startswith(f"{name}/") for n in found))
    homes = {vmid: draw(st.sampled_from(["", *there])) for vmid in GUESTS}
    storages = st.sets(st.sampled_from(["local", "local-lvm"]))
    return {
        name: PoolSpec(
            comment=draw(st.sampled_from(["", "x"])),
            guests=tuple(vmid for vmid in GUESTS if homes[vmid] == name),
            storages=tuple(sorted(draw(storages))),
        )
        for name in there
    }


def differences(before: Pools, after: Pools) -> list[Change]:
    return [
        change("pool", name, before.get(name), after.get(name))
        for name in NAMES
        if before.get(name) != after.get(name)
    ]


def seen(api: Api) -> Pools:
    state, _ = read_state(api, ["pool"], {"pool": EVERYTHING})
    return {address.id: spec for address, spec in state.items() if isinstance(spec, PoolSpec)}


@settings(max_examples=40, deadline=None)
@given(first=pools(), second=pools())
def test_pools_reach_any_state_and_come_back(first: Pools, second: Pools) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = fresh_folder(Path(folder) / "pve")
        for vmid in GUESTS:
            (path / f"nodes/{NODE}/lxc/{vmid}.conf").write_text("memory: 512\n")
        api = SandboxApi(path)
        api.send(request("PUT", "access", "users", "root@pam", comment="x"))  # normal form
        for sent, _ in carried(*differences({}, first)) if first else ():
            api.send(sent)
        start = (path / "user.cfg").read_bytes()
        assert seen(api) == first
        changes = differences(first, second)
        done = []
        for sent, pieces in carried(*changes) if changes else ():
            api.send(sent)
            done.append(pieces)
            for piece in pieces:
                assert seen(api).get(piece.address.id) == piece.after
        assert seen(api) == second
        for pieces in reversed(done):
            for sent, _ in carried(*[piece.inverse() for piece in reversed(pieces)]):
                api.send(sent)
        assert seen(api) == first
        assert not changes or (path / "user.cfg").read_bytes() == start
