"""Where this machine keeps what it knows: in one place, and open to nobody else."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from reconciler.cli.run.runner import whoami
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution import private_folder
from reconciler.execution.journal.store import home
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.site import Site
from tests.execution.worlds import build

NOBODY = 54_321
"""A user id that the system has no entry for."""


def test_an_account_without_a_name_is_told_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    api = SandboxApi(build(tmp_path / "pve"))
    assert whoami(api).owner.startswith(f"uid {NOBODY}@")


def test_home_never_depends_on_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        home({"PVECTL_HOME": "runs"})
    assert f"PVECTL_HOME={Path('runs').absolute()}" in refused.value.hint
    assert home({"HOME": "/home/ops"}) == Path("/home/ops/.local/state/pvectl")
    assert home({"HOME": "/home/ops", "XDG_STATE_HOME": "x"}) == home({"HOME": "/home/ops"})
    assert home({"HOME": ""}).is_absolute()
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    with pytest.raises(UsageError, match="has no home folder"):
        home({"HOME": ""})


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_every_folder_on_the_way_is_closed_to_others(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_folder.make(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "journal"
    private_folder.make(folder)
    folder.parent.chmod(0o755)
    private_folder.check(folder.parent, folder)
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_what_another_account_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "home"
    journal = top / "journal" / "pve" / "1.jsonl"
    private_folder.make(journal.parent)
    journal.write_text("")
    private_folder.check(top, journal.parent)
    private_folder.check_file(journal)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(UsageError, match=f"{top} belongs to user id {owner}"):
        private_folder.check(top, journal.parent)
    with pytest.raises(UsageError, match="belongs to user id"):
        private_folder.check_file(journal)


def test_links_are_not_followed_and_no_one_else_may_replace_the_folder(tmp_path: Path) -> None:
    top = tmp_path / "home"
    folder = top / "journal" / "pve"
    private_folder.make(folder)
    (tmp_path / "precious").write_text("kept")
    (folder / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match="lock is a link"):
        private_folder.check(top, folder)
    (folder / "lock").unlink()
    top.parent.chmod(0o777)
    with pytest.raises(UsageError, match="is writable by every account"):
        private_folder.check(top, folder)


def test_a_planted_link_stops_every_command_before_anything_is_written(
    site: Site, tmp_path: Path
) -> None:
    site.write("a.toml", "[group.g1]\n")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    home_folder = site.folder / "home"
    (folder,) = (home_folder / "journal").iterdir()
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(precious)
    site.write("a.toml", "[group.g1]\n[group.g2]\n")
    before = site.cluster_files()
    for command in (["apply", "--yes"], ["resume"], ["drift"], ["status"]):
        refused = site.run(*command)
        assert refused.status == ExitStatus.USAGE, refused
        assert "lock is a link" in refused.err
    assert precious.read_text() == "kept"
    assert site.cluster_files() == before


def test_the_report_kept_for_the_next_drift_is_for_its_owner_only(site: Site) -> None:
    assert site.run("drift").status == ExitStatus.OK
    (kept,) = (site.folder / "home").rglob("drift.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_secret_that_everybody_can_read_is_reported(site: Site) -> None:
    """Its own mode and those of all folders above decide; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        outside = Path(name)
        (outside / "token").write_text(site.env.pop("PVECTL_TOKEN_SECRET"))
        (outside / "pw").write_text("a long password\n")
        site.write(
            "pvectl.toml",
            (site.state / "pvectl.toml").read_text()
            + f'token_secret = {{ file = "{outside}/token" }}\n',
        )
        site.trust()
        site.write("a.toml", f'[user."a@pve"]\npassword = {{ file = "{outside}/pw" }}\n')
        for mode, folder, told in (
            (0o644, 0o755, True),
            (0o600, 0o755, False),
            (0o644, 0o700, False),
        ):
            (outside / "token").chmod(mode)
            (outside / "pw").chmod(mode)
            outside.chmod(folder)
            ended = site.run("plan")
            assert ended.status == ExitStatus.OK, ended
            for file in ("token", "pw"):
                words = f"every account of this machine can read the secret in {outside}/{file}"
                assert (words in " ".join(ended.out.split())) is told
                assert (f"chmod 600 {outside}/{file}" in ended.out) is told


