"""[target] and [target.NAME] of pvectl.toml: what they may say, and what of it does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import TomlTable
from reconciler.model.secret import Place, SecretRef
from reconciler.pve.release import release_named
from reconciler.text.sanitize import clean

_LONGEST = 60
"""Characters of the name of a cluster."""


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Texts = Annotated[
    list[str], BeforeValidator(_one_or_several, json_schema_input_type=str | list[str])
]
_Seconds = Annotated[float | int, Field(gt=0)]


def _known_release(text: str) -> str:
    return release_named(text).version


def _label(text: str) -> str:
    if not text.strip() or clean(text) != text or len(text) > _LONGEST:
        raise ValueError(f"a name has 1 to {_LONGEST} printable characters")
    return text


class TargetTable(TomlTable):
    """[target] or [target.NAME]"""

    name: Annotated[str, AfterValidator(_label)] | None = Field(
        default=None, description="what reports call the cluster, before its endpoint"
    )
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
    totp_secret: SecretRef | None = Field(
        default=None, description="where the key of the user's one-time passwords is"
    )
    ca_file: Place = Field(default=None, description="CA file with the trusted certificates")
    fingerprint: _Texts = Field(
        default=[], description="SHA-256 of the node's certificate, AB:CD:..."
    )
    client_cert: Place = Field(
        default=None, description="file of the certificate for a server that asks for one"
    )
    client_key: Place = Field(
        default=None, description="file of its private key, unless client_cert has it as well"
    )
    proxy: str | None = Field(default=None, description="http://host:port")
    connect_timeout: _Seconds = Field(default=10.0, description="seconds")
    read_timeout: _Seconds = Field(default=30.0, description="seconds")
    write_timeout: _Seconds = Field(default=90.0, description="seconds")
    vars: dict[str, Any] = Field(default={}, description="variables, used as ${name}")
    release: Annotated[str, AfterValidator(_known_release)] | None = Field(
        default=None,
        description="release to check the files against, for example 9.2; default: the newest",
    )
    folder: Place = Field(default=None, description="folder of this cluster's state files")


_ALONE = (
    ("token_secret", "token_id", "a secret without its token", "set token_id as well"),
    ("password", "username", "a password without its user", "set username as well"),
    (
        "totp_secret",
        "username",
        "a second factor without its user",
        "tokens have none: set username and password instead of the token",
    ),
    ("client_key", "client_cert", "a key without its certificate", "set client_cert as well"),
)
"""A key, the key that it needs, and what is wrong without it."""

_FROM_HERE = "the path is relative to pvectl.toml"
_FILES = {
    "ca_file": f"copy /etc/pve/pve-root-ca.pem of a node there; {_FROM_HERE}",
    "client_cert": _FROM_HERE,
    "client_key": _FROM_HERE,
}
"""A key that names a file -> what to do where there is none."""


def misfits(
    document: TomlDocument, node: PositionNode, table: TargetTable, base: Path, folder: Path
) -> Iterable[Finding]:
    """Keys that need others, and files that are not there. `folder` is the state folder, `base`
    that of the settings, to which paths are relative."""

    def finding(key: str, message: str, hint: str) -> Finding:
        source = document.source(document.child(node, key))
        return Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)

    for key, needed, message, hint in _ALONE:
        if getattr(table, key) is not None and getattr(table, needed) is None:
            yield finding(key, message, hint)
    if table.folder is not None and not (folder / table.folder).is_dir():
        yield finding("folder", f"folder not found: '{table.folder}'", _FROM_HERE)
    for key, hint in _FILES.items():
        file = getattr(table, key)
        if file is not None and not (base / file).is_file():
            yield finding(key, f"there is no file '{file}'", hint)
    for variable in table.vars:
        if not variable.isidentifier():
            yield finding(
                "vars", f"'{variable}' is not a valid variable name", "use letters, digits and _"
            )
