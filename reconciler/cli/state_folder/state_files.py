"""The state files of a cluster, judged for a release of Proxmox VE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reconciler.desired.files import DISK, Files
from reconciler.desired.loader import load
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.model.custom_rule import is_of_rule
from reconciler.model.declared import Desired
from reconciler.model.finding import NOT_IN_RELEASE, Finding, Severity
from reconciler.pve.release import Release, known_releases
from reconciler.text.suggest import did_you_mean


def load_for(
    cluster: ClusterSettings, settings: Settings, release: Release, files: Files = DISK
) -> Desired:
    """The files of a cluster, judged for this release; mistakes are findings of the result."""
    desired = load(
        cluster.folder,
        variables=cluster.variables,
        places=cluster.places,
        settings=settings,
        release=release,
        files=files,
    )
    unknown = tuple(_unknown_codes(desired.policy.lint.fail))
    return replace(desired, findings=(*desired.findings, *unknown)) if unknown else desired


def _unknown_codes(codes: Sequence[str]) -> Iterator[Finding]:
    """A misspelled code in [lint] fail would fail nothing, without a word."""
    if not codes:
        return
    from reconciler.cli.explain.code_pages import pages

    for code in codes:
        if code not in pages() and not is_of_rule(code):
            yield Finding(
                "INVALID_VALUE",
                Severity.ERROR,
                f"no finding has the code '{code}' in [lint] fail",
                did_you_mean(code, pages()) or "`pvectl explain` lists all codes",
            )


def settings_table(cluster: ClusterSettings) -> str:
    """The table of pvectl.toml with the settings of a cluster."""
    alone = cluster.name in ("", "default") or cluster.name.startswith("sandbox:")
    return "[target]" if alone else f"[target.{cluster.name}]"


def other_release(cluster: ClusterSettings, settings: Settings, desired: Desired) -> str:
    """A hint where the files have mistakes for this release alone: one for which they have none."""
    codes = {one.code for one in desired.findings if one.severity is Severity.ERROR}
    if codes != {NOT_IN_RELEASE}:
        return ""
    for release in reversed([*known_releases().values()]):
        found = load_for(cluster, settings, release).findings
        if all(one.severity is not Severity.ERROR for one in found):
            return (
                f"the files are valid for {release.name}: if the cluster runs it, write "
                f'release = "{release.version}" in {settings_table(cluster)} of pvectl.toml'
            )
    return ""
