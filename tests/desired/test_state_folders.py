"""The state folders that come with pvectl are valid, well laid out, and plan as they say."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.loader import load
from reconciler.desired.schema.state_schema import schema, settings_schema
from reconciler.desired.settings.settings import read_settings
from reconciler.desired.toml.formatter import format_text
from reconciler.live.reader import read_live
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.finding import Severity
from reconciler.planning.changes.diff import diff

ROOT = Path(__file__).parents[2]
FOLDERS = sorted({path.parent for path in ROOT.glob("examples/*/pvectl.toml")} | {ROOT / "state"})
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.toml"))


def desired(folder: Path) -> Desired:
    settings = read_settings(folder)
    (cluster,) = settings.select(environ={})
    return load(cluster.folder, variables=cluster.variables, settings=settings)


def as_json(value: Any) -> Any:
    """Editors see dates as texts."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_has_no_mistakes(folder: Path) -> None:
    found = desired(folder)
    assert [f for f in found.findings if f.severity is Severity.ERROR] == []
    assert found.objects


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_file_is_formatted_and_fits_the_schema(file: Path) -> None:
    text = file.read_text()
    assert format_text(text) == text
    wanted = settings_schema() if file.name == SETTINGS_FILE else schema()
    Draft202012Validator.check_schema(wanted)
    errors = Draft202012Validator(wanted).iter_errors(as_json(tomllib.loads(text)))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[role.R]\nprivileges = ["VM.Monitor"]', "role.R.privileges.0"),
        ('[user."a@pve"]\nenable = true', "user.a@pve"),
        ('[user."a@pve".token.t1]\nprivsep = "no"', "user.a@pve.token.t1.privsep"),
        ("[acl]\nroles = []", "acl"),
        ("[rol.R]", ""),
        ('[backup.b]\nschedule = "1:00"\nmode = "snapshoot"', "backup.b.mode"),
        ('[backup.b]\nschedule = "1:00"\ncompress = "zip"', "backup.b.compress"),
        ('[backup.b]\nschedule = "1:00"\nionice = 9', "backup.b.ionice"),
        ('[storage.s]\ncontent = ["image"]', "storage.s.content"),
        ("[storage.s]\nbwlimit = { clones = 1 }", "storage.s.bwlimit"),
        ('[realm.r]\nmode = "tls"', "realm.r.mode"),
    ],
)
def test_the_schema_refuses_what_is_wrong(text: str, path: str) -> None:
    errors = Draft202012Validator(schema()).iter_errors(tomllib.loads(text))
    assert path in [".".join(map(str, error.absolute_path)) for error in errors]


@pytest.mark.parametrize("wanted", [schema(), settings_schema()], ids=["state", "settings"])
def test_every_property_is_described(wanted: dict[str, Any]) -> None:
    tables = {"": wanted, **wanted["$defs"]}
    rows = [
        (f"{name}.{key}", one)
        for name, table in tables.items()
        for key, one in table.get("properties", {}).items()
    ]
    assert len(rows) > 30
    assert [name for name, one in rows if not one.get("description")] == []


def plan(name: str, folder: str, cassette_api: Callable[[str], Api]) -> list[str]:
    wanted = desired(ROOT / folder)
    kinds = sorted({address.kind for address in wanted.objects})
    live = read_live(cassette_api(name), kinds, {})
    found = diff(wanted, live.state, now=0)
    assert [f for f in found.findings if f.severity is Severity.ERROR] == []
    return [f"{change.action} {change.address}" for change in found.changes]


def test_the_state_of_the_demo_is_made_on_a_fresh_cluster(
    cassette_api: Callable[[str], Api],
) -> None:
    made = plan("reading-fresh", "state", cassette_api)
    assert [line for line in made if line.split()[1].partition(".")[0] in ACCESS] == [
        "create acl./storage/local|token:felhom-ctl@pve!ctl|FelhomSelfBackup",
        "create acl./storage/local|user:felhom-ctl@pve|FelhomSelfBackup",
        "create acl./vms/9001|token:felhom-ctl@pve!ctl|FelhomSelfBackup",
        "create acl./vms/9001|user:felhom-ctl@pve|FelhomSelfBackup",
        "create role.FelhomSelfBackup",
        "create token.felhom-ctl@pve!ctl",
        "create user.felhom-ctl@pve",
    ]


ACCESS = {"acl", "role", "user", "group", "token"}


@pytest.mark.parametrize(
    ("name", "folder"),
    [("reading-self-backup", "state"), ("reading-team", "examples/team-access")],
)
def test_where_it_is_applied_already_nothing_is_left_to_do(
    name: str, folder: str, cassette_api: Callable[[str], Api]
) -> None:
    assert plan(name, folder, cassette_api) == []
