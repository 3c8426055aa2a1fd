"""Invalid values: what is wrong with them, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class InvalidValue(ValueError):
    """A value that a file, an option or an argument must not have; `hint` says what to write
    instead.

    A ValueError, so that pydantic reports it together with its place.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


def message_and_hint(error: ValueError) -> tuple[str, str]:
    """The message of a ValueError, and its hint where there is one."""
    if isinstance(error, InvalidValue):
        return error.message, error.hint
    if isinstance(error, InvalidKeys) and len(error.problems) == 1:
        return message_and_hint(error.problems[0].error)
    return str(error), ""


class Problem(NamedTuple):
    """What is wrong with one table; `keys`: those that it concerns, the one to point at first."""

    keys: tuple[str, ...]
    error: ValueError


class InvalidKeys(ValueError):
    """Everything that is wrong with the keys of one table."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(one.error) for one in problems))
        self.problems = tuple(problems)


def refuse(problems: Iterable[Problem]) -> None:
    """Raise InvalidKeys if there is any problem."""
    found = tuple(problems)
    if found:
        raise InvalidKeys(found)
