"""The permission rules that PVE's methods declare.

PVE source: `check_api2_permissions`, `exec_api2_perm_check` of PVE::RPCEnvironment. They run before
the parameters are checked, so they see raw ones. A rule returns False or raises a 403; the
difference matters only inside `any_of`, where PVE continues after some failures and not after
others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.formats import split_list, username_complaint
from reconciler.pve.schema import ParameterValue, plain
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died, forbidden

Raw = Mapping[str, ParameterValue]


class Check(Protocol):
    """Whether the call is allowed; raises instead of returning False unless `quiet`."""

    def __call__(self, ctx: Context, raw: Raw, *, quiet: bool = False) -> bool: ...


def everybody(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
    """Every logged-in user (`user => 'all'`)."""
    return True


def world(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
    """Even without a login (`user => 'world'`)."""
    return True


def root_only(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
    """No permission declared: root@pam itself, not its tokens."""
    raise forbidden("user != root@pam")


def allowed(check: Check, ctx: Context, raw: Raw) -> None:
    """Run a method's rule; raises a 403."""
    if not ctx.actor:
        if check is not world:
            raise forbidden("user != null")
        return
    if ctx.actor != "root@pam":
        check(ctx, raw)


def fill(template: str, raw: Raw) -> str:
    """`{name}` -> the parameter; `-` when it is missing or empty."""

    def value(found: re.Match[str]) -> str:
        given = raw.get(found[1])
        text = "" if given is None else plain(given)
        return text if true(text) else "-"

    return re.sub(r"\{([^}]+)\}", value, template)


def perm(template: str, *names: str, some: bool = False) -> Check:
    """All of the privileges on a path (with `some`: one); the path may contain `{param}`."""

    def check(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
        path = normalize_path(fill(template, raw))
        if quiet:
            return ctx.may(path, names, some=some)
        ctx.require(path, names, some=some)
        return True

    return check


def all_of(*checks: Check) -> Check:
    """Every one; fails with the message of the first failure, also inside `any_of`."""

    def check(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
        return all(one(ctx, raw) or True for one in checks)

    return check


def any_of(*checks: Check) -> Check:
    """One is enough; if none holds, a 403 without details."""

    def check(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
        if any(one(ctx, raw, quiet=True) for one in checks):
            return True
        return _refuse(quiet=quiet)

    return check


def is_self(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
    """The caller is the user `userid`, which exists. Never true for a token."""
    user = _userid(raw)
    if not user_exists(ctx, user, quiet=quiet):
        return False
    return True if ctx.actor == user else _refuse(quiet=quiet)


def may_allocate(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
    """Realm.AllocateUser on the realm of `userid`."""
    realm = _userid(raw).rpartition("@")[2]
    return perm(f"/access/realm/{realm}", "Realm.AllocateUser")(ctx, raw, quiet=quiet)


def on_groups(*names: str, groups_param: str = "") -> Check:
    """One of the privileges on /access/groups, or on a group of the user `userid`.

    `groups_param` is `create` or `update`: a caller limited to some groups must name groups, and
    hold the privilege on every one of them; `create` does not look up the user.
    """

    def check(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
        user = plain(raw.get("userid", ""))
        existing = groups_param != "create"
        if existing and not user_exists(ctx, user, quiet=quiet):
            return False
        if ctx.may("/access/groups", names, some=True):
            return True
        mine = groups_with(ctx, names)
        if groups_param:
            _check_named_groups(split_list(plain(raw.get("groups", ""))), mine, names)
        if existing and not any(user in ctx.cfg.groups[group].users for group in mine):
            return _refuse(quiet=quiet)
        return True

    return check


def groups_with(ctx: Context, names: Sequence[str]) -> list[str]:
    """The groups on which the caller holds one of the privileges."""
    return [
        group
        for group in sorted(ctx.cfg.groups)
        if ctx.may(f"/access/groups/{group}", names, some=True)
    ]


def _check_named_groups(given: list[str], mine: list[str], names: Sequence[str]) -> None:
    wanted = "|".join(names)
    if not given:
        raise forbidden(f"/access/groups, {wanted}")
    for group in given:
        if group not in mine:
            raise forbidden(f"/access/groups/{group}, {wanted}")


def perm_modify(template: str) -> Check:
    """The caller may change ACL entries on the path."""

    def check(ctx: Context, raw: Raw, *, quiet: bool = False) -> bool:
        path = normalize_path(fill(template, raw))
        # PVE leaves an invalid path to the method itself.
        return path is not None and may_modify(ctx, path, quiet=quiet)

    return check


def may_modify(ctx: Context, path: str, *, quiet: bool = False) -> bool:
    """Permissions.Modify, or the right to create what the path names (`check_perm_modify`)."""
    names = ["Permissions.Modify"]
    kind, _, rest = path[1:].partition("/")
    beside = {"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}
    if rest and kind in beside:
        names.append(beside[kind])
    if quiet:
        return ctx.may(path, names, some=True)
    ctx.require(path, names, some=True)
    return True


def user_exists(ctx: Context, user: str, *, quiet: bool = False) -> bool:
    complaint = username_complaint(user)
    if complaint is None and user in ctx.cfg.users:
        return True
    if quiet:
        return False
    raise ApiError(complaint) if complaint is not None else died(f"no such user ('{user}')")


def _userid(raw: Raw) -> str:
    user = plain(raw.get("userid", ""))
    complaint = username_complaint(user)
    if complaint is not None:
        raise ApiError(complaint)
    return user


def _refuse(*, quiet: bool) -> bool:
    if quiet:
        return False
    raise forbidden()
