"""/access/acl (PVE::API2::ACL)."""

from __future__ import annotations

from typing import Any

from reconciler.access.contents import split_token
from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.schema import Param
from reconciler.sandbox.auth.accounts import existing_token
from reconciler.sandbox.checks import everybody, may_modify, perm_modify
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import AclNode, Roles, UserConfig
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_ACL = "/access/acl"
_FLAG = Param(type="boolean", optional=True)


@routes.get(_ACL, everybody)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """All entries with Sys.Audit on /access, otherwise those that the caller may change."""
    audit = ctx.may("/access", ["Sys.Audit"])
    return [
        {"path": path, "type": kind, "ugid": name, "roleid": role, "propagate": int(flag)}
        for path, node in ctx.cfg.acl.items()
        if audit or may_modify(ctx, path, quiet=True)
        for kind, principals in node.kinds()
        for name, roles in principals.items()
        for role, flag in roles.items()
    ]


@routes.put(
    _ACL,
    perm_modify("{path}"),
    {
        "path": Param(),
        "roles": Param(format="pve-roleid-list"),
        "users": Param(format="pve-userid-list", optional=True),
        "groups": Param(format="pve-groupid-list", optional=True),
        "tokens": Param(format="pve-tokenid-list", optional=True),
        "propagate": _FLAG,
        "delete": _FLAG,
    },
)
def update(ctx: Context, params: Params) -> None:
    """Set or remove every given role for every given principal, or change nothing."""
    kinds = ("users", "groups", "tokens")
    if not any(true(params.text(kind)) for kind in kinds):
        text = "either 'users', 'groups' or 'tokens' is required."
        raise bad_parameters(dict.fromkeys(kinds, text))
    path = normalize_path(params.need("path"))
    deleting = params.flag("delete")
    if path is None or not (deleting or ctx.cfg.release.takes_path(path)):
        raise bad_parameters({"path": f"invalid ACL path '{params.need('path')}'"})
    propagate = params.flag("propagate", default=True)
    with editing_users(ctx.store, "ACL update failed") as cfg:
        node = cfg.node(path)
        for role in params.names("roles"):
            if not cfg.has_role(role):
                raise died(f"role '{role}' does not exist")
            _check_may_give(ctx, cfg, path, role, propagate=None if deleting else propagate)
            for roles in _entries(cfg, node, params):
                if deleting:
                    roles.pop(role, None)
                else:
                    roles[role] = propagate


def _entries(cfg: UserConfig, node: AclNode, params: Params) -> list[Roles]:
    """The roles of each principal at the node; raises for one that does not exist."""
    found = []
    for group in params.names("groups"):
        if group not in cfg.groups:
            raise died(f"group '{group}' does not exist")
        found.append(node.groups.setdefault(group, {}))
    for user in params.names("users"):
        if user not in cfg.users:
            raise died(f"user '{user}' does not exist")
        found.append(node.users.setdefault(user, {}))
    for token in params.names("tokens"):
        user, name = split_token(token) or ("", "")
        existing_token(cfg, user, name)
        found.append(node.tokens.setdefault(token, {}))
    return found


def _check_may_give(
    ctx: Context, cfg: UserConfig, path: str, role: str, *, propagate: bool | None
) -> None:
    """Without Permissions.Modify: only roles whose privileges the caller holds, never NoAccess.

    `propagate` is None when the role is removed; then holding them without propagation is enough.
    """
    held = ctx.privileges(path)
    if "Permissions.Modify" in held:
        return
    verb = "remove" if propagate is None else "add"
    needs = "requires 'Permissions.Modify' or"
    for name in sorted(cfg.privileges_of(role)):
        if name not in held:
            text = f"Cannot {verb} role '{role}' - {needs} superset of privileges."
            raise bad_parameters({"role": text})
        if propagate and not held[name]:
            text = f"Cannot {verb} role '{role}' with propagation - {needs} propagated superset"
            raise bad_parameters({"role": f"{text} of privileges."})
    if role == "NoAccess":
        text = f"Cannot {verb} role '{role}' - requires 'Permissions.Modify'"
        raise bad_parameters({"role": text})
