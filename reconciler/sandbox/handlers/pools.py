"""/pools (PVE::API2::Pool), the deprecated forms with the id in the path included."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, may_modify, perm
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.config.store import editing_users
from reconciler.sandbox.config.usercfg import Pool, UserConfig
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.guests import guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.resources import first_node, guest_row, storage_row

routes = Routes()

_ID = Param(format="pve-poolid")
_TYPE = Param(enum=("qemu", "lxc", "storage"), optional=True)
_INDEX = {
    "poolid": Param(format="pve-poolid", optional=True),
    "type": Param(enum=_TYPE.enum, optional=True, requires="poolid"),
}
_UPDATE = {
    "poolid": _ID,
    "comment": Param(optional=True),
    "vms": Param(format="pve-vmid-list", optional=True),
    "storage": Param(format="pve-storage-id-list", optional=True),
    "allow-move": Param(type="boolean", optional=True),
    "delete": Param(type="boolean", optional=True),
}
_ALLOCATE = perm("/pool/{poolid}", "Pool.Allocate")


@routes.get("/pools", everybody, _INDEX)
def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """All pools that the caller may audit; or a single one, with members."""
    if "poolid" in params:
        return [{"poolid": params.need("poolid"), **_details(ctx, params)}]
    return [
        {"poolid": name, **_comment(pool)}
        for name, pool in sorted(ctx.cfg.pools.items())
        if ctx.may(f"/pool/{name}", ["Pool.Audit"])
    ]


@routes.get("/pools/{poolid}", perm("/pool/{poolid}", "Pool.Audit"), {"poolid": _ID, "type": _TYPE})
def read(ctx: Context, params: Params) -> dict[str, Any]:
    return {"poolid": params.need("poolid"), **_details(ctx, params)}


@routes.post("/pools", _ALLOCATE, {"poolid": _ID, "comment": Param(optional=True)})
def create(ctx: Context, params: Params) -> None:
    name, comment = params.need("poolid"), params.text("comment")
    with editing_users(ctx.store, "create pool failed") as cfg:
        if name in cfg.pools:
            raise died(f"pool '{name}' already exists")
        parent = name.rpartition("/")[0]
        if parent and parent not in cfg.pools:
            raise died(f"parent '{parent}' of pool '{name}' does not exist")
        cfg.pools[name] = Pool(comment=comment if true(comment) else None)


@routes.put("/pools/{poolid}", _ALLOCATE, _UPDATE)
@routes.put("/pools", _ALLOCATE, _UPDATE)
def update(ctx: Context, params: Params) -> None:
    """Comment and members are changed together or not at all."""
    name = params.need("poolid")
    with editing_users(ctx.store, "update pools failed") as cfg:
        pool = _existing(cfg, name)
        if "comment" in params:
            pool.comment = params.text("comment")
        for guest in params.names("vms"):
            may_modify(ctx, f"/vms/{guest}")
            if params.flag("delete"):
                _remove_guest(pool, int(guest))
            else:
                _add_guest(ctx, cfg, name, int(guest), move=params.flag("allow-move"))
        for storage in params.names("storage"):
            may_modify(ctx, f"/storage/{storage}")
            _change_storage(pool, storage, delete=params.flag("delete"))


@routes.delete("/pools/{poolid}", _ALLOCATE, {"poolid": _ID})
@routes.delete("/pools", _ALLOCATE, {"poolid": _ID})
def delete(ctx: Context, params: Params) -> None:
    """Only an empty pool; members that no longer exist do not count.

    The ACL entries of a nested pool stay: PVE looks for them in the wrong place.
    """
    name = params.need("poolid")
    with editing_users(ctx.store, "delete pool failed") as cfg:
        pool = _existing(cfg, name)
        for child in sorted(cfg.pools):
            if child.rpartition("/")[0] == name:
                raise died(f"pool '{name}' is not empty (contains pool '{child}')")
        known = {guest.vmid for guest in guests(ctx.store)}
        for guest in sorted(pool.vms & known, key=str):
            raise died(f"pool '{name}' is not empty (contains VM {guest})")
        for storage in sorted(pool.storage & storages(ctx.store).keys()):
            raise died(f"pool '{name}' is not empty (contains storage '{storage}')")
        del cfg.pools[name]
        if "/" not in name:
            cfg.delete_acl_below(f"/pool/{name}")


def _existing(cfg: UserConfig, name: str) -> Pool:
    if name not in cfg.pools:
        raise died(f"pool '{name}' does not exist")
    return cfg.pools[name]


def _comment(pool: Pool) -> dict[str, str]:
    return {} if pool.comment is None else {"comment": pool.comment}


def _details(ctx: Context, params: Params) -> dict[str, Any]:
    """The members that exist, guests first, each kind sorted as text."""
    pool = _existing(ctx.cfg, params.need("poolid"))
    kind = params.text("type")
    known = {guest.vmid: guest for guest in guests(ctx.store)}
    members = [
        guest_row(ctx, known[guest])
        for guest in sorted(pool.vms, key=str)
        if guest in known and kind in (None, known[guest].kind)
    ]
    if kind in (None, "storage"):
        configured = storages(ctx.store)
        members += [
            storage_row(ctx.store, first_node(ctx.store, configured[name]), name, configured[name])
            for name in sorted(pool.storage)
            if name in configured
        ]
    return {"members": members, **_comment(pool)}


def _remove_guest(pool: Pool, guest: int) -> None:
    if guest not in pool.vms:
        raise died(f"VM {guest} is not a pool member")
    pool.vms.remove(guest)


def _add_guest(ctx: Context, cfg: UserConfig, name: str, guest: int, *, move: bool) -> None:
    """A guest is in one pool only; moving it also needs Pool.Allocate on the old one."""
    pool, old = cfg.pools[name], cfg.pool_of(guest)
    if old == name:
        raise died(f"VM {guest} is already a pool member")
    if old is not None:
        if not move:
            raise died(f"VM {guest} belongs already to pool '{old}' and 'allow-move' is not set")
        ctx.require(f"/pool/{old}", ["Pool.Allocate"])
        cfg.pools[old].vms.remove(guest)
    pool.vms.add(guest)


def _change_storage(pool: Pool, storage: str, *, delete: bool) -> None:
    if delete:
        if storage not in pool.storage:
            raise died(f"Storage '{storage}' is not a pool member")
        pool.storage.remove(storage)
    else:
        if storage in pool.storage:
            raise died(f"Storage '{storage}' is already a pool member")
        pool.storage.add(storage)
