"""What Git must not keep of a state folder: files with secrets."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.terminal.output import write_file
from reconciler.errors import UsageError

FILE = ".gitignore"

_LINES = (b"secrets/", b".env", b"*.env")


def ignore_secrets(folder: Path) -> None:
    """Add to .gitignore what is not there yet, and leave the rest as it is; raises UsageError."""
    path = folder / FILE
    try:
        before = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    there = {line.strip() for line in before.splitlines()}
    missing = [line for line in _LINES if line not in there]
    if missing:
        start = before + b"\n" if before and not before.endswith(b"\n") else before
        write_file(path, start + b"".join(line + b"\n" for line in missing))
