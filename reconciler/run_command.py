"""Commands that state files name for secrets: each runs in their folder, for a limited time."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Ended(NamedTuple):
    """`trouble` says why it failed, as in `exited with status 1`; "" if it succeeded."""

    output: bytes = b""
    trouble: str = ""


def run_command(
    command: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    timeout: float,
    secret: bytes | None = None,
) -> Ended:
    """Run a command that prints a secret, or receives one on standard input.

    What it prints is returned only where it receives nothing; its standard error never is. One that
    receives a secret gets a session of its own, so that a signal to pvectl does not stop it.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the command is in the reviewed state files
            command,
            cwd=folder,
            env=env,
            input=secret,
            stdin=subprocess.DEVNULL if secret is None else None,
            stdout=subprocess.PIPE if secret is None else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            start_new_session=secret is not None,
            check=False,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its arguments are not valid"
        return Ended(trouble=f"cannot be started: {why}")
    except subprocess.TimeoutExpired:
        return Ended(trouble=f"took longer than {timeout:g} seconds")
    return Ended(
        done.stdout or b"", f"exited with status {done.returncode}" if done.returncode else ""
    )
