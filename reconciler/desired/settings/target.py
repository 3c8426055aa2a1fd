"""Read the [target] tables of pvectl.toml, and the environment variables that override them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reconciler.desired.reach import OUT_OF_REACH, Reach, how_to_allow, in_ci, is_proposed
from reconciler.desired.settings.target_table import TargetTable, misfits
from reconciler.desired.templates.expansion import VariablePlace
from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import problem_words, salvage, validate
from reconciler.errors import UsageError
from reconciler.model.finding import Finding, Severity
from reconciler.model.secret import SECRET_VARIABLE, TOTP_VARIABLE, SecretRef
from reconciler.model.target import SANDBOX, Target
from reconciler.model.trust import Trust
from reconciler.pve.release import NEWEST, Release, release_named

ENVIRONMENT = {
    "PVECTL_ENDPOINT": "endpoints",
    "PVECTL_TOKEN_ID": "token_id",
    "PVECTL_CA_FILE": "ca_file",
    "PVECTL_FINGERPRINT": "fingerprint",
    "PVECTL_CLIENT_CERT": "client_cert",
    "PVECTL_CLIENT_KEY": "client_key",
    "PVECTL_PROXY": "proxy",
}
"""Variables that override the target; PVECTL_TOKEN_SECRET holds the token's secret."""
NO_PROXY = "none"
"""The value of PVECTL_PROXY for none, whatever the settings say."""

_EXCLUDES = {
    "token_id": "username",
    "ca_file": "fingerprint",
    "fingerprint": "ca_file",
}


EVERYTHING = frozenset({*Target.model_fields, "secret", "totp"})
"""All of a connection."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One target with its settings; `target` is None where the file names no endpoint.

    `secret` says where the token's secret or the user's password is, `totp` where the key of the
    user's one-time passwords is. `trusted`: what the state folder did not say: names of fields of
    Target, "secret", "totp", "folder". `root`: the state folder, where it is another one than
    `folder`. `base`: where the command of a trusted secret runs.
    `trust`: what the files may reach outside the state folder.
    `release`: of Proxmox VE, for which the files are checked. `places`: of the variables. `label`:
    what reports call it.
    """

    name: str
    folder: Path
    target: Target | None = None
    secret: SecretRef | None = None
    totp: SecretRef | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[str, VariablePlace] = field(default_factory=dict)
    trusted: frozenset[str] = frozenset()
    root: Path | None = None
    base: Path | None = None
    trust: Trust | None = None
    release: Release = NEWEST
    label: str = ""

    @property
    def reach(self) -> Reach:
        """What the state files may name."""
        return Reach(self.root or self.folder, self.trust, strict=in_ci())

    @property
    def own_secrets(self) -> tuple[SecretRef, ...]:
        """Where pvectl's own secrets are; a client certificate's key counts as one."""
        key = self.target and (self.target.client_key or self.target.client_cert)
        files = [SecretRef(file=key)] if key else []
        return (*(one for one in (self.secret, self.totp) if one is not None), *files)

    def named(self, endpoint: str) -> str:
        """The name of the cluster for people, before its endpoint."""
        return f"{self.label} ({endpoint})" if self.label else endpoint

    def connection(self) -> Target:
        """Where to connect; raises UsageError where no endpoint is configured."""
        if self.target is None:
            raise UsageError(
                "no cluster is configured",
                hint="write [target] endpoint and token_id in pvectl.toml (`pvectl init` creates "
                "one), or set PVECTL_ENDPOINT and PVECTL_TOKEN_ID",
            )
        return self.target


def read_cluster(
    document: TomlDocument,
    node: PositionNode,
    name: str,
    data: dict[str, Any],
    folder: Path,
    trusted: Path | None = None,
) -> tuple[ClusterSettings, list[Finding]]:
    """The valid part of one target, and its mistakes.

    `folder` is the state folder; `trusted` the folder of the settings file outside it that names
    this target, to which its paths are relative.
    """
    base = folder if trusted is None else trusted
    table, findings = validate(document, node, TargetTable, data)
    if table is None:
        table = salvage(TargetTable, data)
    findings += misfits(document, node, table, base, folder)
    target, found = _target(document, node, table, base)
    secret = table.token_secret if table.token_id else table.password
    cluster = ClusterSettings(
        name or "default",
        folder / table.folder if table.folder else folder,
        target,
        _in_folder(secret, base),
        _in_folder(table.totp_secret, base),
        table.vars,
        {name: VariablePlace(document, document.node(node, "vars", name)) for name in table.vars},
        trusted=frozenset() if trusted is None else EVERYTHING,
        root=folder,
        base=trusted,
        release=release_named(table.release) if table.release else NEWEST,
        label=table.name or "",
    )
    return cluster, findings + found


