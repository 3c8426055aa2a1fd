"""The secrets of one state folder: where they come from and where new ones go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.desired.secrets import resolve
from reconciler.execution.secrets import deliver, probe, withdraw
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef, SecretSink


@dataclass(frozen=True, slots=True)
class FolderSecrets:
    """Relative files count from `folder`."""

    folder: Path

    def check(self, step: Step) -> None:
        """Before anything is sent: every secret is there, every sink can take one."""
        if step.sink is not None:
            self.probe(step.sink)
        for _, value in step.request.params:
            if isinstance(value, SecretRef):
                self.resolve(value)

    def resolve(self, reference: SecretRef) -> str:
        return resolve(reference, self.folder, allow_commands=True)

    def probe(self, sink: SecretSink) -> None:
        probe(sink, self.folder)

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        deliver(sink, self.folder, token, value)

    def withdraw(self, sink: SecretSink, token: str) -> None:
        withdraw(sink, self.folder, token)
