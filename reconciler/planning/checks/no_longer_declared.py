"""Objects no longer declared that stay in the cluster, since nothing declares them removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import count, listed

NO_LONGER_DECLARED = "NO_LONGER_DECLARED"
NAMED = 5
"""Number of objects that the message names."""


def check(context: PlanContext) -> Iterable[Finding]:
    request = context.request
    left = no_longer_declared(context.desired, request.earlier, context.planned)
    yield from said(left, context.desired, request.since)


def no_longer_declared(
    desired: Desired, earlier: Collection[Address], planned: State
) -> list[Address]:
    """Objects declared earlier, not any more, that exist after the plan; ACL entries last.

    Leaves out what `[manage] exclude` names, what belongs to Proxmox VE itself and cannot be
    deleted, and tables that are still in the files but have a mistake.
    """
    known = {*desired.objects, *desired.broken}
    left = (
        address
        for address in earlier
        if address not in known
        and address in planned
        and address.id not in kind_of(address).reads.builtin_ids
        and desired.removes(address) is None
        and not desired.policy.managed(address.kind).excludes(address)
    )
    return sorted(left, key=lambda address: (address.kind == "acl", address))


def tables(left: Iterable[Address]) -> list[str]:
    """A [[removed]] table for each, as TOML."""
    return [f'[[removed]]\naddress = "{_escaped(str(one))}"' for one in left]


def _escaped(text: str) -> str:
    """Escape for a basic TOML string."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)


def said(left: Sequence[Address], desired: Desired, since: str) -> Iterable[Finding]:
    """One finding for all of them; `since`: the commit whose files declared them, if any."""
    if not left:
        return
    one = len(left) == 1
    message = (
        f"{count(len(left), 'object')} {'is' if one else 'are'} no longer declared and "
        f"stay{'s' * one}: {listed([str(address) for address in left], NAMED)}"
    )
    if not desired.objects:
        message = f"the state files no longer declare anything; {message}"
    command = f"pvectl removed --since {since}" if since else "pvectl removed"
    kind = left[0].kind
    lines = [
        f"to delete {'it' if one else 'them'}: `{command} --write`, or paste into a state file:",
        *(line for table in tables(left[:NAMED]) for line in table.splitlines()),
        *([f"`{command}` prints all {len(left):,}"] if len(left) > NAMED else []),
        f'to delete everything undeclared of a kind: [manage] {kind} = "authoritative"',
    ]
    hint = "\n".join(lines)
    yield Finding(NO_LONGER_DECLARED, Severity.WARNING, message, hint)
