"""PVE's formats for parameter values, with PVE's own error messages. Used by the embedded PVE,
which must answer with these messages, and by the kinds, which must reject a value before anything
is sent; `parameter_check` looks a format up by its name. PVE source: PVE::JSONSchema and the
modules that register formats. Every complaint ends with a newline, as PVE's do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from reconciler.pve.release import NEWEST, Release

Check = Callable[[str], str | None]
"""A value -> PVE's complaint, or None."""

REALM = r"[A-Za-z][A-Za-z0-9.\-_]+"
USERID = rf"[^\s:/]+@{REALM}"
TOKEN_NAME = REALM

_USERID = re.compile(USERID)
_NAME = re.compile(r"[A-Za-z0-9.\-_]+")
_POOL = re.compile(rf"{_NAME.pattern}(?:/{_NAME.pattern}){{0,2}}")
_MAILBOX = r"[\w+\-~]+(?:\.[\w+\-~]+)*"
_EMAIL = re.compile(rf"{_MAILBOX}@[a-zA-Z0-9\-]+(?:\.[a-zA-Z0-9\-]+)*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?"


def split_list(text: str) -> list[str]:
    """PVE's lists: split at commas, semicolons, NUL or whitespace; empty elements are dropped."""
    return [part for part in re.split(r"[,;\0\s]+", text) if part]


def username_complaint(name: str) -> str | None:
    """`verify_username`: user@realm, 3 to 64 characters, no whitespace, colon or slash."""
    if name == "0" or len(name) < 3:
        return f"user name '{'' if name == '0' else name}' is too short\n"
    if len(name) > 64:
        return f"user name '{name}' is too long ({len(name)} > 64)\n"
    if not _USERID.fullmatch(name):
        return f"value '{name}' does not look like a valid user name\n"
    return None


def is_username(name: str) -> bool:
    return username_complaint(name) is None


def is_ip(text: str) -> bool:
    """IPv4 or IPv6, without a prefix length or a zone."""
    for kind in (IPv4Address, IPv6Address):
        try:
            kind(text)
        except AddressValueError:
            continue
        return "%" not in text
    return False


def matching(pattern: str, complaint: str) -> Check:
    """A format given by a pattern; `{}` in the complaint is the value."""
    compiled = re.compile(pattern)

    def check_pattern(value: str) -> str | None:
        return None if compiled.fullmatch(value) else complaint.replace("{}", value) + "\n"

    return check_pattern


def _address(value: str) -> str | None:
    if is_ip(value) or re.fullmatch(rf"(?:{_LABEL}\.)*{_LABEL}", value):
        return None
    return f"value does not look like a valid address: {value}\n"


def privilege_complaint(value: str, release: Release = NEWEST) -> str | None:
    """PVE's complaint about a privilege that the release does not have."""
    return None if value in release.privileges else f"invalid privilege '{value}'\n"


def _calendar_event(value: str) -> str | None:
    from reconciler.pve.calendar.event import parse

    try:
        parse(value)
    except ValueError as refusal:
        return f"{refusal}\n\n"
    return None


def _pool(value: str) -> str | None:
    if len(value.rstrip("/").split("/")) > 3:
        return f"pool name '{value}' nested too deeply (max levels = 3)\n"
    return None if _POOL.fullmatch(value) else f"pool name '{value}' contains invalid characters\n"


FORMATS: Mapping[str, Check] = {
    "address": _address,
    "dns-name": matching(rf"(?:{_LABEL}\.)*{_LABEL}", "value does not look like a valid DNS name"),
    "email": matching(_EMAIL.pattern, "value does not look like a valid email address"),
    "email-or-username": matching(
        rf"{_EMAIL.pattern}|{_MAILBOX}",
        "value does not look like a valid email address or user name",
    ),
    "ldap-simple-attr": matching(
        r"[a-zA-Z0-9]+", "value '{}' does not look like a simple ldap attribute name"
    ),
    "pve-calendar-event": _calendar_event,
    "pve-configid": matching(r"[A-Za-z][A-Za-z0-9_\-]+", "invalid configuration ID '{}'"),
    "pve-day-of-week": matching(r"mon|tue|wed|thu|fri|sat|sun", "invalid day '{}'"),
    "pve-groupid": matching(_NAME.pattern, "group name '{}' contains invalid characters"),
    "pve-node": matching(_LABEL, "value does not look like a valid node name"),
    "pve-poolid": _pool,
    "pve-priv": privilege_complaint,
    "pve-realm": matching(REALM, "value does not look like a valid realm"),
    "pve-roleid": matching(_NAME.pattern, "role name '{}' contains invalid characters"),
    "pve-storage-id": matching(
        r"[A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]", "storage ID '{}' contains illegal characters"
    ),
    "pve-task-status-type": matching(r"(?i:ok|error|warning|unknown)", "invalid status '{}'"),
    "pve-tokenid": matching(
        rf"{USERID}!{TOKEN_NAME}", "value '{}' does not look like a valid token ID"
    ),
    "pve-userid": username_complaint,
    "pve-vmid": matching(r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID"),
    "string": lambda _: None,
}
"""Plain formats; `NAME-list` checks every element of a list, `NAME-opt` accepts an empty value."""
