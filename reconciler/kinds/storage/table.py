"""[storage.NAME]: its keys by type of storage, and its normal form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, create_model

from reconciler.invalid_value import InvalidValue, Problem, refuse
from reconciler.kinds.shared.field_types import asked_release, names
from reconciler.kinds.shared.omitted_keys import FILE, KEEP_RULE, UNSET, Unset
from reconciler.kinds.shared.options import (
    EMPTY,
    KEPT_BY_UNIT,
    KeepTable,
    Options,
    OptionValue,
    Secrets,
    given_options,
    given_secrets,
    options,
    table_model,
    toml_name,
)
from reconciler.kinds.shared.section import (
    missing_problems,
    option_problems,
    unset_problems,
    without_defaults,
)
from reconciler.kinds.shared.valid_name import require_valid
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from reconciler.pve.schema import ParameterTable, Secrecy, secret_names
from reconciler.pve.storage_formats import ISCSI_PROVIDERS, canonical_path
from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_TRUE_BY_DEFAULT, STORAGE_TYPES
from reconciler.pve.value_releases import GONE_STORAGE_TYPES, known_values
from reconciler.text.suggest import did_you_mean

SENSITIVE = names(secret_names(STORAGE_OPTIONS))
SHOWN_AS_SET = secret_names(STORAGE_OPTIONS, Secrecy.PRESENCE)
"""Secrets whose presence PVE shows (PBSPlugin.pm, on_add_hook)."""


def shown_keys(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, str]]:
    """Backup server -> the fingerprint of its encryption key, and whether there is a master key
    (PBSPlugin.pm); "" for none."""
    return {
        row["storage"]: {option: str(row.get(option) or "") for option in sorted(SHOWN_AS_SET)}
        for row in rows
        if row["type"] == "pbs"
    }


_PATH = re.compile(r"/[-/a-zA-Z0-9_.@]+")
_PLAIN = tuple(
    name for name in STORAGE_OPTIONS if name not in SENSITIVE and name != "prune-backups"
)
_UNSETTABLE = {toml_name(name): name for name in STORAGE_OPTIONS} | {"keep": "prune-backups"}


class StorageSpec(Spec):
    """`options` by PVE's names, in normal form; booleans that equal PVE's default are left out.

    `held`: secrets that are set in PVE. `secrets`: those to send. A declared spec may lack
    `type`, and holds defaults where they are declared; `unset` names options to clear, `ignored`
    those that PVE drops for this storage. `own_path`: its path is the mount point that PVE chooses;
    a live spec leaves it out.
    """

    option_table: ClassVar[ParameterTable] = STORAGE_OPTIONS

    type: str = ""
    options: Options = ()
    held: tuple[str, ...] = ()
    secrets: Secrets = ()
    unset: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    own_path: bool = False

    def keeps(self, live: Spec) -> bool:
        """The overlay does that, once the type is known."""
        del live
        return False

    def with_parts(self, parts: Mapping[str, Any]) -> StorageSpec:
        """What is not set is cleared."""
        changed = super().with_parts(parts)
        gone = {name for name, value in parts.items() if value is None}
        return changed.model_copy(update={"unset": names({*self.unset, *gone})})

    def as_whole(self, live: Spec) -> StorageSpec:
        """With every option cleared that is not given and can be."""
        kind = STORAGE_TYPES.get(self.type or getattr(live, "type", ""))
        if kind is None:
            return self
        section = kind.section
        given = {*dict(self.options), *section.required, *section.fixed, *section.sensitive}
        return self.model_copy(update={"unset": names({*self.unset, *section.names} - given)})


class _StorageTable(TomlTable):
    """[storage.NAME]"""

    instead: ClassVar[Mapping[str, str]] = {
        "maxfiles": "removed in Proxmox VE 9; write keep = { last = N }",
        "prune_backups": "write keep = { last = N, weekly = N }",
        **KEPT_BY_UNIT,
    }
    keep: Annotated[KeepTable | None, KEEP_RULE] = Field(
        default=None, description="retention: how many backups to keep"
    )
    unset: Unset = Field(default=[], description=UNSET)


_HOLDS = {"content", "disable", "max-protected-backups", "nodes", "shared"}
_WHERE = {"content-dirs", "data-pool", "domain", "is_mountpoint", "monhost", "namespace", "options"}
_WHERE |= {"pool", "port", "subdir", "username"}
_TRUSTS = {"fingerprint", "skip-cert-verification"}
PROTECTING = frozenset(_HOLDS | _WHERE | _TRUSTS)
"""Options that decide what a storage holds, where that is, and which server is trusted with it."""


def _in_release(kind: str | None, info: ValidationInfo) -> str | None:
    if kind is not None:
        known_values("type", kind, asked_release(info))
    return kind


_TYPE: Any = (
    Annotated[
        Literal[(*STORAGE_TYPES, *GONE_STORAGE_TYPES)] | None, AfterValidator(_in_release), FILE
    ],
    Field(default=None, description="type of the storage; if given, a missing storage is created"),
)
StorageTable = table_model(
    create_model("StorageTable", __base__=_StorageTable, __doc__=_StorageTable.__doc__, type=_TYPE),
    {name: param for name, param in STORAGE_OPTIONS.items() if name != "prune-backups"},
    SENSITIVE,
    PROTECTING,
)


def check_name(name: str, parent: str) -> None:
    """Raises ValueError for an invalid storage ID."""
    del parent
    require_valid("pve-storage-id", name)


def declare(name: str, parent: str, table: Any) -> Iterable[Declaration]:
    """One storage; raises ValueError for options that do not fit its type."""
    del parent
    given = given_options(table, _PLAIN)
    if table.keep is not None:
        given["prune-backups"] = table.keep.rules()
    unset = {_UNSETTABLE[option] for option in table.unset if option in _UNSETTABLE}
    secrets = given_secrets(table, SENSITIVE)
    problems = [*_problems(table, given, unset)]
    if table.type in STORAGE_TYPES:
        problems += _problems_of_new(table.type, given, unset, secrets)
    refuse(problems)
    unset |= {option for option, value in given.items() if value in EMPTY}
    ignored = ("nodes",) if name == "local" and "nodes" in given else ()
    given = {option: value for option, value in given.items() if option not in ignored}
    yield Declaration(
        name,
        StorageSpec(
            type=table.type or "",
            options=options(given),
            secrets=tuple(sorted(secrets.items())),
            unset=tuple(sorted(unset)),
            ignored=ignored,
            own_path=given.get("path") == _own_path(name),
        ),
    )


def check_type(
    kind: str, given: Mapping[str, OptionValue], unset: Iterable[str], secrets: Iterable[str]
) -> None:
    """Raises InvalidKeys for options that a storage of this type cannot have."""
    refuse(_problems_of_type(kind, given, unset, secrets))


def _problems_of_type(
    kind: str, given: Mapping[str, OptionValue], unset: Iterable[str], secrets: Iterable[str]
) -> Iterator[Problem]:
    section = STORAGE_TYPES[kind].section
    yield from option_problems(section, {**given, **dict.fromkeys(secrets, "set")})
    yield from unset_problems(section, unset)
    yield from _problems_of_content(kind, given.get("content", ()))
    for override in given.get("content-dirs", ()):
        what = override.partition("=")[0]
        if what not in STORAGE_TYPES[kind].content:
            text = f"type {kind} does not hold {what}, so it needs no folder for it"
            yield Problem(("content_dirs",), ValueError(text))
    image = given.get("format", "")
    if image not in EMPTY and image not in STORAGE_TYPES[kind].formats:
        text = f"type {kind} does not support the image format {image}"
        yield Problem(("format",), ValueError(text))
    path = given.get("path")
    if STORAGE_TYPES[kind].folder and path is not None and not _PATH.fullmatch(str(path)):
        yield Problem(("path",), ValueError(f"illegal path for directory storage: {path}"))
    provider = given.get("iscsiprovider")
    if provider is not None and provider not in ISCSI_PROVIDERS:
        known = ", ".join(ISCSI_PROVIDERS)
        error = InvalidValue(f"'{provider}' is not a valid iscsiprovider", f"write one of {known}")
        yield Problem(("iscsiprovider",), error)


def check_secrets(kind: str, secrets: Iterable[str]) -> None:
    """Raises ValueError if a required secret for a new storage is missing."""
    section = STORAGE_TYPES[kind].section
    needed = {"password"} if kind == "esxi" else section.required & section.sensitive
    if "master-pubkey" in secrets:
        needed |= {"encryption-key"}
    missing = sorted(needed - set(secrets))
    if missing:
        names_of = " and ".join(map(toml_name, missing))
        raise ValueError(f"a new storage of type {kind} needs {names_of}")


def normal(name: str, kind: str, values: Mapping[str, OptionValue]) -> Options:
    """The options of a storage, without those that PVE sets itself; content is always included.

    `create-base-path` defaults to the older `mkdir` (Plugin.pm, `config_aware_base_mkdir`).
    """
    found = without_defaults(values, STORAGE_OPTIONS, STORAGE_TRUE_BY_DEFAULT)
    if values.get("mkdir") == "0" and values.get("create-base-path"):
        found.pop("create-base-path", None)
        if values["create-base-path"] == "1":
            found["create-base-path"] = "1"
    known = STORAGE_TYPES.get(kind)
    if known is None:
        return options(found)
    if known.shared:
        found.pop("shared", None)
    if known.folder and "path" in found:
        found["path"] = canonical_path(str(found["path"]))
    if name == "local":
        found.pop("nodes", None)
    found.setdefault("content", tuple(sorted(known.default_content)))
    return _without_own_path(name, kind, found)


def _own_path(name: str) -> str:
    return f"/mnt/pve/{name}"


def _without_own_path(name: str, kind: str | None, values: Mapping[str, OptionValue]) -> Options:
    """Without the path that PVE chooses itself for storages that it mounts."""
    known = STORAGE_TYPES.get(kind or "")
    own = _own_path(name) if known and known.mounted else None
    return options({key: text for key, text in values.items() if key != "path" or text != own})


def _problems(
    table: Any, given: Mapping[str, OptionValue], unset: Iterable[str]
) -> Iterator[Problem]:
    """What no type of storage can have."""
    if given.get("content") == ():
        error = InvalidValue("content must not be empty", 'write ["none"] for no content')
        yield Problem(("content",), error)
    for option in table.unset:
        name = _UNSETTABLE.get(option)
        if name is None:
            text = f"unset names an unknown option '{option}'"
            yield Problem(("unset",), InvalidValue(text, did_you_mean(option, _UNSETTABLE)))
        elif name in SENSITIVE and name not in SHOWN_AS_SET:
            text = f"{option} cannot be unset: it cannot be read back"
            yield Problem(("unset",), ValueError(text))
    for option in sorted(given.keys() & set(unset)):
        text = f"{toml_name(option)} is given and unset at the same time"
        yield Problem(("unset",), ValueError(text))


def _problems_of_new(
    kind: str,
    given: Mapping[str, OptionValue],
    unset: Iterable[str],
    secrets: Mapping[str, SecretRef],
) -> Iterator[Problem]:
    """A required secret is only needed to create the storage, so an import works without it."""
    yield from _problems_of_type(kind, given, unset, secrets)
    chosen = {"path"} if STORAGE_TYPES[kind].mounted else set()
    section = STORAGE_TYPES[kind].section
    yield from missing_problems(section, given, but=chosen | section.sensitive)


def _problems_of_content(kind: str, content: OptionValue) -> Iterator[Problem]:
    """PVE silently drops unsupported content as long as some remains (Plugin.pm)."""
    for what in content:
        if what not in STORAGE_TYPES[kind].content:
            text = f"storage does not support content type '{what}' (type {kind})"
            yield Problem(("content",), ValueError(text))
    if "none" in content and len(content) > 1:
        yield Problem(("content",), ValueError("unable to combine 'none' with other types"))