def test_reviews_are_for_whoever_made_them(site: Site) -> None:
    before = os.umask(0)
    try:
        assert site.run("report", "--out", "reviews").status == ExitStatus.OK
    finally:
        os.umask(before)
    found = list((site.folder / "reviews").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    for path in found:
        path.chmod(0o640)
    assert site.run("report", "--out", "reviews").status == ExitStatus.OK
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o640}, "as somebody made it"


def test_no_core_dump_is_left(site: Site) -> None:
    """Of pvectl itself, or of a program that gets a secret from it: both have the same limit."""
    site.write(
        "a.toml",
        '[user."a@pve"]\n[user."a@pve".token.tok]\n'
        f'secret_to = {{ command = ["sh", "-c", "ulimit -c > {site.folder}/limit"] }}\n',
    )
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert (site.folder / "limit").read_text() == "0\n"


def test_programs_get_none_of_our_own_secrets(site: Site) -> None:
    secret = site.env.pop("PVECTL_TOKEN_SECRET")
    site.env |= {
        "OWN": secret,
        "OTHER": "kept",
        "PVECTL_PROBE_SECRET": "c4n4ry-1",
        "PVECTL_PROXY": "none",
        "PVECTL_SANDBOX_ROOT_PASSWORD": "c4n4ry-2",
    }
    text = (site.state / "pvectl.toml").read_text()
    site.write("pvectl.toml", f'{text}token_secret = {{ env = "OWN" }}\n')
    site.trust()
    site.write(
        "a.toml",
        '[user."a@pve"]\npassword = { command = ["sh", "-c", "env > ../printed; echo 12345678"] }\n'
        '[user."a@pve".token.tok]\nsecret_to = { command = ["sh", "-c", "env > ../taken"] }\n',
    )
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.OK, ended
    for name in ("printed", "taken"):
        found = (site.folder / name).read_text()
        assert "OTHER=kept" in found
        assert not [one for one in (secret, "c4n4ry", "OWN=", "PVECTL_PROXY") if one in found]


STATE = """
[user."u@pve"]
password = { file = "secrets/u" }

[user."u@pve".token.tok]
secret_to = { file = "secrets/tok" }

[storage.nas]
type = "cifs"
server = "192.0.2.1"
share = "backup"
username = "pve"
password = { file = "secrets/u" }
"""


def _documented() -> dict[str, int]:
    """Pattern below $PVECTL_HOME -> mode, as SECURITY.md says."""
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (0\d{3}) \|", text, re.M)
    return {name.replace("CLUSTER", "*"): int(mode, 8) for name, mode in rows}


def test_what_is_on_the_disk_is_documented_with_its_mode(site: Site) -> None:
    site.target()
    site.write("people.toml", STATE)
    (site.state / "secrets").mkdir(mode=0o700)
    (site.state / "secrets" / "u").write_text("a long password\n")
    (site.state / "secrets" / "u").chmod(0o600)
    before = os.umask(0)
    try:
        assert site.run("apply", "--yes").status == ExitStatus.OK
        assert site.run("drift").status == ExitStatus.OK
    finally:
        os.umask(before)
    known = _documented()
    seen = set()
    for path in site.home.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
            continue
        name = path.relative_to(site.home).as_posix()
        (pattern,) = [one for one in known if fnmatchcase(name, one)]
        assert mode == known[pattern], name
        seen.add(pattern)
    assert known.keys() - seen == {"journal/*/*.reserve"}, "there only while a run lasts"
    assert stat.S_IMODE((site.state / "secrets" / "tok").stat().st_mode) == 0o600


def test_a_file_that_goes_while_the_folder_is_checked_is_not_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the temporary file of another run does when it takes the place of the old one."""
    (tmp_path / "clusters.json.new").touch()
    scandir = os.scandir

    @contextmanager
    def late(part: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(part) as found:
            entries = list(found)
        (tmp_path / "clusters.json.new").unlink()
        yield entries

    monkeypatch.setattr(os, "scandir", late)
    private_folder.check(tmp_path, tmp_path)
