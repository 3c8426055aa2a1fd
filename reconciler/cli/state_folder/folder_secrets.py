"""Read and deliver the secrets that a state folder refers to."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.cli.terminal.secret_output import print_secret, require_reader
from reconciler.desired.reach import Reach, how_to_allow
from reconciler.desired.secrets import resolve
from reconciler.errors import SecretsUnusable, SinkFailed
from reconciler.execution.secrets import fingerprints
from reconciler.kinds import kind_of
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.finding import Finding
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import State
from reconciler.planning.checks.secrets import secret_missing
from reconciler.real_path import real_path

SHORTEST, LONGEST = 8, 64
"""Characters of a password that Proxmox VE takes (PVE::API2::User, `create_user`)."""


def changed_secrets(
    state: State, folder: Path, reach: Reach, kept: Path, answered: fingerprints.Values
) -> Mapping[Address, tuple[str, ...]]:
    """The secrets of declared objects that differ from what was last sent, by object: in the files,
    or in the cluster, where it returned them (`answered`).

    `folder` is the base of relative files, `kept` holds the hashes. Runs no command, and reads only
    references that this machine has sent for the same object before. A reference that cannot be
    resolved here counts as unchanged.
    """
    found = fingerprints.secret_references(state)

    def read(address: Address, name: str) -> str | None:
        reference = found[address][name]
        if reach.missing(reference, folder):
            return None
        try:
            return resolve(reference, folder)
        except SinkFailed:
            return None

    places = FolderSecrets(folder, reach).places(found)
    changed = fingerprints.changed_secrets_of(kept, places, read)
    altered = fingerprints.altered(kept, {a: own for a, own in answered.items() if a in found})
    return {
        address: tuple(sorted({*changed.get(address, ()), *altered.get(address, ())}))
        for address in sorted({*changed, *altered})
    }


def unknown_secrets(state: State, kept: Path) -> Mapping[Address, tuple[str, ...]]:
    """The secrets of which this machine does not know what was sent last, by object."""
    return fingerprints.not_compared(kept, fingerprints.secret_references(state))


def every_secret(state: State) -> Mapping[Address, tuple[str, ...]]:
    """Every secret that can be sent to an object that is there, those of commands included."""
    kinds = ((address, kind_of(address).secrets, spec) for address, spec in state.items())
    found = {a: tuple(sorted(own.sent(spec))) for a, own, spec in kinds if own.with_sent}
    return {address: names for address, names in found.items() if names}


def bad_passwords(state: State, folder: Path, reach: Reach) -> Mapping[Address, str]:
    """Declared users whose password Proxmox VE would refuse, and why; never the password.

    Only files inside the state folder and environment variables are read, and none where the folder
    may be a proposal (in CI): planning reads no secret that another place holds.
    """
    found: dict[Address, str] = {}
    if reach.strict:
        return found
    for address, spec in state.items():
        ref = spec.password if isinstance(spec, UserSpec) else None
        if ref is None or not _is_at_hand(ref, folder, reach):
            continue
        with contextlib.suppress(SinkFailed):
            length = len(resolve(ref, folder))
            if not SHORTEST <= length <= LONGEST:
                found[address] = f"it must have {SHORTEST} to {LONGEST} characters"
    return found


def _is_at_hand(ref: SecretRef, folder: Path, reach: Reach) -> bool:
    """Whether it is in the state folder, or in a variable that may be used."""
    if ref.file:
        file = folder / ref.file
        return reach.inside(file) and file.is_file()
    return bool(ref.env and os.environ.get(ref.env)) and not reach.missing(ref, folder)


def missing_secrets(state: State, folder: Path, reach: Reach) -> Mapping[SecretRef, str]:
    """Declared secrets whose source does not exist, without reading any.

    Empty where a plan may be an unreviewed proposal (in CI): no secret is expected there.
    """
    found: dict[SecretRef, str] = {}
    if reach.strict:
        return found
    for address, spec in state.items():
        for ref in kind_of(address).secrets.sent(spec).values():
            if reach.missing(ref, folder):
                continue
            if ref.env is not None and not os.environ.get(ref.env):
                found[ref] = f"the environment variable {ref.env} is not set"
            elif ref.file is not None and not (folder / ref.file).exists():
                found[ref] = f"there is no file {ref.file}"
    return found


def open_secrets(
    state: State, folder: Path, reach: Reach, own: Sequence[SecretRef]
) -> tuple[str, ...]:
    """The files of secrets, those of `own` among them, that every account of this machine can read.

    Nothing is read for it. Where a plan may be a proposal (in CI) only `own` counts.
    """
    declared = {
        ref
        for address, spec in state.items()
        for ref in kind_of(address).secrets.sent(spec).values()
        if not (reach.strict or reach.missing(ref, folder))
    }
    files = {_path(folder, ref.file) for ref in (*declared, *own) if ref.file}
    return tuple(sorted(str(file) for file in files if _is_open(file)))


def _is_open(file: Path) -> bool:
    """Whether everyone can read a file, by its mode and those of its folders."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH) and all(
            parent.stat().st_mode & stat.S_IXOTH for parent in file.parents
        )
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class FolderSecrets:
    """Resolves references relative to `folder`, each once per run.

    `reach`: what may be named. `own`: the sources of the secrets that pvectl itself uses.
    """

    folder: Path
    reach: Reach
    own: tuple[SecretRef, ...] = ()
    _known: dict[SecretRef, str] = field(default_factory=dict, repr=False)

    def check(self, step: Step) -> None:
        """Before anything is sent: every secret is there, every sink can take one."""
        if step.sink is not None:
            self.probe(step.sink)
        for _, value in step.request.params:
            if isinstance(value, SecretRef):
                self.resolve(value)

    def check_all(self, steps: Sequence[Step]) -> None:
        """The same for all steps; raises SecretsUnusable with every missing secret, or SinkFailed
        for a sink.
        """
        failing: list[Finding] = []
        for step in steps:
            for reference in dict.fromkeys(
                value for _, value in step.request.params if isinstance(value, SecretRef)
            ):
                try:
                    self.resolve(reference)
                except SinkFailed as failure:
                    failing.append(secret_missing(step, failure.summary, failure.hint))
        if failing:
            number = "a secret is" if len(failing) == 1 else f"{len(failing)} secrets are"
            raise SecretsUnusable(
                f"{number} missing", hint="nothing was sent", findings=tuple(dict.fromkeys(failing))
            )
        for step in steps:
            self.check(step)

    def resolve(self, reference: SecretRef) -> str:
        if reference not in self._known:
            self._allowed(reference)
            self._known[reference] = resolve(
                reference, self.folder, allow_commands=True, own=self.own
            )
        return self._known[reference]

    def places(self, references: fingerprints.References) -> fingerprints.Places:
        """The sources of secrets: a file inside the state folder by its relative path, so that
        another checkout gives the same; one outside by its real path.
        """
        return {
            address: {name: self._place(reference) for name, reference in own.items()}
            for address, own in references.items()
        }

    def _place(self, reference: SecretRef) -> str:
        if reference.file is None:
            return str(reference)
        real, root = _path(self.folder, reference.file), real_path(self.reach.folder)
        return f"file {real.relative_to(root) if real.is_relative_to(root) else real}"

    def _allowed(self, named: SecretRef | SecretSink) -> None:
        """Check what a state file, saved plan or journal names; raises SinkFailed."""
        line = self.reach.missing(named, self.folder)
        if line:
            raise SinkFailed(
                f"{named} is outside what the state files may use", hint=how_to_allow(line)
            )

    def probe(self, sink: SecretSink) -> None:
        self._allowed(sink)
        own = {_path(self.folder, one.file) for one in self.own if one.file}
        if sink.file and _path(self.folder, sink.file) in own:
            raise SinkFailed(
                f"{sink.file} holds a secret of pvectl itself",
                hint="name another file in secret_to",
            )
        if sink.stdout is not None:
            require_reader()
        else:
            from reconciler.execution.secrets.delivery import probe

            probe(sink, self.folder)

    def deliver(self, sink: SecretSink, token: str, value: str) -> None:
        self._allowed(sink)
        if sink.stdout is not None:
            print_secret(value)
        else:
            from reconciler.execution.secrets.delivery import deliver

            deliver(sink, self.folder, token, value, self.own)

    def withdraw(self, sink: SecretSink, token: str) -> None:
        from reconciler.execution.secrets.delivery import withdraw

        withdraw(sink, self.folder, token)


def _path(folder: Path, name: str) -> Path:
    return real_path(folder / name)
