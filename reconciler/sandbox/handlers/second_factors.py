"""/access/tfa and other methods for second factors (PVE::API2::TFA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.schema import Param
from reconciler.pve.totp import parse_totp
from reconciler.sandbox.auth.accounts import check_password, existing_user, split_user
from reconciler.sandbox.auth.second_factors import (
    ELSEWHERE,
    TOTP,
    Factors,
    editing,
    entry_of,
    factors,
    is_code,
    listed,
    new_entry,
)
from reconciler.sandbox.checks import any_of, everybody, groups_with, is_self, on_groups
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died, forbidden
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_SEES = ("User.Modify", "Sys.Audit")
_SELF_OR_SEES = any_of(is_self, on_groups(*_SEES))
_SELF_OR_MODIFIES = any_of(is_self, on_groups("User.Modify"))
_TEXT = Param(optional=True)
_USER = {"userid": Param(format="pve-userid", max_length=64)}
_CONFIRMED = {**_USER, "password": Param(min_length=5, max_length=64, optional=True)}
_OF_USER = "/access/tfa/{userid}"
_ENTRY = f"{_OF_USER}/{{id}}"


@routes.get("/access/tfa", everybody)
def list_tfa(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """Users with second factors, as far as the caller may see them."""
    rows = [{"userid": name, "entries": listed(one)} for name, one in factors(ctx.store).items()]
    if ctx.may("/access/groups", _SEES, some=True):
        return rows
    seen = {ctx.actor, *(u for g in groups_with(ctx, _SEES) for u in ctx.cfg.groups[g].users)}
    return [row for row in rows if row["userid"] in seen]


@routes.get(_OF_USER, _SELF_OR_SEES, _USER)
def list_user_tfa(ctx: Context, params: Params) -> list[dict[str, Any]]:
    return listed(factors(ctx.store).get(params.need("userid"), {}))


@routes.get(_ENTRY, _SELF_OR_SEES, {**_USER, "id": Param()})
def read_tfa(ctx: Context, params: Params) -> dict[str, Any]:
    id_ = params.need("id")
    for row in listed(factors(ctx.store).get(params.need("userid"), {})):
        if row["id"] == id_:
            return row
    raise ApiError(f"No such tfa entry '{id_}'\n", 404)


@routes.add(
    "POST",
    _OF_USER,
    _SELF_OR_MODIFIES,
    {
        **_CONFIRMED,
        "challenge": _TEXT,
        "description": Param(max_length=255, optional=True),
        "totp": _TEXT,
        "type": Param(enum=("totp", "u2f", "webauthn", "recovery", "yubico")),
        "value": _TEXT,
    },
    allow_token=False,
)
def add_tfa(ctx: Context, params: Params) -> dict[str, Any]:
    """Add a one-time password generator, confirmed by its current code; the user is marked as
    having factors."""
    user = _confirmed(ctx, params)
    if params.need("type") != TOTP:
        raise died("the embedded Proxmox VE has no second factors but one-time passwords")
    description, uri, code = (params.text(name) for name in ("description", "totp", "value"))
    if description is None:
        raise died("'description' is required for new entries")
    if uri is None or code is None:
        raise died("'totp' type requires both, the 'totp' uri and a 'value' parameter")
    try:
        known = is_code(parse_totp(uri), code, ctx.clock())
    except ValueError as error:
        raise died(str(error)) from None
    if known is None:
        raise died("failed to verify TOTP challenge")
    _mark(ctx, user, ELSEWHERE)
    entry = new_entry(description, uri, ctx.now)
    with editing(ctx.store, user) as mine:
        mine.setdefault(TOTP, []).append(entry)
    return {"id": entry["info"]["id"]}


@routes.add(
    "PUT",
    _ENTRY,
    _SELF_OR_MODIFIES,
    {
        **_CONFIRMED,
        "id": Param(),
        "description": Param(max_length=255, optional=True),
        "enable": Param(type="boolean", optional=True),
    },
    allow_token=False,
)
def update_tfa(ctx: Context, params: Params) -> None:
    user = _confirmed(ctx, params)
    with _editing_entry(ctx, user, params.need("id")) as (_, entry):
        info = entry["info"]
        info["description"] = params.text("description") or info["description"]
        if "enable" in params:
            info.pop("enable", None)
            info.update({} if params.flag("enable") else {"enable": False})


@routes.add("DELETE", _ENTRY, _SELF_OR_MODIFIES, {**_CONFIRMED, "id": Param()}, allow_token=False)
def delete_tfa(ctx: Context, params: Params) -> None:
    """With the last entry, the user is no longer marked."""
    user = _confirmed(ctx, params)
    with _editing_entry(ctx, user, params.need("id")) as (mine, entry):
        for entries in mine.values():
            if entry in entries:
                entries.remove(entry)
    if user not in factors(ctx.store):
        _mark(ctx, user, None)


@routes.get(
    "/access/users/{userid}/tfa",
    _SELF_OR_SEES,
    {**_USER, "multiple": Param(type="boolean", optional=True)},
)
def user_tfa(ctx: Context, params: Params) -> dict[str, Any]:
    """What the realm requires and, with `multiple`, the types of a user's factors
    (`read_user_tfa_type`)."""
    user = params.need("userid")
    realm = split_user(user)[1]
    if realm not in realms(ctx.store):
        raise died(f"auth domain '{realm}' does not exist")
    required = str(realms(ctx.store)[realm].values.get("tfa", ""))
    kind = parse_properties("pve-tfa-config", required).values.get("type") if required else None
    answer: dict[str, Any] = {"realm": kind} if kind else {}
    if params.flag("multiple"):
        answer["user"] = [t for t, found in factors(ctx.store).get(user, {}).items() if found]
    return answer


@routes.put("/access/users/{userid}/unlock-tfa", on_groups("User.Modify"), _USER)
def unlock_tfa(_ctx: Context, _params: Params) -> int:
    """Returns whether it was locked: never, in the sandbox."""
    return 0


def _confirmed(ctx: Context, params: Params) -> str:
    """The user; all but root@pam confirm a change with their own password
    (`reauth_user_for_user_modification`)."""
    user = params.need("userid")
    existing_user(ctx.cfg, user)
    if ctx.actor != ROOT:
        if user == ROOT:
            raise forbidden()
        if "password" not in params:
            raise bad_parameters({"password": "password is required to modify user"})
        check_password(ctx, ctx.actor, params.need("password"))
    return user


@contextmanager
def _editing_entry(ctx: Context, user: str, id_: str) -> Iterator[tuple[Factors, dict[str, Any]]]:
    """The factors of a user, to be changed, and the one of this id."""
    with editing(ctx.store, user) as mine:
        entry = entry_of(mine, id_)
        if entry is None:
            raise died("no such entry")
        yield mine, entry


def _mark(ctx: Context, user: str, keys: str | None) -> None:
    with editing_users(ctx.store, "enabling TFA for the user failed") as cfg:
        cfg.users[user].keys = keys
