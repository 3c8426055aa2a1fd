"""What the next drift report has to know, kept per cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.atomic_write import atomic_write
from reconciler.execution.journal import store
from reconciler.execution.private_folder import make
from reconciler.kinds import fingerprint, kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.drift import Memory
from reconciler.model.spec import State

FORMAT = 2


def recall(path: Path, folder: Path) -> Memory:
    """The memory of the report before, and what was applied since; empty where there is none."""
    memory = _read(path)
    applied = store.applied(folder, memory.time)
    return replace(memory, baseline={**memory.baseline, **applied})


def as_committed(old: Desired, live: State, memory: Memory) -> Memory:
    """The state files of a commit as what was applied last.

    An object counts as left so where those files would not change it.
    """
    baseline = {}
    for address, declared in old.objects.items():
        try:
            left = kind_of(address).writes.merge_with_live(declared.spec, live.get(address))
        except ValueError:
            continue
        baseline[address] = fingerprint(address, left)
    return replace(memory, baseline=baseline, complete=True)


def keep(path: Path, memory: Memory) -> None:
    """Write it for the owner alone; raises OSError."""
    content = {
        "kind": "drift-memory",
        "format": FORMAT,
        "time": memory.time,
        "differences": list(memory.differences),
        "complete": memory.complete,
        **{name: _named(getattr(memory, name)) for name in _DIGESTS},
    }
    make(path.parent)
    text = json.dumps(content, sort_keys=True) + "\n"
    atomic_write(path, text.encode(), private=True, follow=False)


_DIGESTS = ("baseline", "undeclared", "acknowledged")


def _named(digests: Mapping[Address, str]) -> dict[str, str]:
    return {str(address): value for address, value in digests.items()}


def _read(path: Path) -> Memory:
    """Nothing is known from a file that is not there or of another version."""
    try:
        data: Mapping[str, Any] = json.loads(path.read_bytes())
        if data["format"] != FORMAT or data["kind"] != "drift-memory":
            return Memory()
        digests = {
            name: {Address.parse(key): str(value) for key, value in data[name].items()}
            for name in _DIGESTS
        }
        differences = tuple(map(str, data["differences"]))
        return Memory(int(data["time"]), differences, complete=bool(data["complete"]), **digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()
