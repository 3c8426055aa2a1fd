"""What is wrong with the keys of a table taken together, each at its place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError, create_model

from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.invalid_value import InvalidKeys, Problem, message_and_hint
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.omitted_keys import FILE
from reconciler.model.finding import Finding, Severity
from reconciler.pve.release import Release


def problem_findings(
    document: TomlDocument, node: PositionNode, problems: Iterable[Problem]
) -> Iterable[Finding]:
    """A finding for each problem of a table, at the key that it is about."""
    for problem in problems:
        message, hint = message_and_hint(problem.error)
        places = (document.child(node, key) for key in problem.keys)
        place = next((one for one in places if one is not node), node)
        source = document.source(place)
        yield Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)


def other_problems(
    document: TomlDocument,
    node: PositionNode,
    kind: Kind[Any],
    named: tuple[str, str],
    data: Mapping[str, Any],
    release: Release,
) -> Iterable[Finding]:
    """What is wrong with a table besides the keys whose values are wrong by themselves; `named`: it
    and the table around it.
    """
    table, wrong = _without_wrong_keys(kind.toml.table, data, release)
    if table is None:
        return
    with suppress(ValueError):
        try:
            deque(kind.toml.declare(*named, table), maxlen=0)
        except InvalidKeys as error:
            left = [one for one in error.problems if wrong.isdisjoint(one.keys)]
            yield from problem_findings(document, node, left)


def _without_wrong_keys(
    model: type[BaseModel], data: Mapping[str, Any], release: Release
) -> tuple[BaseModel | None, frozenset[str]]:
    """The table with the keys whose values are valid, and the other keys; the required ones among
    these are empty. None where that is still not a valid table.
    """
    try:
        return model.model_validate(dict(data), context=release), frozenset()
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    required = {
        key for key in wrong & model.model_fields.keys() if model.model_fields[key].is_required()
    }
    if required:
        empty: dict[str, Any] = dict.fromkeys(required, (Annotated[Any, FILE], ()))
        model = create_model(model.__name__, __base__=model, **empty)
    rest = {key: value for key, value in data.items() if key not in wrong}
    with suppress(ValidationError):
        return model.model_validate(rest, context=release), frozenset(wrong)
    return None, frozenset(wrong)
