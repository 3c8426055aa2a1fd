"""What forbids a plan, or must be known before it is applied: findings, never exceptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from reconciler.access.analysis.effects import listed
from reconciler.kinds import all_kinds, kind_of, references
from reconciler.model.address import Address
from reconciler.model.change import Action, Cause, Change, Undo
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import UNDECLARED_MEMBER, Finding, Severity
from reconciler.model.plan import Step
from reconciler.model.policy import Mode, Policy
from reconciler.model.spec import Spec, State
from reconciler.text.suggest import did_you_mean

FILE_LIMIT = 1024 * 1024
"""pmxcfs refuses a larger file."""

MOST_HINTS = 20
"""For how many unknown names the likely one is looked for; more are no slips of the pen."""


def limits(policy: Policy, changes: Sequence[Change], live: State) -> Iterable[Finding]:
    """Too many deletions of one kind, or changes at all; what only moves, or is put back, is not
    counted."""
    back = {change.address for change in changes if change.before is None}
    deleted = Counter(
        c.address.kind
        for c in changes
        if _deletes(c) and c.reason.cause is not Cause.MOVED and c.address not in back
    )
    there = Counter(address.kind for address in live)
    limit = policy.limits.delete
    for kind, count in sorted(deleted.items()):
        reasons = []
        if limit.count is not None and count > limit.count:
            reasons.append(f"at most {limit.count} are allowed")
        if limit.percent is not None and count * 100 > limit.percent * there[kind]:
            reasons.append(f"at most {limit.percent} % are allowed")
        if reasons:
            yield _refusal(
                "LIMIT_DELETE",
                f"{count} of {there[kind]} {kind} objects would be deleted; [limits] says: "
                f"{' and '.join(reasons)}",
                f"LIMIT_DELETE={kind}",
            )
    total = policy.limits.total
    changed = len({change.address for change in changes})
    if total is not None and changed > total:
        message = f"{changed} objects would change; at most {total} are allowed"
        yield _refusal("LIMIT_TOTAL", message, "LIMIT_TOTAL=all")


def protected(policy: Policy, changes: Sequence[Change]) -> Iterable[Finding]:
    """Objects that `[protected]` names."""
    for change in changes:
        address = change.address
        if _deletes(change):
            for pattern in policy.protected.never_delete:
                if address.matches(pattern):
                    message = f"{address} must never be deleted ([protected] '{pattern}')"
                    yield _refusal("PROTECTED", message, f"PROTECTED={address}", address)
        for pattern in policy.protected.never_change:
            if address.matches(pattern):
                message = f"{address} must never change ([protected] '{pattern}')"
                yield _refusal("PROTECTED", message, f"PROTECTED={address}", address)


def _deletes(change: Change) -> bool:
    """Whether the object goes, if only to be made again."""
    return any(part.action is Action.DELETE for part in kind_of(change.address).split(change))


def irreversible(steps: Sequence[Step]) -> Iterable[Finding]:
    """Changes that no rollback brings back; each is to be allowed by name."""
    for step in steps:
        if step.undo is not Undo.NONE:
            continue
        for change in step.changes:
            if kind_of(change.address).undo(change) is Undo.NONE:
                yield _refusal(
                    "IRREVERSIBLE",
                    f"{change.action} {change.address} cannot be taken back",
                    f"irreversible={change.address}",
                    change.address,
                )


def refused_by_kind(changes: Sequence[Change], live: State) -> Iterable[Finding]:
    """What a kind itself forbids about a change, such as another value of a fixed option."""
    made = {change.address: change.after for change in changes if change.before is None}
    there = {**live, **{address: spec for address, spec in made.items() if spec is not None}}
    for change in changes:
        yield from kind_of(change.address).refuse(change, there)


def dangling_members(
    changes: Sequence[Change], known: Mapping[str, tuple[str, ...]]
) -> Iterable[Finding]:
    """Users that would be members of more groups than declared as soon as they are made.

    `known`: users that do not exist -> the groups that name them all the same.
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
                f"{' and '.join(unwanted)} still names {address.id}, which does not exist: once "
                "made, it would be a member at once and hold what the group holds",
                hint=f"declare it with groups = [{every}], apply, and take out then what is not "
                "meant",
                address=address,
            )


