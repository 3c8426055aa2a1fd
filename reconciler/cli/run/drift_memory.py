"""Store, per cluster, what the next drift report compares with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.atomic_write import atomic_write
from reconciler.execution.journal import store
from reconciler.execution.private_folder import make
from reconciler.kinds import fingerprint, kind_of
from reconciler.kinds.shared.omitted_keys import watched
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Desired
from reconciler.model.drift_memory import Memory
from reconciler.model.spec import State
from reconciler.planning.changes.goal import goal
from reconciler.planning.unspecified import as_json

FORMAT = 3


def recall(path: Path, folder: Path) -> Memory:
    """What the previous report found and what was applied since; empty where there is none."""
    memory = _read(path)
    applied = store.applied(folder, memory.time)
    left, observed = dict(memory.left), dict(memory.observed)
    for address, before, after, _ in applied:
        names = watched(kind_of(address).toml.table)
        old = {} if before is None else as_json(before, names)
        new = {} if after is None else as_json(after, names)
        made = {name: value for name, value in new.items() if old.get(name, after) != value}
        left[address] = {**(left.get(address, {}) if after is not None else {}), **made}
        if after is None or bool(getattr(after, "secrets", None)):
            observed.pop(address, None)
    return replace(memory, baseline=_known(memory, applied), left=left, observed=observed)


def _known(memory: Memory, applied: Iterable[Change]) -> dict[Address, str]:
    """Each object as the last apply left it. What a run restored is known as it was before that
    run: somebody else's objects are not taken for applied ones.
    """
    known, earlier = dict(memory.baseline), dict[Address, str | None]()
    for address, before, after, _ in applied:
        was = known.get(address)
        restored = after is not None and after == before
        left = earlier.get(address, was) if restored else fingerprint(address, after)
        earlier[address] = left if restored else was
        if left is None:
            known.pop(address, None)
        else:
            known[address] = left
    return known


def as_committed(old: Desired, live: State, memory: Memory) -> Memory:
    """The state files of a commit, taken as what was applied last.

    An object counts as left so where those files would not change it.
    """
    baseline = {}
    for address in old.objects:
        try:
            left = goal(old, address, live.get(address))
        except ValueError:
            continue
        baseline[address] = fingerprint(address, left)
    return replace(memory, baseline=baseline, complete=True)


def keep(path: Path, memory: Memory) -> None:
    """Write it, readable by its owner only; raises OSError."""
    content = {
        "kind": "drift-memory",
        "format": FORMAT,
        "time": memory.time,
        "differences": list(memory.differences),
        "complete": memory.complete,
        "left": {str(address): dict(values) for address, values in memory.left.items()},
        "observed": {str(address): dict(values) for address, values in memory.observed.items()},
        **{name: _named(getattr(memory, name)) for name in _DIGESTS},
    }
    make(path.parent)
    text = json.dumps(content, sort_keys=True) + "\n"
    atomic_write(path, text.encode(), private=True, follow=False)


_DIGESTS = ("baseline", "undeclared", "acknowledged")


def _named(digests: Mapping[Address, str]) -> dict[str, str]:
    return {str(address): value for address, value in digests.items()}


def _read(path: Path) -> Memory:
    """The stored memory; empty where there is no file, or one of another version."""
    try:
        data: Mapping[str, Any] = json.loads(path.read_bytes())
        if data["format"] != FORMAT or data["kind"] != "drift-memory":
            return Memory()
        digests = {
            name: {Address.parse(key): str(value) for key, value in data[name].items()}
            for name in _DIGESTS
        }
        differences = tuple(map(str, data["differences"]))
        left, observed = (
            {Address.parse(key): dict(values) for key, values in data.get(name, {}).items()}
            for name in ("left", "observed")
        )
        whole = bool(data["complete"])
        return Memory(
            int(data["time"]),
            differences,
            *(digests["baseline"], left, whole),
            *(digests["undeclared"], digests["acknowledged"], observed),
        )
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return Memory()
