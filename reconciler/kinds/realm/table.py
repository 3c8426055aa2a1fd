"""[realm.NAME]: its keys by type of realm, and its normal form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model

from reconciler.invalid_value import InvalidValue, Problem, refuse
from reconciler.kinds.shared.field_types import names
from reconciler.kinds.shared.omitted_keys import FILE, UNSET, Unset, unset_problems
from reconciler.kinds.shared.options import (
    Options,
    OptionValue,
    Secrets,
    given_options,
    given_secrets,
    options,
    table_model,
)
from reconciler.kinds.shared.section import missing_problems, option_problems, without_defaults
from reconciler.kinds.shared.valid_name import require_valid
from reconciler.model.declared import Declaration
from reconciler.model.policy import TomlTable
from reconciler.model.spec import Spec
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import render_properties
from reconciler.pve.realm_options import (
    BUILT_IN_REALMS,
    REALM_OPTIONS,
    REALM_TRUE_BY_DEFAULT,
    REALM_TYPES,
    sync_defaults,
)
from reconciler.pve.schema import ParameterTable, Secrecy, secret_names

SENSITIVE = names(secret_names(REALM_OPTIONS))
SHOWN = secret_names(REALM_OPTIONS, Secrecy.ANSWERED)
"""Secrets that PVE returns to a reader, so that their presence is visible."""

_PLAIN = tuple(name for name in REALM_OPTIONS if name not in SENSITIVE)


class RealmSpec(Spec):
    """`options` by PVE's names, in normal form; booleans that equal PVE's default are left out.

    `held`: secrets that are set in PVE. `secrets`: those to send.
    """

    option_table: ClassVar[ParameterTable] = REALM_OPTIONS

    type: str = ""
    options: Options = ()
    held: tuple[str, ...] = ()
    secrets: Secrets = ()

    def keeps(self, live: Spec) -> bool:
        """A realm of another type has other options."""
        return isinstance(live, RealmSpec) and live.type == self.type

    @property
    def is_default(self) -> bool:
        """Whether the login page offers this realm first."""
        return ("default", "1") in self.options


class _RealmTable(TomlTable):
    """[realm.NAME]"""

    instead: ClassVar[Mapping[str, str]] = {"server": 'write server1 = "..."'}
    unset: Unset = Field(default=[], description=UNSET)


_TYPE: Any = (
    Annotated[Literal[tuple(REALM_TYPES)] | None, FILE],
    Field(default=None, description="type of the realm; optional for pam and pve"),
)
RealmTable = table_model(
    create_model("RealmTable", __base__=_RealmTable, __doc__=_RealmTable.__doc__, type=_TYPE),
    REALM_OPTIONS,
    SENSITIVE,
    frozenset(REALM_OPTIONS) - {"comment", "prompt"},
)


def check_name(name: str, parent: str) -> None:
    """Raises ValueError for an invalid realm name."""
    del parent
    require_valid("pve-realm", name)
    if len(name) > 32:
        raise ValueError(f"the name '{name}' is longer than 32 characters")


def declare(name: str, parent: str, table: Any) -> Iterable[Declaration]:
    """One realm; raises ValueError for options that do not fit its type."""
    del parent
    kind = _type(name, table.type)
    given = given_options(table, _PLAIN)
    secrets = given_secrets(table, SENSITIVE)
    refuse(_problems(kind, table, given, secrets))
    sent = tuple(sorted(secrets.items()))
    yield Declaration(name, RealmSpec(type=kind, options=normal(name, given), secrets=sent))


def _problems(
    kind: str, table: Any, given: Mapping[str, OptionValue], secrets: Iterable[str]
) -> Iterator[Problem]:
    section = REALM_TYPES[kind]
    yield from unset_problems(table)
    yield from option_problems(section, {**given, **dict.fromkeys(secrets, "set")})
    yield from missing_problems(section, given)
    if _has_key(given.get("tfa", "")):
        hint = "set it in Proxmox VE; pvectl does not manage it"
        yield Problem(("tfa",), InvalidValue("tfa holds a secret key", hint))


def normal(name: str, values: Mapping[str, OptionValue]) -> Options:
    """The options of a realm, without those that PVE adds."""
    found = without_defaults(values, REALM_OPTIONS, REALM_TRUE_BY_DEFAULT)
    if found.get("comment") == BUILT_IN_REALMS.get(name):
        found.pop("comment", None)
    if _has_key(found.get("tfa", "")):
        del found["tfa"]
    given = found.get("sync-defaults-options")
    if isinstance(given, str):
        found["sync-defaults-options"] = _vanished_sorted(sync_defaults(given))
    return options(found)


def _vanished_sorted(text: str) -> str:
    """The parts of `remove-vanished` are a set."""
    options = dict(parse_properties("realm-sync-options", text).values)
    if "remove-vanished" in options:
        options["remove-vanished"] = ";".join(sorted(options["remove-vanished"].split(";")))
    return render_properties("realm-sync-options", options)


def _type(name: str, kind: str | None) -> str:
    if name in BUILT_IN_REALMS:
        if kind not in {None, name}:
            raise ValueError(f"realm {name} is built into Proxmox VE and has the type {name}")
        return name
    if kind is None:
        raise ValueError(f"realm {name} needs a type: ldap, ad or openid")
    if kind in BUILT_IN_REALMS:
        raise ValueError(f"unable to create builtin type '{kind}': Proxmox VE has one such realm")
    return kind


def _has_key(tfa: OptionValue) -> bool:
    """This option holds a Yubico key in clear text; it is kept and never shown."""
    return isinstance(tfa, str) and "key" in parse_properties("pve-tfa-config", tfa).values
