"""/access/domains (PVE::API2::Domains)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.formats import split_list
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.realm_options import (
    REALM_OPTIONS,
    REALM_TYPES,
    SYNC_REMOVE_VANISHED,
    SYNC_SCOPE,
    sync_defaults,
)
from reconciler.pve.schema import Param
from reconciler.pve.sections import changeable_options
from reconciler.sandbox.checks import all_of, perm, world
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.config.realmcfg import REALM_FILE, read_realms, realms, write_realms
from reconciler.sandbox.config.sections import Section, Values, check_config, check_digest
from reconciler.sandbox.config.store import Store, locked
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.tasks import Worker, run_task

routes = Routes()

_REALM = Param(format="pve-realm", max_length=32)
_CHECK = {"check-connection": Param(type="boolean", optional=True)}
_CREATE = {
    **REALM_OPTIONS,
    **_CHECK,
    "realm": _REALM,
    "type": Param(enum=tuple(sorted(REALM_TYPES))),
}
_UPDATE = {
    **{name: REALM_OPTIONS[name] for name in changeable_options(REALM_OPTIONS, REALM_TYPES)},
    **_CHECK,
    "realm": _REALM,
    "delete": Param(format="pve-configid-list", max_length=4096, optional=True),
    "digest": Param(max_length=64, optional=True),
}
_SYNC = {
    "realm": _REALM,
    "dry-run": Param(type="boolean", optional=True),
    "enable-new": Param(type="boolean", optional=True),
    "full": Param(type="boolean", optional=True),
    "purge": Param(type="boolean", optional=True),
    "remove-vanished": SYNC_REMOVE_VANISHED,
    "scope": SYNC_SCOPE,
}
_ALLOCATE = perm("/access/realm", "Realm.Allocate")
_LDAP = ("ad", "ldap")
_UNREACHABLE = "Temporary failure in name resolution"


@routes.get("/access/domains", world)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """Readable by everyone, because the login dialog needs it. A broken realm has no type."""
    return [_row(name, section) for name, section in realms(ctx.store).items()]


@routes.get(
    "/access/domains/{realm}",
    perm("/access/realm", "Realm.Allocate", "Sys.Audit", some=True),
    {"realm": _REALM},
)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    """Without the password; the client-key of an openid realm is shown."""
    sections = ctx.store.parsed("domains.cfg", read_realms)
    section = sections.by_id.get(params.need("realm"))
    if section is None or not section.type:
        raise died(f"domain '{params.need('realm')}' does not exist")
    values = dict(section.values)
    if section.type in _LDAP:
        _map_sync_defaults(values, drop_old=False)
    return {**values, "type": section.type, "digest": sections.digest}


@routes.post("/access/domains", _ALLOCATE, _CREATE)
def create(ctx: Context, params: Params) -> None:
    given: Values = dict(params)
    password = given.pop("password", None)
    connect = given.pop("check-connection", None)
    name, kind = given.pop("realm"), given.pop("type")
    with locked(ctx.store, "domains.cfg", "add auth server failed"):
        sections = read_realms(ctx.store.read("domains.cfg"))
        if name in sections.by_id and sections.by_id[name].type:
            raise died(f"domain '{name}' already exists")
        if kind in ("pam", "pve"):
            raise died(f"unable to create builtin type '{kind}'")
        _check_connectable(kind, connect)
        if kind in _LDAP:
            _map_sync_defaults(given, drop_old=True)
        section = Section(kind, check_config(REALM_FILE, kind, given, create=True))
        if section.values.get("default"):
            _clear_default(sections.by_id)
        sections.by_id[name] = section
        if kind in _LDAP:
            _set_password(ctx.store, name, password)
        if params.flag("check-connection"):
            _connect(section)
        write_realms(ctx.store, sections)


@routes.put("/access/domains/{realm}", _ALLOCATE, _UPDATE)
def update(ctx: Context, params: Params) -> None:
    given: Values = dict(params)
    password = given.pop("password", None)
    connect = given.pop("check-connection", None)
    name, digest = given.pop("realm"), given.pop("digest", None)
    deleted = given.pop("delete", None)
    with locked(ctx.store, "domains.cfg", "update auth server failed"):
        sections = read_realms(ctx.store.read("domains.cfg"))
        check_digest(sections, digest)
        section = sections.by_id.get(name)
        if section is None:
            raise died(f"domain '{name}' does not exist")
        _check_connectable(section.type, connect)
        if not true(deleted) and not given and password is None:
            raise died("no options specified")
        gone = split_list(deleted or "")
        for key in gone:
            section.values.pop(key, None)
        if section.type in _LDAP:
            _map_sync_defaults(given, drop_old=True)
        new = _checked_update(section, given)
        if new.get("default"):
            _clear_default(sections.by_id)
        section.values.update(new)
        if section.type in _LDAP and ("password" in gone or password is not None):
            _set_password(ctx.store, name, password)
        if params.flag("check-connection"):
            _connect(section)
        write_realms(ctx.store, sections)


@routes.delete("/access/domains/{realm}", _ALLOCATE, {"realm": _REALM})
def delete(ctx: Context, params: Params) -> None:
    """Users of the realm stay; pam and pve are recreated at once."""
    name = params.need("realm")
    with locked(ctx.store, "domains.cfg", "delete auth server failed"):
        sections = read_realms(ctx.store.read("domains.cfg"))
        if name not in sections.by_id:
            raise died(f"authentication domain '{name}' does not exist")
        section = sections.by_id[name]
        if section.type in _LDAP:
            _set_password(ctx.store, name, None)
        if section.type:
            del sections.by_id[name]
        write_realms(ctx.store, sections)


@routes.post(
    "/access/domains/{realm}/sync",
    all_of(
        perm("/access/realm/{realm}", "Realm.AllocateUser"), perm("/access/groups", "User.Modify")
    ),
    _SYNC,
)
def sync(ctx: Context, params: Params) -> str:
    """Starts a task that fails: the sandbox reaches no directory server."""
    name = params.need("realm")
    section = realms(ctx.store).get(name)
    if section is None or not section.type:
        raise bad_parameters({"realm": "Realm does not exist."})
    if section.type not in _LDAP:
        raise died(f"Cannot sync realm type '{section.type}'! Only LDAP/AD realms can be synced.")
    defaults = parse_properties(
        "realm-sync-options", str(section.values.get("sync-defaults-options", ""))
    ).values
    if "scope" not in params and "scope" not in defaults:
        text = "Not passed as parameter and not defined in realm default sync options."
        raise bad_parameters({"scope": text})
    dry = params.flag("dry-run")

    def work(worker: Worker) -> None:
        worker.log(f"{'(dry test run) ' if dry else ''}starting sync for realm {name}")
        raise died(_UNREACHABLE)

    return run_task(ctx, "auth-realm-sync-test" if dry else "auth-realm-sync", name, work)


def _row(name: str, section: Section) -> dict[str, Any]:
    values = section.values
    row: dict[str, Any] = {"realm": name, "type": section.type or None}
    if true(values.get("comment")):
        row["comment"] = values["comment"]
    if values.get("default"):
        row["default"] = 1
    if true(values.get("tfa")):
        row["tfa"] = parse_properties("pve-tfa-config", values["tfa"]).values.get("type")
    return row


def _checked_update(section: Section, given: Values) -> Values:
    if not section.type:
        # Perl's error when a realm's section could not be read.
        raise ApiError(
            "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Domains.pm line 261.\n"
        )
    return check_config(REALM_FILE, section.type, given, create=False)


def _clear_default(by_id: dict[str, Section]) -> None:
    for section in by_id.values():
        section.values.pop("default", None)


def _map_sync_defaults(values: Values, *, drop_old: bool) -> None:
    text = values.get("sync-defaults-options")
    if text is not None:
        values["sync-defaults-options"] = sync_defaults(str(text), drop_old=drop_old)


def _set_password(store: Store, name: str, password: str | None) -> None:
    if password is None:
        store.remove(f"priv/realm/{name}.pw")
    else:
        store.write(f"priv/realm/{name}.pw", password.encode())


def _check_connectable(kind: str, connect: object) -> None:
    if connect is not None and kind not in _LDAP:
        text = "'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"
        raise died(text)


def _connect(section: Section) -> None:
    """As with storages, names that end in `.invalid` are unreachable."""
    if str(section.values.get("server1", "")).endswith(".invalid"):
        raise died(_UNREACHABLE)
