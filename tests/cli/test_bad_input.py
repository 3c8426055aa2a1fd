"""Whatever is wrong: one clear message, the right exit status, and nothing half done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.errors import ExitStatus
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.site import ROOT_TOKEN, SELF_BACKUP, Site, clear
from tests.support.network import Node, Received, make_certificate, raw_answer
from tests.support.pveum import run_lines

WEAK = "weak@pve!t1"
SECRET = "33333333-2222-4333-8444-555555555555"


class Mistake(NamedTuple):
    """A state file, and what is said about it; `place` is `line:column`, `words` are regexes."""

    text: str | bytes
    place: str
    code: str
    words: tuple[str, ...]


MISTAKES = {
    "broken TOML": Mistake("[group.ops\n", "1:11", "TOML_SYNTAX", ("']' is missing",)),
    "not UTF-8": Mistake(
        b'[group.ops]\ncomment = "\xfc"\n', "2:12", "NOT_UTF8", ("save it as UTF-8",)
    ),
    "unknown key": Mistake(
        '[group.ops]\ncoment = "x"\n', "2:1", "UNKNOWN_KEY", ("'coment'", "did you mean comment")
    ),
    "wrong type": Mistake(
        '[user."a@pve"]\nenabled = "yes"\n', "2:1", "WRONG_TYPE", ("boolean, not a string",)
    ),
    "same object twice": Mistake(
        '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/"]\nusers = ["a@pve"]\n' * 2
        + '[user."a@pve"]\n',
        "5:3",
        "DUPLICATE",
        ("declared twice", "a.toml:1"),
    ),
    "a privilege that is gone": Mistake(
        '[role.R]\nprivileges = ["VM.Monitor"]\n',
        "2:15",
        "NOT_IN_RELEASE",
        ("VM.Monitor", "Sys.Audit", r"VM.GuestAgent"),
    ),
    "a misspelt privilege": Mistake(
        '[role.R]\nprivileges = ["VM.Audti"]\n', "2:15", "INVALID_VALUE", ("VM.Audit",)
    ),
    "/dc": Mistake(
        '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/dc"]\nusers = ["a@pve"]\n',
        "3:10",
        "INVALID_VALUE",
        ("'/dc' is not a valid ACL path", "did you mean '/'"),
    ),
    "a role named PVE": Mistake(
        '[role.PVEMine]\nprivileges = ["VM.Audit"]\n',
        "1:7",
        "INVALID_VALUE",
        ("reserved; rename|PVEMine",),
    ),
    "a built-in role": Mistake(
        '[role.PVEAuditor]\nprivileges = ["VM.Audit"]\n', "1:7", "INVALID_VALUE", ("built into",)
    ),
    "a token of one letter": Mistake(
        '[user."a@pve".token.t]\n', "1:21", "INVALID_VALUE", ("'t' is not a valid token name",)
    ),
    "a user without realm": Mistake(
        "[user.alice]\n", "1:7", "INVALID_VALUE", ("has no realm", "alice@pve")
    ),
    "entries for root@pam": Mistake(
        '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/"]\nusers = ["root@pam"]\n',
        "4:10",
        "INVALID_VALUE",
        ("Proxmox VE drops its entries",),
    ),
    "the comment 0": Mistake(
        '[group.ops]\ncomment = "0"\n', "2:1", "INVALID_VALUE", ("treats '0' as empty",)
    ),
    "whitespace around a comment": Mistake(
        '[user."a@pve"]\ncomment = " x"\n',
        "2:1",
        "INVALID_VALUE",
        ("leading and trailing whitespace",),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_files(name: str, site: Site) -> None:
    mistake = MISTAKES[name]
    site.write("a.toml", mistake.text)
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.FILES_INVALID
    assert f"a.toml:{mistake.place}: error {mistake.code} " in ended.err
    for words in mistake.words:
        assert re.search(words, ended.err)
    assert ended.out == ""
    assert site.untouched
    assert "the state files have one mistake" in ended.err


def test_all_mistakes_are_reported_at_once(site: Site) -> None:
    for number, mistake in enumerate(MISTAKES.values()):
        site.write(f"a{number:02}.toml", mistake.text)
    ended = site.run("validate")
    assert ended.status == ExitStatus.FILES_INVALID
    for number, mistake in enumerate(MISTAKES.values()):
        assert f"a{number:02}.toml:{mistake.place}: error {mistake.code} " in ended.out
    told = json.loads(site.run("plan", "--format", "json").out)
    assert (told["kind"], told["error"], told["exit_status"]) == ("failure", "E_FILES", 3)
    assert {one.code for one in MISTAKES.values()} <= {one["code"] for one in told["findings"]}


ACL = '[[acl]]\nroles = ["{role}"]\npaths = ["/vms/9001"]\n{kind}s = ["{who}"]\n'

UNKNOWN = {
    "realm": ('[user."a@nowhere"]\n', "user.a@nowhere names realm.nowhere"),
    "user": (ACL.format(role="PVEAuditor", kind="user", who="ghost@pve"), "user.ghost@pve"),
    "group": (ACL.format(role="PVEAuditor", kind="group", who="ghosts"), "group.ghosts"),
    "token": (ACL.format(role="PVEAuditor", kind="token", who="root@pam!gone"), "root@pam!gone"),
    "role": (ACL.format(role="Gone", kind="token", who=ROOT_TOKEN), "role.Gone"),
    "membership": ('[user."a@pve"]\ngroups = ["gone"]\n', "user.a@pve names group.gone"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_named_must_be_declared_or_there(name: str, site: Site) -> None:
    text, words = UNKNOWN[name]
    site.write("a.toml", text)
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.REFUSED
    assert "UNKNOWN_REFERENCE" in ended.out
    assert words in ended.out
    assert "neither declared nor in the cluster" in re.sub(r"\s+", " ", ended.out)
    assert site.untouched


def test_a_token_grant_that_gives_nothing_is_reported(site: Site) -> None:
    site.write("a.toml", SELF_BACKUP + "pair = false\n")
    ended = site.run("plan")
    assert ended.status == ExitStatus.OK
    assert "GRANT_WITHOUT_EFFECT" in ended.out
    assert "remove pair = false" in re.sub(r"\s+", " ", ended.out)


@pytest.mark.parametrize("sink", ["taken", "taken/below", "/proc/nothing"])
def test_a_sink_that_cannot_be_written_is_found_before_anything_is_sent(
    sink: str, site: Site
) -> None:
    site.write("a.toml", SELF_BACKUP.replace("secrets/felhom-ctl", sink))
    if sink == "taken":
        (site.state / "taken").mkdir()
    else:
        site.write("taken", "a file")
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.REFUSED
    assert "E_SINK" in ended.err
    assert sink in ended.err
    assert site.untouched


def test_every_secret_that_is_not_there_is_found_before_anything_is_sent(site: Site) -> None:
    site.write(
        "a.toml",
        '[user."a@pve"]\npassword = { env = "NO_SUCH_VARIABLE" }\n'
        '[user."b@pve"]\npassword = { file = "no-such-file" }\n'
        '[user."c@pve"]\npassword = { env = "NO_SUCH_EITHER" }\n',
    )
    for command in (["plan"], ["apply", "--yes"]):
        ended = site.run(*command)
        assert ended.status == ExitStatus.SECRETS
        for name in ("NO_SUCH_VARIABLE", "no-such-file", "NO_SUCH_EITHER", "a.toml:3"):
            assert name in ended.out
    assert "3 secrets are missing" in ended.err
    assert site.untouched
    assert site.run("plan", "--out", site.folder / "later.json").status == ExitStatus.OK


def test_a_step_that_fails_is_named_with_what_it_sent_and_where_that_is_declared(
    site: Site,
) -> None:
    site.write(
        "a.toml",
        '[user."new@pve"]\ncomment = "built by CI"\n\n[user."new@pve".token.ci]\n'
        'comment = "nightly"\nsecret_to = { command = ["sh", "-c", "exit 1"] }\n',
    )
    ended = site.run(
        "apply", "--yes", "--format", "text", "--format", f"json={site.folder}/report.json"
    )
    assert ended.status == ExitStatus.RESTORED
    said = " ".join(ended.out.split())
    assert "step 2 of 2: create token new@pve!ci (declared in a.toml:4, not in the clus" in said
    assert "with comment nightly the command 'sh'" in said


def test_the_token_secret_of_pvectl_itself_is_asked_for(site: Site) -> None:
    del site.env["PVECTL_TOKEN_SECRET"]
    ended = site.run("plan")
    assert ended.status == ExitStatus.USAGE
    assert f"the secret of {ROOT_TOKEN} is not set" in ended.err
    assert "PVECTL_TOKEN_SECRET" in ended.err
    site.settings = 'token_secret = { env = "NO_SUCH_VARIABLE" }'
    site.target()
    del site.env["PVECTL_TOKEN_SECRET"]
    ended = site.run("plan")
    assert ended.status == ExitStatus.SECRETS
    assert "E_SECRET: the environment variable NO_SUCH_VARIABLE is not set" in ended.err


def test_another_certificate_than_the_expected_one(site: Site) -> None:
    site.target(fingerprint=":".join(["AB"] * 32))
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "E_CERTIFICATE" in ended.err
    assert site.cluster.fingerprint in ended.err
    assert "nothing was sent" in ended.err


def test_a_certificate_of_an_unknown_authority(site: Site, tmp_path: Path) -> None:
    other = make_certificate(clear(tmp_path / "other"), "127.0.0.1")
    site.target(fingerprint=None, ca_file=other.ca)
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "E_CERTIFICATE" in ended.err
    assert "pve-root-ca.pem" in ended.err


def test_the_clusters_own_authority_is_trusted(site: Site) -> None:
    site.target(fingerprint=None, ca_file=site.cluster.folder / "pve-root-ca.pem")
    site.write("a.toml", "[group.ops]\n")
    assert site.run("plan").status == ExitStatus.OK


@pytest.mark.parametrize("why", ["wrong", "expired", "unknown", "disabled"])
def test_a_token_that_is_not_accepted(why: str, site: Site) -> None:
    site.give_token(WEAK, SECRET)
    if why == "expired":
        site.edit("user.cfg", f"token:{WEAK}:0:", f"token:{WEAK}:1000000000:")
    if why == "unknown":
        site.edit("user.cfg", f"token:{WEAK}:0:1::\n", "")
    if why == "disabled":
        site.edit("user.cfg", "user:weak@pve:1:", "user:weak@pve:0:")
    secret = "00000000-2222-4333-8444-555555555555" if why == "wrong" else SECRET
    site.target(WEAK, secret)
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "E_AUTH" in ended.err
    assert "pveum user token list weak@pve" in ended.err
    assert secret not in ended.err + ended.out


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:9", "https://no-such-host.invalid:8006"])
def test_a_host_that_cannot_be_reached(endpoint: str, site: Site) -> None:
    site.target(endpoint=endpoint)
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "E_UNREACHABLE" in ended.err
    assert endpoint in ended.err


@pytest.fixture
def between(site: Site, tmp_path: Path) -> Iterator[Node]:
    """Something that answers in the place of Proxmox VE."""
    certificate = make_certificate(clear(tmp_path / "node"), "127.0.0.1")
    node = Node(certificate.pem)
    site.target(endpoint=node.endpoint, fingerprint=certificate.fingerprint)
    yield node
    node.stop()


def test_a_proxy_that_answers_with_a_page(site: Site, between: Node) -> None:
    page = b"<html><body>Welcome to the guest network</body></html>"
    between.behave = lambda _: raw_answer(200, "OK", "text/html", page)
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert "an HTML page instead of JSON" in ended.err
    assert "Welcome" not in ended.err


@pytest.mark.parametrize(
    ("status", "reason"), [(596, "Connection timed out"), (595, "No route to host"), (502, "")]
)
def test_a_node_that_cannot_reach_another_one(
    status: int, reason: str, site: Site, between: Node
) -> None:
    between.behave = lambda _: raw_answer(status, reason, "text/plain", b"")
    ended = site.run("plan")
    assert ended.status == ExitStatus.UNREACHABLE
    assert f"{status} {reason}".strip() in ended.err


def test_nothing_but_reads_reaches_the_server_while_planning(site: Site, between: Node) -> None:
    def refuse(received: Received) -> bytes:
        return raw_answer(500, "no", "application/json", b'{"data": null}')

    between.behave = refuse
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status != ExitStatus.OK
    assert {received.method for received in between.requests} == {"GET"}


def test_a_role_that_is_deleted_between_plan_and_apply(site: Site) -> None:
    site.write("a.toml", ACL.format(role="Mine", kind="token", who=ROOT_TOKEN))
    site.edit("user.cfg", "", "role:Mine:VM.Audit:\n")
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    site.edit("user.cfg", "role:Mine:VM.Audit:\n", "")
    site.original = site.cluster_files()
    ended = site.run("apply", "p.json")
    assert ended.status == ExitStatus.STALE
    assert "role.Mine" in ended.err
    assert site.untouched


def test_a_token_that_sees_too_little_is_told_what_it_lacks_and_that_is_enough(site: Site) -> None:
    site.give_token(WEAK, SECRET)
    site.target(WEAK)
    site.write("a.toml", SELF_BACKUP)
    blind = site.run("plan")
    assert blind.status == ExitStatus.BLIND
    assert blind.out == ""
    assert "Sys.Audit on /access is missing" in blind.err
    lines = re.findall(r"pveum acl modify .*", blind.err)
    assert lines
    for line in lines:
        assert run_lines(SandboxApi(site.cluster.folder), line)
    seeing = site.run("plan")
    assert seeing.status == ExitStatus.OK, seeing
    assert "can plan this but not apply it" in seeing.out
    for needed in ("Sys.Modify on /access", "User.Modify on /access/groups"):
        assert needed in " ".join(seeing.out.split())
    refused = site.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "can plan this but not apply it" in refused.err


def test_half_of_what_a_token_lacks_is_not_enough(site: Site) -> None:
    site.give_token(WEAK, SECRET, [f"acl:1:/:{WEAK}:PVEAuditor:"])
    site.target(WEAK)
    ended = site.run("plan")
    assert ended.status == ExitStatus.BLIND
    assert site.untouched


@pytest.mark.parametrize("place", ["b.toml", "pvectl.toml", "ca.pem", "secret"])
def test_links_in_a_circle_are_files_that_cannot_be_read(place: str, site: Site) -> None:
    site.write("a.toml", '[user."a@pve"]\npassword = { file = "secret" }\n')
    site.write("ca.pem", (site.cluster.folder / "pve-root-ca.pem").read_text())
    site.target(fingerprint=None, ca_file="ca.pem")
    path = site.state / place
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)
    for command in ("validate", "plan", "apply --yes", "drift"):
        for env in ({}, {"CI": "true"}):
            ended = site.run(*command.split(), env=env)
            assert (ended.status == ExitStatus.OK) <= (place == "secret"), ended
            assert "E_BUG" not in ended.err
    assert site.untouched


@pytest.mark.parametrize(
    "command", ["show FILE", "apply FILE", "report --since FILE", "resume FILE", "rollback FILE"]
)
def test_a_file_that_is_far_too_large_is_not_read(command: str, site: Site) -> None:
    """It has a hole, and takes no room on the disk."""
    with (site.folder / "FILE").open("wb") as file:
        file.truncate(1 << 40)
    ended = site.run(*command.split())
    assert ended.status in {ExitStatus.USAGE, ExitStatus.RESTORED}, ended
    assert "FILE cannot be read: it is larger than 268,435,456 bytes" in ended.err
