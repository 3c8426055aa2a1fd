"""Effective privileges agree with those that a Proxmox VE computed for recorded user.cfg files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.access.evaluate import effective, privileges
from reconciler.access.table import AccessTable
from reconciler.pve.release import release_named
from reconciler.sandbox.config.usercfg import parse
from reconciler.sandbox.grants import access_table

_FOLDER = Path(__file__).parents[1] / "data" / "permissions"
_CASES: list[dict[str, Any]] = json.loads(gzip.decompress((_FOLDER / "cases.json.gz").read_bytes()))


def _table(case: dict[str, Any]) -> AccessTable:
    """As the release reads the file that answered when the case was recorded."""
    release = release_named(case["release"])
    return access_table(parse(case["user.cfg"].encode(), release=release))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"seed-{case['seed']}")
def test_privileges_are_those_that_pve_computed(case: dict[str, Any]) -> None:
    table = _table(case)
    for query in case["queries"]:
        found = privileges(table, query["userid"], query["path"])
        assert found.keys() == query["privs"].keys(), query


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"seed-{case['seed']}")
def test_the_enumeration_agrees_with_single_questions(case: dict[str, Any]) -> None:
    table = _table(case)
    for principal in (*table.users, *table.tokens, "nobody@pve", "root@pam!none"):
        found = effective(table, principal)
        assert all(found.values())
        for path in {query["path"] for query in case["queries"]} | found.keys():
            if path in found or path in effective(table, "root@pam"):
                assert found.get(path, {}) == privileges(table, principal, path), (principal, path)
