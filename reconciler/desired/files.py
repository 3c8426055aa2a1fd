"""Where state files are read from: the disk, or another store."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from reconciler.desired.toml.document import TomlDocument, decode, read
from reconciler.errors import UsageError
from reconciler.model.finding import Finding
from reconciler.real_path import real_path

SETTINGS_FILE = "pvectl.toml"


class Files(Protocol):
    """Reads folders and files of TOML."""

    def names(self, folder: Path) -> list[str]:
        """The names of the `*.toml` of a folder, sorted; none where there is no such folder."""

    def read(self, path: Path, file: str) -> tuple[TomlDocument, list[Finding]]:
        """One file, called `file` in findings; that it cannot be read is one."""


class FilesOnDisk:
    """The files as they are now."""

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.glob("*.toml"))

    def read(self, path: Path, file: str) -> tuple[TomlDocument, list[Finding]]:
        return read(path, file)


DISK = FilesOnDisk()


class Besides(FilesOnDisk):
    """The files as they are now, and others in their place."""

    def __init__(self, others: Mapping[Path, bytes]) -> None:
        self.others = {real_path(path): content for path, content in others.items()}

    def names(self, folder: Path) -> list[str]:
        own = {path.name for path in self.others if path.parent == real_path(folder)}
        return sorted({*super().names(folder), *own})

    def read(self, path: Path, file: str) -> tuple[TomlDocument, list[Finding]]:
        content = self.others.get(real_path(path))
        return super().read(path, file) if content is None else decode(content, file)


def state_files(folder: Path, files: Files = DISK) -> list[Path]:
    """The state files of a folder itself, sorted by name: every `*.toml` but pvectl.toml and
    hidden ones. Raises UsageError when there is no such folder."""
    if files is DISK and not folder.is_dir():
        raise UsageError(
            f"there is no state folder {folder}",
            hint="create it with `pvectl init`, or choose another with `--state DIR`",
        )
    return [folder / name for name in files.names(folder) if is_state_file(name)]


def is_state_file(name: str) -> bool:
    """Whether a file of a state folder holds tables of objects."""
    return name.endswith(".toml") and name != SETTINGS_FILE and not name.startswith(".")


def matching(pattern: Path, files: Files) -> list[Path]:
    """The files that are named: one, or those that a glob in the last part matches."""
    names = files.names(pattern.parent)
    if any(sign in pattern.name for sign in "*?["):
        names = [name for name in names if is_state_file(name)]
        return [pattern.parent / name for name in names if fnmatchcase(name, pattern.name)]
    return [pattern] if pattern.name in names else []
