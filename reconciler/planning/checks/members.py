"""Group members that no state file names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.kinds import kind_of, references
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Desired
from reconciler.model.finding import UNDECLARED_MEMBER, Finding, Severity
from reconciler.model.policy import Mode
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import in_prose


def check(context: PlanContext) -> Iterable[Finding]:
    yield from dangling_members(context.changes, context.facts.ghosts)
    yield from undeclared_members(context.desired, context.planned)


def dangling_members(
    changes: Sequence[Change], known: Mapping[str, tuple[str, ...]]
) -> Iterable[Finding]:
    """New users that would belong to more groups than declared as soon as they are created.

    `known`: nonexistent users -> the groups that name them.
    """
    for change in changes:
        address, user = change.address, change.after
        if address.kind != "user" or change.before is not None or user is None:
            continue
        member_of = known.get(address.id, ())
        unwanted = sorted({*member_of} - {ref.id for ref in references(address, user)})
        if unwanted:
            every = ", ".join(f'"{group}"' for group in member_of)
            yield Finding(
                "GHOST_MEMBER",
                Severity.ERROR,
                f"{' and '.join(unwanted)} still lists {address.id}, which does not exist: once "
                "created, it would be a member at once and hold the group's privileges",
                hint=f"declare it with groups = [{every}], apply, then remove what is not meant",
                address=address,
            )


def undeclared_members(desired: Desired, planned: State) -> Iterable[Finding]:
    """Undeclared members of declared groups: they hold the group's privileges.

    Members whom a directory copies into a group of its own are the normal case, and so are those of
    a group whose members are additive.

    Only in the default mode: in authoritative mode they are changes, and additive mode removes
    nothing.
    """
    manage = desired.policy.managed("user")
    groups = {ref: one for ref, one in desired.objects.items() if ref.kind == "group"}
    if manage.mode not in (Mode.OWNED, Mode.WATCH) or not groups:
        return
    named = {*desired.objects, *desired.removed, *(moved.old for moved in desired.moved)}
    realms = synchronised(planned)
    meant = {ref for ref, one in groups.items() if one.notes.get("members") == "additive"}
    found: dict[Address, list[str]] = {}
    for address, spec in sorted(planned.items()):
        if (
            address.kind != "user"
            or address in named
            or kind_of(address).reads.is_builtin(address.id, spec)
        ):
            continue
        from_directory = copied(address, realms)
        joined = [
            ref
            for ref in references(address, spec)
            if ref in groups
            and ref not in meant
            and not (from_directory and copied(ref, frozenset({from_directory})))
        ]
        if joined and manage.covers(address):
            for ref in joined:
                found.setdefault(ref, []).append(address.id)
    for group, members in found.items():
        are = "is a member" if len(members) == 1 else "are members"
        yield Finding(
            UNDECLARED_MEMBER,
            Severity.WARNING,
            f"{in_prose(members)} {are} of {group.id}, but not declared",
            hint="declare the user with its groups, or use [[removed]]\n"
            'members from a directory: [manage] user = { exclude = ["*@REALM"] }',
            address=group,
            source=groups[group].source,
        )
