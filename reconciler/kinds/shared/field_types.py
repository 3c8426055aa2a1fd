"""Checks and conversions of field values that several kinds share."""

from __future__ import annotations

import datetime as dt
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from reconciler.invalid_value import InvalidValue
from reconciler.pve.release import NEWEST, Release, known_privilege

REALM = re.compile(r"[A-Za-z][A-Za-z0-9.\-_]+")
USER = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+")
TOKEN = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+")
NAME = re.compile(r"[A-Za-z0-9.\-_]+")


def plain_text(value: str) -> str:
    """A string that PVE returns as it was sent.

    user.cfg treats the value `0` as empty and drops whitespace at both ends when it is read
    (AccessControl.pm, parse_user_config), so both would show as endless drift.
    """
    if value == "0":
        raise InvalidValue("Proxmox VE treats '0' as empty", "use another value")
    if value != value.strip():
        raise InvalidValue("Proxmox VE drops leading and trailing whitespace", "remove it")
    return value


def _expiry(value: object) -> object:
    """A date (midnight UTC), a date with time (UTC unless it says otherwise), or Unix seconds."""
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return int(moment.timestamp())
    if isinstance(value, dt.date):
        return int(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC).timestamp())
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue("a date is expected", "write it without quotes, as in 2027-01-01")
    return value


def unix_to_toml(seconds: int) -> dt.date | dt.datetime | int:
    """An expiry as people write it: a date if it is midnight UTC.

    Seconds after the year 9999, where there is no date, stay seconds.
    """
    try:
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return seconds
    return moment.date() if seconds % 86400 == 0 else moment


Text = Annotated[str, AfterValidator(plain_text)]
Expiry = Annotated[
    int,
    BeforeValidator(_expiry, json_schema_input_type=dt.date | dt.datetime | int),
    Field(ge=0),
]


def _age(value: object) -> object:
    """`90d` -> seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})d", value) if isinstance(value, str) else None
    if found is None:
        raise InvalidValue("a number of days is expected", 'write it as in "90d"')
    return int(found[1]) * 86400


Age = Annotated[
    int,
    BeforeValidator(_age),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,3}d$"}),
]


def asked_release(info: ValidationInfo) -> Release:
    """The release that a table is written for: the context in which it is validated."""
    return info.context if isinstance(info.context, Release) else NEWEST


def _privilege(name: str, info: ValidationInfo) -> str:
    return known_privilege(name, asked_release(info))


Privilege = Annotated[
    str,
    AfterValidator(_privilege),
    WithJsonSchema({"type": "string", "enum": sorted(NEWEST.privileges)}),
]


def names(items: Iterable[str]) -> tuple[str, ...]:
    """A set of names in normal form."""
    return tuple(sorted(set(items)))


def split_list(text: object) -> tuple[str, ...]:
    """PVE's comma lists (also `;` and whitespace) in normal form; None and "" are empty."""
    if text is None:
        return ()
    if isinstance(text, list):
        return names(str(item) for item in text)
    return names(part for part in re.split(r"[,;\s]+", str(text)) if part)


def flag(value: Any, *, default: bool = False) -> bool:
    """PVE's booleans: 0, 1, "0", "1", None."""
    return default if value is None or value == "" else bool(int(value))


def given(**fields: Any) -> dict[str, Any]:
    """The fields with a value, for export: None, "", () and 0 are left out."""
    return {key: value for key, value in fields.items() if value not in (None, "", (), 0, [])}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `after` that differ from `before`."""
    return {key: value for key, value in after.items() if before.get(key) != value}


def quote(text: object) -> str:
    """A string as PVE escapes it in user.cfg; only its length matters here."""
    return urllib.parse.quote(str(text), safe=" !\"#$&'()*+,-./;<=>?@[\\]^_`{|}~")
