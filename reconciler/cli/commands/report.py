"""pvectl report: write the access review, to be read and signed."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.access.any_member import with_any_members
from reconciler.access.escalation.search import escalations
from reconciler.access.review.accounts import Age
from reconciler.access.review.comparison import check
from reconciler.access.review.review import About, Review, ReviewContext, review
from reconciler.bounded_read import read_bounded
from reconciler.cli.app import app
from reconciler.cli.backup.recoverability import backups_if_visible
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions, for_target, means_several
from reconciler.cli.context import connect, each_cluster, here, load_cluster, now, with_health
from reconciler.cli.explain.source import POOLS, FromFiles
from reconciler.cli.state_folder.commit import commit_of
from reconciler.cli.terminal.output import check_formats, info, show, target_file, write_file
from reconciler.desired.files import state_files
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution.secrets.ages import secret_ages
from reconciler.kinds import access_table
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.reader import DECIDING, read_live
from reconciler.live.second_factors import with_second_factors
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts
from reconciler.planning.findings.access_summary import real_paths
from reconciler.planning.lint import lint_all
from reconciler.planning.offline import as_live
from reconciler.render import FORMATS
from reconciler.render.view import View

KINDS = (*DECIDING, POOLS, "realm")

ENDINGS = {"html": "html", "markdown": "md", "csv": "csv", "json": "json"}
"""Format -> the ending of its file in --out."""


@command(app, "report", Panel.ACCESS, 5)
def report(
    common: CommonOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write HTML, Markdown, CSV and JSON there."),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            "--since", metavar="FILE", help="JSON of an earlier review: show what has changed."
        ),
    ] = None,
    from_files: FromFiles = False,
) -> ExitStatus:
    """Write the access review: who can do what, what is risky, and what has changed.

    Lists accounts with their effective privileges in words, tokens with age and expiry, roles with
    purpose and owner, ways to root, waivers, and what expires soon. Uses the state files where
    there are any. The HTML page is self-contained: it can be mailed, searched, printed and signed.
    """
    check_formats(common, "review")
    if out is not None and common.executor:
        raise UsageError(
            "--out writes on the machine that does the work",
            hint="with --executor: --format 'html=review-{target}.html'",
        )
    several = means_several(common.on)
    if since is not None and several and not for_target(since):
        raise UsageError(
            "an earlier review is that of one target",
            hint="write {target} in the name of the file, or choose one with --on NAME",
        )
    one_earlier = None if since is None or several else read_earlier(since)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        earlier = one_earlier
        if since is not None and several:
            earlier = read_earlier(target_file(since, cluster.name))
        if from_files:
            found = _of_files(cluster, settings, earlier)
        else:
            require_valid(settings.findings)
            found = _of_cluster(cluster, settings, earlier)
        show(common, "review", found, View(now=found.about.taken))
        if out is not None:
            name = cluster.name if several else ""
            _write_all(common, target_file(out, cluster.name) if several else out, name, found)
        return ExitStatus.OK

    return each_cluster(common, one, at_once=True)


def read_earlier(path: Path) -> Mapping[str, Any]:
    """The JSON document of an earlier review; raises UsageError for anything else."""
    try:
        document = json.loads(read_bounded(path))
        check(document)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        words = "it is not valid JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise UsageError(
            f"{path} cannot be compared: {words}",
            hint="pass the JSON of an earlier review, written by `pvectl report --out DIR`",
        ) from None
    found: Mapping[str, Any] = document
    return found


def _of_cluster(
    cluster: ClusterSettings, settings: Settings, earlier: Mapping[str, Any] | None
) -> Review:
    desired = _desired(cluster, settings)
    with connect(cluster, read_only=True, plans=True) as api:
        place, actor = here(cluster, api), api.actor
        live = read_live(api, KINDS, dict.fromkeys((POOLS, "realm"), EVERYTHING))
        live = with_second_factors(api, with_health(api, live))
        backups = backups_if_visible(api, desired or Desired(), place)
    known = secret_ages(place.folder)
    table = live.table()
    source = _commit(cluster, desired)
    about = About(place.name, now(), actor, source, live.facts.health.words)
    ages = {token: Age(moment, exact=True) for token, moment in known.items()}
    paths = real_paths(live.state, live.facts)
    judged = lint_all(desired or Desired(), live.state, table, paths, about.taken, complete=True)
    beside = ReviewContext(desired, live.facts, ages, earlier, *judged, backups)
    return review(about, live.state, table, escalations(*with_any_members((table,))), beside)


def _desired(cluster: ClusterSettings, settings: Settings) -> Desired | None:
    """What is declared; None without state files, as for an auditor who only reads the cluster."""
    if not cluster.folder.is_dir() or not state_files(cluster.folder):
        return None
    return load_cluster(cluster, settings).desired


def _commit(cluster: ClusterSettings, desired: Desired | None) -> str:
    return commit_of(cluster.folder, desired.included) if desired else ""


def _of_files(
    cluster: ClusterSettings, settings: Settings, earlier: Mapping[str, Any] | None
) -> Review:
    desired = load_cluster(cluster, settings).desired
    table = access_table(as_live(desired), desired.release)
    about = About("", now(), source=_commit(cluster, desired))
    judged = lint_all(desired, desired.state, table, (), about.taken, complete=False)
    beside = ReviewContext(desired, Facts(pve=desired.release), {}, earlier, *judged)
    ways = escalations(*with_any_members((table,)))
    return review(about, desired.state, table, ways, beside)


def _write_all(common: CommonOptions, folder: Path, cluster: str, found: Review) -> None:
    day = dt.datetime.fromtimestamp(found.about.taken, dt.UTC).date().isoformat()
    which = f"-{re.sub('[^A-Za-z0-9.-]+', '_', cluster)}" if cluster else ""
    for name, ending in ENDINGS.items():
        path = folder / f"access-review{which}-{day}.{ending}"
        text = FORMATS["review"][name](found, View(now=found.about.taken))
        write_file(path, text, private=not path.exists())
        info(common, f"wrote {path}")
