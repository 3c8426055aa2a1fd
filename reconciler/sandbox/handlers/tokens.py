"""/access/users/{userid}/token (PVE::API2::User)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.formats import TOKEN_NAME
from reconciler.pve.schema import Param
from reconciler.sandbox.auth.accounts import (
    existing_token,
    existing_user,
    forget_secret,
    new_secret,
)
from reconciler.sandbox.checks import any_of, is_self, on_groups
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import Token
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_INDEX = "/access/users/{userid}/token"
_TOKEN = f"{_INDEX}/{{tokenid}}"
_MAY = any_of(is_self, on_groups("User.Modify"))
_USER = {"userid": Param(format="pve-userid", max_length=64)}
_ID = {**_USER, "tokenid": Param(pattern=TOKEN_NAME)}
_FIELDS = {
    **_ID,
    "comment": Param(optional=True),
    "expire": Param(type="integer", minimum=0, optional=True),
    "privsep": Param(type="boolean", optional=True),
}


def token_fields(token: Token) -> dict[str, Any]:
    """A token in lists and single answers."""
    row: dict[str, Any] = {"privsep": int(token.privsep)}
    if token.expire is not None:
        row["expire"] = token.expire
    return {**row, "comment": token.comment} if true(token.comment) else row


@routes.get(_INDEX, _MAY, _USER)
def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
    tokens = existing_user(ctx.cfg, params.need("userid")).tokens
    return [{"tokenid": name, **token_fields(token)} for name, token in tokens.items()]


@routes.get(_TOKEN, _MAY, _ID)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    user, name = params.need("userid"), params.need("tokenid")
    return token_fields(existing_token(ctx.cfg, user, name))


@routes.post(_TOKEN, _MAY, _FIELDS)
def create(ctx: Context, params: Params) -> dict[str, Any]:
    """The only answer with the secret; it is stored before user.cfg."""
    user, name = params.need("userid"), params.need("tokenid")
    if name in existing_user(ctx.cfg, user).tokens:
        raise bad_parameters({"tokenid": "Token already exists."})
    token = Token(
        expire=params.number("expire"),
        privsep=params.flag("privsep", default=True),
        comment=params.text("comment") or "",
    )
    with editing_users(ctx.store, "generating token failed") as cfg:
        if name in existing_user(cfg, user).tokens:
            raise died("Token already exists.")
        secret = new_secret(ctx.store, f"{user}!{name}")
        cfg.users[user].tokens[name] = token
    return {
        "full-tokenid": f"{user}!{name}",
        "value": secret,
        "info": {**token_fields(token), **_as_sent(params)},
    }


@routes.put(
    _TOKEN,
    _MAY,
    {
        **_FIELDS,
        "delete": Param(format="pve-configid-list", optional=True, since="9.1"),
        "regenerate": Param(type="boolean", optional=True, since="9.2"),
    },
)
def update(ctx: Context, params: Params) -> dict[str, Any]:
    """An empty comment clears it; `delete=comment` overrides a comment in the same call."""
    user, name = params.need("userid"), params.need("tokenid")
    existing_token(ctx.cfg, user, name)
    answer: dict[str, Any] = {}
    with editing_users(ctx.store, "updating token info failed") as cfg:
        token = existing_token(cfg, user, name)
        if "privsep" in params:
            token.privsep = params.flag("privsep")
        if "expire" in params:
            token.expire = params.number("expire")
        if "comment" in params:
            token.comment = params.need("comment")
        for option in params.names("delete"):
            if option != "comment":
                raise bad_parameters({"delete": f"unknown option '{option}'"})
            token.comment = ""
        if params.flag("regenerate"):
            full = f"{user}!{name}"
            answer = {"full-tokenid": full, "value": new_secret(ctx.store, full)}
    return {**answer, **token_fields(token), **_as_sent(params)}


@routes.delete(_TOKEN, _MAY, _ID)
def delete(ctx: Context, params: Params) -> None:
    """Its ACL entries stay in the file until the next write; reading skips them."""
    user, name = params.need("userid"), params.need("tokenid")
    existing_token(ctx.cfg, user, name)
    with editing_users(ctx.store, "deleting token failed") as cfg:
        existing_token(cfg, user, name)
        forget_secret(ctx.store, f"{user}!{name}")
        del cfg.users[user].tokens[name]


def _as_sent(params: Params) -> dict[str, Any]:
    """Numbers in the call are returned as the text that was sent."""
    return {name: params.text(name) for name in ("privsep", "expire") if name in params}
