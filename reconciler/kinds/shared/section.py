"""Rules for the options of a section type, shared by storages and realms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.invalid_value import InvalidValue, Problem
from reconciler.kinds.shared.options import EMPTY, OptionValue, to_param, toml_name
from reconciler.model.request import Value
from reconciler.pve.schema import Param
from reconciler.pve.sections import SectionType
from reconciler.text.suggest import did_you_mean


def option_problems(section: SectionType, given: Mapping[str, OptionValue]) -> Iterator[Problem]:
    """Options that the type does not have, and empty required ones.

    Proxmox VE accepts an empty required option and can never read the file again.
    """
    for name, value in given.items():
        key = toml_name(name)
        if name not in section:
            likely = did_you_mean(key, map(toml_name, section.names))
            text = f"type {section.name} does not support the option {key}"
            yield Problem((key,), InvalidValue(text, likely))
        elif name in section.required and value in EMPTY:
            text = f"{key} must not be empty: type {section.name} needs it"
            yield Problem((key,), ValueError(text))


def missing_problems(
    section: SectionType, given: Iterable[str], *, but: Iterable[str] = ()
) -> Iterator[Problem]:
    """Required options that are missing; `but` names those that may be."""
    for name in sorted(section.required - set(given) - set(but)):
        key = toml_name(name)
        yield Problem((key,), ValueError(f"type {section.name} needs {key}"))


def unset_problems(section: SectionType, unset: Iterable[str]) -> Iterator[Problem]:
    """Options that cannot be cleared."""
    for name in sorted(unset):
        why = ""
        if name not in section:
            why = f"type {section.name} does not support it"
        elif name in section.required:
            why = f"type {section.name} needs it"
        elif name in section.fixed:
            why = "it is fixed once it is created"
        if why:
            text = f"{toml_name(name)} cannot be unset: {why}"
            yield Problem(("unset",), ValueError(text))


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
