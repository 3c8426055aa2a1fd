"""/storage (PVE::API2::Storage::Config)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.pve.sections import changeable_options
from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_SECTIONS, STORAGE_TYPES
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.sections import (
    Section,
    Sections,
    Values,
    check_digest,
    delete_keys,
    render,
)
from reconciler.sandbox.config.storagecfg import (
    STORAGE_FILE,
    available_on,
    checked,
    content_text,
    read_storages,
    shuffled,
    storages,
)
from reconciler.sandbox.config.store import Store, locked
from reconciler.sandbox.config.usercfg import parse as parse_users
from reconciler.sandbox.config.userfile import render as render_users
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.storage.plugins import Secrets, activate, on_add, on_delete, on_update

routes = Routes()

_ID = Param(format="pve-storage-id")
_TYPE = Param(enum=tuple(sorted(STORAGE_TYPES)))
_CREATE = {**STORAGE_OPTIONS, "storage": _ID, "type": _TYPE}
_UPDATE = {
    **{
        name: STORAGE_OPTIONS[name]
        for name in changeable_options(STORAGE_OPTIONS, STORAGE_SECTIONS)
    },
    "storage": _ID,
    "delete": Param(format="pve-configid-list", max_length=4096, optional=True),
    "digest": Param(max_length=64, optional=True),
}
_ALLOCATE = perm("/storage", "Datastore.Allocate")
_SEES = ("Datastore.Audit", "Datastore.AllocateSpace")


@routes.get("/storage", everybody, {"type": Param(enum=_TYPE.enum, optional=True)})
def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """Only the storages that the caller may use or audit."""
    kind = params.text("type")
    digest = ctx.store.parsed("storage.cfg", read_storages).digest
    return [
        _answer(name, section, digest)
        for name, section in storages(ctx.store).items()
        if kind in (None, section.type) and ctx.may(f"/storage/{name}", _SEES, some=True)
    ]


@routes.get(
    "/storage/{storage}", perm("/storage/{storage}", "Datastore.Allocate"), {"storage": _ID}
)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    sections = ctx.store.parsed("storage.cfg", read_storages)
    name = params.need("storage")
    return _answer(name, _existing(sections, name), sections.digest)


@routes.post("/storage", _ALLOCATE, _CREATE)
def create(ctx: Context, params: Params) -> dict[str, Any]:
    """Activates the storage if this node may use it; if that fails, nothing is kept."""
    given: Values = dict(params)
    kind, name = given.pop("type"), given.pop("storage")
    if not given.get("nodes", "x"):
        del given["nodes"]
    secrets = _take_secrets(kind, given, [])
    if STORAGE_TYPES[kind].mounted and not given.get("path"):
        given["path"] = f"/mnt/pve/{name}"
    section = Section(kind, checked(kind, given, create=True))
    with locked(ctx.store, "storage.cfg", "create storage failed"):
        sections = read_storages(ctx.store.read("storage.cfg"))
        if name in sections.by_id and sections.by_id[name].type:
            raise died(f"storage ID '{name}' already defined")
        sections.by_id[name] = section
        config = on_add(ctx, name, section, secrets)
        if available_on(section, ctx.store.node):
            activate(ctx.store, name, section)
        ctx.store.write("storage.cfg", render(STORAGE_FILE, sections))
    return _result(name, kind, config)


@routes.put("/storage/{storage}", _ALLOCATE, _UPDATE)
def update(ctx: Context, params: Params) -> dict[str, Any]:
    given: Values = dict(params)
    name = given.pop("storage")
    digest, deleted = given.pop("digest", None), Params(given).names("delete")
    given.pop("delete", None)
    with locked(ctx.store, "storage.cfg", "update storage failed"):
        sections = read_storages(ctx.store.read("storage.cfg"))
        check_digest(sections, digest)
        section = _existing(sections, name)
        secrets = _take_secrets(section.type, given, deleted)
        new = checked(section.type, given, create=False)
        # PVE looks at all keys before it deletes the first, so try it on a copy.
        delete_keys(STORAGE_FILE, Section(section.type, dict(section.values)), new, deleted)
        config = on_update(ctx, name, section.type, new, secrets)
        delete_keys(STORAGE_FILE, section, {}, deleted)
        section.values.update(new)
        ctx.store.write("storage.cfg", render(STORAGE_FILE, sections))
    return _result(name, section.type, config)


@routes.delete("/storage/{storage}", _ALLOCATE, {"storage": _ID})
def delete(ctx: Context, params: Params) -> None:
    """Secrets, ACL entries and pool membership are removed as well; backup jobs keep naming it."""
    name = params.need("storage")
    with locked(ctx.store, "storage.cfg", "delete storage failed"):
        sections = read_storages(ctx.store.read("storage.cfg"))
        section = _existing(sections, name)
        bases = (str(other.values.get("base", "")) for other in sections.by_id.values())
        if any(base.partition(":")[0] == name for base in bases):
            raise died("can't remove storage - storage is used as base of another storage")
        on_delete(ctx.store, name, section)
        del sections.by_id[name]
        ctx.store.write("storage.cfg", render(STORAGE_FILE, sections))
    _remove_access(ctx.store, name)


def _existing(sections: Sections, name: str) -> Section:
    section = sections.by_id.get(name)
    if section is None or not section.type:
        raise died(f"storage '{name}' does not exist")
    return section


def _take_secrets(kind: str, given: Values, deleted: list[str]) -> Secrets:
    """Take the sensitive parameters out of the request; None means that one is deleted."""
    secrets: Secrets = {}
    for key in sorted(STORAGE_SECTIONS[kind].sensitive):
        if key in deleted:
            secrets[key] = None
        if key in given:
            secrets[key] = str(given.pop(key))
    return secrets


def _answer(name: str, section: Section, digest: str) -> dict[str, Any]:
    values = section.values
    answer = {**values, "storage": name, "type": section.type, "digest": digest}
    answer["content"] = content_text(values["content"])
    if "nodes" in values:
        answer["nodes"] = shuffled(values["nodes"])
    return answer


def _result(name: str, kind: str, config: dict[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {"storage": name, "type": kind}
    return result if config is None else {**result, "config": config}


def _remove_access(store: Store, name: str) -> None:
    """`remove_storage_access`: user.cfg is written if there was an entry, or any pool."""
    failure = f"access permissions cleanup for storage {name} failed"
    with locked(store, "user.cfg", failure):
        cfg = parse_users(store.read("user.cfg"))
        changed = cfg.delete_acl_below(f"/storage/{name}") or bool(cfg.pools)
        for pool in cfg.pools.values():
            pool.storage.discard(name)
        if changed:
            store.write("user.cfg", render_users(cfg))
