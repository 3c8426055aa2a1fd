"""Somebody proposes state files: neither their server nor their proxy ever gets a secret."""

from __future__ import annotations

import contextlib
import html
import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from reconciler.cli.hints import command_modules
from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.cli.site import ROOT_TOKEN, Site
from tests.support.command import PVECTL, Ended, copy_fixture, environment, pvectl, trust
from tests.support.forked import put_on_path
from tests.support.network import Certificate, Node, Proxy, make_certificate
from tests.support.workflows import Job, jobs

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "ci"
CANARY = "11aa22bb-33cc-44dd-55ee-66ff77aa88bb"
OTHER = "99aa22bb-33cc-44dd-55ee-66ff77aa88bb"
SECRETS = {"PVECTL_TOKEN_SECRET": CANARY, "AWS_SECRET_ACCESS_KEY": OTHER}


class Attacker(NamedTuple):
    """A server and a proxy that record what arrives."""

    node: Node
    proxy: Proxy
    certificate: Certificate

    @property
    def target(self) -> dict[str, str]:
        return {"endpoint": self.node.endpoint, "fingerprint": self.certificate.fingerprint}

    @property
    def got_nothing(self) -> bool:
        return (self.node.connections, self.node.raw, self.proxy.asked) == (0, b"", [])


class Runner(NamedTuple):
    """A machine with a checkout of a proposal; `root` is outside the checkout."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "checkout" / "state"

    @property
    def home(self) -> Path:
        return self.root / "machine"

    def propose(self, more: str = "", **target: object) -> None:
        """What the branch holds: pvectl.toml with this target, and one object."""
        rows = [
            f"{key} = {value if key in _BARE else json.dumps(value)}"
            for key, value in target.items()
        ]
        text = "\n".join(["[target]", *rows, more, ""])
        (self.state / "pvectl.toml").write_text(text)
        (self.state / "a.toml").write_text('[group.ops]\ncomment = "x"\n')

    def run(self, *arguments: object, env: Mapping[str, str] = {}) -> Ended:
        given = {"PVECTL_HOME": str(self.home), **env}
        return pvectl(*arguments, cwd=self.state.parent, env=given)


_BARE = {"token_secret", "password"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("attacker"), "127.0.0.1")


@pytest.fixture
def attacker(certificate: Certificate) -> Iterator[Attacker]:
    node, proxy = Node(certificate.pem), Proxy()
    yield Attacker(node, proxy, certificate)
    node.stop()
    proxy.stop()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    runner = Runner(tmp_path)
    runner.state.mkdir(parents=True)
    (runner.state.parent / ".git").mkdir()
    return runner


READING = ("plan", "drift", "status", "verify", "report", "import")
ONE_LINE = "one-line"
STEALS: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "the token's secret": ({}, {"PVECTL_TOKEN_SECRET": CANARY}),
    "any variable": ({"token_secret": '{ env = "AWS_SECRET_ACCESS_KEY" }'}, {}),
    "any one-line file": ({"token_secret": f'{{ file = "../../{ONE_LINE}" }}'}, {}),
    "what a command prints": (
        {"token_secret": '{ command = ["sh", "-c", "echo $AWS_SECRET_ACCESS_KEY"] }'},
        {"PVECTL_ALLOW_COMMANDS": "1"},
    ),
    "the whole environment": (
        {"username": "root@pam", "password": '{ file = "/proc/self/environ" }'},
        {},
    ),
    "a variable as a password": (
        {"username": "root@pam", "password": '{ env = "AWS_SECRET_ACCESS_KEY" }'},
        {},
    ),
    "the token's secret as a password": (
        {"username": "root@pam"},
        {"PVECTL_TOKEN_SECRET": CANARY},
    ),
}


@pytest.mark.parametrize("ci", ["", "true"], ids=["no-ci", "ci"])
@pytest.mark.parametrize("what", STEALS)
def test_a_server_of_the_proposal_gets_nothing(
    runner: Runner, attacker: Attacker, what: str, ci: str
) -> None:
    keys, env = STEALS[what]
    who = {} if "username" in keys else {"token_id": "a@pve!x"}
    (runner.root / ONE_LINE).write_text(f"{OTHER}\n")
    runner.propose(**attacker.target, **who, **keys)
    ended = runner.run("plan", env={"AWS_SECRET_ACCESS_KEY": OTHER, "CI": ci, **env})
    assert attacker.got_nothing
    assert (ended.status, "E_UNTRUSTED_TARGET" in ended.err) == (7, True)
    assert "pvectl trust" in ended.err
    assert "PVECTL_ENDPOINT, PVECTL_FINGERPRINT" in ended.err
    assert OTHER not in ended.out + ended.err


@pytest.mark.parametrize("command", [*READING, "apply --yes", "resume", "unlock --fence 1"])
def test_no_command_sends_a_secret_there(runner: Runner, attacker: Attacker, command: str) -> None:
    runner.propose(**attacker.target, token_id="a@pve!x")
    ended = runner.run(*command.split(), env={"PVECTL_TOKEN_SECRET": CANARY, "CI": "1"})
    assert attacker.got_nothing
    assert (ended.status, "E_UNTRUSTED_TARGET" in ended.err) == (7, True)


WORDS = {
    "apply": "--yes",
    "backup": "run job --yes",
    "drill": "job",
    "escalation": "--from a@pve",
    "explain": "a@pve /vms/100",
    "grant": "a@pve PVEAuditor / --for 4h --reason x --yes",
    "import": "--out new",
    "revoke": "a@pve PVEAuditor / --yes",
    "rollback": "--yes",
    "rotate": "a@pve!tok --yes",
    "show": "none.json",
    "snapshot": "--out new",
    "trust": "--yes",
    "unlock": "--fence 1",
    "verify": "--as a@pve!tok",
    "who-can": "VM.Audit /",
}
"""Command -> its arguments, where it needs some."""


@pytest.mark.parametrize("command", sorted(set(command_modules()) - {"sandbox"}))
def test_every_command_keeps_the_secret(
    command: str, runner: Runner, attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of tomorrow, too; what the files declare would make each of them connect."""
    runner.propose(**attacker.target, token_id="a@pve!tok")
    (runner.state / "secrets").mkdir()
    (runner.state / "secrets" / "tok").write_text(CANARY)
    (runner.state / "secrets" / "tok").chmod(0o600)
    (runner.state / "a.toml").write_text(
        '[user."a@pve"]\n[user."a@pve".token.tok]\nsecret_to = { file = "secrets/tok" }\n'
        '[backup.job]\nstorage = "local"\nschedule = "daily"\nall = true\n'
        '[[expect]]\nwho = "a@pve!tok"\ncall = "GET /version"\n'
    )
    (runner.state / "grants.toml").write_text(
        '[[acl]]\nusers = ["a@pve"]\nroles = ["PVEAuditor"]\npaths = ["/"]\n'
        "expires = 2099-01-01T00:00:00Z\n"
    )
    monkeypatch.chdir(runner.state.parent)
    for name, value in {
        "CI": "true",
        "PVECTL_HOME": str(runner.home),
        "PVECTL_TOKEN_SECRET": CANARY,
        "PVECTL_PROBE_SECRET": CANARY,
    }.items():
        monkeypatch.setenv(name, value)
    ended = ask(command, *WORDS.get(command, "").split())
    assert attacker.got_nothing, ended
    assert "Traceback" not in ended.err
    assert CANARY not in ended.out + ended.err


