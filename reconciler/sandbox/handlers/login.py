"""/access/ticket and /access/password (PVE::API2::AccessControl)."""

from __future__ import annotations

import re
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.access.evaluate import privileges
from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.formats import split_list
from reconciler.pve.schema import Param
from reconciler.sandbox.auth import second_factors
from reconciler.sandbox.auth.accounts import (
    check_enabled,
    check_password,
    existing_user,
    set_password,
    spelling,
    split_user,
)
from reconciler.sandbox.auth.tickets import new_csrf_token, new_ticket, ticket_user
from reconciler.sandbox.checks import (
    all_of,
    any_of,
    is_self,
    may_allocate,
    on_groups,
    world,
)
from reconciler.sandbox.cluster_log import ERROR, note
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died, forbidden
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_TEXT = Param(optional=True)
_USER = {"userid": Param(format="pve-userid", max_length=64)}
_OWN_PASSWORD = Param(min_length=5, max_length=64, optional=True)
_CAPABILITIES = {
    "vms": r"VM\.|Permissions\.Modify",
    "access": r"(?:User|Group)\.|Permissions\.Modify",
    "storage": r"Datastore\.|Permissions\.Modify",
    "nodes": r"Sys\.|Permissions\.Modify",
    "sdn": r"SDN\.|Permissions\.Modify",
    "dc": r"Sys\.Audit|Sys\.Modify|SDN\.",
    "mapping": r"Mapping\.|Permissions\.Modify",
}
"""Top level of a path -> the privileges that the web interface checks there."""

_ALWAYS = ("/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping")


@routes.get("/access/ticket", world)
def login_page(_ctx: Context, _params: Params) -> None:
    """For formatters with a login page."""


@routes.add(
    "POST",
    "/access/ticket",
    world,
    {
        "username": Param(max_length=64),
        "password": Param(),
        "realm": Param(format="pve-realm", max_length=32, optional=True),
        "otp": _TEXT,
        "tfa-challenge": _TEXT,
        "new-format": Param(type="boolean", optional=True),
        "path": Param(max_length=64, optional=True, requires="privs"),
        "privs": Param(format="pve-priv-list", max_length=64, optional=True, requires="path"),
    },
    allow_token=False,
)
def login(ctx: Context, params: Params) -> dict[str, Any]:
    """With a password or a ticket; every failure gives the same 401."""
    user = params.need("username")
    if true(params.text("realm")):
        user = f"{user}@{params.need('realm')}"
    user = spelling(ctx, user)
    try:
        check_enabled(ctx, user)
        answer: dict[str, Any] = {"username": user}
        if true(params.text("path")) and true(params.text("privs")):
            _authenticate(ctx, user, params.need("password"), renewed_by=(user,))
            _check_path(ctx, user, params.need("path"), params.need("privs"))
        else:
            open_ = _second_factor(ctx, user, params)
            answer["ticket"] = new_ticket(ctx, user) if open_ is None else open_
            answer["CSRFPreventionToken"] = new_csrf_token(ctx, user)
            answer |= {} if open_ is None else {"NeedTFA": 1}
    except ApiError as error:
        failed = f"authentication failure; rhost=127.0.0.1 user={user} msg={str(error).strip()}"
        note(ctx.store, ctx.now, "root@pam", failed, ERROR)
        raise ApiError("authentication failure\n", 401) from error
    note(ctx.store, ctx.now, "root@pam", f"successful auth for user '{user}'")
    if "NeedTFA" not in answer:
        answer["cap"] = _capabilities(ctx, user)
    return answer


@routes.post(
    "/access/vncticket",
    world,
    {
        "authid": Param(max_length=64),
        "path": Param(max_length=64),
        "port": Param(type="integer", optional=True),
        "privs": Param(format="pve-priv-list", max_length=64),
        "vncticket": Param(),
    },
)
def verify_vnc_ticket(_ctx: Context, _params: Params) -> None:
    """There are no consoles here, so no console ticket is valid."""
    raise ApiError("authentication failure\n", 401)


def _second_factor(ctx: Context, user: str, params: Params) -> str | None:
    """Check the first factor, or the answer to a challenge instead; returns the challenge still to
    be answered (`create_ticket_do`)."""
    secret, otp, asked = params.need("password"), params.text("otp"), params.text("tfa-challenge")
    if asked is not None:
        if otp is not None:
            raise died(
                "TFA response should be in 'password', not 'otp' when 'tfa-challenge' is set"
            )
        second_factors.answer(ctx, user, asked, secret)
        return None
    if not _authenticate(ctx, user, secret, renewed_by=(user, ROOT)):
        return None
    open_ = second_factors.challenge(ctx, user)
    if otp is None:
        return open_
    if open_ is None:
        raise died("no such challenge")
    second_factors.answer(ctx, user, open_, otp)
    return None


def _authenticate(ctx: Context, user: str, secret: str, *, renewed_by: tuple[str, ...]) -> bool:
    """Whether `secret` is the password, not a ticket of one of `renewed_by`; raises for neither."""
    if ticket_user(ctx, secret) in renewed_by:
        return False
    check_password(ctx, user, secret)
    return True


def _check_path(ctx: Context, user: str, path: str, names: str) -> None:
    normal = normalize_path(path)
    wanted = split_list(names)
    held = privileges(ctx.store.access(), user, normal) if normal is not None else {}
    if not wanted or any(name not in held for name in wanted):
        raise died(f"no permission ({path}, {names})")


def _capabilities(ctx: Context, user: str) -> dict[str, dict[str, int]]:
    """Permissions for the web interface (`compute_api_permission`)."""
    found: dict[str, dict[str, int]] = {part: {} for part in _CAPABILITIES}
    table = ctx.store.access()
    for path in dict.fromkeys((*_ALWAYS, *_tree(ctx))):
        held = privileges(table, user, path)
        part = path[1:].partition("/")[0] or "dc"
        if part == "pool":
            for kind in ("vms", "storage"):
                found[kind].update(dict.fromkeys(_matching(kind, held), 1))
        elif part in found:
            found[part].update(dict.fromkeys(_matching(part, held), 1))
    return found


def _matching(part: str, held: Any) -> list[str]:
    return [name for name in held if re.match(_CAPABILITIES[part], name)]


def _tree(ctx: Context) -> list[str]:
    """Every node of the ACL tree."""
    nodes = []
    for path in ctx.cfg.acl:
        parts = path.split("/")[1:]
        nodes += ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return nodes


@routes.add(
    "PUT",
    "/access/password",
    any_of(is_self, all_of(may_allocate, on_groups("User.Modify"))),
    {
        **_USER,
        "password": Param(min_length=8, max_length=64),
        "confirmation-password": _OWN_PASSWORD,
    },
    allow_token=False,
)
def change_password(ctx: Context, params: Params) -> None:
    """All users but root@pam confirm with their own password; only root@pam changes pam users."""
    user = params.need("userid")
    realm = split_user(user)[1]
    existing_user(ctx.cfg, user)
    if ctx.actor != ROOT:
        if user == ROOT:
            raise forbidden()
        if "confirmation-password" not in params:
            text = "password is required to modify user"
            raise bad_parameters({"confirmation-password": text})
        check_password(ctx, ctx.actor, params.need("confirmation-password"))
        if ctx.actor != user and realm == "pam":
            raise forbidden()
    set_password(ctx.store, user, params.need("password"))
