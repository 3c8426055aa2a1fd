"""Options of section files (storages, realms, jobs): TOML in, Proxmox VE's answers in, one form.

The normal form of a value is a string, or a tuple of strings for lists: booleans `0` and `1`,
numbers in decimal, lists that are sets sorted, property strings in PVE's order. The tables of
options are those in `reconciler.pve`, which the embedded Proxmox VE checks against, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    create_model,
    model_validator,
)

from reconciler.invalid_value import InvalidValue
from reconciler.kinds.shared.answer_shape import NUMBER, OPTION, Shape
from reconciler.kinds.shared.field_types import asked_release, plain_text
from reconciler.kinds.shared.omitted_keys import FILE, Omission, WhenOmitted
from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef
from reconciler.pve.formats import split_list
from reconciler.pve.parameter_check import complaint, parse_properties
from reconciler.pve.property_strings import PROPERTY_STRINGS, render_properties
from reconciler.pve.release import known_option
from reconciler.pve.schema import Param, ParameterValue
from reconciler.pve.value_releases import known_values

OptionValue = str | tuple[str, ...]

EMPTY = ("", ())
"""Values that mean the same as an absent option."""


def _pairs(value: object) -> object:
    items = value.items() if isinstance(value, Mapping) else value
    if not isinstance(items, Iterable):
        return value
    return tuple(sorted((name, _frozen(given)) for name, given in items))


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Options = Annotated[
    tuple[tuple[str, OptionValue], ...], BeforeValidator(_pairs), PlainSerializer(dict)
]
"""name -> value, sorted by name; a mapping in JSON."""

Secrets = Annotated[
    tuple[tuple[str, SecretRef], ...],
    BeforeValidator(_pairs),
    PlainSerializer(lambda pairs: {name: ref.model_dump(exclude_none=True) for name, ref in pairs}),
]
"""name of an option -> where its value comes from, sorted by name; a mapping in JSON."""


def options(values: Mapping[str, OptionValue]) -> tuple[tuple[str, OptionValue], ...]:
    """The normal form of a mapping: sorted, without empty values."""
    return tuple(sorted((name, value) for name, value in values.items() if value not in EMPTY))


def without_line_feed(text: str) -> str:
    """Raises ValueError for values that a section file cannot hold (SectionConfig.pm)."""
    if "\n" in text:
        raise InvalidValue(
            "the value contains a newline", "Proxmox VE stores it on one line: remove the newline"
        )
    return text


def toml_name(option: str) -> str:
    """How an option is written in a state file."""
    return option.replace("-", "_")


def is_list(param: Param) -> bool:
    """Whether the values of an option are lists without significant order."""
    return param.format.endswith("-list")


def is_property(param: Param) -> bool:
    """Whether the option holds several values, as in `clone=10,restore=20`."""
    return param.format in PROPERTY_STRINGS


def from_toml(name: str, param: Param, value: Any) -> OptionValue:
    """A value of a state file; raises ValueError with PVE's message for what PVE would refuse."""
    found = _normal(param, _written(param, value))
    for text in (found,) if isinstance(found, str) else found:
        without_line_feed(text)
        if name == "comment" or text != text.strip():
            plain_text(text)
    sent: ParameterValue = list(found) if param.type == "array" else _joined(found)
    refusal = complaint(param, sent, name) if found not in EMPTY else None
    if refusal is not None:
        raise ValueError(f"{toml_name(name)} is refused: {refusal.strip()}")
    return found


def answered(table: Mapping[str, Param]) -> dict[str, Shape]:
    """The shape of each option in an answer."""
    return {name: NUMBER if one.type == "integer" else OPTION for name, one in table.items()}


def from_answer(param: Param, value: Any) -> OptionValue:
    """A value from an answer of Proxmox VE; one that cannot be parsed stays as it is."""
    if isinstance(value, Mapping):
        value = _assignments(value)
    return _normal(param, value if isinstance(value, list) else _text(value))


def to_param(param: Param, value: OptionValue) -> str | tuple[str, ...]:
    """A value as it is sent: repeated for an array, else one string."""
    return value if param.type == "array" else _joined(value)


def to_toml(param: Param, value: OptionValue) -> Any:
    """The reverse of `from_toml`, as people write it; values that PVE would refuse stay strings."""
    if not isinstance(value, str):
        return list(value)
    if param.type == "boolean":
        return value == "1"
    if param.type == "integer":
        return int(value)
    if is_property(param):
        parts = parse_properties(param.format, value).values
        table = PROPERTY_STRINGS[param.format]
        if not parts.keys() <= table.keys():
            return value
        return {toml_name(key): _plain_toml(table[key], parts[key]) for key in sorted(parts)}
    return value


