"""Validate a TOML table against its model; report mistakes in plain words, with their place."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import time
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.invalid_value import message_and_hint
from reconciler.model.finding import NOT_IN_RELEASE, Finding, Severity
from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.pve.release import NEWEST, NotInRelease, Release
from reconciler.text.suggest import did_you_mean

M = TypeVar("M", bound=BaseModel)

_TYPES = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "bool_parsing": "a boolean",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list in [ ]",
    "tuple_type": "a list in [ ]",
    "set_type": "a list in [ ]",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date such as 2027-01-31",
    "datetime_type": "a date with time such as 2027-01-31T12:00:00Z",
    "none_required": "nothing",
}
"""pydantic's name of an error -> what was expected."""

_LIMITS = {
    "greater_than_equal": "{field} must be at least {ge}",
    "greater_than": "{field} must be greater than {gt}",
    "less_than_equal": "{field} must be at most {le}",
    "less_than": "{field} must be less than {lt}",
    "string_too_short": "{field} must have at least {min_length} characters",
    "string_too_long": "{field} is too long: at most {max_length} characters",
    "too_long": "{field} is too long: at most {max_length} elements",
    "literal_error": "{field} must be one of {expected}",
    "enum": "{field} must be one of {expected}",
    "string_pattern_mismatch": "{field} is not valid; it must match {pattern}",
    "multiple_of": "{field} must be a multiple of {multiple_of}",
}


def validate(
    document: TomlDocument,
    node: PositionNode,
    model: type[M],
    data: Mapping[str, Any],
    *,
    others: Iterable[str] = (),
    release: Release = NEWEST,
) -> tuple[M | None, list[Finding]]:
    """The table as a model, or None and its mistakes.

    `others` are keys of the table that other code reads; they serve as suggestions for a misspelt
    key.
    """
    try:
        return model.model_validate(dict(data), context=release), []
    except ValidationError as error:
        problems = error.errors(include_url=False)
    dotted = _dotted(document, node, model, data, others)
    return None, dotted or _findings(document, node, model, problems, tuple(others))


def problem_words(problem: ErrorDetails) -> tuple[str, str]:
    """What pydantic found, and what to do about it where known: in the words of the validator that
    refused the value, or its own.
    """
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, ValueError):
        return message_and_hint(error)
    return str(error or problem["msg"]), ""


def code_of(error: object) -> str:
    """The code of a finding about a value that was refused with this error."""
    return NOT_IN_RELEASE if isinstance(error, NotInRelease) else "INVALID_VALUE"


