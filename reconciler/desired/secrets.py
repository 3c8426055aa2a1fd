"""Resolve references to secrets, just before the values are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.errors import SecretUnreadable
from reconciler.model.secret import SecretRef, without_credentials
from reconciler.run_command import run_command

COMMAND_TIMEOUT = 60.0
"""Seconds; long enough to type a passphrase."""
_LARGEST = 64 * 1024


def resolve(
    ref: SecretRef,
    folder: Path,
    *,
    allow_commands: bool = False,
    environ: Mapping[str, str] = os.environ,
    timeout: float = COMMAND_TIMEOUT,
    own: Sequence[SecretRef] = (),
) -> str:
    """The value of a reference, without its final newline.

    Paths are relative to `folder`, which is also where commands run; commands run only when they
    are allowed, which is never while planning, and without the variable that `own` names in their
    environment. Raises SecretUnreadable, which names the reference and not the value.
    """
    if ref.env is not None:
        value = environ.get(ref.env, "")
        if not value:
            raise SecretUnreadable(
                f"the environment variable {ref.env} is not set",
                hint="export it with the secret before running pvectl",
            )
        if any("\ud800" <= char <= "\udfff" for char in value):  # undecodable bytes
            raise SecretUnreadable(f"{ref} is not UTF-8", hint="text with the secret is expected")
        return value
    if ref.file is not None:
        return _text(_read(folder / ref.file), str(ref))
    if not allow_commands:
        raise SecretUnreadable(
            "a secret comes from a command, and commands do not run while planning",
            hint="use { env = ... } or { file = ... } instead",
        )
    return _text(_run(ref.command or (), folder, timeout, own), str(ref))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except OSError as error:
        why = error.strerror
    raise SecretUnreadable(
        f"the secret's file {path} cannot be read: {why}",
        hint="create it with mode 0600 and nothing but the secret in it",
    )


def _run(command: Sequence[str], folder: Path, timeout: float, own: Sequence[SecretRef]) -> bytes:
    ended = run_command(command, folder, without_credentials(os.environ, own), timeout)
    if ended.trouble:
        name = command[0] if command else ""
        raise SecretUnreadable(
            f"the command '{name}' that prints the secret {ended.trouble}",
            hint="run it manually to see what is wrong; it must print only the secret",
        )
    return ended.output


def _text(raw: bytes, name: str) -> str:
    """Decode the bytes, which are never part of an error."""
    value = raw.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    problem = ""
    if not value:
        problem = "is empty"
    elif len(raw) > _LARGEST or "\n" in value:
        problem = "has more than one line"
    elif "\ufffd" in value:
        problem = "is not UTF-8"
    if problem:
        raise SecretUnreadable(f"{name} {problem}", hint="one line with the secret is expected")
    return value
