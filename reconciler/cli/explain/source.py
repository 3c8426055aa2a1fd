"""Load the access table that a question is asked of: live, from the files, or after the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from reconciler.access.any_member import with_any_members
from reconciler.access.table import AccessTable
from reconciler.cli.context import Loaded, connect, load_cluster, name_of, read_cluster
from reconciler.cli.run.planning import make_plan
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import UsageError
from reconciler.kinds import access_table
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import DECIDING, Live, read_live
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts
from reconciler.model.request import request
from reconciler.model.spec import State
from reconciler.planning.findings.access_summary import real_paths
from reconciler.planning.offline import as_live

FromFiles = Annotated[
    bool, typer.Option("--from-files", help="Use the state files alone, without network access.")
]
PlannedOption = Annotated[
    bool, typer.Option("--planned", help="Show access as it would be after `pvectl apply`.")
]

POOLS = "pool"
"""Counts only on guests and storages."""

DOMAINS = request("GET", "access", "domains")
"""Readable by every caller."""

_REALM_TYPES = {
    "pam": "Linux accounts of the node",
    "pve": "accounts of Proxmox VE itself",
    "ldap": "an LDAP server",
    "ad": "an Active Directory",
    "openid": "an OpenID provider",
}


class AccessView(NamedTuple):
    """An access table. `asked` says where it comes from; `before` is the current table where
    `table` is planned.

    `actor`: the reader, "" for files. `realms`: name -> what checks its logins, or None if unknown.
    """

    asked: str
    table: AccessTable
    state: State
    facts: Facts
    actor: str = ""
    before: AccessTable | None = None
    realms: dict[str, str] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The ACL paths of all existing objects, with or without entries."""
        return real_paths(self.state, self.facts)


def check_sources(*, from_files: bool, planned: bool) -> None:
    """Raise UsageError when both --from-files and --planned are given."""
    if from_files and planned:
        raise UsageError("--from-files and --planned cannot be combined", hint="pass one of them")


def view_access(
    cluster: ClusterSettings,
    settings: Settings,
    *,
    from_files: bool = False,
    planned: bool = False,
    kinds: Sequence[str] = (*DECIDING, POOLS),
) -> AccessView:
    """The access table of a cluster; raises Blind where the caller cannot see all of it."""
    if from_files:
        return _files(load_cluster(cluster, settings))
    if planned:
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=True) as api:
            return _planned(loaded, api)
    require_valid(settings.findings)
    with connect(cluster, read_only=True) as api:
        live = read_live(api, kinds, {POOLS: EVERYTHING})
        return AccessView(
            f"{name_of(cluster, api)} as it is now, seen by {api.actor}",
            with_any_members((live.table(),))[0],
            live.state,
            live.facts,
            api.actor,
            realms=_realms(api),
        )


def _files(loaded: Loaded) -> AccessView:
    state, release = as_live(loaded.desired), loaded.desired.release
    asked = f"the state files in {loaded.cluster.folder} alone; the cluster may contain more"
    (table,) = with_any_members((access_table(state, release),))
    return AccessView(asked, table, state, Facts(pve=release))


def look_with_pools(api: Api, desired: Desired) -> Live:
    """Read what a plan reads, and all members of all pools; a plan reads only the pools that it can
    change.
    """
    live = read_cluster(api, desired)
    pools = read_live(api, [POOLS], {POOLS: EVERYTHING})
    return Live({**live.state, **pools.state}, live.facts)


def _planned(loaded: Loaded, api: Api) -> AccessView:
    live = look_with_pools(api, loaded.desired)
    found = make_plan(loaded, api, live, None, None)
    return AccessView(
        f"{name_of(loaded.cluster, api)} as it would be after the plan, seen by {api.actor}",
        found.after,
        found.state,
        live.facts,
        api.actor,
        found.before,
        _realms(api),
    )


def _realms(api: Api) -> dict[str, str]:
    rows = api.get([DOMAINS])[0]
    return {str(row["realm"]): _REALM_TYPES.get(row.get("type") or "", "") for row in rows}
