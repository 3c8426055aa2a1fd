"""The secrets of one state folder: where they come from and where new ones go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.desired.secrets import resolve
from reconciler.errors import SinkFailed
from reconciler.execution.secrets import fingerprints
from reconciler.execution.secrets.delivery import deliver, probe, withdraw
from reconciler.model.address import Address
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import State


def changed_secrets(state: State, folder: Path, kept: Path) -> Mapping[Address, tuple[str, ...]]:
    """The secrets of declared objects that are not what was sent last, by object.

    `folder` is the state folder, `kept` where hashes are kept. No command runs; a reference that
    cannot be resolved here counts as unchanged.
    """
    values: dict[Address, dict[str, str]] = {}
    for address, own in fingerprints.secret_references(state).items():
        for name, reference in own.items():
            with contextlib.suppress(SinkFailed):
                values.setdefault(address, {})[name] = resolve(reference, folder)
    return fingerprints.changed_secrets_of(kept, values)


@dataclass(frozen=True, slots=True)
class FolderSecrets:
    """Relative files count from `folder`. Each reference is resolved once per run.

    `own`: where the secret comes from with which pvectl itself acts.
    """

    folder: Path
    own: SecretRef | None = None
    _known: dict[SecretRef, str] = field(default_factory=dict, repr=False)

    def check(self, step: Step) -> None:
        """Before anything is sent: every secret is there, every sink can take one."""
        if step.sink is not None:
            self.probe(step.sink)
        for _, value in step.request.params:
            if isinstance(value, SecretRef):
                self.resolve(value)

    def resolve(self, reference: SecretRef) -> str:
        if reference not in self._known:
            self._known[reference] = resolve(reference, self.folder, allow_commands=True)
        return self._known[reference]

    def probe(self, sink: SecretSink) -> None:
        own = self.own.file if self.own is not None else None
        if own and sink.file and _path(self.folder, own) == _path(self.folder, sink.file):
            raise SinkFailed(
                f"{sink.file} holds the secret with which pvectl itself acts",
                hint="name another file in secret_to",
            )
        probe(sink, self.folder)

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        deliver(sink, self.folder, token, value)

    def withdraw(self, sink: SecretSink, token: str) -> None:
        withdraw(sink, self.folder, token)


def _path(folder: Path, name: str) -> Path:
    return (folder / name).resolve()
