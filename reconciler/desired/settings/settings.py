"""Read pvectl.toml: the clusters, and the policy for changing them.

Besides the one in the state folder, which is part of each proposal, there may be a trusted one
outside it (`--settings`), which takes precedence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from reconciler.desired.directives.reader import DIRECTIVES, Directives
from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.reach import (
    OUT_OF_REACH,
    Reach,
    how_to_allow,
    in_ci,
    is_proposed,
    leads_out,
)
from reconciler.desired.settings.policy import kept_access, policy_places, read_policy
from reconciler.desired.settings.selection import is_glob
from reconciler.desired.settings.stricter import stricter, stricter_places
from reconciler.desired.settings.target import (
    ENVIRONMENT,
    ClusterSettings,
    overridden,
    reaching_out,
    read_cluster,
)
from reconciler.desired.settings.target_table import TargetTable
from reconciler.desired.templates.includes import EACH, INCLUDE
from reconciler.desired.toml.document import TomlDocument, read
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import validate, wrong_type
from reconciler.errors import UsageError
from reconciler.kinds import all_kinds
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.notice import Notify
from reconciler.model.policy import Policy, TomlTable
from reconciler.model.secret import SecretRef
from reconciler.model.target import SANDBOX, Target
from reconciler.model.trust import Trust
from reconciler.pve.release import NEWEST
from reconciler.text.suggest import did_you_mean

_T = TypeVar("_T", bound=TomlTable)


_RULE = "rule"


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of pvectl.toml; `folder` is the state folder.

    `trust`: what the files of the folder may use outside it; `notify`: who is notified of what;
    `rules`: what everything must keep; all three only as the trusted settings say. `kept`: what the
    acting token must keep, with its place; not what it must keep where no file says anything.
    `places`: where limits and protected principals are given (`policy.policy_places`).
    """

    folder: Path
    clusters: Mapping[str, ClusterSettings]
    policy: Policy
    findings: tuple[Finding, ...] = ()
    trust: Trust | None = None
    notify: Notify | None = None
    kept: Mapping[str, Source] = field(default_factory=dict)
    rules: tuple[CustomRule, ...] = ()
    places: Mapping[str, Source] = field(default_factory=dict)

    @property
    def reach(self) -> Reach:
        """What the files of the folder may name."""
        return Reach(self.folder, self.trust, strict=in_ci())

    def select(
        self, on: str | None = None, environ: Mapping[str, str] = os.environ
    ) -> tuple[ClusterSettings, ...]:
        """The clusters to work on: the one called `on`, those that match the glob `on`, or
        all with `on="all"`.

        Without `on`, the only one. `on` may also be `sandbox:FOLDER`. Environment variables
        override the file when a single cluster is selected. Raises UsageError.
        """
        if on is not None and on.startswith(SANDBOX):
            base = next(iter(self.clusters.values())) if len(self.clusters) == 1 else None
            return (
                replace(
                    base or self._nowhere,
                    name=on,
                    target=Target(endpoints=(on,)),
                    secret=None,
                    totp=None,
                    trusted=frozenset({"endpoints"}),
                ),
            )
        chosen = self._chosen(on)
        if len(chosen) > 1:
            given = [name for name in ENVIRONMENT if environ.get(name)]
            if given:
                raise UsageError(
                    f"{given[0]} is set, but several clusters are selected",
                    hint=f"unset it, or choose one: --on {chosen[0].name}",
                )
            return chosen
        return (overridden(chosen[0], environ),)

    @property
    def _nowhere(self) -> ClusterSettings:
        """The files of the folder, for a cluster that the settings do not name."""
        return ClusterSettings("", self.folder, root=self.folder, trust=self.trust)

    def _chosen(self, on: str | None) -> tuple[ClusterSettings, ...]:
        names = ", ".join(self.clusters)
        if on == "all":
            return tuple(self.clusters.values()) or (self._nowhere,)
        if on is not None and is_glob(on):
            matching = tuple(one for name, one in self.clusters.items() if fnmatchcase(name, on))
            if not matching:
                raise UsageError(
                    f"no target matches '{on}'",
                    hint=f"{SETTINGS_FILE} has {names}" if names else "add it as [target.NAME]",
                )
            return matching
        if on is not None:
            if on not in self.clusters:
                known = f"{SETTINGS_FILE} has {names}" if names else "add it as [target.NAME]"
                raise UsageError(
                    f"there is no target '{on}'", hint=did_you_mean(on, self.clusters) or known
                )
            return (self.clusters[on],)
        if len(self.clusters) > 1:
            raise UsageError(
                "the settings name several clusters",
                hint=f"choose one with --on NAME, or --on all: {names}",
            )
        return tuple(self.clusters.values()) or (self._nowhere,)


