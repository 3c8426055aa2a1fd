"""pvectl.toml -> where the clusters are, and what may be done to them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.desired.directives import DIRECTIVES
from reconciler.desired.settings.policy import read_policy
from reconciler.desired.settings.target import (
    ENVIRONMENT,
    ClusterSettings,
    TargetTable,
    overridden,
    read_cluster,
)
from reconciler.desired.toml.document import Document, read
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import wrong_type
from reconciler.errors import UsageError
from reconciler.kinds import all_kinds
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import Policy
from reconciler.model.target import SANDBOX, Target
from reconciler.text.suggest import did_you_mean

SETTINGS_FILE = "pvectl.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """What pvectl.toml says; `folder` is where it stands, relative paths count from there."""

    folder: Path
    clusters: Mapping[str, ClusterSettings]
    policy: Policy
    findings: tuple[Finding, ...] = ()

    def select(
        self, on: str | None = None, environ: Mapping[str, str] = os.environ
    ) -> tuple[ClusterSettings, ...]:
        """The clusters to work on: the one called `on`, or all with `on="all"`.

        Without `on` it is the only one. `on` may also be `sandbox:FOLDER`. The environment
        overrides what the file says, as long as one cluster is meant. Raises UsageError.
        """
        if on is not None and on.startswith(SANDBOX):
            base = next(iter(self.clusters.values())) if len(self.clusters) == 1 else None
            return (
                ClusterSettings(
                    name=on,
                    folder=base.folder if base else self.folder,
                    target=Target(endpoints=(on,)),
                    variables=base.variables if base else {},
                ),
            )
        chosen = self._chosen(on)
        if len(chosen) > 1:
            given = [name for name in ENVIRONMENT if environ.get(name)]
            if given:
                raise UsageError(
                    f"{given[0]} is set, but several clusters are meant",
                    hint=f"unset it, or choose one: --on {chosen[0].name}",
                )
            return chosen
        return (overridden(chosen[0], environ),)

    def _chosen(self, on: str | None) -> tuple[ClusterSettings, ...]:
        names = ", ".join(self.clusters)
        if on == "all":
            return tuple(self.clusters.values()) or (ClusterSettings("", self.folder),)
        if on is not None:
            if on not in self.clusters:
                known = f"{SETTINGS_FILE} knows {names}" if names else "[target.NAME] makes one"
                raise UsageError(
                    f"there is no target '{on}'", hint=did_you_mean(on, self.clusters) or known
                )
            return (self.clusters[on],)
        if len(self.clusters) > 1:
            raise UsageError(
                "several clusters are named in the settings",
                hint=f"choose one with --on NAME, or --on all: {names}",
            )
        return tuple(self.clusters.values()) or (ClusterSettings("", self.folder),)


def read_settings(folder: Path) -> Settings:
    """Read `folder`/pvectl.toml; a missing file means careful defaults and no target.

    Mistakes are findings of the result.
    """
    path = folder / SETTINGS_FILE
    if not path.exists():
        return Settings(folder, {}, Policy())
    document, findings = read(path, SETTINGS_FILE)
    clusters: dict[str, ClusterSettings] = {}
    rest = {}
    for key, value in document.data.items():
        node = document.child(document.root, key)
        if key == "target":
            clusters, found = _targets(document, node, value, folder)
            findings += found
        elif key in settings_keys():
            rest[key] = value
        else:
            hint = did_you_mean(key, settings_keys())
            if key in object_keys():
                hint = "objects stand in the other files of the folder; move it there"
            elif not hint:
                hint = f"known tables: {', '.join(sorted(settings_keys()))}"
            findings.append(
                Finding(
                    "UNKNOWN_TABLE",
                    Severity.ERROR,
                    f"unknown table '{key}' in the settings",
                    hint,
                    source=document.source(node),
                )
            )
    policy, found = read_policy(document, rest)
    return Settings(folder, clusters, policy, (*findings, *found))


@cache
def settings_keys() -> frozenset[str]:
    """The tables of pvectl.toml."""
    return frozenset({"target", *Policy.model_fields})


def object_keys() -> frozenset[str]:
    """The tables of all other files."""
    kinds = all_kinds().values()
    return frozenset({kind.place.key for kind in kinds if not kind.place.inside} | set(DIRECTIVES))


def _targets(
    document: Document, node: PositionNode, data: Any, folder: Path
) -> tuple[dict[str, ClusterSettings], list[Finding]]:
    if not isinstance(data, dict):
        return {}, [wrong_type(document, node, "'target'", "a table, [target]", data)]
    fields = TargetTable.model_fields
    several = data and all(k not in fields and isinstance(v, dict) for k, v in data.items())
    tables = data.items() if several else [("", data)]
    clusters: dict[str, ClusterSettings] = {}
    findings: list[Finding] = []
    for name, table in tables:
        place = document.child(node, name) if several else node
        cluster, found = read_cluster(document, place, name, table, folder)
        findings += found
        clusters[cluster.name] = cluster
    return clusters, findings
