"""Make standard streams safe: absent, closed, full or ASCII-only ones do not stop a run."""

from __future__ import annotations

import contextlib
import os
import sys

from reconciler.cli.turn import capturing

TYPE_CHECKING = False  # every start imports this module: not typing for it
if TYPE_CHECKING:
    from typing import TextIO


def prepare() -> None:
    """Prepare the three streams before anything else is opened.

    An absent one, as after `2>&-`, becomes the null device; otherwise the next file that is opened,
    such as a journal, would get its number. Characters that the encoding lacks are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def write_out(text: str) -> None:
    """Write a result to standard output; raises OSError where that fails.

    A reader that has gone away, as in `pvectl plan | head`, is not an error: output stops.
    """
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError:
        silence(sys.stdout)
        raise


def write_err(text: str) -> None:
    """Messages on standard error; nothing more is written once that fails.

    With several clusters at once each line names its own.
    """
    turn = capturing()
    if turn is not None:
        lines = (f"{turn.name}: {line}\n" for line in text.splitlines() if line.strip())
        text = "".join(lines)
    try:
        _write(sys.stderr, text)
    except OSError:
        silence(sys.stderr)


def finish() -> None:
    """Flush the streams; at exit Python would end with 120 where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)


def silence(stream: TextIO) -> None:
    """Redirect the stream, and what is left in its buffer, to the null device."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
