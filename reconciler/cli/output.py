"""The only place that prints: results to standard output, talk and progress to standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from reconciler.cli.command import CommonOptions
from reconciler.cli.hints import with_options
from reconciler.errors import PvectlError, UsageError
from reconciler.render import FORMATS
from reconciler.render.view import View
from reconciler.text.suggest import did_you_mean


def check_formats(common: CommonOptions, *documents: str) -> None:
    """Refuse formats that none of the documents has, before any work; raises UsageError."""
    known = {name for document in documents for name in FORMATS[document]}
    for output in common.outputs:
        if output.name not in known:
            raise UsageError(
                f"format '{output.name}' is not known here",
                hint=did_you_mean(output.name, known) or f"one of {', '.join(sorted(known))}",
            )


def show(common: CommonOptions, document: str, content: object, view: View | None = None) -> None:
    """Write the result in each format that was asked for and that this document has."""
    prefix = "" if common.state.is_absolute() else common.state.as_posix()
    view = replace(view or View(), color=common.color, width=width(), prefix=prefix)
    for output in common.outputs:
        render = FORMATS[document].get(output.name)
        if render is None:
            continue
        text = render(content, replace(view, color=False) if output.file else view)
        if output.name in {"text", "markdown"}:
            text = with_options(text, common.again)
        if text and not text.endswith("\n"):
            text += "\n"
        if output.file is None:
            _write(sys.stdout, text)
        else:
            write_file(output.file, text)


def width() -> int:
    """Of the terminal; 100 columns where there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def write_file(path: Path, text: str) -> None:
    """All of a file or nothing; raises UsageError with the reason."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def result(text: str) -> None:
    """One line of the result on standard output."""
    _write(sys.stdout, text + "\n")


def info(common: CommonOptions, text: str, **fields: object) -> None:
    """One line of talk on standard error; nothing with --quiet."""
    if common.quiet:
        return
    line = with_options(text, common.again)
    if common.log_format == "json":
        line = json.dumps({"message": line, **fields}, sort_keys=True)
    _write(sys.stderr, line + "\n")


def print_error(
    error: PvectlError, *, as_json: bool, color: bool, again: Sequence[str] = ()
) -> None:
    """An error with its code, hint and findings on standard error.

    `again`: options that the commands in it need, to mean the same cluster.
    """
    from reconciler.render.documents.findings import error_text

    if as_json:
        content = {
            "error": error.code,
            "message": with_options(error.summary, again),
            "hint": with_options(error.hint, again),
            "findings": [finding.to_json() for finding in error.findings],
            "exit_status": int(error.exit_status),
        }
        _write(sys.stderr, json.dumps(content, sort_keys=True) + "\n")
    else:
        _write(sys.stderr, with_options(error_text(error, color=color), again))


def _write(stream: TextIO, text: str) -> None:
    """A reader that went away, as in `pvectl apply | head`, stops no run: nothing more is said."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
