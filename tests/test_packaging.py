"""What is published beside the package: its README, its container, the set-ups for CI."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGET = re.compile(r"\]\(([^)]+)\)")
WORKFLOWS = sorted(
    path
    for path in (*ROOT.glob("examples/ci/**/*.yml"), *ROOT.glob(".github/workflows/*.yml"))
    if "runs-on:" in path.read_text()
)
PIPELINES = sorted(
    path for path in ROOT.glob("examples/ci/**/*.yml") if "CI_PIPELINE_SOURCE" in path.read_text()
)


def test_the_readme_is_readable_without_the_repository() -> None:
    if (ROOT / "PKG-INFO").exists():  # a source distribution: its README is made readable already
        assert [one for one in TARGET.findall(README) if not one.startswith("https://")] == []
        return
    absolute = runpy.run_path(str(ROOT / "packaging" / "links.py"))["absolute"]
    url = "https://git.example.com/acme/pvectl"
    linked = TARGET.findall(absolute(README, url, "v1.0.0"))
    assert len(linked) == len(TARGET.findall(README)) > 20
    assert [one for one in linked if not one.startswith(f"{url}/blob/v1.0.0/")] == []
    alone = absolute(README, "", "")
    assert TARGET.findall(alone) == []
    assert "complete configurations" in alone
    assert "pull requests" in alone


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint is installed on Linux only")
def test_the_container_file_is_clean() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, ROOT / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def schema(name: str) -> Any:
    """One of those that check-jsonschema ships."""
    folder = files("check_jsonschema.builtin_schemas") / "vendor"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def mistakes(document: Any, wanted: Any) -> list[str]:
    # `on` is a boolean in YAML 1.1
    if isinstance(document, dict) and True in document:
        document["on"] = document.pop(True)
    checker = validator_for(wanted)(wanted)
    return [f"{error.json_path}: {error.message[:200]}" for error in checker.iter_errors(document)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_fits_its_schema_and_ends(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert mistakes(document, schema("github-workflows")) == []
    endless = [name for name, job in document["jobs"].items() if "timeout-minutes" not in job]
    assert endless == []


def test_the_action_fits_its_schema() -> None:
    document = yaml.safe_load((ROOT / "action" / "action.yml").read_text())
    assert mistakes(document, schema("github-actions")) == []


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.parent.name)
def test_a_pipeline_fits_its_schema(path: Path) -> None:
    """The head of a component, `spec`, is a document of its own."""
    *_, document = yaml.safe_load_all(path.read_text())
    assert mistakes(document, schema("gitlab-ci")) == []


@pytest.mark.parametrize(
    "name", ["github/apply.yml", "gitlab/pvectl.yml", "forgejo/pvectl.yml", "jenkins/Jenkinsfile"]
)
def test_a_set_up_answers_what_is_asked_first(name: str) -> None:
    """Where new secrets go, where the journal is, and how a reviewer lets one refusal pass."""
    head = re.sub(r"\s*\n(?:#|//) ?", " ", (ROOT / "examples" / "ci" / name).read_text())
    for answer in (r"secrets go", r"never into the (checkout|workspace)", r"journal", r"allow"):
        assert re.search(answer, head), answer
    assert re.search(r"PVECTL_HOME (holds the journal and )?must persist", head)
