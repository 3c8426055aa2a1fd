"""The API calls whose rules are known.

PVE source: `permissions` of the methods, and the checks in their code, in PVE::API2::AccessControl,
ACL, Domains, Group, Role, User, TFA (pve-access-control), Backup, Cluster, Nodes, Pool, VZDump
(pve-manager), Qemu (qemu-server), LXC, LXC::Config, LXC::Snapshot, LXC::Status (pve-container),
Storage::Config, Content, PruneBackups, Status (pve-storage).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from reconciler.pve.calls.guest_options import archive_demands, option_demands
from reconciler.pve.calls.rule import (
    Call,
    Demand,
    Either,
    Every,
    OnGroups,
    Params,
    Perm,
    RootOnly,
    Rule,
    Self,
)

GUEST = "/vms/{vmid}"
_STORE = "/storage/{storage}"
_NODE = "/nodes/{node}"
_SEES_STORE = Perm(_STORE, ("Datastore.Audit", "Datastore.AllocateSpace"), some=True)
_SPACE = Perm(_STORE, ("Datastore.AllocateSpace",))
_CONFIG = (
    *("VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory"),
    *("VM.Config.Network", "VM.Config.HWType", "VM.Config.Options", "VM.Config.Cloudinit"),
)
_LXC_CONFIG = tuple(
    name for name in _CONFIG if name.rpartition(".")[2] not in {"CDROM", "HWType", "Cloudinit"}
)
_SEES_USERS = ("User.Modify", "Sys.Audit")
_REALM_OF = "/access/realm/{realm-of-userid}"
_ALLOCATE_USER = Perm(_REALM_OF, ("Realm.AllocateUser",))
_MODIFY = OnGroups(("User.Modify",))
_OWN_TOKENS = Either((Self(), _MODIFY))
_SYNC = Every(
    (
        Perm("/access/realm/{realm}", ("Realm.AllocateUser",)),
        Perm("/access/groups", ("User.Modify",)),
    )
)
_ON_GUEST_OR_POOL = Either((Perm(GUEST, ("VM.Allocate",)), Perm("/pool/{pool}", ("VM.Allocate",))))


def perm(path: str, *privileges: str, some: bool = False) -> Demand:
    """A requirement that always applies."""
    return Demand(Perm(path, privileges, some))


def _always(rule: Rule) -> tuple[Demand, ...]:
    return (Demand(rule),)


def _cluster() -> Iterator[Call]:
    audit, modify = (perm("/", "Sys.Audit"),), (perm("/", "Sys.Modify"),)
    yield Call("GET", "/version")
    yield Call("GET", "/cluster/resources", filtered="guests, storages, nodes and pools it may see")
    yield Call("GET", "/cluster/tasks", filtered="its own tasks; all with Sys.Audit on /")
    yield Call("GET", "/cluster/log", filtered="its own lines; all with Sys.Syslog on /")
    yield Call("GET", "/cluster/nextid")
    yield Call("GET", "/cluster/status", audit)
    yield Call("PUT", "/cluster/options", modify)
    yield Call("GET", "/cluster/backup", audit)
    yield Call("GET", "/cluster/backup/{id}", audit)
    yield Call("GET", "/cluster/backup/{id}/included_volumes", audit)
    yield Call("GET", "/cluster/backup-info", _always(RootOnly()))
    yield Call("GET", "/cluster/backup-info/not-backed-up", audit)
    yield Call("DELETE", "/cluster/backup/{id}", modify)
    for method, path, storage in (
        ("POST", "/cluster/backup", "{storage=local}"),
        ("PUT", "/cluster/backup/{id}", "{storage}"),
    ):
        demands = (
            *modify,
            Demand(
                Perm(f"/storage/{storage}", ("Datastore.Allocate",)),
                () if method == "POST" else ("storage", "prune-backups"),
            ),
            Demand(Perm("/pool/{pool}", ("VM.Backup",)), ("pool",)),
        )
        yield Call(method, path, demands)
    yield Call("GET", "/cluster/jobs/realm-sync", audit)
    yield Call("GET", "/cluster/jobs/realm-sync/{id}", audit)
    yield Call("POST", "/cluster/jobs/realm-sync/{id}", _always(_SYNC))
    yield Call("DELETE", "/cluster/jobs/realm-sync/{id}", modify)
    yield Call("GET", "/nodes", filtered="every node; figures with Sys.Audit on /nodes/NODE")
    yield Call("GET", "/nodes/{node}/status", (perm(_NODE, "Sys.Audit"),))
    yield Call("POST", "/nodes/{node}/status", (perm(_NODE, "Sys.PowerMgmt"),))
    yield Call("GET", "/nodes/{node}/syslog", (perm(_NODE, "Sys.Syslog"),))
    yield Call("GET", "/nodes/{node}/journal", (perm(_NODE, "Sys.Syslog"),))
    yield Call("GET", "/nodes/{node}/network", filtered="all of it")
    yield Call(
        "GET", "/nodes/{node}/tasks", filtered="its own tasks; all with Sys.Audit on the node"
    )
    yield Call("POST", "/nodes/{node}/termproxy", (perm(_NODE, "Sys.Console"),))
    yield Call("POST", "/nodes/{node}/vncshell", (perm(_NODE, "Sys.Console"),))


def _access() -> Iterator[Call]:
    yield Call(
        "GET",
        "/access/acl",
        filtered="entries where it may change them; all with Sys.Audit on /access",
    )
    yield Call("PUT", "/access/acl", _always(perm_modify("{path}")))
    yield Call(
        "GET", "/access/users", filtered="itself; others with User.Modify or Sys.Audit on a group"
    )
    others = Demand(Either((Self(), Perm("/access", ("Sys.Audit",)))), ("userid",))
    yield Call("GET", "/access/permissions", (others,))
    yield Call("GET", "/access/roles")
    yield Call("GET", "/access/roles/{roleid}")
    for method, path in (("POST", ""), ("PUT", "/{roleid}"), ("DELETE", "/{roleid}")):
        yield Call(method, f"/access/roles{path}", (perm("/access", "Sys.Modify"),))
    yield Call("GET", "/access/groups", filtered="groups that it may see or change")
    sees_group = perm("/access/groups", "Sys.Audit", "Group.Allocate", some=True)
    yield Call("GET", "/access/groups/{groupid}", (sees_group,))
    for method, path in (("POST", ""), ("PUT", "/{groupid}"), ("DELETE", "/{groupid}")):
        yield Call(method, f"/access/groups{path}", (perm("/access/groups", "Group.Allocate"),))
    yield Call("GET", "/access/domains")
    sees_realm = perm("/access/realm", "Realm.Allocate", "Sys.Audit", some=True)
    yield Call("GET", "/access/domains/{realm}", (sees_realm,))
    for method, path in (("POST", ""), ("PUT", "/{realm}"), ("DELETE", "/{realm}")):
        yield Call(method, f"/access/domains{path}", (perm("/access/realm", "Realm.Allocate"),))
    yield Call("POST", "/access/domains/{realm}/sync", _always(_SYNC))
    user, create = "/access/users/{userid}", Every((_ALLOCATE_USER, OnGroups(("User.Modify",))))
    yield Call("POST", "/access/users", _always(create))
    yield Call("GET", user, _always(OnGroups(_SEES_USERS)))
    yield Call("PUT", user, _always(_MODIFY))
    yield Call("DELETE", user, _always(create))
    yield Call("PUT", f"{user}/unlock-tfa", _always(_MODIFY))
    yield Call("GET", f"{user}/tfa", _always(Either((Self(), OnGroups(_SEES_USERS)))))
    yield Call("GET", f"{user}/token", _always(_OWN_TOKENS))
    for method in ("GET", "POST", "PUT", "DELETE"):
        yield Call(method, f"{user}/token/{{tokenid}}", _always(_OWN_TOKENS))
    change = Either((Self(), Every((_ALLOCATE_USER, _MODIFY))))
    yield Call("PUT", "/access/password", _always(change), tokens=False)
    yield Call("POST", "/access/tfa/{userid}", _always(_OWN_TOKENS), tokens=False)
    yield Call("POST", "/access/ticket", tokens=False)


def perm_modify(path: str) -> Rule:
    """Who may change ACL entries on a path (`check_perm_modify` of PVE::RPCEnvironment)."""
    beside = {"/storage/": "Datastore.Allocate", "/vms/": "VM.Allocate", "/pool/": "Pool.Allocate"}
    more = tuple(name for head, name in beside.items() if path.startswith(head))
    return Perm(path, ("Permissions.Modify", *more), some=True)


def _pools() -> Iterator[Call]:
    yield Call("GET", "/pools", filtered="pools with Pool.Audit")
    yield Call("GET", "/pools/{poolid}", (perm("/pool/{poolid}", "Pool.Audit"),))
    allocate = (perm("/pool/{poolid}", "Pool.Allocate"),)
    yield Call("POST", "/pools", allocate)
    for path in ("/pools", "/pools/{poolid}"):
        yield Call("PUT", path, allocate)
        yield Call("DELETE", path, allocate)


def _storages() -> Iterator[Call]:
    allocate = (perm("/storage", "Datastore.Allocate"),)
    yield Call("GET", "/storage", filtered="storages with Datastore.Audit or AllocateSpace")
    yield Call("GET", "/storage/{storage}", (perm(_STORE, "Datastore.Allocate"),))
    yield Call("POST", "/storage", allocate)
    yield Call("PUT", "/storage/{storage}", allocate)
    yield Call("DELETE", "/storage/{storage}", allocate)
    at = "/nodes/{node}/storage"
    yield Call("GET", at, filtered="storages with Datastore.Audit or AllocateSpace")
    for below in ("", "/status", "/content", "/prunebackups", "/rrddata"):
        yield Call("GET", f"{at}/{{storage}}{below}", _always(_SEES_STORE))
    yield Call("POST", f"{at}/{{storage}}/content", _always(_SPACE))
    upload = perm(_STORE, "Datastore.AllocateTemplate")
    yield Call("POST", f"{at}/{{storage}}/upload", (upload,))
    reaches = Either(
        (Perm("/", ("Sys.Audit", "Sys.Modify")), Perm("/nodes/{node}", ("Sys.AccessNetwork",)))
    )
    yield Call("POST", f"{at}/{{storage}}/download-url", (upload, Demand(reaches)))


def _backups() -> Iterator[Call]:
    yield Call(
        "POST",
        "/nodes/{node}/vzdump",
        (
            Demand(Perm("/", ("Sys.Modify",)), ("bwlimit", "ionice", "performance")),
            Demand(RootOnly(), ("script", "dumpdir", "tmpdir", "job-id")),
            Demand(Perm("/storage/{storage=local}", ("Datastore.Allocate",)), ("prune-backups",)),
            Demand(Perm(_NODE, ("Sys.Modify",)), ("stop",), "1"),
            perm("/storage/{storage=local}", "Datastore.AllocateSpace"),
        ),
        (Demand(Perm(GUEST, ("VM.Backup",)), ("vmid",)),),
    )


def _guests(kind: str) -> Iterator[Call]:
    one = f"/nodes/{{node}}/{kind}/{{vmid}}"
    yield Call("GET", f"/nodes/{{node}}/{kind}", filtered="guests with VM.Audit")
    for path in ("config", "pending", "status/current", "snapshot", "rrddata", "feature"):
        yield Call("GET", f"{one}/{path}", (perm(GUEST, "VM.Audit"),))
    for verb in ("start", "stop", "shutdown", "reboot", "suspend", "resume"):
        yield Call("POST", f"{one}/status/{verb}", (perm(GUEST, "VM.PowerMgmt"),))
    change = (perm(GUEST, *(_CONFIG if kind == "qemu" else _LXC_CONFIG), some=True),)
    yield Call("PUT", f"{one}/config", change)
    yield Call("DELETE", one, (perm(GUEST, "VM.Allocate"),))
    for console in ("vncproxy", "termproxy", "spiceproxy"):
        yield Call("POST", f"{one}/{console}", (perm(GUEST, "VM.Console"),))
    yield Call("POST", f"{one}/snapshot", (perm(GUEST, "VM.Snapshot"),))
    yield Call("DELETE", f"{one}/snapshot/{{snapname}}", (perm(GUEST, "VM.Snapshot"),))
    back = perm(GUEST, "VM.Snapshot", "VM.Snapshot.Rollback", some=True)
    yield Call("POST", f"{one}/snapshot/{{snapname}}/rollback", (back,))
    migrate = (perm(GUEST, "VM.Migrate"),)
    yield Call("GET", f"{one}/migrate", migrate)
    yield Call("POST", f"{one}/migrate", migrate)
    yield Call("POST", f"{one}/template", (perm(GUEST, "VM.Allocate"),))
    disk, target = perm(GUEST, "VM.Config.Disk"), Demand(_SPACE, ("storage",))
    yield Call("PUT", f"{one}/resize", (disk,))
    move = "move_disk" if kind == "qemu" else "move_volume"
    yield Call("POST", f"{one}/{move}", (disk, target))
    into = Either((Perm("/vms/{newid}", ("VM.Allocate",)), Perm("/pool/{pool}", ("VM.Allocate",))))
    yield Call("POST", f"{one}/clone", (perm(GUEST, "VM.Clone"), Demand(into), target))
    if kind == "qemu":
        yield Call("POST", f"{one}/config", change)
        yield Call("POST", f"{one}/status/reset", (perm(GUEST, "VM.PowerMgmt"),))
        yield Call("PUT", f"{one}/sendkey", (perm(GUEST, "VM.Console"),))
        run = (perm(GUEST, "VM.GuestAgent.Unrestricted"),)
        yield Call("POST", f"{one}/agent/exec", run)
        yield Call("GET", f"{one}/agent/exec-status", run)
    else:
        yield Call("GET", f"{one}/interfaces", (perm(GUEST, "VM.Audit"),))
    yield _create(kind)


def _create(kind: str) -> Call:
    """`check_create_vm` and the first lines of `create_vm`; a restore is the same call. Its task
    also checks the bridges of the saved configuration."""
    both = (
        Demand(_ON_GUEST_OR_POOL),
        Demand(Perm("/", ("Sys.Console",)), ("ha-managed",), "1"),
    )
    saved = Demand(Perm("/sdn/zones/localnetwork/{bridge}", ("SDN.Use",)), ("restore", "archive"))
    if kind == "qemu":
        demands = (*both, Demand(_SPACE, ("storage",)))
        return Call("POST", "/nodes/{node}/qemu", demands, (saved,))
    privileged = Demand(Perm("/", ("Sys.Modify",)), ("unprivileged",), "0")
    space = perm("/storage/{storage=local}", "Datastore.AllocateSpace")
    return Call("POST", "/nodes/{node}/lxc", (*both, privileged, space), (saved,))


@cache
def known_calls() -> tuple[Call, ...]:
    """Every call, in search order."""
    return (
        *_cluster(),
        *_access(),
        *_pools(),
        *_storages(),
        *_backups(),
        *_guests("lxc"),
        *_guests("qemu"),
    )


def demands_of(call: Call, params: Params) -> Iterator[Demand]:
    """The requirements that the call itself checks for these parameters."""
    yield from (demand for demand in call.demands if demand.applies(params))
    kind = "lxc" if "/lxc" in call.template else "qemu"
    if call.template.endswith("/{vmid}/config") and call.method != "GET":
        yield from option_demands(kind, params)
    elif call.template in ("/nodes/{node}/lxc", "/nodes/{node}/qemu") and call.method == "POST":
        yield from option_demands(kind, params)
        yield from archive_demands(params)


def find_call(method: str, path: str) -> tuple[Call, Params] | None:
    """The call and the parameters of its path; None if it is unknown."""
    for call in known_calls():
        given = call.match(method, path.removeprefix("/api2/json").removeprefix("/api2/extjs"))
        if given is not None:
            return call, given
    return None
