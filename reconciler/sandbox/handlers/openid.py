"""/access/openid: logging in at a provider, which the sandbox cannot reach (PVE::API2::OpenId)."""

from __future__ import annotations

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import world
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_REDIRECT = {"redirect-url": Param(max_length=255)}


@routes.post(
    "/access/openid/auth-url",
    world,
    {"realm": Param(format="pve-realm", max_length=32), **_REDIRECT},
)
def auth_url(ctx: Context, params: Params) -> None:
    """PVE asks the issuer for its login page (`lookup_openid_auth`)."""
    name = params.need("realm")
    realm = realms(ctx.store).get(name)
    if realm is None:
        raise died(f"authentication domain '{name}' does not exist")
    if realm.type != "openid":
        raise died(f"wrong realm type ({realm.type} != openid)")
    raise died("the embedded Proxmox VE reaches no OpenID server")


@routes.post(
    "/access/openid/login",
    world,
    {"code": Param(max_length=4096), "state": Param(max_length=1024), **_REDIRECT},
)
def login(_ctx: Context, _params: Params) -> None:
    """No state was ever issued, so none is valid. PVE does not say why a login failed."""
    raise ApiError("authentication failure\n", 401)
