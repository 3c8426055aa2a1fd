"""/access/roles (PVE::API2::Role)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import UserConfig
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_ROLES = "/access/roles"
_ID = {"roleid": Param(format="pve-roleid")}
_PRIVILEGES = Param(format="pve-priv-list", optional=True)
_MODIFY = perm("/access", "Sys.Modify")
_RESERVED = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"


@routes.get(_ROLES, everybody)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """Every caller sees all roles."""
    built_in = ctx.cfg.release.roles
    return [
        {"roleid": name, "privs": ",".join(sorted(names)), "special": int(name in built_in)}
        for name, names in {**built_in, **ctx.cfg.roles}.items()
    ]


@routes.post(_ROLES, _MODIFY, {**_ID, "privs": _PRIVILEGES})
def create(ctx: Context, params: Params) -> None:
    name = params.need("roleid")
    if name.upper().startswith("PVE"):
        raise bad_parameters({"roleid": _RESERVED})
    with editing_users(ctx.store, "create role failed") as cfg:
        if cfg.has_role(name):
            raise died(f"role '{name}' already exists")
        cfg.roles[name] = set(params.names("privs"))


@routes.get(f"{_ROLES}/{{roleid}}", everybody, _ID)
def read(ctx: Context, params: Params) -> dict[str, int]:
    name = params.need("roleid")
    if name in ctx.cfg.release.roles:
        return dict.fromkeys(sorted(ctx.cfg.release.roles[name]), 1)
    return dict.fromkeys(sorted(_existing(ctx.cfg, name)), 1)


@routes.put(
    f"{_ROLES}/{{roleid}}",
    _MODIFY,
    {
        **_ID,
        "privs": _PRIVILEGES,
        "append": Param(type="boolean", optional=True, requires="privs"),
    },
)
def update(ctx: Context, params: Params) -> None:
    """Without `append` the privileges are replaced; none are left if none are given."""
    name = params.need("roleid")
    if name in ctx.cfg.release.roles:
        raise died(f"auto-generated role '{name}' cannot be modified")
    with editing_users(ctx.store, "update role failed") as cfg:
        before = _existing(cfg, name)
        kept = before if params.flag("append") else set()
        cfg.roles[name] = kept | set(params.names("privs"))


@routes.delete(f"{_ROLES}/{{roleid}}", _MODIFY, _ID)
def delete(ctx: Context, params: Params) -> None:
    """Its ACL entries stay in the file until the next write; reading skips them."""
    name = params.need("roleid")
    if name in ctx.cfg.release.roles:
        raise died(f"auto-generated role '{name}' cannot be deleted")
    with editing_users(ctx.store, "delete role failed") as cfg:
        _existing(cfg, name)
        del cfg.roles[name]


def _existing(cfg: UserConfig, name: str) -> set[str]:
    if name not in cfg.roles:
        raise died(f"role '{name}' does not exist")
    return cfg.roles[name]
