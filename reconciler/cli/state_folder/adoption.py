"""An import in steps: what to import, whether the files stay valid with it, and the messages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from reconciler.cli.context import now
from reconciler.cli.run import drift_memory
from reconciler.desired.export.adoption import Adoption
from reconciler.desired.export.toml_files import Exported, write_files
from reconciler.desired.files import Besides, state_files
from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import FilesInvalid
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.spec import State
from reconciler.planning.undeclared import reported
from reconciler.text.humanize import count, listed

NAMED = 12
"""Number of objects that are named."""


def declared_in(folder: Path, cluster: ClusterSettings, settings: Settings) -> Desired:
    """What the files of a folder declare, nothing where there is none; raises FilesInvalid."""
    if not folder.is_dir():
        return Desired(policy=settings.policy)
    found = load(
        folder,
        variables=cluster.variables,
        places=cluster.places,
        settings=settings,
        release=cluster.release,
    )
    require_valid(found.findings)
    return found


def called_undeclared(desired: Desired, live: State, api: Api, folder: Path) -> set[Address]:
    """What `drift` reports as undeclared; `folder`: where this machine remembers the cluster."""
    memory = drift_memory.recall(folder / "drift.json", folder)
    return set(reported(desired, live, memory, api.actor, now()))


def check_together(
    files: Mapping[str, str], folder: Path, cluster: ClusterSettings, settings: Settings
) -> None:
    """Raises FilesInvalid, before anything is written, where the files would have mistakes with
    what is added."""
    with tempfile.TemporaryDirectory() as name:
        trial = Path(name)
        for path in state_files(folder) if folder.is_dir() else ():
            shutil.copyfile(path, trial / path.name)
        write_files(files, trial, add=True)
        merged = {folder / path.name: path.read_bytes() for path in trial.glob("*.toml")}
    found = load(
        folder,
        variables=cluster.variables,
        places=cluster.places,
        release=cluster.release,
        files=Besides(merged),
    )
    try:
        require_valid(found.findings)
    except FilesInvalid as wrong:
        raise FilesInvalid(
            "the state files would be invalid with the imported objects",
            hint="nothing was written; correct the files, or import less",
            findings=wrong.findings,
        ) from None


def account(taken: Adoption, exported: Exported, left: Collection[Address]) -> Iterable[str]:
    """What was added, and why the rest was not."""
    added = sorted(exported.addresses)
    before = len(taken.declared)
    if added:
        yield f"imported {count(len(added), 'object')}{_names(added)}"
    elif not exported.findings:
        yield "nothing to import"
    if before:
        yield f"skipped, already declared: {before:,}"
    if taken.leaving:
        yield f"skipped, because [[removed]] or [[moved]] deletes them{_names(taken.leaving)}"
    if left:
        yield f"left to the directory{_names(sorted(left))}"
    if added:
        yield "`pvectl plan` shows no changes for them"


def _names(addresses: Iterable[Address]) -> str:
    names = listed([str(address) for address in addresses], NAMED)
    return f": {names}" if names else ""
