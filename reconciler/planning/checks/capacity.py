"""Configuration files that would exceed the size limit of the cluster file system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.kinds import all_kinds
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import Spec, State
from reconciler.planning.checks.context import PlanContext

FILE_LIMIT = 1024 * 1024
"""pmxcfs refuses a larger file."""


def check(context: PlanContext) -> Iterable[Finding]:
    if context.changes:
        yield from capacity(context.planned)


def capacity(planned: State) -> Iterable[Finding]:
    """Files that would exceed the size limit of pmxcfs."""
    sizes: Counter[str] = Counter()
    objects: dict[str, list[tuple[str, Spec]]] = {name: [] for name in all_kinds()}
    for address, spec in planned.items():
        objects[address.kind].append((address.id, spec))
    for name, kind in all_kinds().items():
        sizes[kind.writes.lock] += kind.writes.file_size(objects[name])
    for file, size in sorted(sizes.items()):
        if size > FILE_LIMIT:
            yield Finding(
                "FILE_TOO_LARGE",
                Severity.ERROR,
                f"{file} would grow to about {size // 1024} KiB; Proxmox VE refuses more than "
                f"{FILE_LIMIT // 1024} KiB",
                hint="grant to groups instead of users, or to pools instead of single guests",
            )
        elif size > FILE_LIMIT * 9 // 10:
            yield Finding(
                "FILE_NEARLY_FULL",
                Severity.WARNING,
                f"{file} would grow to about {size // 1024} of {FILE_LIMIT // 1024} KiB",
                hint="grant to groups instead of users, or to pools instead of single guests",
            )
