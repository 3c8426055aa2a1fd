"""Rules for the options of a section type, shared by storages and realms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.invalid_value import InvalidValue
from reconciler.kinds.shared.options import EMPTY, OptionValue, to_param, toml_name
from reconciler.model.request import Value
from reconciler.pve.schema import Param
from reconciler.pve.sections import SectionType
from reconciler.text.suggest import did_you_mean


def check_options(section: SectionType, given: Mapping[str, OptionValue]) -> None:
    """Raises ValueError for an option that the type does not have, or an empty required one.

    Proxmox VE accepts an empty required option and can never read the file again.
    """
    for name, value in given.items():
        if name not in section:
            likely = did_you_mean(toml_name(name), map(toml_name, section.names))
            text = f"type {section.name} does not support the option {toml_name(name)}"
            raise InvalidValue(text, likely)
        if name in section.required and value in EMPTY:
            raise ValueError(f"{toml_name(name)} must not be empty: type {section.name} needs it")


def check_required(section: SectionType, given: Iterable[str], *, but: Iterable[str] = ()) -> None:
    """Raises ValueError when a required option is missing; `but` names those that may be."""
    missing = sorted(section.required - set(given) - set(but))
    if missing:
        names = ", ".join(map(toml_name, missing))
        raise ValueError(f"type {section.name} needs {names}")


def check_unset(section: SectionType, unset: Iterable[str]) -> None:
    """Raises ValueError for an option that cannot be cleared."""
    for name in unset:
        if name not in section:
            raise ValueError(
                f"{toml_name(name)} cannot be unset: type {section.name} does not support it"
            )
        if name in section.required:
            raise ValueError(f"{toml_name(name)} cannot be unset: type {section.name} needs it")
        if name in section.fixed:
            raise ValueError(f"{toml_name(name)} cannot be unset: it is fixed once it is created")


def without_defaults(
    values: Mapping[str, OptionValue], table: Mapping[str, Param], true_by_default: frozenset[str]
) -> dict[str, OptionValue]:
    """Without empty values, and without booleans that equal the default."""
    return {
        name: value
        for name, value in values.items()
        if not (
            value in EMPTY
            or (table[name].type == "boolean" and value == str(int(name in true_by_default)))
        )
    }


def fixed_changes(
    section: SectionType, before: Mapping[str, OptionValue], after: Mapping[str, OptionValue]
) -> tuple[str, ...]:
    """The options that differ and cannot be changed after creation, sorted."""
    return tuple(
        name for name in sorted(section.fixed) if before.get(name, "") != after.get(name, "")
    )


def put_params(
    before: Mapping[str, OptionValue],
    after: Mapping[str, OptionValue],
    table: Mapping[str, Param],
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The options that a PUT sets, and the names that it deletes; both sorted."""
    changed: dict[str, Value] = {
        name: to_param(table[name], after[name])
        for name in sorted(after)
        if before.get(name) != after[name]
    }
    return changed, tuple(sorted(before.keys() - after.keys()))
