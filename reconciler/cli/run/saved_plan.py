"""Check a saved plan before it is applied: it must fit the cluster and still be allowed."""

from __future__ import annotations

from reconciler.cli.backup.kept_archives import with_archives
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import here, load_cluster, now, read_cluster, with_health
from reconciler.cli.run.planning import files_of
from reconciler.cli.state_folder.earlier_files import earlier_files
from reconciler.cli.terminal.output import info
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import Refused, StalePlan
from reconciler.execution.plan_file import AGAIN, SavedPlan, check_fits, check_fresh, stale
from reconciler.live.reader import Live, read_live
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.plan import Plan
from reconciler.planning.builder import apply_changes
from reconciler.planning.request import PlanRequest
from reconciler.planning.saved_plan import judge_again, strangers
from reconciler.text.humanize import listed

NAMED = 10
"""How many objects are named that the files no longer want."""


def still_fitting(
    common: CommonOptions,
    saved: SavedPlan,
    api: Api,
    cluster: ClusterSettings,
    settings: Settings,
    *,
    strict: bool,
) -> tuple[Plan, Live]:
    """The plan and the cluster, if they fit and the files and policy of this checkout allow it.

    Raises StalePlan where it does not fit, Refused with the same findings as `pvectl plan`, or
    FilesInvalid. A plan made from other files causes a warning; with `strict` it does not fit.
    """
    plan = saved.plan
    place = here(cluster, api)
    check_fits(saved, place.name, api.actor, now(), place.identity)
    loaded = load_cluster(cluster, settings)
    foreign = strangers(plan.steps, loaded.desired)
    if foreign:
        raise StalePlan(
            foreign,
            hint="this checkout reads or delivers these secrets elsewhere; "
            f"correct its files, or {AGAIN}",
        )
    live = _look(api, plan, loaded.desired)
    check_fresh(plan, live.state)
    changed = _changed(plan, files_of(loaded))
    if changed and strict:
        raise StalePlan(changed, hint=f"{AGAIN}, or leave out --strict")
    earlier = earlier_files(loaded, None, place.folder).addresses
    question = PlanRequest(plan.cluster, api.actor, now(), earlier=earlier)
    live = with_archives(api, live, apply_changes(live.state, plan.changes))
    again = judge_again(plan, loaded.desired, live.state, live.facts, question)
    _tell(common, changed, again.not_asked_for)
    if again.refusals:
        codes = ", ".join(sorted({finding.code for finding in again.refusals}))
        raise Refused(
            f"saved plan rejected by the current policy: {codes}",
            hint="nothing was sent",
            findings=again.refusals,
        )
    return plan, live


def _look(api: Api, plan: Plan, desired: Desired) -> Live:
    """Read what the plan and the files concern; what seems changed is read in full, since lists
    omit some fields.
    """
    besides = {address.kind: frozenset[str]() for address, _ in plan.seen}
    live = with_health(api, read_cluster(api, desired, besides))
    changed = stale(plan, live.state)
    if not changed:
        return live
    wanted = {kind: frozenset(a.id for a in changed if a.kind == kind) for kind in besides}
    closer = read_live(api, besides, wanted).state
    state = {**live.state, **{a: closer[a] for a in changed if a in closer}}
    return live._replace(state=state)


def _changed(plan: Plan, files: dict[str, str]) -> str:
    """How the files differ from those that the plan was made from; "" where they do not."""
    if not plan.files:
        return "the plan does not record the state files it was made from"
    other = [n for n in sorted({*plan.files, *files}) if plan.files.get(n) != files.get(n)]
    if not other:
        return ""
    return f"the state files have changed since the plan was made: {', '.join(other)}"


def _tell(common: CommonOptions, changed: str, others: tuple[Address, ...]) -> None:
    """Warn that the files have changed; raises StalePlan where unchanged files now give another
    plan.
    """
    named = listed([str(address) for address in others], NAMED)
    if others and not changed:
        raise StalePlan(f"the state files now give a different plan for {named}", hint=AGAIN)
    if changed:
        info(
            common,
            f"warning: {changed}" + (f"; they now declare otherwise: {named}" if others else ""),
        )
