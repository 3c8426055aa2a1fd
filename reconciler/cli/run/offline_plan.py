"""A plan between two state folders, or states of one, without a cluster."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded, now
from reconciler.cli.state_folder.commit import commit_of
from reconciler.cli.terminal.output import info
from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import UsageError
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts
from reconciler.planning.builder import PlanResult, build_plan
from reconciler.planning.offline import as_live, without_archives
from reconciler.planning.request import PlanRequest
from reconciler.text.shell import shell


def plan_between(
    common: CommonOptions,
    loaded: Loaded,
    against: Path,
    targets: list[str] | None,
    allow: list[str] | None,
) -> PlanResult:
    """What turns what the folder `against` declares into what is loaded; raises FilesInvalid,
    UsageError."""
    if (against / "user.cfg").is_file():
        raise UsageError(
            f"{against} is a snapshot of a cluster, not a state folder",
            hint=f"plan against it with: {shell('pvectl', 'plan', '--on', f'sandbox:{against}')}",
        )
    if common.on:
        info(common, "--against compares files: the cluster of --on is not read")
    settings = read_settings(against, common.settings)
    other = load(
        against,
        variables=loaded.cluster.variables,
        places=loaded.cluster.places,
        settings=settings,
        release=loaded.desired.release,
    )
    require_valid(other.findings)
    return plan_of_files(loaded, other, str(against), targets, allow)


def plan_of_files(
    loaded: Loaded,
    other: Desired,
    against: str,
    targets: list[str] | None = None,
    allow: list[str] | None = None,
) -> PlanResult:
    """What turns the files `other`, which people know as `against`, into what is loaded."""
    question = PlanRequest(
        cluster="",
        against=against,
        actor="",
        now=now(),
        source=commit_of(loaded.cluster.folder, loaded.desired.included),
        targets=tuple(targets or ()),
        allowed=tuple(allow or ()),
    )
    live, facts = as_live(other), Facts(pve=loaded.desired.release, complete=False)
    return build_plan(loaded.desired, live, without_archives(loaded.desired, live, facts), question)
