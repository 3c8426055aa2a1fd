"""pvectl drift: show how the cluster differs from the declared state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.access.analysis.impact import Impact, impact
from reconciler.access.analysis.summary import summarise
from reconciler.access.any_member import with_any_members
from reconciler.access.escalation.search import Escalation, opened
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from reconciler.cli.app import app
from reconciler.cli.backup.recoverability import backup_findings
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded, connect, each_cluster, here, now, read_cluster
from reconciler.cli.run import drift_memory
from reconciler.cli.run.observed import ALTERED, Observation, observe
from reconciler.cli.run.plan_options import Since
from reconciler.cli.run.planning import left_the_files, left_unfinished, load_to_plan, make_plan
from reconciler.cli.state_folder.earlier_files import Earlier, earlier_files
from reconciler.cli.terminal.output import check_formats, info, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import Blind, ExitStatus
from reconciler.execution.journal import store
from reconciler.execution.secrets.ages import secret_ages
from reconciler.kinds import access_table
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import Live
from reconciler.live.records import records
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.custom_rule import is_of_rule
from reconciler.model.declared import Desired
from reconciler.model.drift import EXPECT, Drift, DriftItem, WayToRoot
from reconciler.model.drift_memory import Memory
from reconciler.model.finding import Finding, Severity
from reconciler.model.health import CODES
from reconciler.model.records import OwnRun, Records
from reconciler.model.spec import Spec
from reconciler.planning.builder import PlanResult
from reconciler.planning.checks.call_expectations import expected_calls
from reconciler.planning.checks.custom_rules import kept_rules
from reconciler.planning.checks.expectations import expectations
from reconciler.planning.checks.separation import separation
from reconciler.planning.drift import (
    about_the_cluster,
    drift_of,
    held_as_declared,
    placed,
    remembered,
    with_observed,
)
from reconciler.planning.findings.access_summary import real_paths
from reconciler.planning.observed import before_joining, differing
from reconciler.planning.observed import to_remember as observed_to_remember
from reconciler.planning.rotation.due import aged, has_any, rotation
from reconciler.planning.undeclared import ending, undeclared, without
from reconciler.planning.unspecified import as_left, to_remember
from reconciler.render.documents.plan import only_about_applying
from reconciler.render.view import View
from reconciler.text.humanize import count, in_prose

_LOGIN = frozenset({"enabled", "expires"})
"""The fields of a user that decide whether it can log in."""

FailOn = Annotated[
    Severity | None,
    typer.Option("--fail-on", help="Exit 4 on findings of this severity or worse."),
]

Acknowledge = Annotated[
    bool,
    typer.Option(
        "--acknowledge",
        help="Accept undeclared objects and changes of omitted keys from now on.",
    ),
]


@command(app, "drift", Panel.PLAN, 3)
def drift(
    common: CommonOptions,
    since: Since = None,
    fail_on: FailOn = None,
    acknowledge: Acknowledge = False,
) -> ExitStatus:
    """Show how the cluster differs from the declared state; meant for cron.

    Each difference is classified: changed out of band in the cluster, changed in the files since
    the last apply, declared but never applied, undeclared, or an expired grant. What was applied
    last is known from the journals on this machine, from its last report, or from git with --since.

    Undeclared objects that change access are drift, whatever the mode, until they are declared,
    removed or acknowledged. So are undeclared members of declared groups, logins, tokens and
    waivers that expire within the days of [alarm], and, where backup jobs are declared, guests
    without a backup since the last scheduled run, or without a recent restore drill.

    Exit 0 without drift, 2 with drift, 4 if an [[expect]] fails or a finding counts as a failure.
    """
    check_formats(common, "drift")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = asked = load_to_plan(cluster, settings)
        with connect(cluster, read_only=True, plans=True) as api:
            earlier = earlier_files(asked, since, here(cluster, api).folder)
            live = _look(common, api, loaded, earlier)
            folder = here(cluster, api, keep=True).folder
            last = folder / "drift.json"
            memory = drift_memory.recall(last, folder)
            desired, left = as_left(loaded.desired, live.state, memory.left)
            loaded = loaded._replace(desired=desired)
            planned = make_plan(loaded, api, live, None, None, earlier)
            sight = observe(common, api, live, desired, memory, folder)
            memory = sight.memory
            known = _applied(earlier, live, sight) if since else _with_altered(memory, sight)
            besides = [
                *_due(desired, live, folder),
                *backup_findings(api, loaded.desired, here(cluster, api)),
            ]
            seen = differing(sight.now, memory.observed, live.state)
            found, view = _compare(
                *(loaded, planned, live, known, api.actor, fail_on, left),
                seen=seen,
                besides=besides,
            )
            found = with_observed(found, seen)
            found = placed(found, loaded.desired)
            if found.concerned:
                found = replace(found, records=_records(api, live, found, memory, folder))
        _report(common, settings, found, replace(view, unfinished=left_unfinished(folder)))
        following = _following(common, asked, loaded, live, found, sight, acknowledge=acknowledge)
        _keep(common, last, following)
        return found.status

    return each_cluster(common, one, at_once=True)


def _applied(earlier: Earlier, live: Live, sight: Observation) -> Memory:
    """What was applied last, taken from the files of a commit."""
    if earlier.files is None:
        return _with_altered(sight.memory, sight)
    known = drift_memory.as_committed(earlier.files, live.state, sight.memory)
    return _with_altered(known, sight)


def _with_altered(known: Memory, sight: Observation) -> Memory:
    altered = dict.fromkeys(sight.altered, ALTERED)
    return replace(known, baseline={**known.baseline, **altered})


def _following(
    common: CommonOptions,
    asked: Loaded,
    loaded: Loaded,
    live: Live,
    found: Drift,
    sight: Observation,
    *,
    acknowledge: bool,
) -> Memory:
    """What the next report compares with. `asked`: the files without what `loaded` has from
    memory."""
    memory = sight.memory
    open_ = to_remember(asked.desired, live.state, {} if acknowledge else memory.left)
    seen_before = {} if acknowledge else memory.observed
    observed = observed_to_remember(sight.now, seen_before, live.state)
    following = remembered(found, memory, _declared(loaded, live), open_, observed, now())
    if not acknowledge:
        return following
    accepted = {one.address: following.undeclared[one.address] for one in found.undeclared}
    changed = sum(bool(one.by_hand) for one in found.differences)
    what = f"{len(accepted):,} undeclared objects, {count(changed, 'change')}"
    info(common, f"acknowledged as they are: {what} of undeclared fields")
    return replace(following, acknowledged=accepted)


def _report(common: CommonOptions, settings: Settings, found: Drift, view: View) -> None:
    """Show it, and send the notices of changes."""
    show(common, "drift", found, view)
    if settings.notify:
        from reconciler.cli import notices
        from reconciler.render.notice import drift as as_notice

        notices.tell(common, as_notice(found, view), settings.notify)


def _look(common: CommonOptions, api: Api, loaded: Loaded, earlier: Earlier) -> Live:
    """Read the cluster with its realm-sync jobs and all realms, since both admit users, and with
    what left the files."""
    left = left_the_files(loaded, earlier)
    nothing = frozenset[str]()
    besides = {"realm_sync": nothing, **left, "realm": EVERYTHING}
    try:
        return read_cluster(api, loaded.desired, besides)
    except Blind:
        live = read_cluster(api, loaded.desired)
    info(common, f"realm-sync jobs are not compared: {api.actor} cannot see them")
    return live


def _compare(
    loaded: Loaded,
    planned: PlanResult,
    live: Live,
    memory: Memory,
    actor: str,
    fail_on: Severity | None,
    left: Mapping[Address, tuple[str, ...]],
    *,
    seen: Sequence[DriftItem],
    besides: Iterable[Finding],
) -> tuple[Drift, View]:
    """The drift, and its effect on access: from what is declared, plus known undeclared objects, to
    the live cluster. `besides`: findings about backups and tokens; `seen`: what no file can give.
    """
    desired, moment = loaded.desired, now()
    extra = undeclared(planned.plan.kept, live.state, desired.policy, memory, actor)
    declared, current, effect = planned.after, planned.before, planned.impact.inverse()
    paths = real_paths(live.state, live.facts)
    joined = before_joining(live.state, seen)
    if joined or any(one.rings for one in extra):
        state = {**without(planned.state, extra), **joined}
        declared = access_table(state, live.facts.pve, live.facts.strays)
        declared, current = with_any_members((declared, planned.before), moment)
        effect = impact(declared, current, paths, moment)
    findings = [
        *(
            one if one.address else one._replace(known=False)
            for one in about_the_cluster(planned.plan, left)
            if one.code not in (EXPECT, *CODES)
            and not only_about_applying(one)
            and not is_of_rule(one.code)
        ),
        *held_as_declared(
            [
                *expectations(planned.before, desired.expectations, paths, moment),
                *expected_calls(planned.before, desired.calls, moment),
                *separation(planned.before, desired.expectations, paths, moment),
            ],
            planned.plan.findings,
        ),
        *kept_rules(desired, live.state, planned.before, paths, moment),
        *ending(desired, live.state, moment),
        *besides,
    ]
    failing = {*desired.policy.lint.fail, *_as_bad_as(fail_on)}
    found = drift_of(
        planned.plan,
        memory=memory,
        findings=sorted(findings, key=Finding.sort_key),
        undeclared=extra,
        roots=_roots(opened(declared, current)),
        failing=failing,
        left=left,
    )
    open_ = {one.change.address: one.left for one in found.differences}
    lines = _lines(effect, planned.before, moment, found.roots, open_)
    return found, View(now=moment, impact=lines, impact_json=effect.to_json())


def _due(desired: Desired, live: Live, folder: Path) -> Iterable[Finding]:
    """Tokens that are due for a new secret, as far as this machine knows their age."""
    ages = secret_ages(folder) if has_any(desired) else {}
    return rotation(aged(desired, live.state, ages), now())


def _records(api: Api, live: Live, found: Drift, memory: Memory, folder: Path) -> Records:
    """Who and when, of the differences, as far as Proxmox VE and this machine recorded it."""
    seen = records(api, live.table(), found.concerned, memory.time, now())
    own = [
        OwnRun(str(address), int(moment), owner)
        for address, (moment, owner) in sorted(store.last_applied(folder).items())
        if address in found.concerned
    ]
    known = frozenset(memory.differences) | {str(address) for address in memory.undeclared}
    return replace(seen, own=tuple(own), known=known)


def _as_bad_as(severity: Severity | None) -> Iterable[str]:
    return (one for one in Severity if severity is not None and one.rank <= severity.rank)


def _roots(ways: Iterable[Escalation]) -> list[WayToRoot]:
    """The ways to root; who is root already without any step is in one."""
    found = [WayToRoot(one.principals, tuple(map(str, one.steps)), one.sure) for one in ways]
    already = sorted(who for one in found if not one.steps for who in one.principals)
    first = [WayToRoot(tuple(already), (), sure=True)] if already else []
    return [*first, *(one for one in found if one.steps)]


def _lines(
    effect: Impact,
    table: AccessTable,
    moment: int,
    roots: Iterable[WayToRoot],
    left: Mapping[Address, Iterable[str]],
) -> list[str]:
    """Who has gained and lost what, most privileges first; not once more who has become root.
    `left`: fields that no file gives."""
    already = {who for one in roots if not one.steps for who in one.principals}
    said = [
        one
        for one in summarise(effect, table, moment)
        if not (one.is_everything and already.issuperset(one.principals))
    ]
    said.sort(key=lambda one: -len(one.gains.privileges))
    by_hand = {address.id for address, names in left.items() if not _LOGIN.isdisjoint(names)}
    logins = [
        f"{in_prose(one.principals)}: {_login(one.after)} in the cluster, {one.before} "
        + ("before" if by_hand.issuperset(one.principals) else "as declared")
        for one in effect.logins
        if one.before is not Login.ABSENT
    ]
    return [*(one.in_past() for one in said), *logins]


def _login(state: Login) -> str:
    return "missing" if state is Login.ABSENT else str(state)


def _declared(loaded: Loaded, live: Live) -> dict[Address, Spec]:
    return {a: live.state[a] for a in loaded.desired.objects if a in live.state}


def _keep(common: CommonOptions, path: Path, memory: Memory) -> None:
    """Store the report for comparison with the next one; failing to do so is only a warning."""
    try:
        drift_memory.keep(path, memory)
    except OSError:
        info(common, f"cannot store this report for comparison with the next one: {path.parent}")
