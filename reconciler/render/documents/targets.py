"""The targets of pvectl.toml, for people and for a CI that gives each of them a job."""

from __future__ import annotations

import json as plain
from collections.abc import Sequence
from typing import NamedTuple

from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.sanitize import clean

FORMAT = 1


class TargetRow(NamedTuple):
    """`wave`: in which wave of [rollout] `apply` takes it, from 1."""

    name: str
    endpoint: str
    wave: int


def text(rows: Sequence[TargetRow], view: View) -> str:
    """One name per line, so that a shell can take the line of its number."""
    del view
    return "".join(f"{clean(row.name)}\n" for row in rows)


def json(rows: Sequence[TargetRow], view: View) -> str:
    """For programs."""
    del view
    return document("targets", FORMAT, {"targets": [row._asdict() for row in rows]})


def github(rows: Sequence[TargetRow], view: View) -> str:
    """For `strategy.matrix` of GitHub Actions, through `fromJSON`."""
    del view
    include = [{"target": row.name, "wave": row.wave} for row in rows]
    return plain.dumps({"include": include}, separators=(",", ":")) + "\n"


def gitlab(rows: Sequence[TargetRow], view: View) -> str:
    """A child pipeline of GitLab: one job per target, each of which extends `.pvectl`.

    JSON is YAML, and quotes every name.
    """
    del view
    waves = sorted({row.wave for row in rows})
    jobs = {
        f"wave {wave}": {
            "extends": ".pvectl",
            "stage": f"wave {wave}",
            "parallel": {"matrix": [{"PVECTL_ON": [row.name for row in rows if row.wave == wave]}]},
        }
        for wave in waves
    }
    pipeline = {
        "include": [{"local": ".gitlab/pvectl.yml"}],
        "stages": [f"wave {wave}" for wave in waves],
        **jobs,
    }
    return plain.dumps(pipeline, indent=2) + "\n"
