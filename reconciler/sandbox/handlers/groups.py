"""/access/groups (PVE::API2::Group)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import Group, UserConfig
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_GROUPS = "/access/groups"
_ID = {"groupid": Param(format="pve-groupid")}
_WITH_COMMENT = {**_ID, "comment": Param(optional=True)}
_ALLOCATE = perm(_GROUPS, "Group.Allocate")
_SEES = ("User.Modify", "Sys.Audit", "Group.Allocate")


@routes.get(_GROUPS, everybody)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """Only the groups that the caller may see."""
    rows = []
    for name, group in ctx.cfg.groups.items():
        if not ctx.may(f"{_GROUPS}/{name}", _SEES, some=True):
            continue
        row: dict[str, Any] = {"groupid": name, "users": ",".join(sorted(group.users))}
        if group.comment is not None:
            row["comment"] = group.comment
        rows.append(row)
    return rows


@routes.post(_GROUPS, _ALLOCATE, _WITH_COMMENT)
def create(ctx: Context, params: Params) -> None:
    name = params.need("groupid")
    with editing_users(ctx.store, "create group failed") as cfg:
        if name in cfg.groups:
            raise died(f"group '{name}' already exists")
        cfg.groups[name] = Group(comment=params.text("comment"))


@routes.get(f"{_GROUPS}/{{groupid}}", perm(_GROUPS, "Sys.Audit", "Group.Allocate", some=True), _ID)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    group = _existing(ctx.cfg, params.need("groupid"))
    answer: dict[str, Any] = {"members": sorted(group.users)}
    if group.comment is not None:
        answer["comment"] = group.comment
    return answer


@routes.put(f"{_GROUPS}/{{groupid}}", _ALLOCATE, _WITH_COMMENT)
def update(ctx: Context, params: Params) -> None:
    with editing_users(ctx.store, "update group failed") as cfg:
        group = _existing(cfg, params.need("groupid"))
        if "comment" in params:
            group.comment = params.text("comment")


@routes.delete(f"{_GROUPS}/{{groupid}}", _ALLOCATE, _ID)
def delete(ctx: Context, params: Params) -> None:
    """Its ACL entries are removed as well, and its members are no longer in it."""
    name = params.need("groupid")
    with editing_users(ctx.store, "delete group failed") as cfg:
        _existing(cfg, name)
        del cfg.groups[name]
        for node in cfg.acl.values():
            node.groups.pop(name, None)


def _existing(cfg: UserConfig, name: str) -> Group:
    if name not in cfg.groups:
        raise died(f"group '{name}' does not exist")
    return cfg.groups[name]