def table_model(
    base: type[TomlTable],
    table: Mapping[str, Param],
    secrets: Iterable[str] = (),
    watched_options: frozenset[str] = frozenset(),
) -> type[TomlTable]:
    """`base` with one more field per option that it does not have; absent ones are None.

    Fields hold values in normal form; those named in `secrets` hold references. What is not given
    is left alone; `drift` tells of changes of `watched_options`.
    """
    fields: dict[str, Any] = {}
    secret = frozenset(secrets)
    for option, param in table.items():
        if toml_name(option) in base.model_fields:
            continue
        if option in secret:
            fields[toml_name(option)] = (
                Annotated[SecretRef | None, FILE],
                Field(default=None, description="a secret, by reference"),
            )
        else:
            rule = WhenOmitted.WATCHED if option in watched_options else WhenOmitted.LEFT
            typed = _field(option, param, Omission(rule, option))
            fields[toml_name(option)] = (typed, Field(default=None))
    return create_model(base.__name__.strip("_"), __base__=base, __doc__=base.__doc__, **fields)


def given_options(table: TomlTable, names: Iterable[str]) -> dict[str, OptionValue]:
    """The options that a table gives, by PVE's names; empty values included."""
    found = {name: getattr(table, toml_name(name), None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def given_secrets(table: TomlTable, names: Iterable[str]) -> dict[str, SecretRef]:
    """The secrets that a table gives, by PVE's names."""
    found = {name: getattr(table, toml_name(name), None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


class KeepTable(TomlTable):
    """Retention of backups, as in `keep = { last = 3, weekly = 2 }`."""

    all: bool | None = Field(default=None, description="keep every backup; excludes the others")
    last: int | None = Field(default=None, ge=0, description="the newest N archives")
    hourly: int | None = Field(
        default=None, ge=0, description="the newest archive of each of the last N hours with one"
    )
    daily: int | None = Field(
        default=None, ge=0, description="the newest archive of each of the last N days with one"
    )
    weekly: int | None = Field(
        default=None, ge=0, description="the newest archive of each of the last N weeks with one"
    )
    monthly: int | None = Field(
        default=None, ge=0, description="the newest archive of each of the last N months with one"
    )
    yearly: int | None = Field(
        default=None, ge=0, description="the newest archive of each of the last N years with one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> KeepTable:
        if not self.model_fields_set:
            raise InvalidValue("keep is empty", "write { all = true } to keep every backup")
        self.rules()
        return self

    def rules(self) -> OptionValue:
        """The option `prune-backups` in normal form."""
        given = {f"keep-{name}": value for name, value in self if value is not None}
        return from_toml("prune-backups", KEEP, given)


KEPT_BY_UNIT: Mapping[str, str] = {
    f"keep_{unit}": f"write keep = {{ {unit} = N }}" for unit in KeepTable.model_fields
}
"""Keys that people try instead of `keep`."""


KEEP = Param(format="prune-backups", optional=True)


def keep_to_toml(value: OptionValue) -> dict[str, Any] | str:
    """The reverse of `KeepTable.rules`; the string itself if it has no valid rules."""
    table: dict[str, Any] | str = to_toml(KEEP, value)
    if isinstance(table, str):
        return table
    return {name.removeprefix("keep_"): count for name, count in table.items()}


def _field(option: str, param: Param, rule: Omission) -> Any:
    def convert(value: Any, info: ValidationInfo) -> OptionValue | None:
        if value is None:
            return None
        release = asked_release(info)
        known_option(toml_name(option), param.since, release)
        found = from_toml(option, param, value)
        known_values(option, found, release, param)
        return found

    return Annotated[_toml_type(param) | None, AfterValidator(convert), rule]


def _toml_type(param: Param) -> Any:
    if param.type == "boolean":
        return bool
    if param.type == "integer":
        return int
    if param.format == "pve-dir-override-list":
        return dict[str, str] | list[str]
    if is_property(param):
        return dict[str, bool | int | float | str] | str
    if param.type == "array":
        return list[str]
    return list[str] | str if is_list(param) else str


def _written(param: Param, value: Any) -> Any:
    """A TOML value in the shape that PVE expects."""
    if isinstance(value, Mapping):
        named = {key.replace("_", "-"): text for key, text in value.items()}
        return _assignments(named)
    return value if isinstance(value, list) else _text(value)


def _assignments(values: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={_text(values[key])}" for key in sorted(values))


def _normal(param: Param, value: Any) -> OptionValue:
    if param.type == "array":
        return tuple(map(str, value if isinstance(value, list) else [value]))
    if is_list(param):
        parts = value if isinstance(value, list) else split_list(str(value))
        return tuple(sorted({str(part) for part in parts}))
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if param.type == "boolean":
        return text if text in {"0", "1"} else str(int(text.lower() in {"yes", "on", "true"}))
    if is_property(param):
        return _normal_property(param, text)
    return text


def _normal_property(param: Param, text: str) -> str:
    found = parse_properties(param.format, text)
    if found.complaint is not None:
        return text
    if param.format == "prune-backups":
        return keep_rules(found.values)
    return render_properties(param.format, found.values)


def keep_rules(values: Mapping[str, str]) -> str:
    """Retention in normal form: zero counts are left out, and no counts at all keep everything."""
    counted = {name: value for name, value in values.items() if int(value)}
    return render_properties("prune-backups", counted or {"keep-all": "1"}) if values else ""


def _joined(value: OptionValue) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _plain_toml(param: Param, value: str) -> bool | int | str:
    if param.type == "boolean":
        return value == "1"
    return int(value) if value.isdecimal() else value