def read_settings(folder: Path, trusted: Path | None = None) -> Settings:
    """Read `folder`/pvectl.toml; a missing file means conservative defaults and no target.

    `trusted`: a settings file outside the checkout of the folder. Only its targets are used; its
    other tables may be tightened by those of the folder, not weakened. Mistakes are findings of the
    result. Raises UsageError for a trusted file that does not exist, or that a proposal could
    change.
    """
    if trusted is None:
        return _read(folder / SETTINGS_FILE, folder, None, None)
    if not trusted.is_file():
        raise UsageError(
            f"there is no settings file {trusted}", hint="correct --settings or PVECTL_SETTINGS"
        )
    if is_proposed(trusted, folder):
        raise UsageError(
            f"{trusted} is next to the state files, where a proposal could change it",
            hint="keep it outside the checkout, for example in /etc/pvectl/settings.toml",
        )
    outer = _read(trusted, folder, trusted.absolute().parent, None)
    own = _read(folder / SETTINGS_FILE, folder, None, outer.trust)
    policy, weaker = stricter(outer.policy, own.policy, str(trusted))
    clusters = own.clusters
    if outer.clusters:
        clusters = {
            name: _completed(cluster, own.clusters.get(name), outer.trust)
            for name, cluster in outer.clusters.items()
        }
    findings = (*outer.findings, *own.findings, *weaker)
    kept = {**own.kept, **outer.kept}
    places = stricter_places(policy, own.policy, own.places, outer.places)
    more = (outer.trust, outer.notify, kept, outer.rules, places)
    return Settings(folder, clusters, policy, findings, *more)


def _completed(
    cluster: ClusterSettings, proposed: ClusterSettings | None, trust: Trust | None
) -> ClusterSettings:
    """A trusted target with the variables, folder, release and name that the state folder gives."""
    if cluster.folder != cluster.root:
        cluster = replace(cluster, trusted=cluster.trusted | {"folder"})
    if proposed is None:
        return replace(cluster, trust=trust)
    folder = proposed.folder if cluster.folder == cluster.root else cluster.folder
    variables = {**proposed.variables, **cluster.variables}
    places = {**proposed.places, **cluster.places}
    release = proposed.release if cluster.release is NEWEST else cluster.release
    return replace(
        cluster,
        folder=folder,
        variables=variables,
        places=places,
        trust=trust,
        release=release,
        label=cluster.label or proposed.label,
    )