def test_a_pinned_endpoint_is_not_intercepted(runner: Runner, attacker: Attacker) -> None:
    """The endpoint is the runner's; the way there and the trust are the proposal's."""
    proxy = f"http://127.0.0.1:{attacker.proxy.port}"
    (runner.state / "ca.pem").write_bytes(attacker.certificate.ca.read_bytes())
    env = {"PVECTL_ENDPOINT": attacker.node.endpoint, "PVECTL_TOKEN_SECRET": CANARY}
    pin = {"fingerprint": attacker.certificate.fingerprint}
    for given in ({"proxy": proxy, **pin}, pin, {"ca_file": "ca.pem"}, {"proxy": proxy}):
        runner.propose(endpoint="https://pve.example.invalid", token_id="a@pve!x", **given)
        ended = runner.run("plan", env=env)
        assert attacker.got_nothing, given
        assert (ended.status, "E_UNTRUSTED_TARGET" in ended.err) == (7, True)
        assert all(key in ended.err for key in given)


def test_a_pinned_target_is_not_given_other_secrets(runner: Runner, attacker: Attacker) -> None:
    runner.propose(
        endpoint="https://x", token_id="a@pve!x", token_secret='{ env = "AWS_SECRET_ACCESS_KEY" }'
    )
    env = {
        "PVECTL_ENDPOINT": attacker.node.endpoint,
        "PVECTL_FINGERPRINT": attacker.certificate.fingerprint,
        "AWS_SECRET_ACCESS_KEY": OTHER,
    }
    ended = runner.run("plan", env=env)
    assert attacker.got_nothing
    assert "next to them, name the target of a secret: token_secret" in ended.err
    assert runner.run("plan", env={**env, "PVECTL_TOKEN_SECRET": CANARY}).status
    assert CANARY.encode() in attacker.node.raw
    assert OTHER.encode() not in attacker.node.raw


def test_what_lies_in_the_checkout_vouches_for_nothing(runner: Runner, attacker: Attacker) -> None:
    """A CA file, settings, or a home folder that the environment names, but the proposal wrote."""
    runner.propose(**attacker.target, token_id="a@pve!x")
    trust(runner.state, runner.state.parent / "home")
    env = {"PVECTL_TOKEN_SECRET": CANARY, "PVECTL_ENDPOINT": attacker.node.endpoint}
    settings = {"PVECTL_SETTINGS": str(runner.state / "pvectl.toml")}
    assert runner.run("plan", env={**env, **settings}).status == ExitStatus.USAGE
    (runner.state.parent / "ca.pem").write_bytes(attacker.certificate.ca.read_bytes())
    for more in (
        {"PVECTL_CA_FILE": "ca.pem"},
        {"PVECTL_HOME": str(runner.state.parent / "home")},
    ):
        ended = runner.run("plan", env={**env, **more})
        assert (ended.status, "E_UNTRUSTED_TARGET" in ended.err) == (7, True), more
    assert attacker.got_nothing


