"""Names of objects: what Proxmox VE refuses, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.invalid_value import InvalidValue
from reconciler.pve.parameter_check import check_format

_WRITE: Mapping[str, str] = {
    "pve-configid": "write a letter, then one or more of letters, digits, '_', '-'",
    "pve-poolid": "use letters, digits, '.', '-' and '_', and '/' for at most three levels",
    "pve-realm": "write a letter, then one or more of letters, digits, '.', '-', '_'",
    "pve-storage-id": "write a letter, then one or more of letters, digits, '-', '_', '.'; the "
    "last is a letter or digit",
}


def invalid_name(form: str, name: str) -> InvalidValue | None:
    """Why a name is not of the format `form`, such as `pve-poolid`; None if it is."""
    complaint = check_format(form, name)
    if not complaint:
        return None
    text = complaint.strip()
    return InvalidValue(text if name in text else f"'{name}': {text}", _WRITE[form])


def require_valid(form: str, name: str) -> None:
    """Raises InvalidValue for a name that is not of the format `form`."""
    wrong = invalid_name(form, name)
    if wrong is not None:
        raise wrong
