"""The command lines of the documents are run, and their tables are read, as a reader would.

The tutorial is typed word for word elsewhere. Here a cluster as it leaves it stands for the
reader's own; lines that begin with a server or a person are named with how they end.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from reconciler.desired.loader import load
from reconciler.desired.settings.settings import read_settings, settings_keys
from reconciler.errors import ExitStatus
from reconciler.model.finding import Finding, Severity
from reconciler.sandbox.fresh import create
from tests.cli.in_process import ask
from tests.support.transcript import blocks
from tests.test_documented import DOCUMENTS, ROOT
from tests.test_documents_as_typed import LINES, TABLES, inline

TUTORIAL = ROOT / "docs" / "tutorial.md"
ELSEWHERE = {ROOT / "CHANGELOG.md", ROOT / "examples" / "three-nodes" / "README.md"}
OK, CHANGES = ExitStatus.OK, ExitStatus.CHANGES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lab`, a cluster, and `state`, its files, as at the end of the tutorial."""
    folder = tmp_path_factory.mktemp("documents")
    create(folder / "lab", ["pve1", "pve2"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PVECTL_HOME", str(folder / "home"))
        patch.setenv("PVECTL_ON", "sandbox:lab")
        assert ask("import").status == OK
        for block in blocks(TUTORIAL):
            if block.kind == "toml":
                (folder / block.title).write_text(block.body)
        assert ask("apply", "--yes").status == OK
    return folder


def drills(folder: Path) -> None:
    (folder / "state" / "pvectl.toml").write_text(
        '[drill]\nids = "9900-9999"\nstorage = "local-lvm"\n'
    )


def reviewed(folder: Path) -> None:
    """There is a review of August."""
    assert ask("report", "--format", "json=reviews/access-review-2026-08-01.json").status == OK


def several(folder: Path) -> None:
    lines = (f'[target.{name}]\nendpoint = "sandbox:{folder}/lab"\n' for name in ("one", "two"))
    (folder / "state" / "pvectl.toml").write_text("".join(lines))


def terraformed(folder: Path) -> None:
    (folder / "terraform.tfstate").write_text(TERRAFORM)


def recorded(folder: Path) -> None:
    """The run of the tutorial has the name that the guide shows."""
    (journal,) = (folder / "home").rglob("*.jsonl")
    journal.rename(journal.with_name("20261129T205716.761837Z-18030.jsonl"))


TERRAFORM = """{"version": 4, "resources": [{"mode": "managed", "name": "dev", "type":
"proxmox_virtual_environment_pool", "instances": [{"attributes": {"pool_id": "web"}}]}]}"""

PREPARED: Mapping[str, Callable[[Path], None]] = {
    "docs/access-review.md": reviewed,
    "docs/drills.md": drills,
    "docs/fleet.md": several,
    "docs/guides/recovery.md": recorded,
    "docs/guides/terraform-and-ansible.md": terraformed,
}
"""What a document has had its reader do before."""

OTHERWISE = {
    "drill --guest 101": (ExitStatus.BLIND, "no good archive"),
    "rotate 'backup@pve!nightly'": (ExitStatus.USAGE, "cannot prompt"),
    "init --endpoint https://pve01.example.com:8006 --token-id 'automation@pve!pvectl' "
    "--ca-file pve-root-ca.pem": (ExitStatus.USAGE, "is already a state folder"),
    "rollback 20261129T205716.761837Z-18030.jsonl": (ExitStatus.USAGE, "cannot prompt"),
    "notify --settings /etc/pvectl/settings.toml": (ExitStatus.USAGE, "there is no settings file"),
}
"""Lines that come to an end before they have done what they are for, and what they say."""

HERE = {
    "SNAPSHOT": "lab",
    "FOLDER": "examples/fresh-pve",
    "/var/lib/node_exporter/": "",
    "ctl@pve!backup": "backup@pve!nightly",
}
"""What a document leaves to its reader -> what it is here."""


@pytest.mark.parametrize(
    "path",
    [path for path in dict.fromkeys(path for path, _ in LINES) if path != TUTORIAL],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_command_line_does_what_it_is_for(
    path: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(model, tmp_path / "reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PVECTL_HOME", str(folder / "home"))
    monkeypatch.setenv("PVECTL_ON", "sandbox:lab")
    monkeypatch.setenv("LDAP_BIND_PASSWORD", "correct-horse-battery")
    PREPARED.get(str(path.relative_to(ROOT)), lambda folder: None)(folder)
    for line in (" ".join(line.split()) for of, line in LINES if of == path):
        if line.startswith("sandbox "):
            continue  # serves until it is stopped: tests/cli/test_sandbox.py
        typed = line
        for text, instead in HERE.items():
            typed = typed.replace(text, instead)
        status, said = OTHERWISE.get(line, (OK, ""))
        ended = ask(*shlex.split(typed))
        assert ended.status in {status, CHANGES if status is OK else status}, (line, ended)
        assert said in ended.err, (line, ended)


IN_TEXT = {
    line: path
    for path in (*DOCUMENTS, *sorted((ROOT / "reconciler" / "pages").glob("*.md")))
    if path not in ELSEWHERE
    for line in inline(path)
    if line.split()[0] in {"explain", "kinds", "resume", "show", "status", "who-can"}
}
"""What running text says, of commands that take little time; `three-nodes` has its own test."""

PLACEHOLDERS = {
    "CODE": "LINT_ORPHAN",
    "FILE": "plan.json",
    "JOB": "weekly",
    "KIND": "user",
    "NAME": "one",
    "NODE": "pve1",
    "PATH": "/vms/100",
    "POOL": "web",
    "PRIV": "VM.Audit",
    "STORAGE": "local",
    "WHO": "backup@pve!nightly",
    "alice@ldap": "alice@pve",
    "terraform@pve!ci": "backup@pve!nightly",
}
"""What the text leaves to its reader -> what it is here."""


def test_what_the_text_says_does_what_it_is_for(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(model, tmp_path / "reader")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PVECTL_HOME", str(folder / "home"))
    monkeypatch.setenv("PVECTL_ON", "sandbox:lab")
    with (folder / "state" / "b.toml").open("a") as file:
        file.write('[backup.weekly]\nstorage = "local"\nschedule = "sat 02:30"\nall = true\n')
    assert ask("plan", "--out", "plan.json").status == OK
    assert len(IN_TEXT) > 20
    for line, path in IN_TEXT.items():
        typed = re.sub(r"\b[A-Za-z!@]+\b", lambda word: PLACEHOLDERS.get(word[0], word[0]), line)
        ended = ask(*shlex.split(typed))
        assert ended.status == OK, (path.name, typed, ended)


BESIDE = {"b.toml": "[group.ops]\n", "baseline/team.toml": "", "../shared/roles.toml": ""}
"""Files that tables of the documents speak of."""


def errors(findings: Iterable[Finding]) -> list[str]:
    return [f"{one.code} {one.message}" for one in findings if one.severity is Severity.ERROR]


@pytest.mark.parametrize(("path", "body"), TABLES, ids=lambda one: getattr(one, "stem", ""))
def test_every_table_is_read_without_an_error(
    path: Path, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    state = tmp_path / "state"
    state.mkdir()
    if tomllib.loads(body).keys() <= settings_keys() - {"rule"} or "/settings.toml" in body:
        (tmp_path / "settings.toml").write_text(body)
        (tmp_path / "pve-root-ca.pem").touch()
        found = read_settings(state, tmp_path / "settings.toml").findings
    else:
        for name, text in BESIDE.items():
            (state / name).parent.mkdir(exist_ok=True)
            (state / name).write_text(text)
        (state / "a.toml").write_text(body)
        found = load(state, variables={"teams": ["red"]}).findings
    assert errors(found) == []


def test_the_examples_of_permissions_are_decided_as_they_say(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "permissions.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", document, re.S)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.toml").write_text(example)
    rows = re.findall(r"^\| `(\S+) (\S+) (\S+)` \| (yes|no) \|", document, re.M)
    assert len(rows) == 6
    for *asked, wanted in rows:
        ended = ask("explain", *asked, "--from-files", state=tmp_path / "state")
        assert ended.out.startswith(f"{wanted.capitalize()}: "), ended