def test_what_was_confirmed_is_confirmed_as_a_whole(
    runner: Runner, attacker: Attacker, site: Site
) -> None:
    """The administrator confirmed once; a later branch changes one thing after the other."""
    own = {
        "endpoint": site.cluster.url,
        "fingerprint": site.cluster.fingerprint,
        "token_id": ROOT_TOKEN,
        "token_secret": '{ env = "GIVEN" }',
    }
    env = {"GIVEN": site.env["PVECTL_TOKEN_SECRET"], "AWS_SECRET_ACCESS_KEY": OTHER}
    runner.propose(**own)
    assert runner.run("plan", env=env).status == ExitStatus.UNREACHABLE
    asked = runner.run("trust", env=env)
    assert (asked.status, "secret $GIVEN" in asked.err) == (64, True)
    assert runner.run("trust", "--yes", env=env).status == ExitStatus.OK
    assert "confirmed already" in runner.run("trust", env=env).err
    listed = runner.run("trust", "--list").out
    assert site.cluster.url in listed
    assert "$GIVEN" in listed
    ended = runner.run("plan", env=env)
    assert (ended.status, "1 to create" in ended.out) == (0, True)

    changes = (
        attacker.target,
        {"endpoint": attacker.node.endpoint},
        {"fingerprint": attacker.certificate.fingerprint},
        {"proxy": f"http://127.0.0.1:{attacker.proxy.port}"},
        {"token_secret": '{ env = "AWS_SECRET_ACCESS_KEY" }'},
        {"token_secret": '{ file = "/proc/self/environ" }'},
        {"token_secret": '{ command = ["printenv", "GIVEN"] }'},
    )
    for change in changes:
        runner.propose(**{**own, **change})
        refused = runner.run("plan", env=env)
        assert (refused.status, "E_UNTRUSTED_TARGET" in refused.err) == (7, True), change
    assert attacker.got_nothing
    runner.propose(**own)
    assert runner.run("trust", "--forget").status == ExitStatus.OK
    assert runner.run("plan", env=env).status == ExitStatus.UNREACHABLE


