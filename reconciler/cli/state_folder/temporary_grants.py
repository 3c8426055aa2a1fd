"""Shared by `grant` and `revoke`: change one grant of grants.toml and of the cluster together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.access.login import Login, login
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
from reconciler.cli.run.lock_wait import wait_for_turn
from reconciler.cli.run.plan_signers import signed_by, signers
from reconciler.cli.run.planning import carry_out, load_to_plan, make_plan, show_plan
from reconciler.cli.state_folder.grants_file import GrantsFile, read_grants
from reconciler.cli.terminal.output import info
from reconciler.desired.files import Besides
from reconciler.desired.grants import FILE, grants, started
from reconciler.desired.reach import require_inside
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    Blind,
    ExitStatus,
    Refused,
    SecretsUnusable,
    SinkFailed,
    Unreachable,
    UsageError,
)
from reconciler.kinds import kind_of, references
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.finding import Severity
from reconciler.model.grant import Grant, GrantChange
from reconciler.planning.builder import UNDECLARED, PlanResult
from reconciler.planning.checks.preflight import MISSING_PRIVILEGE

UNCHANGED = frozenset({ExitStatus.REFUSED, ExitStatus.RESTORED})
"""How a run ends after which the cluster certainly is as it was."""


def grants_of(cluster: ClusterSettings) -> str:
    """The text of grants.toml, "" where there is none; raises UsageError, FilesInvalid."""
    path = cluster.folder / FILE
    require_inside(cluster.reach, [path])
    return read_grants(path)


def change_of(cluster: ClusterSettings, during: Grant, after: Grant | None) -> GrantChange:
    """What becomes of the grant in grants.toml; raises UsageError, FilesInvalid."""
    path, text = (cluster.folder / FILE).absolute(), grants_of(cluster)
    before = next((one for one in grants(text) if one.is_same(during)), None)
    existed = path.exists()
    return GrantChange(str(path), before, during, after, existed=existed, empty=not text)


def check_grant(
    common: CommonOptions, cluster: ClusterSettings, settings: Settings, change: GrantChange
) -> None:
    """Raise what would refuse the grant: by the cluster, or by the files alone where it cannot be
    read; then also say what that leaves unknown.
    """
    loaded, wanted = _loaded(cluster, settings, change)
    try:
        with connect(cluster, read_only=True) as api:
            planned = make_plan(loaded, api, read_cluster(api, loaded.desired), wanted, None)
    except (Blind, SecretsUnusable, SinkFailed, Unreachable, UsageError) as error:
        from reconciler.cli.run.offline_plan import plan_of_files

        before = load_cluster(cluster, settings).desired
        planned = plan_of_files(loaded, before, str(cluster.folder), wanted)
        info(common, f"not checked against the cluster: {error.summary}")
        unknown = sorted(_undeclared(loaded.desired, change.during))
        if unknown:
            info(common, f"not declared, so it must exist on the cluster: {', '.join(unknown)}")
    refused = [one for one in planned.plan.refusals if one.code != MISSING_PRIVILEGE]
    if refused:
        codes = ", ".join(sorted({one.code for one in refused}))
        raise Refused(f"the grant would be refused: {codes}", findings=refused)
    _say_login(common, planned, change.during)
    for one in planned.plan.findings:
        concerned = one.address is not None and change.during.concerns(one.address)
        if concerned and (one.severity is Severity.WARNING or one.code == UNDECLARED):
            info(common, "; ".join(filter(None, (f"{one.code}: {one.message}", one.hint))))


def _say_login(common: CommonOptions, planned: PlanResult, grant: Grant) -> None:
    """Who cannot log in has nothing of a grant; a group has no login, others may be undeclared."""
    known = {*planned.after.users, *planned.after.tokens}
    state = login(planned.after, grant.who, now()) if grant.who in known else Login.ACTIVE
    if state is not Login.ACTIVE:
        info(common, f"warning: {grant.who} cannot log in, so the grant has no effect yet: {state}")


def _loaded(
    cluster: ClusterSettings, settings: Settings, change: GrantChange
) -> tuple[Loaded, list[str]]:
    """The files as they are while the grant is active, and the entries of the grant."""
    path = Path(change.path)
    files = Besides({path: started(read_grants(path), change).encode()})
    loaded = load_to_plan(cluster, settings, files=files)
    own = frozenset(one for one in loaded.desired.objects if change.during.concerns(one))
    if change.is_early_end:
        loaded = loaded._replace(desired=replace(loaded.desired, revoked=own))
    return loaded, [str(one) for one in loaded.desired.objects if one in own]


def _undeclared(desired: Desired, grant: Grant) -> set[str]:
    """What the grant names and no file declares."""
    own = [one for one in desired.objects if grant.concerns(one)]
    named = {ref for one in own for ref in references(one, desired.objects[one].spec)}
    known = {*desired.objects, *(Address("role", name) for name in desired.release.roles)}
    built_in = {ref for ref in named if ref.id in kind_of(ref).reads.builtin_ids}
    found = {str(ref) for ref in named - known - built_in}
    return found | ({grant.path} if grant.path.startswith(("/vms/", "/nodes/")) else set())


def apply_grant(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    change: GrantChange,
    allow: list[str] | None,
    *,
    yes: bool,
) -> ExitStatus:
    """Plan, show and apply the entries of one grant, as the file is going to declare them.

    Until the run begins the file stays as it is. From then on it declares the grant as long as that
    may be active; `resume` and `rollback` complete the file together with the run.
    """
    signed_by(None, signers(common, settings), settings.folder)
    loaded, wanted = _loaded(cluster, settings, change)
    path = Path(change.path)
    file = GrantsFile(change, lambda text: info(common, text))
    with connect(cluster, read_only=False) as api:
        wait_for_turn(common, api, here(cluster, api, keep=True).folder)
        live = with_health(api, read_cluster(api, loaded.desired))
        planned = make_plan(loaded, api, live, wanted, allow)
        show_plan(common, planned)
        if change.after is not None:
            _say_login(common, planned, change.after)
        ended = carry_out(common, cluster, settings, api, planned.plan, None, yes=yes, file=file)
    if ended is ExitStatus.OK:
        file.finish()
    elif ended not in UNCHANGED:
        info(common, f"{path} is kept: the change may have been applied; see `pvectl status`")
    return ended
