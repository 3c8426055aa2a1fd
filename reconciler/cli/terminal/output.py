"""The only place that prints: results to standard output, messages and progress to standard
error.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.atomic_write import atomic_write, try_write
from reconciler.bounded_read import read_bounded
from reconciler.cli.common_options import CommonOptions, Output, means_several
from reconciler.cli.fleet.turn_summary import note_document
from reconciler.cli.hints import with_options
from reconciler.cli.streams import write_err, write_out
from reconciler.cli.turn import capturing, current
from reconciler.desired.reach import checkouts_of, in_ci
from reconciler.errors import PvectlError, UsageError
from reconciler.model.plan import Plan
from reconciler.real_path import real_path
from reconciler.render import FORMATS
from reconciler.render.view import View
from reconciler.text.sanitize import clean
from reconciler.text.suggest import did_you_mean


def beside_secrets(common: CommonOptions, plan: Plan) -> CommonOptions:
    """The same options; where a secret goes to standard output, everything else goes to standard
    error, so that a pipe gets the secret alone."""
    if not any(step.sink is not None and step.sink.stdout is not None for step in plan.steps):
        return common
    common.written.add(None)  # not by the error of a run that fails, either
    return replace(common, stdout_is_taken=True)


class UnknownFormat(UsageError):
    """A format that the command does not have."""


def check_formats(common: CommonOptions, *documents: str) -> None:
    """Refuse unknown formats and unwritable files before any work; raises UsageError."""
    known = {name for document in documents for name in FORMATS[document]}
    for output in common.outputs:
        if output.name not in known:
            raise UnknownFormat(
                f"format '{output.name}' is not supported by this command",
                hint=did_you_mean(output.name, known) or f"one of {', '.join(sorted(known))}",
            )
    for output in common.outputs:
        if output.file is not None and capturing() is None:
            check_file(target_file(output.file, "target"))


def check_file(path: Path) -> None:
    """Refuse an unwritable file before any work; raises UsageError."""
    _refuse_link(path)
    try:
        try_write(path)
    except OSError as error:
        raise unwritable(str(path), error) from None


def _refuse_link(path: Path) -> None:
    """In CI, refuse a link that leads out of the checkout: a proposal may hold it."""
    named = Path(os.path.abspath(path))  # noqa: PTH100 - follows no link
    checkout = next(reversed(checkouts_of(named.parent)), None) if in_ci() else None
    if checkout is not None and not real_path(named).is_relative_to(real_path(checkout)):
        raise UsageError(
            f"{path} is behind a link that leads out of the checkout {checkout}",
            hint="write to a file outside the checkout, or remove the link first",
        )


def show(common: CommonOptions, document: str, content: object, view: View | None = None) -> None:
    """Write the result in each requested format that this document has."""
    prefix = "" if common.state.is_absolute() else common.state.as_posix()
    view = replace(view or View(), color=common.color, width=width(), prefix=prefix)
    view = replace(view, target=target_name(common))
    for output in common.outputs:
        render = FORMATS[document].get(output.name)
        if render is None:
            continue
        file = _file_of(output)
        if output.name == "metrics" and file is not None:
            view = replace(view, earlier=_earlier(file))
        text = render(content, replace(view, color=False) if file else view)
        if output.name in {"text", "markdown"}:
            text = with_options(text, common.again)
        if text and not text.endswith("\n"):
            text += "\n"
        _deliver(common, output, text)
    note_document(document, content, view)


def _file_of(output: Output) -> Path | None:
    """Where it is written; a name with `{target}` is one per target."""
    turn = current()
    return output.file and target_file(output.file, turn.name if turn else "")


def _deliver(common: CommonOptions, output: Output, text: str) -> None:
    """Write a document, or keep it where several clusters have their turn at once."""
    file, turn = _file_of(output), capturing()
    if turn is not None:
        turn.keep(output.name, output.file, text)
    elif file is not None and output.file is not None:
        write_file(file, text)
        common.written.add(output.file)
    elif common.stdout_is_taken:
        write_err(text)
    else:
        common.written.add(None)
        print_document(text)
        if output.name == "nagios":
            from reconciler.render.nagios import state_of

            common.plugin.append(state_of(text))


def show_if_possible(
    common: CommonOptions, document: str, content: object, view: View | None = None
) -> None:
    """As `show`, but a failure to write is only a warning."""
    for output in common.outputs:
        try:
            show(replace(common, outputs=(output,)), document, content, view)
        except UsageError as error:
            info(common, f"warning: the {document} could not be written: {error.summary}")


def _earlier(path: Path) -> str:
    """The content of a metrics file before it is replaced; "" if it cannot be read."""
    try:
        return read_bounded(path, regular=True).decode("utf-8", "replace")
    except OSError:
        return ""


def target_name(common: CommonOptions) -> str:
    """What metrics and notices call the cluster of this run."""
    turn = current()
    if turn is not None and turn.name and (turn.captured or means_several(common.on)):
        return turn.name
    return common.on or "default"


def width() -> int:
    """The width of the terminal; 100 columns where there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def write_file(path: Path, text: str | bytes, *, private: bool = False) -> None:
    """Write a file atomically, `private` with mode 0600; raises UsageError with the reason."""
    _refuse_link(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = text if isinstance(text, bytes) else text.encode(errors="backslashreplace")
        atomic_write(path, raw, private=private)
    except OSError as error:
        raise unwritable(str(path), error) from None


def target_file(path: Path, target: str) -> Path:
    """The file of one target, for a name with `{target}`."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in target)
    return Path(str(path).replace("{target}", safe))


def print_document(text: str) -> None:
    """A result on standard output; raises UsageError where it cannot be written."""
    try:
        write_out(text)
    except OSError as error:
        raise unwritable("standard output", error) from None


def unwritable(what: str, error: OSError) -> UsageError:
    """The error for an output that cannot be written."""
    return UsageError(
        f"{what} cannot be written: {error.strerror or error}",
        hint="free some space, or choose another file with --format NAME=FILE or --out FILE",
    )


def result(text: str) -> None:
    """One line of the result on standard output."""
    turn = capturing()
    if turn is not None:
        turn.keep("text", None, text + "\n")
    else:
        print_document(text + "\n")


def info(common: CommonOptions, text: str, **fields: object) -> None:
    """One line on standard error; nothing with --quiet."""
    if common.quiet:
        return
    line = with_options(text, common.again) if "pvectl " in text else text
    if common.log_format == "json":
        line = json.dumps({"message": line, **fields}, sort_keys=True)
    write_err(clean(line) + "\n")


def print_error(
    error: PvectlError, *, as_json: bool, color: bool, again: Sequence[str] = ()
) -> None:
    """Print an error with its code, hint and findings on standard error.

    `again`: options that the commands in it need to use the same cluster.
    """
    write_err(_words(error, as_json=as_json, color=color, again=again))


def error_words(common: CommonOptions, error: PvectlError) -> str:
    """The same as text."""
    as_json = common.log_format == "json"
    return _words(error, as_json=as_json, color=common.color, again=common.again)


def _words(error: PvectlError, *, as_json: bool, color: bool, again: Sequence[str]) -> str:
    from reconciler.render.documents.findings import error_text

    if as_json:
        content = {
            "error": error.code,
            "message": with_options(error.summary, again),
            "hint": with_options(error.hint, again),
            "findings": [finding.to_json() for finding in error.findings],
            "exit_status": int(error.exit_status),
        }
        return json.dumps(content, sort_keys=True) + "\n"
    return with_options(error_text(error, color=color), again)
