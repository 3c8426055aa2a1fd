"""pvectl.toml and the environment say where the cluster is and what may be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.settings.settings import Settings, read_settings
from reconciler.errors import UsageError
from reconciler.model.policy import Mode
from reconciler.model.secret import SecretRef

ONE = """
[target]
endpoint = "https://pve01.example.com:8006"
token_id = "automation@pve!pvectl"
"""
TWO = """
[target.lab]
endpoint = "https://lab.example.com"
token_id = "automation@pve!pvectl"
vars = { vmid = 9001 }
[target.prod]
endpoint = ["https://p1.example.com", "https://p2.example.com"]
username = "root@pam"
password = { env = "ROOT" }
folder = "prod"
"""
FINGERPRINT = ":".join(["AB"] * 32)


def settings(folder: Path, text: str) -> Settings:
    (folder / "prod").mkdir(exist_ok=True)
    (folder / "ca.pem").touch()
    (folder / "pvectl.toml").write_text(text)
    return read_settings(folder)


def test_no_file_means_careful_defaults(tmp_path: Path) -> None:
    found = read_settings(tmp_path)
    assert found.findings == ()
    assert found.policy.managed("acl").mode is Mode.OWNED
    (cluster,) = found.select(environ={})
    with pytest.raises(UsageError, match="no cluster"):
        cluster.connection()


def test_one_target(tmp_path: Path) -> None:
    (cluster,) = settings(tmp_path, ONE).select(environ={})
    assert cluster.connection().endpoints == ("https://pve01.example.com:8006",)
    assert cluster.connection().actor == "automation@pve!pvectl"
    assert (cluster.folder, cluster.secret) == (tmp_path, None)


def test_paths_count_from_the_settings(tmp_path: Path) -> None:
    text = ONE + 'ca_file = "ca.pem"\ntoken_secret = { file = "s" }\n'
    (cluster,) = settings(tmp_path, text).select(environ={})
    assert cluster.connection().ca_file == str(tmp_path / "ca.pem")
    assert cluster.secret == SecretRef(file=str(tmp_path / "s"))
    (sandbox,) = settings(tmp_path, '[target]\nendpoint = "sandbox:etc"\n').select(environ={})
    assert sandbox.connection().sandbox_folder == str(tmp_path / "etc")


def test_several_targets_are_chosen_by_name(tmp_path: Path) -> None:
    found = settings(tmp_path, TWO)
    assert found.findings == ()
    (lab,) = found.select("lab", {})
    (prod,) = found.select("prod", {})
    assert (lab.folder, lab.variables) == (tmp_path, {"vmid": 9001})
    assert (prod.folder, prod.secret) == (tmp_path / "prod", SecretRef(env="ROOT"))
    assert [cluster.name for cluster in found.select("all", {})] == ["lab", "prod"]


@pytest.mark.parametrize(
    ("on", "hint"), [(None, "--on NAME"), ("lap", "did you mean lab?"), ("x", "lab, prod")]
)
def test_an_unclear_choice_says_what_there_is(tmp_path: Path, on: str | None, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(tmp_path, TWO).select(on, {})
    assert hint in caught.value.hint


def test_a_sandbox_can_be_chosen_directly(tmp_path: Path) -> None:
    text = ONE + "vars = { vmid = 1 }\n"
    (cluster,) = settings(tmp_path, text).select("sandbox:/srv/etc", {"PVECTL_CA_FILE": "x"})
    assert cluster.connection().sandbox_folder == "/srv/etc"
    assert cluster.variables == {"vmid": 1}


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    text = ONE + 'ca_file = "ca.pem"\ntoken_secret = { file = "s" }\n'
    environ = {
        "PVECTL_ENDPOINT": "https://a.example.com https://b.example.com",
        "PVECTL_TOKEN_ID": "ci@pve!run",
        "PVECTL_TOKEN_SECRET": "value",
        "PVECTL_FINGERPRINT": FINGERPRINT,
    }
    (cluster,) = settings(tmp_path, text).select(environ=environ)
    target = cluster.connection()
    assert len(target.endpoints) == 2
    assert (target.token_id, target.fingerprint) == ("ci@pve!run", (FINGERPRINT,))
    assert target.ca_file is None
    assert cluster.secret == SecretRef(env="PVECTL_TOKEN_SECRET")


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    environ = {"PVECTL_ENDPOINT": "https://a.example.com", "PVECTL_TOKEN_ID": "ci@pve!run"}
    (cluster,) = read_settings(tmp_path).select(environ=environ)
    assert cluster.connection().endpoints == ("https://a.example.com:8006",)


def test_the_secret_of_another_token_is_not_used(tmp_path: Path) -> None:
    text = ONE + 'token_secret = { file = "s" }\n'
    (cluster,) = settings(tmp_path, text).select(environ={"PVECTL_TOKEN_ID": "ci@pve!run"})
    assert cluster.secret is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PVECTL_ENDPOINT": "http://x"}, "PVECTL_ENDPOINT: an endpoint looks like"),
        ({"PVECTL_FINGERPRINT": "12:34"}, "PVECTL_FINGERPRINT: a SHA-256 fingerprint"),
        ({"PVECTL_TOKEN_ID": "me"}, "PVECTL_TOKEN_ID: a token id looks like"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(tmp_path, ONE).select(environ=environ)
    assert words in caught.value.summary


def test_the_environment_cannot_point_several_clusters_at_one_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several clusters"):
        settings(tmp_path, TWO).select("all", {"PVECTL_ENDPOINT": "https://x.example.com"})


def test_no_path_is_what_no_file_can_be_called(tmp_path: Path) -> None:
    wrong = [f'{key} = "a\\u0000b"' for key in ("ca_file", "client_cert", "client_key", "folder")]
    found = settings(tmp_path, ONE + "\n".join(wrong))
    assert {str(one.source) for one in found.findings} == {
        f"pvectl.toml:{n}:1" for n in (5, 6, 7, 8)
    }
    assert all("a NUL character" in one.message for one in found.findings)
    target = found.clusters["default"].connection()
    assert (target.ca_file, target.client_cert, target.client_key) == (None, None, None)


def test_the_policy_is_read(tmp_path: Path) -> None:
    policy = settings(
        tmp_path,
        """
        [manage]
        acl = "additive"
        role = { mode = "authoritative", include = ["Team*"], exclude = ["TeamOld"] }
        [limits]
        delete = 3
        total = 50
        [protected]
        never_change = ["acl./|*", "*.root*"]
        [lockout]
        keep_self = ["Sys.Modify on /"]
        break_glass = ["root@pam", "rescue@pve!x1"]
        administrators = 2
        """,
    )
    assert policy.findings == ()
    found = policy.policy
    assert found.managed("acl").mode is Mode.ADDITIVE
    assert found.managed("role").exclude == ("TeamOld",)
    assert found.limits.delete.count == 3
    assert found.lockout.administrators == 2


def test_a_right_part_counts_where_another_is_wrong(tmp_path: Path) -> None:
    found = settings(tmp_path, ONE + "port = 1\nvars = { a = 1 }\n[limits]\ntotal = -1\n")
    assert [f"{f.source} {f.code}" for f in found.findings] == [
        "pvectl.toml:5:1 UNKNOWN_KEY",
        "pvectl.toml:8:1 INVALID_VALUE",
    ]
    assert found.clusters["default"].variables == {"a": 1}
