"""Property strings: one parameter that holds several, as in `keep-daily=7,keep-weekly=4`.

`parameter_check` parses them. PVE source: `print_property_string` of PVE::JSONSchema.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.pve.guest_formats import GUEST_PROPERTIES
from reconciler.pve.schema import Param, ParameterTable

_COUNT = Param(type="integer", minimum=0, optional=True)
_FLAG = Param(type="boolean", optional=True)
_LIMIT = Param(type="number", minimum=0, optional=True)
_TEXT = Param(optional=True)

VANISHED = r"(?:(?:(?:acl|properties|entry);)*(?:acl|properties|entry))|none"

PROPERTY_STRINGS: Mapping[str, ParameterTable] = {
    **GUEST_PROPERTIES,
    "backup-fleecing": {
        "enabled": Param(type="boolean", optional=True, default_key=True),
        "storage": Param(format="pve-storage-id", optional=True),
    },
    "backup-performance": {
        "max-workers": Param(type="integer", minimum=1, maximum=256, optional=True),
        "pbs-entries-max": Param(type="integer", minimum=1, optional=True, since="8.1"),
    },
    "bwlimit": dict.fromkeys(("default", "restore", "migration", "clone", "move"), _LIMIT),
    "prune-backups": {
        "keep-all": _FLAG,
        **dict.fromkeys(
            (
                "keep-last",
                "keep-hourly",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
                "keep-yearly",
            ),
            _COUNT,
        ),
    },
    "pve-tfa-config": {
        "type": Param(enum=("yubico", "oath")),
        "id": _TEXT,
        "key": _TEXT,
        "url": _TEXT,
        "digits": Param(type="integer", minimum=6, maximum=8, optional=True),
        "step": Param(type="integer", minimum=10, optional=True),
    },
    "realm-sync-options": {
        "scope": Param(enum=("users", "groups", "both"), optional=True),
        "remove-vanished": Param(pattern=VANISHED, optional=True),
        "full": _FLAG,
        "enable-new": _FLAG,
        "purge": _FLAG,
    },
}
"""format -> its keys"""


def render_properties(name: str, values: Mapping[str, str]) -> str:
    """The default key first and without its name, then the required ones, each sorted by name."""
    table = PROPERTY_STRINGS[name]
    parts = [values[key] for key in sorted(values) if table[key].default_key]
    others = sorted(
        (key for key in values if not table[key].default_key),
        key=lambda key: (table[key].optional, key),
    )
    return ",".join([*parts, *(f"{key}={values[key]}" for key in others)])
