"""When a change of a realm takes effect for its users."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.kinds.realm.table import RealmSpec
from reconciler.model.change import Change
from reconciler.model.session import SessionEffect, SessionMoment
from reconciler.model.spec import State
from reconciler.text.humanize import in_prose

_UNFELT = frozenset({"comment", "default", "prompt"})
_GROUPS = frozenset({"groups-autocreate", "groups-claim", "groups-overwrite"})
"""Options that `login` of PVE::API2::OpenId reads."""
_SYNCED = frozenset(
    (
        "filter",
        "group_classes",
        "group_dn",
        "group_filter",
        "group_name_attr",
        "sync-defaults-options",
        "sync_attributes",
        "user_classes",
    )
)
"""Options that only a sync reads."""


def sessions(change: Change, planned: State) -> Iterable[SessionEffect]:
    """A realm is asked at logins and syncs only; one that still has users is not deleted."""
    if change.before is None or change.after is None:
        return
    realm = change.address
    users = tuple(
        address.id
        for address in sorted(planned)
        if address.kind == "user"
        and address.id.rpartition("@")[2] == realm.id
        and getattr(planned[address], "enabled", True)
    )
    options = _changed(change)
    if options - _SYNCED - _UNFELT and users:
        what = "changes, groups included," if options & _GROUPS else "changes"
        text = f"{realm}: {what} apply from the next login of {in_prose(users)}, who stay logged in"
        yield SessionEffect(users, SessionMoment.LOGIN, text)
    if options & _SYNCED:
        text = f"{realm}: users and groups change with its next sync"
        yield SessionEffect(users, SessionMoment.SYNC, text)


def _changed(change: Change) -> frozenset[str]:
    """PVE's names of the options that differ, and of the secrets that are sent."""
    sides = [
        {"type": side.type, **dict(side.options)} if isinstance(side, RealmSpec) else {}
        for side in (change.before, change.after)
    ]
    names = {name for name in sides[0] | sides[1] if sides[0].get(name) != sides[1].get(name)}
    if isinstance(change.after, RealmSpec):
        names.update(name for name, _ in change.after.secrets)
    return frozenset(names)
