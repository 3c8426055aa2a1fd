"""/cluster/jobs/realm-sync (PVE::API2::Jobs::RealmSync)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.realm_options import REALM_SYNC_OPTIONS
from reconciler.pve.schema import Param
from reconciler.sandbox.checks import all_of, perm
from reconciler.sandbox.clock import next_run
from reconciler.sandbox.config.jobcfg import JOB_FILE, REALM_SYNC, jobs, read_jobs, write_jobs
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.config.sections import Section, Values, check_config, delete_keys
from reconciler.sandbox.config.store import locked
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.http.routes import Routes

routes = Routes()

_PATH = "/cluster/jobs/realm-sync"
_ID = {"id": Param(format="pve-configid")}
_WITH_ID = {
    **REALM_SYNC_OPTIONS,
    "id": Param(format="pve-configid", max_length=64),
    "schedule": Param(format="pve-calendar-event", max_length=128),
}
_UPDATE = {
    **{name: param for name, param in _WITH_ID.items() if name != "realm"},
    "delete": Param(format="pve-configid-list", max_length=4096, optional=True),
}
_AUDIT = perm("/", "Sys.Audit")
_WRITE = all_of(
    perm("/access/realm/{realm}", "Realm.AllocateUser"), perm("/access/groups", "User.Modify")
)


@routes.get(_PATH, _AUDIT)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """In the order of the file, each with its next run."""
    rows = []
    for name, values in jobs(ctx.store, REALM_SYNC).items():
        following = next_run(values["schedule"], ctx.now)
        rows.append({**values, "id": name, "type": REALM_SYNC, "last-run": None, **following})
    return rows


@routes.get(f"{_PATH}/{{id}}", _AUDIT, _ID)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    name = params.need("id")
    found = jobs(ctx.store, REALM_SYNC).get(name)
    if found is None:
        raise bad_parameters({"id": f"No such job '{name}'"})
    return {**found, "type": REALM_SYNC}


@routes.post(f"{_PATH}/{{id}}", _WRITE, _WITH_ID)
def create(ctx: Context, params: Params) -> None:
    given: Values = dict(params)
    name = given.pop("id")
    with locked(ctx.store, "jobs.cfg"):
        sections = read_jobs(ctx.store.read("jobs.cfg"))
        if name in sections.by_id:
            raise died(f"Job '{name}' already exists")
        values = check_config(JOB_FILE, REALM_SYNC, given, create=True)
        realm = realms(ctx.store).get(values["realm"])
        if realm is None or not realm.type:
            raise bad_parameters({"realm": f"No such realm '{values['realm']}'"})
        if realm.type not in ("ldap", "ad"):
            raise bad_parameters({"realm": "Only LDAP/AD realms can be synced."})
        sections.by_id[name] = Section(REALM_SYNC, values)
        write_jobs(ctx.store, sections)


@routes.put(f"{_PATH}/{{id}}", _WRITE, _UPDATE)
def update(ctx: Context, params: Params) -> None:
    given: Values = dict(params)
    name = given.pop("id")
    deleted = params.names("delete")
    given.pop("delete", None)
    with locked(ctx.store, "jobs.cfg"):
        sections = read_jobs(ctx.store.read("jobs.cfg"))
        new = check_config(JOB_FILE, REALM_SYNC, given, create=False)
        section = sections.by_id.get(name)
        if section is None or section.type != REALM_SYNC:
            raise died("no such realm-sync job")
        delete_keys(JOB_FILE, section, new, deleted)
        section.values.update(new)
        write_jobs(ctx.store, sections)


@routes.delete(f"{_PATH}/{{id}}", perm("/", "Sys.Modify"), _ID)
def delete(ctx: Context, params: Params) -> None:
    name = params.need("id")
    with locked(ctx.store, "jobs.cfg"):
        sections = read_jobs(ctx.store.read("jobs.cfg"))
        section = sections.by_id.get(name)
        if section is None or section.type != REALM_SYNC:
            raise bad_parameters({"id": f"No such job '{name}'"})
        del sections.by_id[name]
        write_jobs(ctx.store, sections)
