"""Check the files against each other, for mistakes that no single table shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from reconciler.kinds import all_kinds, kind_of, references
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.text.suggest import suggest

_MOST_NOTES = 20
"""Beyond that many undeclared names the files describe only a part of the cluster on purpose."""


def crosscheck(desired: Desired, *, complete: bool) -> Iterator[Finding]:
    """Findings across all files; `complete` is False when some tables could not be read.

    Nothing is then reported that might only follow from their absence.
    """
    yield from _removed(desired)
    state = desired.state
    for address, spec in state.items():
        found = kind_of(address).checks.declared_object(address.id, spec, state)
        yield from _placed(found, desired)
    if complete:
        for kind in all_kinds().values():
            yield from _placed(kind.checks.declared_kind(desired.objects), desired)
    yield from _misspelt(desired, complete=complete)


def _placed(findings: Iterable[Finding], desired: Desired) -> Iterator[Finding]:
    """The findings of a kind, which name the object, with their place in the files."""
    for finding in findings:
        declared = desired.objects.get(finding.address) if finding.address else None
        if finding.source is None and declared is not None:
            yield finding._replace(source=declared.source)
        else:
            yield finding


def _removed(desired: Desired) -> Iterator[Finding]:
    """Objects in [[removed]] that are also declared, or that declared objects refer to."""
    for address, source in desired.removed.items():
        if address in desired.objects:
            where = desired.objects[address].source
            yield Finding(
                "REMOVED",
                Severity.ERROR,
                f"{address} is removed here and declared at {where}",
                "remove one of them",
                address,
                source,
            )
    if not (desired.removed or desired.removed_globs):
        return
    said = set()
    for address, declared in desired.objects.items():
        for ref in references(address, declared.spec):
            gone = None if ref.id in kind_of(ref).reads.builtin_ids else desired.removes(ref)
            if gone is not None and (ref, declared.source) not in said:
                said.add((ref, declared.source))
                yield Finding(
                    "REMOVED",
                    Severity.ERROR,
                    f"{address} names {ref}, which is removed at {gone}",
                    "remove one of them",
                    address,
                    declared.source,
                )


def _misspelt(desired: Desired, *, complete: bool) -> Iterator[Finding]:
    """Undeclared names that resemble declared ones or those of Proxmox VE itself; only the latter
    while tables are missing.

    Whether they exist is decided against the cluster; this only suggests what was probably meant.
    """
    users: dict[Address, Address] = {}
    for address, declared in desired.objects.items():
        for ref in references(address, declared.spec):
            if ref not in desired.objects and ref not in users and ref.kind in all_kinds():
                users[ref] = address
    known: dict[str, set[str]] = defaultdict(set)
    for address in desired.objects:
        known[address.kind].add(address.id)
    unknown = [ref for ref in users if ref.id not in kind_of(ref).reads.builtin_ids]
    if not complete:
        known.clear()
    if len(unknown) > _MOST_NOTES:
        return
    for ref in unknown:
        likely = suggest(ref.id, known[ref.kind] | kind_of(ref).reads.builtin_ids)
        if likely and not _extends(ref.id, likely):
            yield Finding(
                "UNDECLARED",
                Severity.NOTE,
                f"{users[ref]} names {ref}, which is not declared",
                f"did you mean {likely}? otherwise it must already exist in the cluster",
                users[ref],
                desired.objects[users[ref]].source,
                names=ref,
            )


def _extends(name: str, other: str) -> bool:
    """Whether one name extends the other by a word, as `local-lvm` and `local`: that is not a
    typo.
    """
    longer, shorter = sorted((name, other), key=len, reverse=True)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in {"-", "_", "."}
