"""[target] tables of pvectl.toml, and the environment variables that override them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from reconciler.desired.toml.document import Document
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import salvage, validate
from reconciler.errors import UsageError
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef
from reconciler.model.target import SANDBOX, Target

ENVIRONMENT = {
    "PVECTL_ENDPOINT": "endpoints",
    "PVECTL_TOKEN_ID": "token_id",
    "PVECTL_CA_FILE": "ca_file",
    "PVECTL_FINGERPRINT": "fingerprint",
}
"""Variables that override the target; PVECTL_TOKEN_SECRET holds the token's secret."""
SECRET_VARIABLE = "PVECTL_TOKEN_SECRET"  # noqa: S105 - the name of a variable

_EXCLUDES = {
    "token_id": "username",
    "ca_file": "fingerprint",
    "fingerprint": "ca_file",
}


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Texts = Annotated[
    list[str], BeforeValidator(_one_or_several, json_schema_input_type=str | list[str])
]
_Seconds = Annotated[float | int, Field(gt=0)]


class TargetTable(TomlTable):
    """[target] or [target.NAME]"""

    endpoint: _Texts = Field(
        default=[],
        description="https://host:8006, or several; or sandbox:FOLDER",
    )
    token_id: str | None = Field(default=None, description="user@realm!token")
    token_secret: SecretRef | None = Field(
        default=None, description="where the token's secret is; else in PVECTL_TOKEN_SECRET"
    )
    username: str | None = Field(default=None, description="user@realm, instead of a token")
    password: SecretRef | None = Field(default=None, description="where the user's password is")
    ca_file: str | None = Field(default=None, description="certificates that are trusted")
    fingerprint: _Texts = Field(
        default=[], description="SHA-256 of the node's certificate, AB:CD:..."
    )
    proxy: str | None = Field(default=None, description="http://host:port")
    connect_timeout: _Seconds = Field(default=10.0, description="seconds")
    read_timeout: _Seconds = Field(default=30.0, description="seconds")
    write_timeout: _Seconds = Field(default=90.0, description="seconds")
    vars: dict[str, Any] = Field(default={}, description="variables, used as ${name}")
    folder: str | None = Field(
        default=None, description="the state files of this cluster, in a folder of their own"
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One target with what belongs to it; `target` is None where the file names no endpoint.

    `secret` says where the token's secret or the user's password is.
    """

    name: str
    folder: Path
    target: Target | None = None
    secret: SecretRef | None = None
    variables: Mapping[str, object] = field(default_factory=dict)

    def connection(self) -> Target:
        """Where to connect; raises UsageError when that is said nowhere."""
        if self.target is None:
            raise UsageError(
                "no cluster is named to work on",
                hint="write [target] endpoint and token_id in pvectl.toml, or set "
                "PVECTL_ENDPOINT and PVECTL_TOKEN_ID",
            )
        return self.target


def read_cluster(
    document: Document, node: PositionNode, name: str, data: dict[str, Any], folder: Path
) -> tuple[ClusterSettings, list[Finding]]:
    """One target, as far as it is right, and what is wrong with it."""
    table, findings = validate(document, node, TargetTable, data)
    if table is None:
        table = salvage(TargetTable, data)
    findings += _misfits(document, node, table, folder)
    target, found = _target(document, node, table, folder)
    secret = table.token_secret if table.token_id else table.password
    if secret is not None and secret.file is not None:
        secret = SecretRef(file=str((folder / secret.file).absolute()))
    own = folder / table.folder if table.folder else folder
    cluster = ClusterSettings(name or "default", own, target, secret, table.vars)
    return cluster, findings + found


def _misfits(
    document: Document, node: PositionNode, table: TargetTable, folder: Path
) -> Iterable[Finding]:
    def finding(key: str, message: str, hint: str) -> Finding:
        source = document.source(document.child(node, key))
        return Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)

    if table.token_secret is not None and table.token_id is None:
        yield finding("token_secret", "a secret without its token", "give token_id as well")
    if table.password is not None and table.username is None:
        yield finding("password", "a password without its user", "give username as well")
    if table.folder is not None and not (folder / table.folder).is_dir():
        message = f"there is no folder '{table.folder}'"
        yield finding("folder", message, "it is looked for beside pvectl.toml")
    if table.ca_file is not None and not (folder / table.ca_file).is_file():
        message = f"there is no file '{table.ca_file}'"
        hint = "copy /etc/pve/pve-root-ca.pem of a node there; it is looked for beside pvectl.toml"
        yield finding("ca_file", message, hint)
    for variable in table.vars:
        if not variable.isidentifier():
            yield finding(
                "vars", f"'{variable}' is no name of a variable", "use letters, digits and _"
            )


def _target(
    document: Document, node: PositionNode, table: TargetTable, folder: Path
) -> tuple[Target | None, list[Finding]]:
    if not table.endpoint:
        return None, []
    values = {
        "endpoints": tuple(_located(endpoint, folder) for endpoint in table.endpoint),
        "token_id": table.token_id,
        "username": table.username,
        "ca_file": str(folder / table.ca_file) if table.ca_file else None,
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
        message, _, hint = str(problem.get("ctx", {}).get("error", problem["msg"])).partition("; ")
        place = document.node(node, key, *problem["loc"][1:])
        source = document.source(place)
        findings.append(Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source))
    return None, findings


def _located(endpoint: str, folder: Path) -> str:
    """A sandbox's folder counts from the settings, too."""
    if not endpoint.startswith(SANDBOX):
        return endpoint
    return SANDBOX + str(folder / endpoint.removeprefix(SANDBOX))


def overridden(cluster: ClusterSettings, environ: Mapping[str, str]) -> ClusterSettings:
    """The cluster with what the environment says; raises UsageError for a bad value."""
    given = {name: environ[name].strip() for name in ENVIRONMENT if environ.get(name, "").strip()}
    secret = cluster.secret
    if environ.get(SECRET_VARIABLE):
        secret = SecretRef(env=SECRET_VARIABLE)
    if not given:
        return ClusterSettings(
            cluster.name, cluster.folder, cluster.target, secret, cluster.variables
        )
    values: dict[str, Any] = cluster.target.model_dump() if cluster.target else {}
    for name, text in given.items():
        field = ENVIRONMENT[name]
        values.pop(_EXCLUDES.get(field, ""), None)
        values[field] = tuple(text.split()) if field in {"endpoints", "fingerprint"} else text
    if "PVECTL_TOKEN_ID" in given and not environ.get(SECRET_VARIABLE):
        secret = None
    try:
        target = Target.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = str(*problem["loc"][:1])
        name = next((n for n in given if ENVIRONMENT[n] == field), ", ".join(given))
        message = str(problem.get("ctx", {}).get("error", problem["msg"]))
        if problem["type"] == "missing":
            message = "PVECTL_ENDPOINT is not set, and the settings name no endpoint"
        raise UsageError(f"{name}: {message}", hint="correct or unset the variable") from None
    return ClusterSettings(cluster.name, cluster.folder, target, secret, cluster.variables)
