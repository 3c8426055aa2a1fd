"""/access/permissions (PVE::API2::AccessControl)."""

from __future__ import annotations

from reconciler.access.contents import split_token
from reconciler.access.evaluate import effective, privileges
from reconciler.access.index import Flags
from reconciler.pve.formats import REALM
from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.http.routes import Routes

routes = Routes()


@routes.get(
    "/access/permissions",
    everybody,
    {
        "userid": Param(pattern=rf"[^\s:/]+@{REALM}(?:!{REALM})?", optional=True),
        "path": Param(optional=True),
    },
)
def read(ctx: Context, params: Params) -> dict[str, dict[str, int]]:
    """The caller's own and those of its tokens; with Sys.Audit on /access those of anyone."""
    who = params.text("userid")
    if who is None:
        who = ctx.actor
    split = split_token(who)
    if who != ctx.actor and (split is None or split[0] != ctx.actor):
        ctx.require("/access", ["Sys.Audit"])
    table = ctx.store.access()
    path = params.text("path")
    if true(path):
        return {path: _numbers(privileges(table, who, path))}
    return {path: _numbers(flags) for path, flags in effective(table, who).items()}


def _numbers(flags: Flags) -> dict[str, int]:
    return {name: int(flag) for name, flag in flags.items()}
