"""What no file can give, or must not show, and yet protects: second factors, client keys of realms,
encryption keys of storages, scripts of backup jobs; and groups of users that others manage. A
report compares it with the report before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from reconciler.access.granted import granted_users
from reconciler.access.table import AccessTable
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.kinds.storage.table import StorageSpec
from reconciler.kinds.user.second_factors import FIELD, UserWithFactors, old_keys
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Desired
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.model.drift_memory import Memory, Observed
from reconciler.model.policy import Policy
from reconciler.model.spec import Spec, State
from reconciler.pve.backup_options import ROOT_ONLY
from reconciler.pve.schema import secret_names

_REASON = Reason(Cause.DIFFERS, "not as in the previous report")
GROUPS = "groups"
_NOW, _BEFORE = "now", "before"
"""In place of the values of a secret."""


def of_users(
    factors: Mapping[str, Sequence[str]], live: State, table: AccessTable, policy: Policy
) -> Observed:
    """The second factors of the users to whom anything is granted, but for those that `exclude`
    names."""
    manage = policy.managed("user")
    found = {}
    for user in sorted(granted_users(table)):
        address = Address("user", user)
        spec = live.get(address)
        if isinstance(spec, UserSpec) and not manage.excludes(address):
            found[address] = {FIELD: sorted((*factors.get(user, ()), *old_keys(spec)))}
    return found


def of_members(live: State, desired: Desired) -> Observed:
    """The groups of the users that `exclude` names: whoever joins a group has what it has.

    Left out are those that a directory makes, and those whose members are additive.
    """
    manage, realms = desired.policy.managed("user"), synchronised(live)
    additive = {
        address.id
        for address, one in desired.objects.items()
        if address.kind == "group" and one.notes.get("members") == "additive"
    }
    found = {}
    for address, spec in live.items():
        others = address not in desired.objects and manage.excludes(address)
        if others and isinstance(spec, UserSpec):
            found[address] = {GROUPS: _own_groups(spec, realms, additive)}
    return found


def _own_groups(spec: UserSpec, realms: frozenset[str], besides: Collection[str]) -> list[str]:
    return [
        name
        for name in spec.groups
        if name not in besides and not copied(Address("group", name), realms)
    ]


def newcomers(now: Observed, memory: Memory) -> Observed:
    """Users who were not there at the previous report were in no group then."""
    known = {*memory.undeclared, *memory.baseline, *memory.observed}
    return {
        address: {GROUPS: []}
        for address, values in now.items()
        if memory.complete and GROUPS in values and address not in known
    }


def before_joining(live: State, items: Iterable[DriftItem]) -> State:
    """The users of `items` who have joined or left a group, in the groups that they were in."""
    found = {}
    for change in (one.change for one in items if GROUPS in one.observed):
        here, there = live[change.address], change.before
        if isinstance(here, UserSpec) and isinstance(there, UserSpec):
            kept = set(here.groups) - set(there.groups)
            then = set(getattr(change.after, GROUPS))
            groups = tuple(sorted(kept | then))
            found[change.address] = here.model_copy(update={GROUPS: groups})
    return found


def of_storages(live: State) -> Observed:
    """That they are there."""
    return {address: {} for address, spec in live.items() if isinstance(spec, StorageSpec)}


def of_jobs(live: State) -> Observed:
    """The options of backup jobs that only root@pam may set: a script runs as root on the node."""
    return {
        address: {name: spec.option(name) or None for name in sorted(ROOT_ONLY - {"job-id"})}
        for address, spec in live.items()
        if isinstance(spec, BackupSpec)
    }


def differing(now: Observed, before: Observed, live: State) -> list[DriftItem]:
    """What is not as it was, object by object; what was not observed before does not count."""
    found = []
    for address, values in sorted(now.items()):
        known = before.get(address, {})
        names = [name for name in values if name in known and known[name] != values[name]]
        spec = live.get(address)
        if names and spec is not None:
            sides = (_shown(spec, values, names, _NOW), _shown(spec, known, names, _BEFORE))
            change = Change(address, *sides, _REASON)
            found.append(DriftItem(DriftClass.CHANGED, change, observed=tuple(names)))
    return found


def merged(items: Iterable[DriftItem], more: Iterable[DriftItem]) -> list[DriftItem]:
    """One item per object: what `more` says of it is added to what is said already."""
    found = {one.change.address: one for one in items}
    for one in more:
        there = found.get(one.change.address)
        found[one.change.address] = one if there is None else _both(there, one)
    return list(found.values())


def to_remember(now: Observed, before: Observed, live: State) -> dict[Address, dict[str, Any]]:
    """What the next report compares with: what is remembered of objects that are there, or else
    what is there now."""
    kept = {address: dict(values) for address, values in before.items() if address in live}
    for address, values in now.items():
        kept[address] = {**values, **kept.get(address, {})}
    return kept


def _both(item: DriftItem, more: DriftItem) -> DriftItem:
    change, other = item.change, more.change
    sides = [change.before, change.after]
    for at, (spec, shown) in enumerate(zip(sides, (other.before, other.after), strict=True)):
        if spec is None or shown is None:
            return item
        values = shown.parts(more.observed)
        word = (_NOW, _BEFORE)[at]
        sides[at] = _shown(spec, values, more.observed, word)
    changed = change._replace(before=sides[0], after=sides[1])
    return item._replace(change=changed, observed=more.observed)


def _shown(spec: Spec, values: Mapping[str, Any], names: Iterable[str], word: str) -> Spec:
    """The spec with what was observed of it; of a secret only that there is one."""
    if isinstance(spec, UserSpec):
        given = {name: tuple(values[name]) for name in names}
        return UserWithFactors.model_validate({**spec.model_dump(), **given})
    hidden = secret_names(spec.option_table)
    return spec.with_parts(
        {name: word if values[name] and name in hidden else values[name] for name in names}
    )
