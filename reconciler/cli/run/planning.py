"""Make a plan from loaded files and a read of the cluster, show it, and apply it."""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.backup.kept_archives import with_archives
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import (
    Loaded,
    connect,
    here,
    load_cluster,
    now,
    read_cluster,
    with_health,
)
from reconciler.cli.fleet.turn_summary import note_document
from reconciler.cli.run.runner import Pace, execute
from reconciler.cli.state_folder.commit import commit_of
from reconciler.cli.state_folder.earlier_files import NOTHING, Earlier, earlier_files
from reconciler.cli.state_folder.folder_secrets import (
    FolderSecrets,
    bad_passwords,
    changed_secrets,
    every_secret,
    missing_secrets,
    open_secrets,
    unknown_secrets,
)
from reconciler.cli.state_folder.state_files import other_release
from reconciler.cli.terminal.output import (
    beside_secrets,
    show,
    show_if_possible,
)
from reconciler.cli.terminal.prompt import confirm
from reconciler.desired.files import DISK, SETTINGS_FILE, Files
from reconciler.desired.loader import by_place, fingerprints, require_valid
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    Blind,
    ExitStatus,
    FilesInvalid,
    JournalUnfinished,
    PvectlError,
    Refused,
    SecretsUnusable,
    StalePlan,
)
from reconciler.execution.journal import store
from reconciler.execution.lock.record import records_in
from reconciler.execution.run.context import NO_FILE, FollowingFile
from reconciler.live.reader import Live, returned_secrets
from reconciler.model.api import Api
from reconciler.model.change import Undo
from reconciler.model.finding import PARTIAL, Finding
from reconciler.model.plan import Plan
from reconciler.planning.builder import PlanResult, build_plan
from reconciler.planning.checks.passwords import PASSWORD_REFUSED
from reconciler.planning.checks.preflight import MISSING_PRIVILEGE
from reconciler.planning.checks.references import references_beside_mistakes
from reconciler.planning.checks.secrets import SECRET_MISSING
from reconciler.planning.request import PlanRequest
from reconciler.render.documents.schedule_preview import remarks
from reconciler.render.view import View
from reconciler.text.humanize import count, in_prose

if TYPE_CHECKING:
    from reconciler.access.review.before_after import BeforeAfter


def load_to_plan(
    cluster: ClusterSettings, settings: Settings, *, offline: bool = False, files: Files = DISK
) -> Loaded:
    """The files of a cluster. Raises FilesInvalid with every mistake, including unknown names as
    far as the cluster can be asked at this point.
    """
    loaded = load_cluster(cluster, settings, strict=False, files=files)
    desired = loaded.desired
    hint = other_release(cluster, settings, desired)
    try:
        require_valid(desired.findings, hint)
    except FilesInvalid:
        if offline:
            raise
        unknown: list[Finding] = []
        with suppress(PvectlError), connect(cluster, read_only=True) as api:
            unknown += references_beside_mistakes(desired, read_cluster(api, desired).state)
        require_valid(by_place([*desired.findings, *unknown]), hint)
    return loaded


def read_to_plan(loaded: Loaded, api: Api, since: str | None = None) -> tuple[Live, Earlier]:
    """The live cluster, and what the files declared earlier as far as the caller can see it."""
    earlier = earlier_files(loaded, since, here(loaded.cluster, api).folder)
    left = left_the_files(loaded, earlier)
    if left:
        with suppress(Blind):
            return with_health(api, read_cluster(api, loaded.desired, left)), earlier
    return with_health(api, read_cluster(api, loaded.desired)), earlier


def left_the_files(loaded: Loaded, earlier: Earlier) -> dict[str, frozenset[str]]:
    """What the files declared earlier and no longer do: the ids of each kind."""
    left: dict[str, frozenset[str]] = {}
    for kind, name in earlier.addresses - loaded.desired.objects.keys():
        left[kind] = left.get(kind, frozenset()) | {name}
    return left


def make_plan(
    loaded: Loaded,
    api: Api,
    live: Live,
    targets: list[str] | None,
    allow: list[str] | None,
    earlier: Earlier = NOTHING,
    *,
    send_secrets: bool = False,
) -> PlanResult:
    """The plan for a live cluster; `earlier`: what the files declared before. `send_secrets`: also
    those that did not change, as far as it is known."""
    place = here(loaded.cluster, api)
    state = loaded.desired.state
    own = loaded.cluster
    changed = changed_secrets(state, own.folder, own.reach, place.folder, returned_secrets(live))
    again = {
        address: tuple(name for name in names if name not in changed.get(address, ()))
        for address, names in (every_secret(state) if send_secrets else {}).items()
    }
    question = PlanRequest(
        cluster=place.name,
        actor=api.actor,
        now=now(),
        source=commit_of(loaded.cluster.folder, loaded.desired.included),
        targets=tuple(targets or ()),
        allowed=tuple(allow or ()),
        changed_secrets=changed,
        sent_again=again,
        not_compared={} if send_secrets else unknown_secrets(state, place.folder),
        bad_passwords=bad_passwords(
            loaded.desired.state, loaded.cluster.folder, loaded.cluster.reach
        ),
        missing_secrets=missing_secrets(
            loaded.desired.state, loaded.cluster.folder, loaded.cluster.reach
        ),
        open_secrets=open_secrets(
            loaded.desired.state,
            loaded.cluster.folder,
            loaded.cluster.reach,
            loaded.cluster.own_secrets,
        ),
        identity=place.identity,
        files=files_of(loaded),
        earlier=earlier.addresses,
        since=earlier.since,
        weaker=earlier.weaker,
        fresh=earlier.fresh,
    )
    planned = {**live.state, **loaded.desired.state}
    live = with_archives(api, live, planned)
    return build_plan(loaded.desired, live.state, live.facts, question)


