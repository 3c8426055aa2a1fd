"""What is imported from a recorded cluster plans to no change against the same cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reconciler.desired.export.toml_files import export
from reconciler.desired.loader import load
from reconciler.kinds import all_kinds
from reconciler.live.reader import read_live
from reconciler.model.api import Api
from reconciler.planning.changes.diff import diff
from tests.conftest import CASSETTES


@pytest.mark.parametrize("name", ["reading-fresh", "reading-self-backup", "reading-team"])
def test_an_imported_cluster_has_nothing_to_do(
    name: str, cassette_api: Callable[[str], Api], tmp_path: Path
) -> None:
    recorded = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text())["interactions"]
    paths = {interaction["request"]["uri"].rpartition("/json")[2] for interaction in recorded}
    kinds = [
        kind.name
        for kind in all_kinds().values()
        if all(any(path.startswith(get.target) for path in paths) for get in kind.reads.requests)
    ]
    assert len(kinds) >= 9
    live = read_live(cassette_api(name), kinds, {})
    exported = export(live.state)
    assert exported.findings == ()
    for file, text in exported.files.items():
        (tmp_path / file).write_text(text)
    desired = load(tmp_path)
    difference = diff(desired, live.state, now=0)
    assert (difference.changes, difference.findings) == ((), ())
    assert set(desired.objects) == set(live.state)