def _read(path: Path, folder: Path, trusted: Path | None, trust: Trust | None) -> Settings:
    """One settings file. `trusted`: its folder, where it is the trusted one; else `trust` is what
    that one allows."""
    if not (path.exists() or path.is_symlink()):
        return Settings(folder, {}, Policy(), trust=trust)
    if trusted is None:
        line = Reach(folder, trust, strict=in_ci()).outside(path)
        if line:
            return Settings(folder, {}, Policy(), (leads_out(path.name, line),), trust)
    document, findings = read(path, SETTINGS_FILE if trusted is None else str(path))
    clusters: dict[str, ClusterSettings] = {}
    notify: Notify | None = None
    rules, found = _rules(document, trusted)
    findings += found
    rest = {}
    tables = {key: value for key, value in document.data.items() if not (trusted and key == _RULE)}
    for key, value in tables.items():
        node = document.child(document.root, key)
        if key == "target":
            clusters, found = _targets(document, node, value, folder, trusted, trust)
            findings += found
        elif key == "trust":
            own, found = _trusted_only(document, node, key, value, Trust, trusted is not None)
            trust = own or (Trust() if trusted is not None else trust)
            findings += found
        elif key == "notify":
            notify, found = _trusted_only(document, node, key, value, Notify, trusted is not None)
            findings += found
        elif key in settings_keys():
            rest[key] = value
        else:
            findings.append(_unknown(document, node, key))
    policy, found = read_policy(document, rest)
    if trusted is None:
        found += _commands(document, policy, Reach(folder, trust, strict=in_ci()))
    more = (trust, notify, kept_access(document, policy), rules, policy_places(document))
    return Settings(folder, clusters, policy, (*findings, *found), *more)


def _rules(
    document: TomlDocument, trusted: Path | None
) -> tuple[tuple[CustomRule, ...], list[Finding]]:
    """The [[rule]] tables, of the trusted file alone."""
    found = Directives()
    if trusted is not None and _RULE in document.data:
        found.add(document, _RULE, document.data[_RULE])
    return tuple(found.rules), found.findings


def _commands(document: TomlDocument, policy: Policy, reach: Reach) -> Iterator[Finding]:
    """The commands of drills that a proposal may not run."""
    for command in policy.drill.commands:
        line = reach.missing(SecretRef(command=command), reach.folder)
        if line:
            message = f"the command '{command[0]}' is outside what state files may reach"
            source = document.source(document.child(document.root, "drill"))
            yield Finding(OUT_OF_REACH, Severity.ERROR, message, how_to_allow(line), source=source)


def _trusted_only(
    document: TomlDocument,
    node: PositionNode,
    key: str,
    value: Any,
    model: type[_T],
    trusted: bool,  # noqa: FBT001
) -> tuple[_T | None, list[Finding]]:
    """A table that counts in the trusted file alone."""
    if not isinstance(value, dict):
        return None, [wrong_type(document, node, f"'{key}'", f"a table, [{key}]", value)]
    if not trusted:
        message = f"[{key}] in the state folder is ignored: a proposal could change it"
        hint = "move it to a file outside the checkout, and pass that with --settings"
        source = document.source(node)
        return None, [Finding("UNTRUSTED_TABLE", Severity.ERROR, message, hint, source=source)]
    return validate(document, node, model, value)


def _unknown(document: TomlDocument, node: PositionNode, key: str) -> Finding:
    hint = did_you_mean(key, settings_keys())
    if key in object_keys():
        hint = "objects belong in the other files of the folder; move it there"
    elif not hint:
        hint = f"known tables: {', '.join(sorted(settings_keys()))}"
    return Finding(
        "UNKNOWN_TABLE",
        Severity.ERROR,
        f"unknown table '{key}' in the settings",
        hint,
        source=document.source(node),
    )


@cache
def settings_keys() -> frozenset[str]:
    """The tables of pvectl.toml."""
    return frozenset({"target", "trust", "notify", *Policy.model_fields})


def object_keys() -> frozenset[str]:
    """The tables of all other files."""
    kinds = all_kinds().values()
    return frozenset(
        {kind.toml.place.key for kind in kinds if not kind.toml.place.inside}
        | {*DIRECTIVES, EACH, INCLUDE}
    )


def _targets(
    document: TomlDocument,
    node: PositionNode,
    data: Any,
    folder: Path,
    trusted: Path | None,
    trust: Trust | None,
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
        cluster, found = read_cluster(document, place, name, table, folder, trusted)
        cluster = replace(cluster, trust=trust)
        findings += found
        if trusted is None:
            findings += reaching_out(document, place, table, cluster)
        clusters[cluster.name] = cluster
    return clusters, findings
