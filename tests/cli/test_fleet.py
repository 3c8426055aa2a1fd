"""Several clusters at once: one summary, one document, waves, and nobody who waits for others."""

from __future__ import annotations

import csv
import io
import json
import socket
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.cli.trusted_targets import require_trusted
from reconciler.cli.turn import Turn, taking
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import ExitStatus, UntrustedTarget
from reconciler.live.http.client import BESIDE_OTHERS
from reconciler.render.json_schemas import schema_of
from tests.cli.in_process import ask
from tests.support.command import trust
from tests.support.fleet import Fleet, fleet

NAMES = ("canary", "east", "west")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, NAMES, '[rollout]\nwaves = [["canary"], ["*"]]\n') as made:
        yield made


def rows(text: str) -> dict[str, list[str]]:
    """The summary: target -> its other cells."""
    lines = text.split("\n\n", maxsplit=1)[0].splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert cells[0] == ["target", "changes", "findings", "access", "exit status"]
    return {row[0]: row[1:] for row in cells[1:]}


def test_the_summary_comes_first_and_then_each_cluster_in_order(three: Fleet) -> None:
    ended = three.run("plan", "--on", "all", "--jobs", 2)
    assert ended.status == ExitStatus.OK, ended.err
    found = rows(ended.out)
    assert list(found) == list(NAMES)
    assert found["east"] == ["4", "3 notes", "anna@pve gains", "0 ok"]
    heads = [line for line in ended.out.splitlines() if line.startswith("== ")]
    assert heads == [f"== {name} ==" for name in NAMES]
    assert "To apply: pvectl apply --on west" in ended.out


def test_a_glob_selects_some_and_must_match(three: Fleet) -> None:
    assert list(rows(three.run("plan", "--on", "*st").out)) == ["east", "west"]
    wrong = three.run("plan", "--on", "x*")
    assert wrong.status == ExitStatus.USAGE
    assert "canary, east, west" in wrong.err


def test_one_that_fails_does_not_hold_the_others(three: Fleet) -> None:
    three.shut_out("east")
    ended = three.run("drift", "--on", "all", "--format", "json", "--quiet")
    assert ended.status == ExitStatus.UNREACHABLE
    found = json.loads(ended.out)
    assert not list(Draft202012Validator(schema_of("fleet")).iter_errors(found))
    status = {row["target"]: row["status"] for row in found["summary"]}
    assert status == {"canary": 2, "east": 7, "west": 2}
    assert found["targets"]["east"]["error"] == "E_AUTH"
    assert found["targets"]["west"]["kind"] == "drift"
    assert ended.err.count("target east:") == 1


def test_one_that_never_answers_costs_its_own_time_out(three: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen()
        settings = three.state / "pvectl.toml"
        text = settings.read_text().replace(
            f'endpoint = "{three.served["east"].url}"',
            f'endpoint = "https://127.0.0.1:{silent.getsockname()[1]}"\nconnect_timeout = 1',
        )
        settings.write_text(text)
        trust(three.state, three.folder / "home")
        begin = time.monotonic()
        ended = three.run("plan", "--on", "all", "--format", "json", "--quiet")
        asked = _accepted(silent)
    status = {row["target"]: row["status"] for row in json.loads(ended.out)["summary"]}
    assert status == {"canary": 0, "east": 7, "west": 0}
    assert "no answer in time" in ended.err
    assert time.monotonic() - begin < 20
    assert 1 <= asked <= BESIDE_OTHERS  # one round, and nothing is tried again


def _accepted(server: socket.socket) -> int:
    """How many connections wait to be accepted."""
    server.settimeout(0)
    accepted = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            accepted += 1
    return accepted


def test_one_document_holds_all_or_each_has_its_own(three: Fleet) -> None:
    formats = ("text", "markdown", "json", "sarif", "junit", "metrics")
    files = [word for name in formats for word in ("--format", f"{name}=all.{name}")]
    ended = three.run("plan", "--on", "all", *files, "--format", "json={target}.json")
    assert ended.status == ExitStatus.OK, ended.err
    assert rows(ended.err)  # where no text goes to standard output
    text = {name: (three.folder / f"all.{name}").read_text() for name in formats}
    assert rows(text["text"])
    assert text["markdown"].count("<details><summary>") == 3
    whole = json.loads(text["json"])
    for name in NAMES:
        assert json.loads((three.folder / f"{name}.json").read_text()) == whole["targets"][name]
    runs = json.loads(text["sarif"])["runs"]
    assert [run["automationDetails"]["id"] for run in runs] == [f"{name}/" for name in NAMES]
    suites = [suite.get("name", "") for suite in ET.fromstring(text["junit"])]  # noqa: S314
    assert [name.partition(":")[0] for name in suites] == list(NAMES)
    samples = [line for line in text["metrics"].splitlines() if "plan_requests{" in line]
    assert [line.split('"')[1] for line in samples] == list(NAMES)
    assert text["metrics"].count("# TYPE pvectl_plan_requests") == 1


def test_reviews_of_several_clusters_are_one_table(three: Fleet) -> None:
    ended = three.run("report", "--on", "all", "--format", "csv", "--out", "of/{target}")
    found = list(csv.DictReader(io.StringIO(ended.out)))
    assert {row["target"] for row in found} == set(NAMES)
    (earlier,) = (three.folder / "of" / "east").glob("access-review-east-*.json")
    since = earlier.relative_to(three.folder).as_posix()
    both = three.run("report", "--on", "*a*", "--since", since.replace("east", "{target}"))
    assert both.out.count("no difference") == 2, both.err
    of_one = three.run("report", "--on", "all", "--since", since)
    assert "an earlier review is that of one target" in of_one.err
    html = three.run("report", "--on", "all", "--format", "html")
    assert html.status == ExitStatus.USAGE
    assert "{target}" in html.err


def test_the_baseline_and_what_a_cluster_has_otherwise(three: Fleet) -> None:
    own = three.state / "own"
    own.mkdir()
    (own / "access.toml").write_text(
        '[role.Looks]\nprivileges = ["VM.Audit"]\n[role.Own]\nprivileges = ["VM.Audit"]\n'
    )
    settings = three.state / "pvectl.toml"
    east = 'vars = { site = "east" }\n'
    settings.write_text(settings.read_text().replace(east, f'{east}folder = "own"\n'))
    text = three.run("plan", "--on", "all", "--format", "markdown").out
    assert "Baseline: 4 objects that most of the targets declare" in text
    table = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5
    }
    assert table["canary"][:2] == ["4", "group.ops"]
    assert table["east"][2] == "role.Own"
    assert "group.ops" in table["east"][3]


