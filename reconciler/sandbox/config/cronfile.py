"""vzdump.cron, where backup jobs were kept before jobs.cfg; PVE still reads and changes them. A job
has no name there: its id is the SHA-1 of the file and the number of its line among the jobs, so
writing the file changes the ids of all jobs that remain in it. PVE source: PVE::VZDump::Common
(`parse_vzdump_cron_config`, `write_vzdump_cron_config`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.pve.backup_options import VZDUMP_OPTIONS
from reconciler.pve.formats import split_list
from reconciler.pve.parameter_check import complaint
from reconciler.pve.property_strings import render_properties
from reconciler.sandbox.config.jobcfg import PROPERTIES, parse_all_properties
from reconciler.sandbox.config.perltext import file_bytes, file_text
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import ApiError, died

FILE = "vzdump.cron"
ALL_DAYS = "mon,tue,wed,thu,fri,sat,sun"

Note = Callable[[int, str], None]
"""(line, what is skipped)"""

_DAYS = ALL_DAYS.split(",")
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)"
_JOB = re.compile(r"(\d+)\s+(\d+)\s+\*\s+\*\s+(\S+)\s+root\s+(?:/\S+/)?(#)?vzdump(?:\s+(.*))?")
_ENTRY = re.compile(r"\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+\S.*")
_HEAD = """# cluster wide vzdump cron schedule
# Automatically generated file - do not edit

PATH="/usr/sbin:/usr/bin:/sbin:/bin"

"""


@dataclass(slots=True)
class CronFile:
    """The jobs by id, with their options as in jobs.cfg; `rest`: lines that PVE keeps without
    parsing them."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)


def _unnoticed(_line: int, _text: str) -> None:
    """Never called."""


def parse(raw: bytes, note: Note = _unnoticed) -> CronFile:
    """The file; `note` is called for lines that PVE does not recognise as jobs."""
    found = CronFile()
    # This digest is part of PVE's ids and not a security measure.
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    for number, line in enumerate(file_text(raw).split("\n"), 1):
        if line.startswith("#") or not line.strip() or re.match(r"PATH\s*=", line):
            continue
        job = _JOB.fullmatch(line)
        try:
            if job is None:
                raise died("it is not a vzdump job at a time of the day")
            values = _job(job)
        except (ApiError, ValueError) as refusal:
            note(number, f"this line: {str(refusal).strip()}")
            if _ENTRY.fullmatch(line):
                found.rest.append(line)
        else:
            found.jobs[f"{digest}:{len(found.jobs) + 1}"] = values
    return found


def _job(line: re.Match[str]) -> dict[str, Any]:
    values = _options(shlex.split(line[5] or ""))
    days = _days(line[3])
    time = f"{int(line[2]):02d}:{int(line[1]):02d}"
    values["enabled"] = int(line[4] is None)
    values["schedule"] = time if len(days) == len(_DAYS) else f"{','.join(days)} {time}"
    return values


def _options(words: list[str]) -> dict[str, Any]:
    """The arguments of `vzdump`; raises PVE's complaint about an unknown one."""
    values: dict[str, Any] = {}
    guests: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            guests.append(word)
            continue
        key, given, value = word.lstrip("-").partition("=")
        param = VZDUMP_OPTIONS.get(key)
        if param is None:
            raise died(f"Unknown option: {key}")
        if not given:
            bare = param.type == "boolean" and (not words or words[0].startswith("-"))
            value = "1" if bare or not words else words.pop(0)
        if param.type == "array":
            values.setdefault(key, []).append(value)
            continue
        if param.format.endswith("-list") and key in values:
            value = f"{values[key]},{value}"
        refusal = complaint(param, value)
        if refusal:
            raise died(f"{key}: {refusal}")
        values[key] = int(value) if param.type in ("boolean", "integer") else value
    if guests:
        values["vmid"] = ",".join(guests)
    parse_all_properties(values)
    return values


def _days(text: str) -> list[str]:
    """Crontab's days of the week in the order of the week; raises PVE's complaint."""
    chosen: set[str] = set()
    for part in split_list("1-7" if text == "*" else text.lower()):
        span = re.fullmatch(rf"{_DAY}-{_DAY}", part)
        if part == "1-7":
            chosen.update(_DAYS)
        elif span:
            chosen.update(_DAYS[_DAYS.index(span[1]) : _DAYS.index(span[2]) + 1])
        elif part in _DAYS:
            chosen.add(part)
        elif re.fullmatch(r"[0-7]", part):
            chosen.add(_DAYS[(int(part) - 1) % 7])
        else:
            raise died(f"unable to parse day of week '{text}'")
    return [day for day in _DAYS if day in chosen]


def render(cron: CronFile) -> bytes:
    """The file as PVE writes it: `quiet` is set for every job."""
    lines = [_line({**values, "quiet": 1}) for values in cron.jobs.values()]
    return file_bytes(_HEAD + "".join(f"{line}\n" for line in [*lines, *cron.rest]))


def _line(values: dict[str, Any]) -> str:
    days, _, time = str(values["schedule"]).rpartition(" ")
    hour, _, minute = time.partition(":")
    numbers = ",".join(str(_DAYS.index(day) + 1) for day in split_list(days)) or "*"
    off = "" if values["enabled"] else "#"
    words = ["vzdump", *split_list(str(values.get("vmid") or ""))]
    for key, value in values.items():
        if key not in ("vmid", "enabled", "schedule"):
            words += _arguments(key, value)
    return f"{int(minute)} {int(hour)} * * {numbers:<11} root {off}{' '.join(words)}"


def _arguments(key: str, value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = render_properties(PROPERTIES[key], {part: str(one) for part, one in value.items()})
    for one in value if isinstance(value, list) else [value]:
        if str(one) != "":
            yield f"--{key} {shlex.quote(str(one))}"


def cron_jobs(store: Store) -> dict[str, dict[str, Any]]:
    """id -> values, shared between callers: read-only."""
    return store.parsed(FILE, parse).jobs
