"""Read the archives that a changed retention may remove."""

from __future__ import annotations

from dataclasses import replace

from reconciler.execution.backups.survey import survey
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import PERMISSIONS, Live, held_on
from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.inventory import Kept
from reconciler.model.spec import State
from reconciler.planning.retention import storages_concerned


def with_archives(api: Api, live: Live, planned: State) -> Live:
    """`live` with the archives of the storages on which `planned` changes the retention.

    Sends no request where it changes none.
    """
    wanted = storages_concerned(live.state, planned, live.facts)
    if not wanted:
        return live
    resources, held = api.get([RESOURCES, PERMISSIONS])
    rows = [r for r in resources if r["type"] != "storage" or r["storage"] in wanted]
    seen = survey(api, rows)
    archives: dict[str, tuple[Archive, ...]] = {}
    for storage, archive in seen.found:
        archives[storage] = (*archives.get(storage, ()), archive)
    unseen = {place.split(" on ")[0]: why for place, why in seen.unread}
    for storage in wanted - unseen.keys():
        if (
            not {"Datastore.Allocate", "Datastore.AllocateSpace"}
            & held_on(held, f"/storage/{storage}").keys()
        ):
            unseen[storage] = f"{api.actor} lacks Datastore.AllocateSpace on /storage/{storage}"
    facts = replace(live.facts, kept=Kept(archives, unseen, seen.zone))
    return live._replace(facts=facts)
