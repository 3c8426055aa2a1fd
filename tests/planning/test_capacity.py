"""Whether the result of a plan fits into the files of Proxmox VE's cluster file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.kinds import all_kinds
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.shared.reader import EVERYTHING, read_state
from reconciler.model.address import Address
from reconciler.model.spec import Spec
from reconciler.planning.checks.capacity import capacity
from reconciler.sandbox.http.direct import SandboxApi
from tests.bench.clusters import make_cluster
from tests.bench.controllers import controllers
from tests.bench.large_table import large_table


@pytest.mark.parametrize("shape", ["controllers", "random"])
def test_the_size_of_user_cfg_is_foreseen(shape: str, tmp_path: Path) -> None:
    table = controllers(60) if shape == "controllers" else large_table(60, 100, 300, 40)
    folder = make_cluster(tmp_path / "pve", table)
    kinds = all_kinds()
    state, _ = read_state(SandboxApi(folder), kinds, dict.fromkeys(kinds, EVERYTHING))
    objects: dict[str, list[tuple[str, Spec]]] = {name: [] for name in kinds}
    for address, spec in state.items():
        objects[address.kind].append((address.id, spec))
    foreseen = sum(
        kind.writes.file_size(objects[name])
        for name, kind in kinds.items()
        if kind.writes.lock == "user.cfg"
    )
    size = (folder / "user.cfg").stat().st_size
    assert size * 0.98 <= foreseen <= size * 1.05


def entries(number: int) -> dict[Address, Spec]:
    spec = AclSpec()
    return {
        Address("acl", f"/vms/{100 + n}|user:somebody-{n:05}@pve|PVEVMUser"): spec
        for n in range(number)
    }


def test_a_file_that_would_outgrow_the_limit() -> None:
    """An entry takes a line of some 45 bytes here."""
    assert [finding.code for finding in capacity(entries(1000))] == []
    (nearly,) = capacity(entries(21_500))
    assert (nearly.code, str(nearly.severity)) == ("FILE_NEARLY_FULL", "warning")
    (over,) = capacity(entries(26_000))
    assert (over.code, str(over.severity)) == ("FILE_TOO_LARGE", "error")
    assert "groups" in over.hint
