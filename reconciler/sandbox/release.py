"""Which release of Proxmox VE the sandbox answers as: `sandbox.json` in its folder.

    {
      "version": "10.0.1",
      "privileges": ["VM.Teleport"],
      "roles": {"PVETeleporter": ["VM.Teleport"]}
    }

Everything may be left out. `version` is that of a known release, or of one of the future, which is
then like the newest; `privileges` are more than it has, and `roles` are built-in roles that it has
besides, or that hold something else there.
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
"""What /version answers where nothing else is asked for; recordings have it."""


class Answers(NamedTuple):
    """`version`: as /version spells it."""

    version: str
    release: Release


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: str = Field(default=NEWEST_VERSION, pattern=r"^[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$")
    privileges: list[str] = []
    roles: dict[str, list[str]] = {}


def answers_of(folder: Path, version: str = "") -> Answers:
    """What `sandbox.json` says, with this version instead of its own where one is given; raises
    UsageError for a file or a version that is not understood."""
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
