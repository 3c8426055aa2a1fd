"""Shared by `grant` and `revoke`: edit grants.toml, and apply one grant of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, here, read_cluster, with_health
from reconciler.cli.lock_wait import wait_for_turn
from reconciler.cli.output import info, unwritable, write_file
from reconciler.cli.plan_signers import signed_by, signers
from reconciler.cli.planning import carry_out, load_to_plan, make_plan, show_plan
from reconciler.desired.grants import FILE, Grant
from reconciler.desired.reach import require_inside
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, PvectlError


def read_grants(cluster: ClusterSettings) -> str:
    """The text of grants.toml, "" where there is none; raises UsageError, FilesInvalid."""
    path = cluster.folder / FILE
    require_inside(cluster.reach, [path])
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        wrong = error if isinstance(error, OSError) else OSError(0, "it is not UTF-8")
        raise unwritable(str(path), wrong) from None


UNCHANGED = frozenset({ExitStatus.REFUSED, ExitStatus.RESTORED})
"""How a run ends after which the cluster certainly is as it was."""


def with_grants(
    common: CommonOptions,
    cluster: ClusterSettings,
    before: str,
    after: str,
    work: Callable[[], ExitStatus],
) -> ExitStatus:
    """Do `work` with grants.toml as `after`, and return its exit status.

    The file is restored to `before` only if the cluster is certainly unchanged: a grant that may be
    in force must keep its expiry, and one that may have been revoked must not return.
    """
    path = cluster.folder / FILE
    kept = before if path.exists() else None
    write_file(path, after)
    try:
        ended = work()
    except (PvectlError, typer.Exit) as error:
        if getattr(error, "exit_status", ExitStatus.OK) is not ExitStatus.NOT_RESTORED:
            _put_back(path, kept)
        raise
    if ended in UNCHANGED:
        _put_back(path, kept)
    elif ended is not ExitStatus.OK:
        info(common, f"{path} is kept: the change may have been applied; see `pvectl status`")
    return ended


def _put_back(path: Path, before: str | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, before)


def apply_grant(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    grant: Grant,
    allow: list[str] | None,
    *,
    yes: bool,
) -> ExitStatus:
    """Plan, show and apply the entries of one grant, as the files now declare them."""
    signed_by(None, signers(common, settings), settings.folder)
    loaded = load_to_plan(cluster, settings)
    wanted = [str(one) for one in loaded.desired.objects if grant.concerns(one)]
    with connect(cluster, read_only=False) as api:
        wait_for_turn(common, api, here(cluster, api, keep=True).folder)
        live = with_health(api, read_cluster(api, loaded.desired))
        planned = make_plan(loaded, api, live, wanted, allow)
        show_plan(common, planned)
        return carry_out(common, cluster, settings, api, planned.plan, None, yes=yes)
