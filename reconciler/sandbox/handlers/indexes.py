"""/version and the directory indexes."""

from __future__ import annotations

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.http.routes import Handler, Routes

routes = Routes()


@routes.get("/nodes/{node}/version", everybody, {"node": Param(format="pve-node")})
@routes.get("/version", everybody)
def version(ctx: Context, _params: Params) -> dict[str, str]:
    version, release = ctx.store.version, ctx.store.release.version
    return {"version": version, "release": release, "repoid": "14a22df35955d97d"}


def _listing(*names: str) -> Handler:
    def index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
        return [{"subdir": name} for name in names]

    return index


routes.get("/", everybody)(_listing("version", "cluster", "nodes", "storage", "access", "pools"))
routes.get("/access", everybody)(
    _listing("users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password")
)
routes.get("/access/openid", everybody)(_listing("auth-url", "login"))
