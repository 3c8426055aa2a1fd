"""What PVE skips in the files of the folder, by file and line."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.inventory import Unread
from reconciler.sandbox.config import cronfile
from reconciler.sandbox.config.jobcfg import JOB_FILE
from reconciler.sandbox.config.realmcfg import REALM_FILE
from reconciler.sandbox.config.sections import Note, parse
from reconciler.sandbox.config.storagecfg import STORAGE_FILE
from reconciler.sandbox.config.store import Store


def unread(store: Store) -> Sequence[Unread]:
    """In the order of the lines; without values of secrets."""
    found: list[Unread] = []

    def into(file: str) -> Note:
        def note(line: int, text: str, *, blocks: bool = False) -> None:
            found.append(Unread(file, line, text, blocks))

        return note

    found += [Unread("user.cfg", line, text) for line, text in store.passed_over()]
    cronfile.parse(store.read(cronfile.FILE), into(cronfile.FILE))
    for file in (REALM_FILE, STORAGE_FILE, JOB_FILE):
        parse(file, store.read(file.name), into(file.name))
    return tuple(sorted(dict.fromkeys(found)))
