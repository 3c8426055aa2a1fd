"""The release of Proxmox VE that the sandbox emulates: `sandbox.json` in its folder.

    {
      "version": "10.0.1",
      "privileges": ["VM.Teleport"],
      "roles": {"PVETeleporter": ["VM.Teleport"]}
    }

All keys are optional. `version` is that of a known release, or of a future one, which then behaves
like the newest; `privileges` are added to those of the release, and `roles` are additional built-in
roles, or replace its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.errors import UsageError
from reconciler.pve.release import NEWEST, Release, known_releases, short_version

FILE = "sandbox.json"
NEWEST_VERSION = "9.2.11"
"""The default answer of /version, as in the recordings."""


class Answers(NamedTuple):
    """`version`: as returned by /version."""

    version: str
    release: Release


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: str = Field(default=NEWEST_VERSION, pattern=r"^[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$")
    privileges: list[str] = []
    roles: dict[str, list[str]] = {}


def answers_of(folder: Path, version: str = "") -> Answers:
    """The release in `sandbox.json`, or this version instead if given; raises UsageError for an
    invalid file or version."""
    path = folder / FILE
    try:
        given = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if version:
            given = {**given, "version": version}
        file = _File.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise _not_understood(path, version, f"{key}: {problem['msg']}") from None
    except (OSError, ValueError, OverflowError, TypeError) as error:
        raise _not_understood(path, version, str(error)) from None
    return Answers(file.version, _release(file))


def _not_understood(path: Path, version: str, why: str) -> UsageError:
    what = f"--release {version}" if version else str(path)
    return UsageError(
        f"{what} is not understood: {why}",
        hint='as in --release 8.4, or {"version": "8.4.1"} in ' + FILE,
    )


def _release(file: _File) -> Release:
    short = short_version(file.version)
    base = NEWEST if short == NEWEST.version else known_releases().get(short, NEWEST)
    more = {*file.privileges, *(name for held in file.roles.values() for name in held)}
    roles = {**base.roles, **{name: frozenset(held) for name, held in file.roles.items()}}
    if more:
        roles["Administrator"] = base.privileges | more
    return NEWEST if short == NEWEST.version and not more else Release(short, roles)