def undeclared_members(desired: Desired, planned: State) -> Iterable[Finding]:
    """Users in declared groups whom no state file names: they hold what the group holds.

    Only in the mode that leaves such users alone without having been told to: those that are
    managed authoritatively are changes, and additive mode takes nothing away.
    """
    manage = desired.policy.managed("user")
    groups = {ref: one for ref, one in desired.objects.items() if ref.kind == "group"}
    if manage.mode is not Mode.OWNED or not groups:
        return
    named = {*desired.objects, *desired.removed, *(moved.old for moved in desired.moved)}
    found: dict[Address, list[str]] = {}
    for address, spec in sorted(planned.items()):
        if (
            address.kind != "user"
            or address in named
            or kind_of(address).built_in(address.id, spec)
        ):
            continue
        joined = [ref for ref in references(address, spec) if ref in groups]
        if joined and manage.covers(address):
            for ref in joined:
                found.setdefault(ref, []).append(address.id)
    for group, members in found.items():
        are = "is a member" if len(members) == 1 else "are members"
        yield Finding(
            UNDECLARED_MEMBER,
            Severity.WARNING,
            f"{listed(members)} {are} of {group.id}, and in no state file",
            hint="declare the user with its groups, or [[removed]] takes it away; [manage] user = "
            '{ mode = "authoritative" } takes away all like it, exclude leaves them alone',
            address=group,
            source=groups[group].source,
        )


def missing_references(
    changes: Sequence[Change], planned: State, objects: Mapping[Address, Declared]
) -> Iterable[Finding]:
    """Objects that are named but will not be there."""
    read = {address.kind for address in planned} | {"role", "group", "user", "token"}
    """of kinds without a single object it is not known whether they were read"""
    likely: dict[Address, str] = {}
    for change in changes:
        if change.after is None:
            continue
        address = change.address
        for ref in references(address, change.after):
            if ref in planned or ref.kind not in read or ref.id in kind_of(ref).always:
                continue
            tolerated = ref.kind in kind_of(address).tolerates
            declared = objects.get(address)
            if ref not in likely:
                likely[ref] = _likely(ref, planned if len(likely) < MOST_HINTS else {})
            yield Finding(
                "NOT_THERE" if tolerated else "UNKNOWN_REFERENCE",
                Severity.WARNING if tolerated else Severity.ERROR,
                f"{address} names {ref}, which is neither declared nor in the cluster"
                + ("; Proxmox VE accepts that in silence" if tolerated else ""),
                hint=likely[ref],
                address=address,
                source=declared.source if declared else None,
            )


def _likely(ref: Address, planned: State) -> str:
    meant = did_you_mean(ref.id, (address.id for address in planned if address.kind == ref.kind))
    return meant or f"declare {ref} or correct its name"


def capacity(planned: State) -> Iterable[Finding]:
    """Files that would outgrow what pmxcfs accepts."""
    sizes: Counter[str] = Counter()
    objects: dict[str, list[tuple[str, Spec]]] = {name: [] for name in all_kinds()}
    for address, spec in planned.items():
        objects[address.kind].append((address.id, spec))
    for name, kind in all_kinds().items():
        sizes[kind.lock] += kind.weigh(objects[name])
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


def allow(findings: Iterable[Finding], allowed: Sequence[str]) -> Iterable[Finding]:
    """Turn refusals that the operator allows by name into warnings that say so.

    What is allowed and not found is said: the name may be misspelt, and the refusal still stands.
    """
    unused = dict.fromkeys(allowed)
    refusals = []
    for finding in findings:
        matching = [given for given in allowed if finding.allow and _same(finding.allow, given)]
        for given in matching:
            unused.pop(given, None)
        if matching:
            message = f"{finding.message} (allowed)"
            yield finding._replace(severity=Severity.WARNING, message=message, hint="", allow="")
        else:
            refusals += [finding.allow] if finding.allow else []
            yield finding
    for given in unused:
        hint = did_you_mean(given, refusals) or "take it out; a refusal names the flag it needs"
        message = f"--allow '{given}' fits no refusal of this plan"
        yield Finding("ALLOWED_IN_VAIN", Severity.WARNING, message, hint)


def passed(findings: Iterable[Finding], allowed: Sequence[str]) -> tuple[str, ...]:
    """The exact flags of the refusals that `allowed` lets pass, sorted."""
    flags = {finding.allow for finding in findings if finding.allow}
    return tuple(sorted(flag for flag in flags if any(_same(flag, given) for given in allowed)))


def unmatched_targets(targets: Sequence[str], addresses: Collection[Address]) -> Iterable[Finding]:
    """Targets that fit none of all objects, declared or live: an empty plan would hide the slip."""
    for target in targets:
        if not any(address.matches(target) for address in addresses):
            yield Finding(
                "NO_SUCH_TARGET",
                Severity.ERROR,
                f"--target '{target}' fits no object, neither declared nor in the cluster",
                did_you_mean(target, map(str, addresses)) or "write KIND.NAME, as in user.anna@pve",
            )


def _same(wanted: str, given: str) -> bool:
    code, _, what = wanted.partition("=")
    given_code, _, given_what = given.partition("=")
    return code.lower() == given_code.lower() and fnmatchcase(what, given_what.replace("[", "[[]"))


def _refusal(code: str, message: str, flag: str, address: Address | None = None) -> Finding:
    hint = f"to allow just this: --allow '{flag}'"
    return Finding(code, Severity.ERROR, message, hint, address, allow=flag)
