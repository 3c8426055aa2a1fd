"""grants.toml, kept in step with the run that makes or ends a grant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.cli.terminal.output import unwritable, write_file
from reconciler.desired.grants import FILE, finished, started, undone
from reconciler.desired.reach import in_ci
from reconciler.errors import PvectlError, UsageError
from reconciler.model.grant import GrantChange


def read_grants(path: Path) -> str:
    """The text of grants.toml, "" where there is none; raises UsageError."""
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        wrong = error if isinstance(error, OSError) else OSError(0, "it is not UTF-8")
        raise unwritable(str(path), wrong) from None


class GrantsFile:
    """Written before the first request of a run, and once more before the run is closed; so it
    declares a grant whenever it may be active, also after a crash. Each may be done twice."""

    def __init__(self, change: GrantChange, tell: Callable[[str], None]) -> None:
        self.change, self._tell = change, tell
        self._path = Path(change.path)

    def to_json(self) -> Mapping[str, Any]:
        """As the journal keeps it."""
        return self.change.to_json()

    def begin(self) -> None:
        """Raises UsageError where the file cannot be written: then nothing is sent."""
        if self._path.name != FILE:
            raise UsageError(f"{self._path} is not a {FILE}", hint="nothing was written")
        self._write(started)

    def finish(self) -> None:
        self._try(finished)

    def undo(self) -> None:
        self._try(undone)

    def _try(self, edit: Callable[[str, GrantChange], str]) -> None:
        """The run has done its work; reports that the file lags behind."""
        try:
            if self._path.name == FILE and self._path.parent.is_dir():
                self._write(edit)
                return
            why = f"there is no {self._path}"
        except PvectlError as error:
            why = error.summary
        self._tell(f"{why}; correct it by hand: it is about {self.change.during}")

    def _write(self, edit: Callable[[str, GrantChange], str]) -> None:
        if in_ci() and self._path.is_symlink():  # whoever proposed it, after the run had started
            raise UsageError(f"{self._path} is a link", hint="nothing was written to it")
        text = read_grants(self._path)
        wanted = edit(text, self.change)
        if not wanted and not self.change.existed:
            self._path.unlink(missing_ok=True)
        elif wanted != text:
            write_file(self._path, wanted)
