"""`include = [...]`: which files are read besides those of the state folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.desired.files import SETTINGS_FILE, Files, matching
from reconciler.desired.reach import OUT_OF_REACH, Reach, how_to_allow, leads_out
from reconciler.desired.size_limits import MOST_INCLUDED, too_large
from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import wrong_type
from reconciler.model.finding import Finding, Severity
from reconciler.real_path import real_path

INCLUDE = "include"
EACH = "each"

DEEPEST_INCLUDE = 10
"""Files that include each other in a row."""


@dataclass(slots=True)
class Includes:
    """The files of one reading; each is read once, however often it is named."""

    folder: Path
    reach: Reach | None
    files: Files
    findings: list[Finding] = field(default_factory=list)
    included: dict[Path, TomlDocument] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """The included files as seen from the state folder, sorted."""
        return sorted(map(self._label, self.included))

    def state_file(self, path: Path) -> TomlDocument | None:
        """A file of the state folder itself, unless it leads where it may not."""
        line = self.reach.outside(path) if self.reach is not None else ""
        if line:
            self.findings.append(leads_out(path.name, line))
            return None
        document, findings = self.files.read(path, path.name)
        self.findings += findings
        return document

    def named(
        self, document: TomlDocument, names: Any, within: Sequence[Path]
    ) -> Iterator[tuple[Path, TomlDocument]]:
        """The files that `include = names` of a document means. `within`: those that include
        each other down to this one."""
        node = document.child(document.root, INCLUDE)
        if not isinstance(names, list):
            what = 'a list, as in include = ["baseline/*.toml"]'
            self.findings.append(wrong_type(document, node, f"'{INCLUDE}'", what, names))
            return
        for number, name in enumerate(names):
            place = document.child(node, number)
            if not isinstance(name, str):
                what = f"element {number + 1} of '{INCLUDE}'"
                self.findings.append(wrong_type(document, place, what, "a string", name))
                continue
            for path in self._paths(document, place, name, within):
                if len(within) > DEEPEST_INCLUDE:
                    message = f"files include each other more than {DEEPEST_INCLUDE} deep"
                    self._wrong(document, place, message, "include them from fewer files")
                elif path in within:
                    way = [*within[within.index(path) :], path]
                    message = "files include each other in a circle: " + " -> ".join(
                        self._label(one) for one in way
                    )
                    self._wrong(document, place, message, "remove one of these includes")
                elif self._read(document, place, path):
                    yield path, self.included[path]

    def _paths(
        self, document: TomlDocument, place: PositionNode, name: str, within: Sequence[Path]
    ) -> list[Path]:
        """The real paths of what one name stands for; what is wrong with it is a finding."""
        pattern = within[-1].parent / name
        problem = _problem(name)
        if not problem and self._is_out_of_reach(document, place, pattern):
            return []  # not even which files there are
        found = [] if problem else matching(pattern, self.files)
        own = dict.fromkeys(self._own(), "is already read as a state file")
        own[real_path(self.folder) / SETTINGS_FILE] = "holds the settings"
        paths = [real_path(path) for path in found]
        if problem:
            self._wrong(document, place, *problem)
        elif not found:
            message = f"no file matches {self._label(pattern)}"
            self._wrong(document, place, message, "paths are relative to the file that names them")
        for path in paths:
            if path in own:
                message = f"{self._label(path)} {own[path]}"
                hint = "keep included files in a subfolder, such as baseline/"
                self._wrong(document, place, message, hint)
        return [path for path in paths if path not in own]

    def _own(self) -> list[Path]:
        return [real_path(self.folder) / name for name in self.files.names(self.folder)]

    def _read(self, document: TomlDocument, place: PositionNode, path: Path) -> bool:
        """Whether an included file may be read, and is."""
        if path in self.included:
            return True
        label, source = self._label(path), document.source(place)
        if self._is_out_of_reach(document, place, path):
            return False
        if len(self.included) >= MOST_INCLUDED:
            message = f"more than {MOST_INCLUDED} files are included"
            self.findings.append(too_large(message, "merge some of them", source))
            return False
        self.included[path], findings = self.files.read(path, label)
        self.findings += findings
        return True

    def _is_out_of_reach(self, document: TomlDocument, place: PositionNode, path: Path) -> bool:
        """Whether state files may not name a file; that is a finding then."""
        line = self.reach.outside(path) if self.reach is not None else ""
        if line:
            message = f"{self._label(path)} is outside what state files may reach; it is not read"
            source = document.source(place)
            self.findings.append(
                Finding(OUT_OF_REACH, Severity.ERROR, message, how_to_allow(line), source=source)
            )
        return bool(line)

    def _label(self, path: Path) -> str:
        """How findings call a file: as seen from the state folder."""
        return Path(os.path.relpath(path, real_path(self.folder))).as_posix()

    def _wrong(self, document: TomlDocument, place: PositionNode, message: str, hint: str) -> None:
        source = document.source(place)
        self.findings.append(Finding("INCLUDE", Severity.ERROR, message, hint, source=source))


def _problem(name: str) -> tuple[str, str] | None:
    """What is wrong with the name itself."""
    if "${" in name:
        return "variables are not expanded in the paths of include", "write the path without "
        "variables"
    if not name.endswith(".toml"):
        return f"'{name}' is not a TOML file", 'name files, as in include = ["baseline/*.toml"]'
    if name.startswith("~"):
        return f"'{name}' would be a different file for each user", "write an absolute path"
    if any(sign in str(Path(name).parent) for sign in "*?["):
        return f"'{name}' has a glob in a folder's name", "use * and ? in the file's name only"
    return None
