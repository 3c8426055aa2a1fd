"""/access/users without tokens (PVE::API2::User)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.auth import second_factors
from reconciler.sandbox.auth.accounts import (
    existing_user,
    forget_password,
    set_password,
    spelling,
    split_user,
)
from reconciler.sandbox.checks import (
    all_of,
    everybody,
    groups_with,
    may_allocate,
    on_groups,
)
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import User, UserConfig
from reconciler.sandbox.config.userfile import render
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.handlers.tokens import token_fields
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_USERS = "/access/users"
_USER = f"{_USERS}/{{userid}}"
_FLAG = Param(type="boolean", optional=True)
_ID = {"userid": Param(format="pve-userid", max_length=64)}
_FIELDS = {
    "enable": _FLAG,
    "expire": Param(type="integer", minimum=0, optional=True),
    "firstname": Param(max_length=1024, optional=True),
    "lastname": Param(max_length=1024, optional=True),
    "email": Param(format="email-opt", max_length=254, optional=True),
    "comment": Param(max_length=2048, optional=True),
    "keys": Param(pattern=r"[0-9a-zA-Z!=]{0,4096}", optional=True),
    "groups": Param(format="pve-groupid-list", optional=True),
}
_TEXTS = ("firstname", "lastname", "email", "comment", "keys")
_SEES = ("User.Modify", "Sys.Audit")


@routes.get(_USERS, everybody, {"enabled": _FLAG, "full": _FLAG})
def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """The caller, and the users of groups that it may see; sorted by id."""
    cfg = ctx.cfg
    seen: set[str] = {ctx.actor}
    everyone = ctx.may("/access/groups", _SEES, some=True)
    for group in () if everyone else groups_with(ctx, _SEES):
        seen |= cfg.groups[group].users
    memberships = _memberships(cfg) if params.flag("full") else None
    known = realms(ctx.store)
    rows = []
    for name in sorted(cfg.users if everyone else seen & cfg.users.keys()):
        user = cfg.users[name]
        if "enabled" in params and user.enable != params.flag("enabled"):
            continue
        row = {**_fields(user), "userid": name}
        realm = known.get(name.rpartition("@")[2])
        if realm is not None:
            row["realm-type"] = realm.type or None
        if memberships is not None:
            row["groups"] = ",".join(memberships.get(name, ()))
            tokens = [
                {"tokenid": sub, **token_fields(user.tokens[sub])} for sub in sorted(user.tokens)
            ]
            row["tokens"] = tokens or None
        rows.append(row)
    return rows


@routes.post(
    _USERS,
    all_of(may_allocate, on_groups("User.Modify", groups_param="create")),
    {**_ID, **_FIELDS, "password": Param(min_length=8, max_length=64, optional=True)},
)
def create(ctx: Context, params: Params) -> None:
    """The password is stored before the groups are checked, as in PVE."""
    with editing_users(ctx.store, "create user failed") as cfg:
        split_user(params.need("userid"))
        name = spelling(ctx, params.need("userid"))
        if name in cfg.users:
            raise died(f"user '{name}' already exists")
        password = params.text("password")
        if password is not None:
            set_password(ctx.store, name, password)
        cfg.users[name] = User(
            enable=params.flag("enable", default=True), expire=params.number("expire")
        )
        _join(cfg, name, params)
        _set_texts(cfg.users[name], params)


@routes.get(_USER, on_groups(*_SEES), _ID)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    name = params.need("userid")
    user = existing_user(ctx.cfg, name)
    tokens = {sub: token_fields(token) for sub, token in user.tokens.items()}
    return {**_fields(user), "groups": ctx.cfg.groups_of(name), "tokens": tokens or None}


@routes.put(
    _USER,
    on_groups("User.Modify", groups_param="update"),
    {**_ID, **_FIELDS, "append": Param(type="boolean", optional=True, requires="groups")},
)
def update(ctx: Context, params: Params) -> None:
    """`groups` replaces the memberships unless `append` is set."""
    name = params.need("userid")
    split_user(name)
    with editing_users(ctx.store, "update user failed") as cfg:
        user = existing_user(cfg, name)
        if "enable" in params:
            user.enable = params.flag("enable")
        if "expire" in params:
            user.expire = params.number("expire")
        if "groups" in params and not params.flag("append"):
            _leave_all(cfg, name)
        _join(cfg, name, params)
        _set_texts(user, params)


@routes.delete(_USER, all_of(may_allocate, on_groups("User.Modify")), _ID)
def delete(ctx: Context, params: Params) -> None:
    """Two writes: the user is disabled first, so a failure between them leaves it disabled."""
    name = params.need("userid")
    split_user(name)
    with editing_users(ctx.store, "delete user failed") as cfg:
        cfg.users.setdefault(name, User()).enable = False
        ctx.store.write("user.cfg", render(cfg))
        forget_password(ctx.store, name)
        del cfg.users[name]
        second_factors.forget(ctx.store, name)
        _leave_all(cfg, name)
        for node in cfg.acl.values():
            node.users.pop(name, None)


def _fields(user: User) -> dict[str, Any]:
    row: dict[str, Any] = {"enable": int(user.enable)}
    if user.expire is not None:
        row["expire"] = user.expire
    texts = {name: getattr(user, name) for name in _TEXTS}
    return {**row, **{name: text for name, text in texts.items() if text is not None}}


def _set_texts(user: User, params: Params) -> None:
    for name in _TEXTS:
        if name in params:
            setattr(user, name, params.text(name))


def _join(cfg: UserConfig, name: str, params: Params) -> None:
    for group in params.names("groups") if true(params.text("groups")) else ():
        if group not in cfg.groups:
            raise died(f"no such group '{group}'")
        cfg.groups[group].users.add(name)


def _leave_all(cfg: UserConfig, name: str) -> None:
    for group in cfg.groups.values():
        group.users.discard(name)


def _memberships(cfg: UserConfig) -> Mapping[str, list[str]]:
    """user -> its groups, sorted."""
    found: dict[str, list[str]] = {}
    for group in sorted(cfg.groups):
        for user in cfg.groups[group].users:
            found.setdefault(user, []).append(group)
    return found
