"""Shared by `grant` and `revoke`: change one grant of grants.toml and of the cluster together."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, here, read_cluster, with_health
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
from reconciler.errors import ExitStatus
from reconciler.model.grant import Grant, GrantChange

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
    path = Path(change.path)
    files = Besides({path: started(read_grants(path), change).encode()})
    loaded = load_to_plan(cluster, settings, files=files)
    wanted = [str(one) for one in loaded.desired.objects if change.during.concerns(one)]
    file = GrantsFile(change, lambda text: info(common, text))
    with connect(cluster, read_only=False) as api:
        wait_for_turn(common, api, here(cluster, api, keep=True).folder)
        live = with_health(api, read_cluster(api, loaded.desired))
        planned = make_plan(loaded, api, live, wanted, allow)
        show_plan(common, planned)
        ended = carry_out(common, cluster, settings, api, planned.plan, None, yes=yes, file=file)
    if ended is ExitStatus.OK:
        file.finish()
    elif ended not in UNCHANGED:
        info(common, f"{path} is kept: the change may have been applied; see `pvectl status`")
    return ended