def _in_folder(secret: SecretRef | None, base: Path) -> SecretRef | None:
    """A file relative to the settings that name it, by its whole path."""
    if secret is None or secret.file is None:
        return secret
    return SecretRef(file=str((base / secret.file).absolute()))


def reaching_out(
    document: TomlDocument, node: PositionNode, data: dict[str, Any], cluster: ClusterSettings
) -> Iterable[Finding]:
    """The folders and files outside the state folder that a proposed target may not name."""
    target = cluster.target
    named = {
        "folder": cluster.folder,
        "ca_file": Path(target.ca_file) if target and target.ca_file else None,
        "client_cert": Path(target.client_cert) if target and target.client_cert else None,
        "client_key": Path(target.client_key) if target and target.client_key else None,
        "endpoint": Path(target.sandbox_folder) if target and target.sandbox_folder else None,
    }
    for key, path in named.items():
        line = cluster.reach.outside(path) if path is not None and key in data else ""
        if line:
            message = f"{key} leads to {path}, which is outside what the state files may use"
            source = document.source(document.child(node, key))
            yield Finding(OUT_OF_REACH, Severity.ERROR, message, how_to_allow(line), source=source)


def _target(
    document: TomlDocument, node: PositionNode, table: TargetTable, folder: Path
) -> tuple[Target | None, list[Finding]]:
    if not table.endpoint:
        return None, []
    values = {
        "endpoints": tuple(_located(endpoint, folder) for endpoint in table.endpoint),
        "token_id": table.token_id,
        "username": table.username,
        "ca_file": str(folder / table.ca_file) if table.ca_file else None,
        "client_cert": str(folder / table.client_cert) if table.client_cert else None,
        "client_key": str(folder / table.client_key) if table.client_key else None,
        "fingerprint": tuple(table.fingerprint),
        "proxy": table.proxy,
        "connect_timeout": table.connect_timeout,
        "read_timeout": table.read_timeout,
        "write_timeout": table.write_timeout,
    }
    try:
        return Target.model_validate(values), []
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    findings = []
    for problem in problems:
        key = {"endpoints": "endpoint"}.get(str(*problem["loc"][:1]), str(*problem["loc"][:1]))
        message, hint = problem_words(problem)
        place = document.node(node, key, *problem["loc"][1:])
        source = document.source(place)
        findings.append(Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source))
    return None, findings


def _located(endpoint: str, folder: Path) -> str:
    """The target with a sandbox's folder resolved relative to the settings."""
    if not endpoint.startswith(SANDBOX):
        return endpoint
    return SANDBOX + str(folder / endpoint.removeprefix(SANDBOX))


def overridden(cluster: ClusterSettings, environ: Mapping[str, str]) -> ClusterSettings:
    """The cluster with the overrides from the environment; raises UsageError for a bad value."""
    given = {name: environ[name].strip() for name in ENVIRONMENT if environ.get(name, "").strip()}
    fields = {ENVIRONMENT[name] for name in given}
    secret = cluster.secret
    if environ.get(SECRET_VARIABLE):
        secret = SecretRef(env=SECRET_VARIABLE)
        fields.add("secret")
    elif "PVECTL_TOKEN_ID" in given:
        secret = None
    totp = cluster.totp
    if environ.get(TOTP_VARIABLE):
        totp = SecretRef(env=TOTP_VARIABLE)
        fields.add("totp")
    target = _overridden(cluster.target, given) if given else cluster.target
    trusted = cluster.trusted | fields
    ca_file = given.get("PVECTL_CA_FILE")
    if ca_file and is_proposed(Path(ca_file), cluster.root or cluster.folder):
        trusted -= {"ca_file"}
    return replace(cluster, target=target, secret=secret, totp=totp, trusted=trusted)


def _overridden(target: Target | None, given: Mapping[str, str]) -> Target:
    values: dict[str, Any] = target.model_dump() if target else {}
    for name, text in given.items():
        field = ENVIRONMENT[name]
        values.pop(_EXCLUDES.get(field, ""), None)
        values[field] = tuple(text.split()) if field in {"endpoints", "fingerprint"} else text
    if values.get("proxy") == NO_PROXY:
        values["proxy"] = None
    try:
        return Target.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = str(*problem["loc"][:1])
        name = next((n for n in given if ENVIRONMENT[n] == field), ", ".join(given))
        message, hint = problem_words(problem)
        if problem["type"] == "missing":
            message = "PVECTL_ENDPOINT is not set, and the settings name no endpoint"
        hint = ": ".join(filter(None, ("correct or unset the variable", hint)))
        raise UsageError(f"{name}: {message}", hint=hint) from None