def on_a_terminal(runner: Runner, answer: str, *arguments: str, env: Mapping[str, str]) -> Ended:
    """The command, with somebody there who types one line."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PVECTL, *arguments],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=runner.state.parent,
        env=environment({"PVECTL_HOME": str(runner.home), **env}),
    ) as process:
        os.close(theirs)
        os.write(ours, answer.encode())
        assert process.stdout is not None
        out = process.stdout.read().decode()
        told = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(ours, 4096):
                told += part
    os.close(ours)
    return Ended(process.returncode, out, told.decode())


def test_on_a_terminal_it_is_asked_once(runner: Runner, site: Site) -> None:
    own = {"endpoint": site.cluster.url, "fingerprint": site.cluster.fingerprint}
    runner.propose(**own, token_id=ROOT_TOKEN)
    env = {"PVECTL_TOKEN_SECRET": site.env["PVECTL_TOKEN_SECRET"]}
    refused = on_a_terminal(runner, "y\n", "plan", env=env)
    assert (refused.status, "E_UNTRUSTED_TARGET: not confirmed" in refused.err) == (7, True)
    in_ci = on_a_terminal(runner, "yes\n", "plan", env={**env, "CI": "true"})
    assert (in_ci.status, "Type 'yes'" in in_ci.err) == (7, False)
    confirmed = on_a_terminal(runner, "yes\n", "plan", env=env)
    assert (confirmed.status, "1 to create" in confirmed.out) == (0, True)
    assert site.cluster.fingerprint in confirmed.err
    assert (runner.home / "known-targets.json").stat().st_mode & 0o777 == 0o600
    again = on_a_terminal(runner, "", "plan", env=env)
    assert (again.status, "Type 'yes'" in again.err) == (0, False)
    assert runner.run("plan", env=env).status == ExitStatus.OK


def test_a_changed_ca_file_is_asked_for_again(runner: Runner, attacker: Attacker) -> None:
    ca_file = runner.state / "ca.pem"
    ca_file.write_bytes(attacker.certificate.ca.read_bytes())
    runner.propose(endpoint=attacker.node.endpoint, token_id="a@pve!x", ca_file="ca.pem")
    trust(runner.state, runner.home)
    ca_file.write_bytes(ca_file.read_bytes() + b"\n")
    ended = runner.run("plan", env={"PVECTL_TOKEN_SECRET": CANARY})
    assert (ended.status, "E_UNTRUSTED_TARGET" in ended.err) == (7, True)
    assert attacker.got_nothing


def test_a_settings_file_outside_wins(runner: Runner, attacker: Attacker, site: Site) -> None:
    outside = runner.root / "settings.toml"
    (runner.root / "secret").write_text(site.env["PVECTL_TOKEN_SECRET"])
    outside.write_text(
        f'[target]\nendpoint = "{site.cluster.url}"\nfingerprint = "{site.cluster.fingerprint}"\n'
        f'token_id = "{ROOT_TOKEN}"\ntoken_secret = {{ file = "secret" }}\n'
        "[limits]\ntotal = 0\n[protected]\nnever_change = ['group.*']\n"
    )
    runner.propose(
        'vars = { a = "b" }\n[limits]\ntotal = 1000\n[manage]\ngroup = "authoritative"',
        **attacker.target,
        username="root@pam",
        password='{ file = "/proc/self/environ" }',
        proxy=f"http://127.0.0.1:{attacker.proxy.port}",
    )
    ended = runner.run("plan", "--settings", outside)
    assert ended.status == ExitStatus.REFUSED, ended
    assert attacker.got_nothing
    head = " ".join(ended.out.partition("Steps")[0].split())
    assert "WEAKER_POLICY [limits] of the state folder is weaker than that of" in head
    assert "PROTECTED" in head
    assert "LIMIT_TOTAL" in head
    outside.write_text(outside.read_text().partition("[limits]")[0])
    ended = runner.run("plan", "--settings", outside)
    assert ended.status == ExitStatus.OK
    assert f"pvectl apply --settings {outside}" in " ".join(ended.out.split())


def test_settings_that_are_not_there_are_a_mistake(runner: Runner) -> None:
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    ended = runner.run("plan", "--settings", runner.root / "none.toml")
    assert (ended.status, "there is no settings file" in ended.err) == (64, True)


# ---- what state files reach


OUTSIDE: Mapping[str, str] = {
    "files": '[user."a@pve"]\npassword = { file = "../../outside" }\n',
    "commands": '[user."a@pve"]\npassword = { command = ["printenv", "X"] }\n',
    "keyrings": '[user."a@pve".token.t1]\nsecret_to = { keyring = "pve" }\n[user."a@pve"]\n',
    "files, a sink": '[user."a@pve".token.t1]\nsecret_to = { file = "ROOT/new" }\n[user."a@pve"]\n',
    "files, a line": '[user."a@pve".token.t1]\n'
    'secret_to = { env_file = "ROOT/new", variable = "X" }\n[user."a@pve"]\n',
    "files, a link": '[user."a@pve"]\npassword = { file = "link" }\n',
    "commands, a sink": '[user."a@pve".token.t1]\nsecret_to = { command = ["tee"] }\n'
    '[user."a@pve"]\n',
}
"""What a file declares, by the key of [trust] that it would need; ROOT is outside."""


@pytest.mark.parametrize("what", OUTSIDE)
def test_in_ci_state_files_reach_nothing_outside_their_folder(
    runner: Runner, site: Site, what: str
) -> None:
    os.mkfifo(runner.root / "outside")  # whoever read it would wait for ever
    (runner.state / "link").symlink_to(runner.root / "outside")
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    (runner.state / "a.toml").write_text(OUTSIDE[what].replace("ROOT", str(runner.root)))
    env = {
        "PVECTL_ENDPOINT": site.cluster.url,
        "PVECTL_FINGERPRINT": site.cluster.fingerprint,
        "PVECTL_TOKEN_ID": ROOT_TOKEN,
        "PVECTL_TOKEN_SECRET": site.env["PVECTL_TOKEN_SECRET"],
    }
    key = what.partition(",")[0]
    for command in ("validate", "plan", "apply --yes"):
        ended = runner.run(*command.split(), env={**env, "CI": "true"})
        told = ended.out + ended.err
        assert (ended.status, "OUT_OF_REACH" in told, f"[trust] {key} = [" in told) == (
            3,
            True,
            True,
        )
        assert "a.toml:1" in told
    assert runner.run("plan", env=env).status == ExitStatus.OK

    settings = runner.root / "settings.toml"
    allowed = {"files": f"{runner.root.resolve()}/*", "keyrings": "pve"}.get(key, "*")
    settings.write_text(f'[trust]\n{key} = ["{allowed}"]\n')
    listed = {**env, "CI": "true", "PVECTL_SETTINGS": str(settings)}
    assert runner.run("plan", env=listed).status == ExitStatus.OK
    settings.write_text("[trust]\n")
    assert (
        runner.run("plan", env={**env, "PVECTL_SETTINGS": str(settings)}).status
        == ExitStatus.FILES_INVALID
    )


@pytest.mark.parametrize(
    ("target", "links"),
    [
        ({"endpoint": "sandbox:../../pve"}, {}),
        ({"endpoint": "sandbox:link"}, {"link": "pve"}),
        ({"folder": "../../other"}, {}),
        ({"ca_file": "../../outside"}, {}),
        ({}, {"b.toml": "outside"}),
        ({}, {"pvectl.toml": "outside"}),
    ],
)
def test_in_ci_no_folder_and_no_link_leads_outside(
    runner: Runner, target: dict[str, str], links: dict[str, str]
) -> None:
    for folder in ("pve", "other"):
        (runner.root / folder).mkdir()
    (runner.root / "outside").write_text("hunter2 = hunter2\n")
    runner.propose(**{"endpoint": "https://x", "token_id": "a@pve!x", **target})
    for name, place in links.items():
        (runner.state / name).unlink(missing_ok=True)
        (runner.state / name).symlink_to(runner.root / place)
    for command in ("validate", "plan"):
        ended = runner.run(command, env={"CI": "true", "PVECTL_TOKEN_SECRET": CANARY})
        told = ended.out + ended.err
        assert (ended.status, "OUT_OF_REACH" in told, "hunter2" in told) == (3, True, False)


@pytest.mark.parametrize("command", ["fmt", "fmt --check", "grant", "revoke", "removed --write"])
def test_in_ci_no_file_is_written_through_a_link(runner: Runner, command: str) -> None:
    copy_fixture("team", runner.state / "pve")
    runner.propose(endpoint="sandbox:pve")
    outside = runner.root / "outside"
    outside.write_text("[user.hunter2]\n[user.hunter2]\n")
    name = {"grant": "grants.toml", "revoke": "grants.toml"}.get(command, "b.toml")
    (runner.state / name).symlink_to(outside)
    grant = ("alice@ldap", "PVEVMAdmin", "/vms/100")
    words = {"grant": (*grant, "--for", "4h", "--reason", "x"), "revoke": grant}.get(command, ())
    ended = runner.run(*command.split(), *words, env={"CI": "true"})
    told = ended.out + ended.err
    assert (ended.status, "OUT_OF_REACH" in told, "hunter2" in told) == (3, True, False), ended
    assert outside.read_text().count("hunter2") == 2


@pytest.mark.parametrize("name", [".schema", "roles.toml", "pvectl.toml", "new.tf"])
def test_in_ci_an_import_writes_through_no_link(runner: Runner, name: str) -> None:
    """Not even through one that leads to nothing yet."""
    pve = copy_fixture("team", runner.state.parent / "pve")
    outside = runner.root / "outside"
    outside.mkdir()
    new = runner.state.parent / "new"
    new.mkdir()
    (new / name).symlink_to(outside if name == ".schema" else outside / "planted")
    (runner.state.parent / "t.tfstate").write_text(TERRAFORM)
    words = ["import", "--on", f"sandbox:{pve}", "--out", str(new), "--from-terraform", "t.tfstate"]
    if name == "new.tf":
        words += ["--take-over", f"new/{name}"]
    ended = runner.run(*words, env={"CI": "true"})
    assert ended.status in {ExitStatus.FILES_INVALID, ExitStatus.USAGE}, ended
    assert list(outside.iterdir()) == []
    assert [one.name for one in new.iterdir()] == [name]


TERRAFORM = json.dumps(
    {
        "version": 4,
        "resources": [
            {
                "mode": "managed",
                "type": "proxmox_virtual_environment_role",
                "name": "r",
                "instances": [
                    {"attributes": {"role_id": "VMOperatorCustom", "id": "VMOperatorCustom"}}
                ],
            }
        ],
    }
)


@pytest.mark.parametrize("name", ["there.toml", "none.toml", "*.toml"])
def test_in_ci_an_include_does_not_tell_which_files_there_are(runner: Runner, name: str) -> None:
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    (runner.root / "there.toml").write_text("hunter2 = 1\n")
    (runner.state / "a.toml").write_text(f'include = ["../../{name}"]\n')
    for command in ("validate", "plan", "show files"):
        ended = runner.run(*command.split(), env={"CI": "true", "PVECTL_TOKEN_SECRET": CANARY})
        told = ended.out + ended.err
        assert (ended.status, "OUT_OF_REACH" in told, "hunter2" in told) == (3, True, False), ended
        assert ("there.toml" in told) is (name == "there.toml")


def test_in_ci_a_sandbox_shows_nothing_from_elsewhere(runner: Runner) -> None:
    copy_fixture("fresh", runner.state / "pve")
    secrets = runner.root / "credentials"
    secrets.write_text("dir: hunter2\n\tpath /x\n\tcontent iso\n")
    runner.propose(endpoint="sandbox:pve")
    assert runner.run("plan", env={"CI": "true"}).status == ExitStatus.OK
    (runner.state / "pve" / "storage.cfg").unlink()
    (runner.state / "pve" / "storage.cfg").symlink_to(secrets)
    for arguments in (("report",), ("report", "--on", "sandbox:state/pve"), ("status",)):
        ended = runner.run(*arguments, env={"CI": "true"})
        assert (ended.status, "hunter2" in ended.out + ended.err) == (7, False), arguments
    (runner.root / "pve").mkdir()
    runner.propose(endpoint="sandbox:../../pve")
    assert runner.run("unlock", "--fence", "1", env={"CI": "true"}).status == ExitStatus.UNREACHABLE


def test_a_link_to_another_folder_does_not_change_what_is_proposed(
    runner: Runner, attacker: Attacker
) -> None:
    outside = runner.root / "elsewhere"
    outside.mkdir()
    (runner.state.parent / "ca.pem").write_bytes(attacker.certificate.ca.read_bytes())
    runner.state.rmdir()
    runner.state.symlink_to(outside)
    env = {"PVECTL_ENDPOINT": attacker.node.endpoint, "PVECTL_TOKEN_ID": "a@pve!x"}
    more = {"PVECTL_CA_FILE": "ca.pem", "PVECTL_TOKEN_SECRET": CANARY}
    ended = runner.run("plan", env={**env, **more})
    assert ended.status == ExitStatus.UNREACHABLE
    assert "next to them, name the target of a secret: ca_file" in ended.err
    assert attacker.got_nothing


def test_a_variable_that_is_not_listed_is_not_a_secret(runner: Runner) -> None:
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    (runner.state / "a.toml").write_text('[user."a@pve"]\npassword = { env = "AWS_KEY" }\n')
    settings = runner.root / "settings.toml"
    for text, status in (("", 0), ('env = ["LDAP_*"]', 3), ('env = ["AWS_*"]', 0)):
        settings.write_text(f"[trust]\n{text}\n")
        ended = runner.run("validate", "--settings", settings)
        assert (ended.status, "$AWS_KEY" in ended.out + ended.err) == (status, status == 3)


def test_state_files_do_not_trust_themselves(runner: Runner) -> None:
    runner.propose('[trust]\nfiles = ["*"]', endpoint="https://x", token_id="a@pve!x")
    ended = runner.run("validate")
    assert (ended.status, "UNTRUSTED_TABLE" in ended.out) == (3, True)


def test_waivers_count_where_they_are_accepted(runner: Runner) -> None:
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    waiver = '[[waive]]\ncode = "LINT_ORPHAN"\naddress = "group.ops"\nreason = "x"\n'
    (runner.state / "b.toml").write_text(f"{waiver}expires = 2099-01-01\n")
    settings = runner.root / "settings.toml"
    for globs, refused in (('["LINT_*"]', False), ("[]", True)):
        settings.write_text(f"[trust]\nwaive = {globs}\n")
        ended = runner.run("validate", "--settings", settings)
        assert ("WEAKER_POLICY" in ended.out) is refused


def test_in_ci_no_result_is_written_through_a_link_of_the_proposal(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, checkout = runner.root / "profile", runner.state.parent
    profile.write_text(OTHER)
    (checkout / "plan.html").symlink_to(profile)
    (checkout / "results").symlink_to(runner.root)
    (runner.state / "a.toml").write_text("[group.ops]\n")
    cluster = copy_fixture("fresh", runner.root / "pve")
    monkeypatch.chdir(checkout)
    for words in (
        ("--format", "html=plan.html"),
        ("--format", "json=results/profile"),
        ("--out", "plan.html"),
    ):
        monkeypatch.setenv("CI", "true")
        ended = ask("plan", *words, on=cluster, state=runner.state)
        assert ended.status == ExitStatus.USAGE
        assert "behind a link that leads out of the checkout" in ended.err
        assert profile.read_text() == OTHER
    monkeypatch.setenv("CI", "")
    assert ask("plan", *words, on=cluster, state=runner.state).status == ExitStatus.OK
    assert profile.read_text() != OTHER


# ---- the shipped examples


def github_jobs(site: Site, secret: str, folder: Path) -> Iterator[tuple[str, Job]]:
    """The jobs of the workflows, with the values that the repository's environments hold."""
    known = {
        "vars.PVECTL_ENDPOINT": site.cluster.url,
        "vars.PVECTL_FINGERPRINT": site.cluster.fingerprint,
        "vars.PVECTL_TOKEN_ID": ROOT_TOKEN,
        "secrets.PVECTL_TOKEN_SECRET": secret,
        "github.event.number": "7",
        "github.repository": "acme/pve",
        "github.event.pull_request.head.sha": "0" * 40,
        "github.token": "t",
        "github.workspace": str(folder),
    }
    settings = folder / "settings.toml"
    settings.write_text("[trust]\n")
    for path in sorted((EXAMPLES / "github").glob("*.yml"), reverse=True):
        for name, job in jobs(path, known):
            places = {"PVECTL_SETTINGS": str(settings), "PVECTL_HOME": str(folder / "machine")}
            own = {key: place for key, place in places.items() if key in job.env}
            yield name, Job(job.script, {**job.env, **own})


