"""Accounts that a directory makes: granted to, never adopted, never made again in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import Ended

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "directory-sync"
SYNCED = (
    ("group:operators-corp::", "group:operators-corp:carol@corp,dave@corp:"),
    ("user:root@pam", "user:carol@corp:1:0::::::\nuser:dave@corp:1:0::::::\nuser:root@pam"),
)
"""What the first run of the job makes of user.cfg."""


class Company:
    def __init__(self, folder: Path) -> None:
        self.pve = shutil.copytree(ROOT / "examples" / "fresh-pve", folder / "pve")
        self.state = shutil.copytree(EXAMPLE, folder / "state")

    def run(self, *words: object) -> Ended:
        return ask(*words, on=self.pve, state=self.state)

    def edit(self, *pairs: tuple[str, str]) -> None:
        path = self.pve / "user.cfg"
        text = path.read_text()
        for old, new in pairs:
            assert old in text, text
            text = text.replace(old, new, 1)
        path.write_text(text)


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LDAP_BIND_PASSWORD", "correct-horse-battery")
    company = Company(tmp_path)
    applied = company.run("apply", "--yes")
    assert applied.status == ExitStatus.OK, applied
    return company


def test_the_example_works_from_the_first_sync_on(company: Company) -> None:
    assert company.run("drift", "--acknowledge").status == ExitStatus.CHANGES, (
        "root@pam has a token"
    )
    company.edit(*SYNCED)
    for command in ("plan", "drift"):
        ended = company.run(command)
        assert ended.status == ExitStatus.OK, ended
        assert "UNDECLARED_MEMBER" not in ended.out
    company.edit(("carol@corp,dave@corp", "dave@corp"), ("user:carol@corp:1:0::::::\n", ""))
    planned = company.run("plan", "--detailed-exitcode")
    assert planned.status == ExitStatus.OK, planned
    assert company.run("drift").status == ExitStatus.OK


def test_a_user_who_left_the_directory_is_not_silently_recreated(company: Company) -> None:
    entry = '[[acl]]\ngroups = ["new-corp"]\nroles = ["PVEAuditor"]\npaths = ["/"]\n'
    (company.state / "people.toml").write_text(f'[user."carol@corp"]\n{entry}')
    told = " ".join(company.run("plan").out.split())
    assert "declare group.new-corp, and the sync of realm corp fills it" in told
    (company.state / "people.toml").write_text('[user."carol@corp"]\n')
    planned = company.run("plan")
    assert planned.status == ExitStatus.REFUSED, planned
    assert "would be created again: has it left the directory?" in planned.out.replace(
        "\n     ", ""
    )
    allowed = company.run("plan", "--allow", "LEFT_DIRECTORY=user.carol@corp")
    assert allowed.status == ExitStatus.OK, allowed
    company.edit(*SYNCED)
    assert company.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_import_leaves_them_to_the_directory(company: Company, tmp_path: Path) -> None:
    company.edit(*SYNCED)
    imported = company.run("import", "--out", tmp_path / "imported")
    assert imported.status == ExitStatus.OK, imported
    files = {path.name: path.read_text() for path in (tmp_path / "imported").glob("*.toml")}
    text = "".join(text for name, text in files.items() if name != "pvectl.toml")
    assert "carol@corp" not in text
    assert "[group.operators-corp]" not in text
    assert 'groups = ["operators-corp"]' in text
    assert 'exclude = ["*@corp"]' in files["pvectl.toml"]
    assert "# Users, groups and memberships of corp" in files["pvectl.toml"]
    company.state = tmp_path / "imported"
    for command in (("plan", "--detailed-exitcode"), ("drift",)):
        ended = company.run(*command)
        assert ended.status == ExitStatus.OK, ended


def test_settings_with_a_manage_table_are_left_as_they_are(company: Company) -> None:
    for path in company.state.glob("*.toml"):
        if path.name != "pvectl.toml":
            path.unlink()
    before = (company.state / "pvectl.toml").read_text()
    imported = company.run("import")
    assert imported.status == ExitStatus.OK, imported
    assert "has a [manage] table: make sure it contains" in imported.err
    assert (company.state / "pvectl.toml").read_text() == before
