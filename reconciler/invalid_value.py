"""Invalid values: what is wrong with them, and what to write instead."""

from __future__ import annotations


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
    return str(error), ""
