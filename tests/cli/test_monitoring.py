"""Alert rules, dashboard and units use what pvectl writes, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model.recoverability import Freshness
from reconciler.render import FORMATS
from reconciler.render.view import View
from tests.render.payloads import documents

EXAMPLES = Path(__file__).parents[2] / "examples"
ALERTS = yaml.safe_load((EXAMPLES / "monitoring" / "alerts.yml").read_text())
DASHBOARD = json.loads((EXAMPLES / "monitoring" / "dashboard.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
UNITS = sorted((EXAMPLES / "systemd").glob("pvectl-*"))


def _queries() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Name of a metric -> its labels, as every document of a small cluster writes them."""
    shown = documents(tmp_path_factory.mktemp("metrics"))
    found: dict[str, set[str]] = {}
    for name, formats in FORMATS.items():
        for one in shown[name] if "metrics" in formats else ():
            text = formats["metrics"](one.content, View(now=1764000000))
            for metric, labels in re.findall(r"^(pvectl_\w+)\{(.*)\} ", text, re.M):
                found.setdefault(metric, set()).update(re.findall(r"(\w+)=\"", labels))
    return found


@pytest.mark.parametrize(("where", "query"), list(_queries()), ids=lambda text: text[:30])
def test_every_metric_and_label_is_written(
    where: str, query: str, written: dict[str, set[str]]
) -> None:
    names = set(re.findall(r"\bpvectl_\w+", query))
    assert names, where
    assert names <= written.keys()
    labels = {
        one.strip() for some in re.findall(r"by \(([^)]*)\)", query) for one in some.split(",")
    }
    labels |= set(re.findall(r"[{,](\w+)[=!]~?\"", query))
    known = set().union(*(written[name] for name in names))
    assert labels - {"instance", "cluster"} <= known
    assert query.count("(") == query.count(")")
    assert query.count("{") == query.count("}")


def test_every_state_that_alarms_has_its_alert() -> None:
    states = {state for _, query in _queries() for state in re.findall(r'state=~"([^"]+)"', query)}
    assert states == {"|".join(one.value for one in Freshness if one.alarms)}


def test_alert_rules_are_whole() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            assert all(label in one for one in kept), rule["alert"]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["type"] in {"stat", "table", "timeseries", "bargauge"}
    asked = set(re.findall(r"\$(\w+)", json.dumps(panels))) | {"datasource"}
    assert asked == {variable["name"] for variable in DASHBOARD["templating"]["list"]}


def _of_unit(path: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", path.read_text(), re.M)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_units_are_valid_and_closed(tmp_path: Path) -> None:
    program = tmp_path / "pvectl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace("/usr/bin/pvectl", str(program)))
    names = [str(tmp_path / path.name) for path in UNITS]
    checked = _analyze("verify", "--man=no", *names)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    for name in names:
        if name.endswith(".service"):
            judged = _analyze("security", "--offline=true", "--threshold=25", name)
            assert judged.returncode == 0, judged.stdout


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_units_differ_only_in_what_they_run() -> None:
    services: list[Any] = [path for path in UNITS if path.suffix == ".service"]
    assert len(services) == 2
    for path in services:
        assert path.with_suffix(".timer") in UNITS
        assert _of_unit(path, "User") == ["pvectl"]
    shared = [
        [
            line
            for line in path.read_text().partition("Environment")[2].splitlines()
            if not line.startswith("ExecStart")
        ]
        for path in services
    ]
    assert shared[0] == shared[1]
