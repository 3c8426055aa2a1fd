"""Output that cannot be written, closed streams, a terminal that goes away: none decides a run."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.support.command import PVECTL, Ended, environment

GROUPS = "".join(f'[group."g{number}"]\n' for number in range(4))


def shell(site: Site, line: str, env: Mapping[str, str] | None = None) -> Ended:
    """`pvectl` in a shell line, in which `$P` is the command; the streams are the line's."""
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=site.folder,
        env=environment({**site.env, "P": PVECTL, **(env or {})}),
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def is_declared(site: Site) -> bool:
    return site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


@pytest.mark.parametrize(
    "streams",
    ["2>/dev/full", "2>&-", ">/dev/full", ">&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"],
)
def test_streams_that_take_nothing_stop_no_run(site: Site, streams: str) -> None:
    site.write("a.toml", GROUPS)
    ended = shell(site, f'"$P" apply --yes {streams}')
    assert ended.status == ExitStatus.OK, ended
    assert is_declared(site)


@pytest.mark.parametrize("fault", ["", "; exit 1"])
def test_a_reader_of_the_progress_that_goes_away_stops_no_run(site: Site, fault: str) -> None:
    site.write("a.toml", GROUPS)
    ended = shell(site, f'{{ "$P" apply --yes; echo $? >status; }} 2>&1 | (head -1{fault})')
    assert ended.status in {0, 1}
    assert (site.folder / "status").read_text() == "0\n"
    assert is_declared(site)


def test_with_closed_streams_a_failing_run_takes_everything_back(site: Site) -> None:
    site.write(
        "a.toml",
        GROUPS + '[user."new@pve".token.t1]\nsecret_to = { command = ["false"] }\n'
        '[user."new@pve"]\n',
    )
    assert site.run("apply", "--yes").status == ExitStatus.RESTORED
    before = site.cluster_files()  # in Proxmox VE's normal form by now
    for streams in ("2>/dev/full", "<&- >&- 2>&-"):
        ended = shell(site, f'"$P" apply --yes {streams}')
        assert ended.status == ExitStatus.RESTORED, ended
        assert site.cluster_files() == before


def test_ascii_only_streams_get_escaped_text(site: Site) -> None:
    site.write("a.toml", '[group.ops]\ncomment = "Größe"\n')
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    ended = shell(site, '"$P" apply --yes --format text --format json', ascii_only)
    assert ended.status == ExitStatus.OK, ended
    assert is_declared(site)


def test_a_report_that_standard_output_does_not_take_is_a_warning(site: Site) -> None:
    site.write("a.toml", GROUPS)
    assert site.run("plan", "--out", "plan.json").status == ExitStatus.OK
    ended = shell(site, '"$P" apply plan.json >/dev/full')
    assert ended.status == ExitStatus.OK, ended
    assert (
        "warning: the report could not be written: standard output cannot be written" in ended.err
    )
    assert is_declared(site)


def test_a_plan_that_standard_output_does_not_take_is_an_error(site: Site) -> None:
    site.write("a.toml", GROUPS)
    ended = shell(site, '"$P" plan >/dev/full')
    assert ended.status == ExitStatus.USAGE
    assert "standard output cannot be written: No space left on device" in ended.err


@pytest.mark.parametrize("file", ["there/is/no", "state"])
def test_a_report_file_is_tried_before_the_first_step(site: Site, file: str) -> None:
    (site.folder / "there").write_text("a file, no folder")
    site.write("a.toml", GROUPS)
    ended = site.run("apply", "--yes", "--format", f"json={file}")
    assert ended.status == ExitStatus.USAGE, ended
    assert f"{file} cannot be written" in ended.err
    assert site.untouched


def test_a_report_file_that_goes_away_meanwhile_is_a_warning(site: Site) -> None:
    (site.folder / "out").mkdir()
    command = f"rmdir {site.folder}/out; touch {site.folder}/out"
    site.write(
        "a.toml",
        f'[user."new@pve"]\n[user."new@pve".token.t1]\n'
        f'secret_to = {{ command = ["sh", "-c", "{command}"] }}\n',
    )
    ended = site.run("apply", "--yes", "--format", "json=out/report.json")
    assert ended.status == ExitStatus.OK, ended
    assert "warning: the report could not be written: out/report.json" in ended.err


@pytest.mark.parametrize("option", ["--format=json=", "--out="])
def test_pipes_links_and_devices_stay_what_they_are(site: Site, option: str) -> None:
    site.write("a.toml", GROUPS)
    pipe, link, real = (site.folder / name for name in ("pipe", "link", "real"))
    os.mkfifo(pipe)
    link.symlink_to("real")
    assert shell(site, f'cat pipe >got & "$P" plan {option}pipe; wait').status == ExitStatus.OK
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert (site.folder / "got").read_text().startswith("{")
    assert site.run("plan", f"{option}link").status == ExitStatus.OK
    assert link.is_symlink()
    assert real.read_text().startswith("{")
    before = Path("/dev/null").lstat()
    assert site.run("plan", f"{option}/dev/null").status == ExitStatus.OK
    assert Path("/dev/null").lstat().st_ino == before.st_ino
    full = site.run("plan", f"{option}/dev/full")
    assert (full.status, "No space left on device" in full.err) == (64, True)


def test_with_nohup_a_hung_up_terminal_stops_nothing(site: Site) -> None:
    site.write(
        "a.toml",
        '[user."new@pve"]\n[user."new@pve".token.t1]\n'
        'secret_to = { command = ["sh", "-c", "kill -HUP $PPID"] }\n',
    )
    assert shell(site, "trap '' HUP; \"$P\" apply --yes").status == ExitStatus.OK
    assert is_declared(site)