@pytest.fixture
def ci(runner: Runner, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Where a job runs, and what every job finds in its environment."""
    tools, temporary = tmp_path / "tools", tmp_path / "temporary"
    tools.mkdir()
    temporary.mkdir()
    gh = tools / "gh"
    gh.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncase $1 in pr) cp "$last" {tmp_path}/comment.md ;;\n'
        f'*) echo "${{last#sarif=}}" | base64 -d | gunzip > {tmp_path}/result.sarif ;; esac\n'
    )
    gh.chmod(0o755)
    put_on_path(tools)
    (tmp_path / "proposal").symlink_to(runner.state.parent)
    return (
        tmp_path,
        {
            "CI": "true",
            "HOME": str(tmp_path / "user"),
            "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(temporary),
            "GITHUB_STEP_SUMMARY": str(temporary / "summary"),
            "GITHUB_OUTPUT": str(temporary / "output"),
            "AWS_SECRET_ACCESS_KEY": OTHER,
        },
    )


def sh(script: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("what", [*STEALS, "the way there"])
def test_the_workflow_gives_a_proposal_nothing(
    runner: Runner,
    attacker: Attacker,
    site: Site,
    ci: tuple[Path, dict[str, str]],
    what: str,
) -> None:
    folder, env = ci
    keys, _ = STEALS.get(what, ({"proxy": f"http://127.0.0.1:{attacker.proxy.port}"}, {}))
    who = {} if "username" in keys else {"token_id": "a@pve!x"}
    runner.propose(**attacker.target, **who, **keys)
    copy_fixture("fresh", folder / "base" / "snapshot")
    found = set()
    for name, job in github_jobs(site, site.env["PVECTL_TOKEN_SECRET"], folder):
        found.add(name)
        where = folder if name in {"propose", "fork"} else runner.state.parent
        ended = sh(job.script, where, {**env, **job.env})
        assert attacker.got_nothing, (name, ended)
        if name == "fork":
            assert "PVECTL_TOKEN_SECRET" not in job.env
            assert (ended.returncode, "1 to create" in ended.stdout) == (0, True), ended
        if name != "propose":
            continue
        comment = (folder / "comment.md").read_text()
        assert json.loads((folder / "result.sarif").read_text())["version"] == "2.1.0"
        if "proxy" in keys:
            assert "E_UNTRUSTED_TARGET" in html.unescape(comment)
            assert "next to them, name the target of a secret: proxy" in comment
        else:
            assert "1 to create" in comment
    assert found == {"propose", "fork", "plan", "apply", "drift"}


def test_the_comment_says_what_is_wrong_and_a_line_of_the_file_allows_a_refusal(
    runner: Runner, site: Site, ci: tuple[Path, dict[str, str]]
) -> None:
    folder, env = ci
    runner.propose(endpoint="https://x", token_id="a@pve!x")
    found = dict(github_jobs(site, site.env["PVECTL_TOKEN_SECRET"], folder))
    job = found["propose"]
    (runner.state / "wrong.toml").write_text('[user."x@pve"]\nnonsense = 1\n')
    ended = sh(job.script, folder, {**env, **job.env})
    assert ended.returncode == ExitStatus.FILES_INVALID
    assert "nonsense" in (folder / "comment.md").read_text()
    assert "wrong.toml" in (folder / "result.sarif").read_text()
    (runner.state / "wrong.toml").unlink()
    allow = runner.state.parent / ".github" / "pvectl-allow"
    allow.parent.mkdir()
    (folder / "outside").write_text(OTHER)
    allow.symlink_to(folder / "outside")
    ended = sh(job.script, folder, {**env, **job.env})
    assert OTHER not in ended.stdout + ended.stderr + (folder / "comment.md").read_text()
    allow.unlink()
    settings = Path(job.env["PVECTL_SETTINGS"])
    settings.write_text("[protected]\nnever_change = ['group.ops']\n")
    ended = sh(job.script, folder, {**env, **job.env})
    assert (ended.returncode, "PROTECTED" in (folder / "comment.md").read_text()) == (4, True)
    allow.write_text("# until the move is done\n\nPROTECTED=group.ops\n")
    ended = sh(job.script, folder, {**env, **job.env})
    assert ended.returncode == ExitStatus.OK, ended


@pytest.mark.parametrize("what", [*STEALS, "the way there"])
def test_cron_gives_a_change_nothing(
    runner: Runner, attacker: Attacker, site: Site, what: str
) -> None:
    keys, _ = STEALS.get(what, ({"proxy": f"http://127.0.0.1:{attacker.proxy.port}"}, {}))
    who = {} if "username" in keys else {"token_id": "a@pve!x"}
    runner.propose(**attacker.target, **who, **keys)
    settings = runner.root / "settings.toml"
    text = (EXAMPLES / "settings.toml").read_text()
    text = text.replace("https://pve01.example.com:8006", site.cluster.url)
    text = text.replace("automation@pve!drift", ROOT_TOKEN)
    settings.write_text(text)
    (runner.root / "drift-secret").write_text(site.env["PVECTL_TOKEN_SECRET"])
    ca_file = site.cluster.folder / "pve-root-ca.pem"
    (runner.root / "pve-root-ca.pem").write_bytes(ca_file.read_bytes())
    lines = (EXAMPLES / "drift.cron").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line[:1].isupper())
    command = lines[-1].split(maxsplit=6)[6].replace("/srv/pve-state", str(runner.state.parent))
    command = command.replace("/var/lib/node_exporter", str(runner.root))
    assert env["PVECTL_SETTINGS"] == "/etc/pvectl/settings.toml"
    places = {"PVECTL_SETTINGS": str(settings), "PVECTL_HOME": str(runner.home)}
    put_on_path(runner.root)
    path = f"{runner.root}:{os.environ['PATH']}"
    ended = sh(command, runner.root, {"PATH": path, "AWS_SECRET_ACCESS_KEY": OTHER, **places})
    assert attacker.got_nothing
    assert "group.ops" in ended.stdout


CURL = """#!/bin/sh
echo "$*" >> FOLDER/asked
case "$*" in
  *attachment=@*) for word; do
    case $word in attachment=*) cp "${word#*@}" FOLDER/attached.zip ;; esac; done ;;
  *POST*) for word; do case $word in body@*|@*) cp "${word#*@}" FOLDER/comment.md ;; esac; done
    echo '{"id": 9}' ;;
  */9/assets) echo '[{"id": 3}]' ;;
  *PUT*|*PATCH*) exit 22 ;;
  *) echo '[OLD]' ;;