def files_of(loaded: Loaded) -> dict[str, str]:
    """The hashes of the files that a plan of this cluster is made from."""
    settings = loaded.settings.folder / SETTINGS_FILE
    return fingerprints(loaded.cluster.folder, loaded.desired.included, settings)


def left_unfinished(folder: Path) -> bool:
    """Whether `apply` would refuse to start because a previous run of this machine is unfinished.

    A run in progress does not count.
    """
    try:
        store.refuse_to_begin(folder)
    except JournalUnfinished:
        return True
    except PvectlError as error:
        logging.getLogger(__name__).debug("%s", error.summary)
    return False


def show_plan(
    common: CommonOptions,
    planned: PlanResult,
    next_command: str = "",
    *,
    unfinished: bool = False,
    known: bool = False,
    deciding: bool = True,
) -> None:
    """Show the plan in every requested format; with `deciding`, raises UsageError where it cannot
    be written, as it could not have been reviewed.
    """
    view = View(
        now=now(),
        impact_json=planned.impact.to_json(),
        remarks=remarks(planned.plan, dt.datetime.now(dt.UTC)),
        next_command=next_command,
        unfinished=unfinished,
        known=known,
        access=_access(planned) if any(one.name == "html" for one in common.outputs) else None,
    )
    note_document("plan", planned.plan, view)
    write = show if deciding else show_if_possible
    write(common, "plan", planned.plan, view)


def _access(planned: PlanResult) -> BeforeAfter:
    from reconciler.access.review.before_after import before_after

    return before_after(*planned.bare, planned.guests, now())


def plan_status(planned: PlanResult, *, detailed: bool) -> ExitStatus:
    """The exit status: refused before changes before none; changes outside `--target` count as
    changes.
    """
    refusals = planned.plan.refusals
    if refusals and not all(one.code == PASSWORD_REFUSED for one in refusals):
        return ExitStatus.REFUSED
    if refusals or any(one.code == SECRET_MISSING for one in planned.plan.findings):
        return ExitStatus.SECRETS
    differs = planned.plan.steps or any(one.code == PARTIAL for one in planned.plan.findings)
    return ExitStatus.CHANGES if detailed and differs else ExitStatus.OK


SHORTEST_DIGEST = 8
"""Digits of a digest that say which plan is meant."""


def carry_out(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    api: Api,
    plan: Plan,
    approve: str | None,
    *,
    yes: bool,
    signer: str = "",
    live: Live | None = None,
    file: FollowingFile = NO_FILE,
) -> ExitStatus:
    """Apply a plan that was shown, unless it is refused, not the approved one, or not confirmed.

    `live`: the snapshot it was made from. `file`: changes together with the cluster."""
    if plan.refusals and all(one.code == PASSWORD_REFUSED for one in plan.refusals):
        raise SecretsUnusable("Proxmox VE would refuse a password", hint="nothing was sent")
    if plan.refusals:
        codes = ", ".join(sorted({finding.code for finding in plan.refusals}))
        raise Refused(f"plan rejected by policy: {codes}", hint="nothing was sent")
    if approve is not None and not _is_approved(plan, approve):
        raise StalePlan(
            f"the plan has the digest {plan.digest[:12]}, not {approve[:12]}",
            hint="review this plan and approve its digest",
        )
    if not plan.steps:
        return ExitStatus.OK
    for finding in plan.findings:
        if finding.code == MISSING_PRIVILEGE:
            raise Refused(finding.message, hint=finding.hint)
    common = beside_secrets(common, plan)
    confirm(_question(plan), yes=yes or approve is not None)
    secrets = FolderSecrets(cluster.folder, cluster.reach, cluster.own_secrets)
    free = live is not None and not records_in(live.groups)
    free_at = live.began if live is not None and free else float("-inf")
    pace = Pace(settings.policy.apply.max_staleness, free_at)
    folder = here(cluster, api).folder
    return execute(common, api, folder, plan, secrets, signer, pace, file=file)


def _question(plan: Plan) -> str:
    """The prompt: how many changes, to which cluster, and what cannot be undone."""
    final = [
        f"{change.action} {change.address}"
        for step in plan.steps
        if step.undo is Undo.NONE
        for change in step.changes
    ]
    changed = count(len({change.address for change in plan.changes}), "change")
    text = f"Apply {changed} to {plan.cluster}?"
    return f"{text} Cannot be undone: {in_prose(final)}." if final else text


def _is_approved(plan: Plan, digest: str) -> bool:
    return len(digest) >= SHORTEST_DIGEST and plan.digest.startswith(digest.lower())