def test_a_wave_begins_when_the_one_before_ended_well(three: Fleet) -> None:
    three.shut_out("canary")
    ended = three.run("apply", "--yes", "--on", "all")
    assert ended.status == ExitStatus.UNREACHABLE
    assert rows(ended.out)["east"][-1] == "not started"
    assert "not started: east and west" in ended.err
    assert "group:ops" not in (three.cluster("east") / "user.cfg").read_text()


def test_the_next_wave_begins_anyway_with_continue(three: Fleet) -> None:
    three.shut_out("canary")
    ended = three.run("apply", "--yes", "--continue", "--on", "all")
    assert ended.status == ExitStatus.UNREACHABLE
    assert rows(ended.out)["east"] == ["4", "3 notes", "anna@pve gains", "0 ok"]
    for name in ("east", "west"):
        assert f"group:ops:anna@pve:site {name}:" in (three.cluster(name) / "user.cfg").read_text()
    assert "east: [1/4] create group ops" in ended.err


def test_who_must_be_asked_is_asked_cluster_after_cluster(three: Fleet) -> None:
    ended = three.run("apply", "--on", "all")
    assert ended.status == ExitStatus.USAGE
    assert "target canary:" in ended.err
    assert "skipped, because this wave failed" in ended.err


def test_a_saved_plan_is_for_one_cluster(three: Fleet) -> None:
    saved = three.run("plan", "--on", "east", "--out", "plan.json")
    assert saved.status == ExitStatus.OK, saved.err
    assert three.run("apply", "plan.json", "--on", "all").status == ExitStatus.USAGE


def test_variables_of_one_cluster_are_no_advice_for_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    table = 'endpoint = "https://pve:8006"\ntoken_id = "a@pve!b"\ntoken_secret = { file = "s" }\n'
    (tmp_path / "pvectl.toml").write_text(f"[target.a]\n{table}[target.b]\n{table}")
    (cluster,) = read_settings(tmp_path, None).select("a")
    for captured in (True, False):
        with taking(Turn("a", captured=captured)), pytest.raises(UntrustedTarget) as refused:
            require_trusted(cluster)
        assert "PVECTL_SETTINGS" in refused.value.hint
        assert ("PVECTL_ENDPOINT" in refused.value.hint) != captured
    for on, trusted in (("all", "all"), ("[ab]", "'[ab]'"), ("*", "a")):
        if on == "*":
            (tmp_path / "pvectl.toml").write_text(
                f"[target.a]\n{table}[target.b]\n{table}"
                f'[target.c]\nendpoint = "sandbox:{tmp_path}/none"\n'
            )
        told = ask("plan", "--on", on, "--format", "json", state=tmp_path).err
        assert told.count("error E_UNTRUSTED_TARGET: ") == 1, told
        assert f"once: pvectl trust --state {tmp_path} --on {trusted}\n" in told
        assert ("targets a, b (commands are for a):" in told) == (on == "*"), told
