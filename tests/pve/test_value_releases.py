"""Values of options that only some releases of Proxmox VE have."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.desired.schema.state_schema import schema
from reconciler.kinds import all_kinds
from reconciler.pve.release import NotInRelease, release_named
from reconciler.pve.storage_options import STORAGE_TYPES
from reconciler.pve.value_releases import GONE_STORAGE_TYPES

DIR = {"type": "dir", "path": "/srv/x"}


@pytest.mark.parametrize(
    ("kind", "table", "first", "last", "what"),
    [
        ("storage", {"type": "glusterfs"}, "7.4", "8.4", 'no longer has storage type "glusterfs"'),
        ("storage", {"type": "esxi"}, "8.2", "9.2", 'does not know storage type "esxi"'),
        ("storage", {**DIR, "content": ["import"]}, "8.3", "9.2", 'not know content "import"'),
        ("backup", {"performance": {"pbs_entries_max": 9}}, "8.1", "9.2", "pbs-entries-max of"),
    ],
)
def test_a_value_is_refused_for_the_releases_that_lack_it(
    kind: str, table: dict[str, Any], first: str, last: str, what: str
) -> None:
    model = all_kinds()[kind].toml.table
    row = table if kind == "storage" else {"schedule": "1:00", "all": True, **table}
    for version in ("7.4", "8.0", "8.1", "8.2", "8.3", "8.4", "9.0", "9.1", "9.2"):
        if first <= version <= last:
            model.model_validate(row, context=release_named(version))
            continue
        with pytest.raises(ValueError, match=what) as caught:
            model.model_validate(row, context=release_named(version))
        (error,) = caught.value.errors()  # type: ignore[attr-defined]
        assert isinstance(error["ctx"]["error"], NotInRelease)


def test_the_schema_of_a_release_lists_its_own_types_and_content() -> None:
    for version, types, content in (
        ("8.1", {*STORAGE_TYPES, *GONE_STORAGE_TYPES} - {"esxi"}, False),
        ("8.4", {*STORAGE_TYPES, *GONE_STORAGE_TYPES}, True),
        ("9.2", {*STORAGE_TYPES}, True),
    ):
        fields = schema(release_named(version))["$defs"]["StorageTable"]["properties"]
        assert set(fields["type"]["enum"]) == types
        assert ("import" in str(fields["content"])) is content