def salvage(model: type[M], data: Mapping[str, Any]) -> M:
    """The table without its wrong keys, so that the rest can be checked as well.

    Only for models without required keys.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        wrong = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
    return model.model_validate({key: data[key] for key in data if key not in wrong})


def wrong_type(
    document: TomlDocument, node: PositionNode, name: str, expected: str, value: object
) -> Finding:
    """The finding that `name` must be `expected`; the value itself is never shown."""
    return Finding(
        "WRONG_TYPE",
        Severity.ERROR,
        f"{name} must be {expected}, not {type_name(value)}",
        source=document.source(node),
    )


def type_name(value: object) -> str:
    """The TOML type of a value, in words."""
    if isinstance(value, bool):
        return "a boolean"
    for kind, name in (
        (str, "a string"),
        (int, "a number"),
        (float, "a decimal number"),
        (time, "a time"),
        (Sequence, "a list"),
        (Mapping, "a table"),
    ):
        if isinstance(value, kind):
            return name
    return "a date"


def _findings(
    document: TomlDocument,
    node: PositionNode,
    model: type[BaseModel],
    problems: Sequence[ErrorDetails],
    others: tuple[str, ...],
) -> list[Finding]:
    found: dict[tuple[str | int, ...], tuple[PositionNode, list[ErrorDetails]]] = {}
    for problem in problems:
        place, path = _locate(document, node, problem["loc"])
        found.setdefault((*path, place.at), (place, []))[1].append(problem)
    findings = []
    for path, (place, same) in found.items():
        if _said_deeper(path[:-1], found):
            continue
        if same[0]["type"] == "extra_forbidden":
            findings.append(_unknown(document, place, model, same[0], others))
        else:
            findings.append(_finding(document, place, model, path[:-1], same))
    return findings


def _said_deeper(path: tuple[str | int, ...], found: Iterable[tuple[str | int, ...]]) -> bool:
    """Whether something in the value itself is wrong, so that its type is right."""
    return any(len(other) > len(path) + 1 and other[: len(path)] == path for other in found)


def _dotted(
    document: TomlDocument,
    node: PositionNode,
    model: type[BaseModel],
    data: Mapping[str, Any],
    others: Iterable[str],
) -> list[Finding]:
    """The one finding for `[role.my.role]`, where a quoted name with a dot was meant."""
    known = {info.alias or key for key, info in model.model_fields.items()} | set(others)
    if len(data) != 1 or not isinstance(next(iter(data.values())), dict) or known & data.keys():
        return []
    (name,) = data
    return [
        Finding(
            "UNKNOWN_KEY",
            Severity.ERROR,
            f"unknown key '{name}'",
            did_you_mean(name, known) or 'quote a name that contains a dot: [role."my.role"]',
            source=document.source(document.child(node, name)),
        )
    ]


def _one(problems: Sequence[ErrorDetails]) -> ErrorDetails:
    """The most helpful of several errors about one value.

    Where a value may have one of several forms, pydantic reports one error for each of them.
    """
    deeper = [problem for problem in problems if problem["type"] not in _TYPES]
    return (deeper or problems)[0]


def _locate(
    document: TomlDocument, node: PositionNode, location: Sequence[str | int]
) -> tuple[PositionNode, tuple[str | int, ...]]:
    """The position of an error, and the part of `location` that occurs in the file.

    Parts that only pydantic knows (the chosen form of a value) are skipped.
    """
    path: list[str | int] = []
    for part in location:
        inner = document.child(node, part)
        if inner is not node:
            node = inner
            path.append(part)
        elif not path:
            path.append(part)
            break
    return node, tuple(path)


def _finding(
    document: TomlDocument,
    node: PositionNode,
    model: type[BaseModel],
    path: tuple[str | int, ...],
    problems: Sequence[ErrorDetails],
) -> Finding:
    """`problems`: of one value, one for each form that it may have."""
    field, problem = _field(path), _one(problems)
    kind, context = problem["type"], problem.get("ctx", {})
    code, hint = "INVALID_VALUE", ""
    if kind == "missing":
        name = str(problem["loc"][-1])
        code, message = "MISSING_KEY", f"the key '{name}' is missing"
        hint = _description(model, problem["loc"])
    elif kind in _TYPES:
        code = "WRONG_TYPE"
        forms = [*dict.fromkeys(_TYPES[one["type"]] for one in problems if one["type"] in _TYPES)]
        if "a number" in forms and "a whole number" in forms:
            forms.remove("a whole number")
        given = type_name(problem["input"])
        *most, last = forms
        expected = f"{', '.join(most)} or {last}" if most else last
        message = f"{field} must be {expected}, not {given}"
        hint = _reference_hint(context.get("class_name", ""))
        if kind == "string_type" and len(forms) == 1 and given not in {"a list", "a table"}:
            hint = "write it in quotes"
        elif "a string" in forms and "a list in [ ]" not in forms and given == "a list" and most:
            hint = 'write the elements in one string, as in "acl;entry"'
    elif kind in {"value_error", "assertion_error"}:
        message, hint = problem_words(problem)
        code = code_of(context.get("error"))
    elif kind == "too_short" or (kind == "string_too_short" and context["min_length"] == 1):
        message, hint = f"{field} is empty", _description(model, problem["loc"])
    elif kind in _LIMITS:
        message = _LIMITS[kind].format(field=field, **context)
    else:
        message = f"{field}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
    return Finding(code, Severity.ERROR, message, hint, source=document.source(node))


def _unknown(
    document: TomlDocument,
    node: PositionNode,
    model: type[BaseModel],
    problem: ErrorDetails,
    others: tuple[str, ...],
) -> Finding:
    *outer, name = problem["loc"]
    inner = _model_at(model, outer)
    known = [info.alias or key for key, info in inner.model_fields.items()] if inner else []
    known += others if not outer else ()
    instead = inner.instead if inner and issubclass(inner, TomlTable) else {}
    spelt = str(name).replace("-", "_")
    hint = instead.get(spelt, "") or did_you_mean(str(name), known)
    if not hint and spelt in known:
        hint = f"did you mean {spelt}?"
    if not hint and known:
        hint = f"known keys: {', '.join(sorted(known))}"
    source = document.source(node)
    return Finding("UNKNOWN_KEY", Severity.ERROR, f"unknown key '{name}'", hint, source=source)


def _field(path: Sequence[str | int]) -> str:
    """`'paths'`, or `element 2 of 'paths'`."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    quoted = f"'{name}'" if name else "the table"
    if path and isinstance(path[-1], int):
        return f"element {path[-1] + 1} of {quoted}"
    return quoted


def _reference_hint(class_name: str) -> str:
    if class_name == SecretRef.__name__:
        return (
            'secrets do not belong in the files; name the source instead: { env = "NAME" }, '
            '{ file = "PATH" } or { command = ["PROGRAM"] }'
        )
    if class_name == SecretSink.__name__:
        return (
            'name where the secret goes: { file = "PATH" }, { command = ["PROGRAM"] }, '
            '{ env_file = "PATH", variable = "NAME" } or { keyring = "NAME" }'
        )
    return ""


def _description(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """The model's description of the key at `location`."""
    inner = _model_at(model, location[:-1])
    name = location[-1] if location else ""
    if inner is None or not isinstance(name, str):
        return ""
    for key, info in inner.model_fields.items():
        if name in (key, info.alias) and info.description:
            return f"'{name}': {info.description}"
    return ""


def _model_at(model: type[BaseModel] | None, location: Sequence[str | int]) -> Any:
    """The model of the table at `location`, or None."""
    for part in location:
        if model is None:
            return None
        if not isinstance(part, str):
            continue
        info = model.model_fields.get(part)
        model = _model_in(info.annotation) if info else model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for part in typing.get_args(annotation):
            found = _model_in(part)
            if found is not None:
                return found
    return None
