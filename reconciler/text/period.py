"""Periods as people write them: `90s`, `10m`, `4h`, `30d`, `2w`."""

from __future__ import annotations

import re

from reconciler.invalid_value import InvalidValue

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PERIOD = re.compile(r"([0-9]{1,6})([smhdw])")


def seconds_of(text: str) -> int:
    """The seconds of a period such as `10m`; raises InvalidValue for anything else and for 0."""
    found = _PERIOD.fullmatch(text)
    if found is None or not int(found[1]):
        raise InvalidValue(f"'{text}' is not a period", "write a number and a unit: 90s, 10m, 30d")
    return int(found[1]) * _UNITS[found[2]]
