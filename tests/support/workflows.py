"""The shell lines of the shipped GitHub workflows, with those of our own action in their places."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
OWN = "OWNER/pvectl/action@"


class Job(NamedTuple):
    """What a CI job runs, and its environment, as the example file says."""

    script: str
    env: dict[str, str]


def jobs(workflow: Path, known: Mapping[str, str]) -> Iterator[tuple[str, Job]]:
    """The jobs of a workflow; `known` are the values of `${{ }}`, others are empty."""
    for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
        steps = [part for step in job["steps"] for part in _shell(step, known)]
        env = {key: filled(str(value), known) for key, value in job.get("env", {}).items()}
        yield name, Job("\n".join(steps), env)


def filled(text: str, known: Mapping[str, str]) -> str:
    """With the values of `${{ NAME }}`."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known.get(found[1], ""), text)


def _shell(step: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[str]:
    if step.get("uses", "").startswith(OWN):
        yield from _action(step.get("with", {}), known)
    elif "run" in step:
        yield f"(set -e\n{_exported(step, known)}{filled(step['run'], known)}\n)"


def _exported(step: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """What sets the step's own environment."""
    env = {key: filled(str(value), known) for key, value in step.get("env", {}).items()}
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in env.items())


def _action(given: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """The steps of our action that run for these inputs, with pvectl installed."""
    action = yaml.safe_load((ROOT / "action" / "action.yml").read_text())
    assert given.keys() <= action["inputs"].keys()
    inputs = {name: str(one["default"]) for name, one in action["inputs"].items()}
    inputs |= {name: filled(str(value), known) for name, value in given.items()}
    inputs["version"] = "installed"
    values = {**known, **{f"inputs.{name}": value for name, value in inputs.items()}}
    status = "pvectl_status"
    yield f"{status}=0"
    for step in action["runs"]["steps"]:
        if "run" not in step or not _applies(step.get("if", ""), inputs):
            continue  # actions of others set up Python, and keep what was written
        own = f"export GITHUB_ACTION_PATH={shlex.quote(str(ROOT / 'action'))}\n"
        yield f"({own}{_exported(step, values)}{step['run']}) || {status}=$?"
    yield f"(exit ${status})"


def _applies(condition: str, inputs: Mapping[str, str]) -> bool:
    for name, operator, value in re.findall(r"inputs\.(\w+) (==|!=) '(\w*)'", condition):
        if (inputs[name] == value) is not (operator == "=="):
            return False
    return True