esac
"""


def gitlab_jobs(values: Mapping[str, str]) -> Iterator[tuple[str, Job]]:
    """The jobs of the component, with the variables that GitLab and the project set."""
    spec, content = yaml.safe_load_all((EXAMPLES / "gitlab" / "pvectl.yml").read_text())
    inputs = spec["spec"]["inputs"]
    shared = content.pop(".pvectl")["variables"]
    for name, job in content.items():
        assert job["extends"] == ".pvectl"
        assert {"stage", "rules", "script"} <= job.keys()
        variables = {**shared, **job.get("variables", {})}
        env = {
            key: str(value).replace("$[[ inputs.state ]]", inputs["state"]["default"])
            for key, value in variables.items()
        }
        scope = job.get("environment", {}).get("name", "")
        secret = values if scope else {}
        yield name, Job("set -eo pipefail\n" + "\n".join(job["script"]), {**env, **secret})


def forges(site: Site, secret: str, folder: Path) -> Iterator[tuple[str, str, Job]]:
    """Every other set-up: forge, name of the job, the job."""
    values = {
        "PVECTL_ENDPOINT": site.cluster.url,
        "PVECTL_FINGERPRINT": site.cluster.fingerprint,
        "PVECTL_TOKEN_ID": ROOT_TOKEN,
        "PVECTL_TOKEN_SECRET": secret,
    }
    for name, job in gitlab_jobs({**values, "CI_API_V4_URL": "https://x", "CI_PROJECT_ID": "1"}):
        yield "gitlab", name, job
    known = {f"vars.{name}": value for name, value in values.items()} | {
        "vars.PVECTL_PROPOSE_TOKEN_ID": ROOT_TOKEN,
        "secrets.PVECTL_TOKEN_SECRET": secret,
        "secrets.PVECTL_PROPOSE_TOKEN_SECRET": secret,
    }
    for name, job in jobs(EXAMPLES / "forgejo" / "pvectl.yml", known):
        yield "forgejo", name, job
    text = (EXAMPLES / "jenkins" / "Jenkinsfile").read_text()
    lines = re.findall(r"sh \'\'\'(.*?)\'\'\'", text)
    assert len(lines) == 4
    yield "jenkins", "all", Job("\n".join(f"({line}) || true" for line in lines), values)


@pytest.mark.parametrize("what", ["the token's secret", "the whole environment", "the way there"])
@pytest.mark.parametrize("forge", ["gitlab", "forgejo", "jenkins"])
def test_no_forge_gives_a_proposal_anything(
    runner: Runner,
    attacker: Attacker,
    site: Site,
    ci: tuple[Path, dict[str, str]],
    forge: str,
    what: str,
) -> None:
    folder, env = ci
    keys, _ = STEALS.get(what, ({"proxy": f"http://127.0.0.1:{attacker.proxy.port}"}, {}))
    who = {} if "username" in keys else {"token_id": "a@pve!x"}
    runner.propose(**attacker.target, **who, **keys)
    checkout = runner.state.parent
    copy_fixture("fresh", checkout / "snapshot")
    (folder / "profile").write_text(OTHER)
    (checkout / "pvectl-allow").write_text("# none needed\nLIMIT_DELETE=user")
    if forge == "gitlab":
        for link in (".pvectl-results", "plan.html", "plan.json"):
            (checkout / link).symlink_to(folder / "profile")
    curl = folder / "tools" / "curl"
    others = '{"id": 7, "body": "<!-- pvectl --> by someone else"}'
    old = others if "environment" in what else ""
    curl.write_text(CURL.replace("FOLDER", str(folder)).replace("OLD", old))
    curl.chmod(0o755)
    (folder / "settings.toml").write_text("[trust]\n")
    places = {"PVECTL_SETTINGS": str(folder / "settings.toml"), "PVECTL_HOME": str(runner.home)}
    said, shown = ("E_UNTRUSTED_TARGET",) * 2 if "proxy" in keys else ("1 to create", "group.ops")
    ran = 0
    for of, name, job in forges(site, site.env["PVECTL_TOKEN_SECRET"], folder):
        if of != forge:
            continue
        ran += 1
        given = {**env, **job.env, "CI_PROJECT_DIR": str(checkout)}
        given |= {key: place for key, place in places.items() if given.get(key)}
        where = folder if given.get("PVECTL_STATE", "").startswith("proposal") else checkout
        ended = sh(job.script, where, given)
        assert attacker.got_nothing, (name, ended)
        if name == "pvectl-fork":
            assert "PVECTL_TOKEN_SECRET" not in job.env
            assert (ended.returncode, "1 to create" in ended.stdout) == (0, True), ended
        if name in {"propose", "pvectl-propose"}:
            comment = (folder / "comment.md").read_text()
            assert "<!-- pvectl -->" in comment
            assert said in html.unescape(comment), ended
            assert "proxy" in keys or "LIMIT_DELETE=user" in html.unescape(comment)
            if forge == "forgejo":
                assert re.search(r"DELETE \S+/9/assets/3\n", (folder / "asked").read_text())
                zipfile.ZipFile(folder / "attached.zip").extract("plan.html", checkout)
                page = checkout / "plan.html"
            else:
                page = checkout / ".pvectl-results" / "plan.html"
            assert shown in html.unescape(page.read_text())
        if name == "all":
            assert shown in html.unescape((checkout / "plan.html").read_text())
    assert ran
    assert (folder / "profile").read_text() == OTHER
    assert ("group:ops" in site.user_cfg()) is ("proxy" not in keys)
