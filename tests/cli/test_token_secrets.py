"""Where secrets of tokens may go, and which may be renewed, with the installed command."""

from __future__ import annotations

import json

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import ROOT_TOKEN, Site
from tests.support.command import secret_of

TOKEN = """
[user."new@pve"]

[user."new@pve".token.t1]
secret_to = {{ {} }}
"""
BOOTSTRAP = """
[user."root@pam".token.bootstrap]
secret_to = { file = "secrets/root" }
privsep = false
"""


def test_a_file_of_somebody_else_is_not_overwritten(site: Site) -> None:
    site.write("a.toml", TOKEN.format('file = "notes"'))
    site.write("notes", "do not lose this\n")
    refused = site.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED, refused
    assert "notes contains something other than a token secret" in refused.err
    assert "move the file away, or name another one in secret_to" in refused.err
    assert (site.state / "notes").read_text() == "do not lose this\n"
    assert site.untouched
    (site.state / "notes").unlink()
    assert site.run("apply", "--yes").status == ExitStatus.OK


def test_the_earlier_secret_of_a_token_that_is_recreated_is_replaced(site: Site) -> None:
    site.write("a.toml", TOKEN.format('file = "t1"'))
    site.write("t1", "11111111-2222-4333-8444-666666666666\n")
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert (site.state / "t1").read_text().strip() == secret_of(site.cluster.folder, "new@pve!t1")


def test_the_file_with_pvectls_own_secret_is_not_a_place_for_another(site: Site) -> None:
    secret = secret_of(site.cluster.folder, ROOT_TOKEN)
    site.settings = 'token_secret = { file = "own" }'
    site.target()
    site.write("own", f"{secret}\n")
    site.write("a.toml", TOKEN.format('file = "./own"'))
    refused = site.run("apply", "--yes", env={"PVECTL_TOKEN_SECRET": ""})
    assert refused.status == ExitStatus.REFUSED, refused
    assert "holds a secret of pvectl itself" in refused.err
    assert (site.state / "own").read_text() == f"{secret}\n"
    assert site.untouched


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "~/x"])
@pytest.mark.parametrize("sink", ['file = "{}"', 'env_file = "{}", variable = "X"'])
def test_a_place_outside_the_state_folder_is_written_out(site: Site, sink: str, path: str) -> None:
    site.write("a.toml", TOKEN.format(sink.format(path)))
    refused = site.run("validate")
    assert refused.status == ExitStatus.FILES_INVALID
    assert "write an absolute path if intended" in refused.out + refused.err


def test_an_absolute_path_is_meant(site: Site) -> None:
    site.write("a.toml", TOKEN.format(f'file = "{site.folder}/x"'))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert (site.folder / "x").read_text().strip() == secret_of(site.cluster.folder, "new@pve!t1")


def test_a_protected_token_keeps_its_secret_unless_that_is_allowed(site: Site) -> None:
    site.write("a.toml", TOKEN.format('file = "t1"'))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    secret = (site.state / "t1").read_text()
    site.settings = '[protected]\nnever_change = ["token.new@pve!*"]'
    site.target()
    refused = site.run("rotate", "new@pve!t1", "--yes")
    assert refused.status == ExitStatus.REFUSED
    assert "PROTECTED" in refused.err
    flag = "PROTECTED=token.new@pve!t1"
    assert f"--allow '{flag}'" in refused.out
    assert (site.state / "t1").read_text() == secret
    allowed = site.run("rotate", "token.new@pve!t1", "--yes", "--allow", flag)
    assert allowed.status == ExitStatus.OK, allowed
    assert (site.state / "t1").read_text() != secret


def test_the_token_that_pvectl_itself_uses_is_not_rotated(site: Site) -> None:
    site.write("a.toml", BOOTSTRAP)
    before = secret_of(site.cluster.folder, ROOT_TOKEN)
    refused = site.run("rotate", ROOT_TOKEN, "--yes")
    assert refused.status == ExitStatus.REFUSED, refused
    assert "is the token that pvectl itself uses here" in " ".join(refused.out.split())
    assert secret_of(site.cluster.folder, ROOT_TOKEN) == before
    assert site.run("status").status == ExitStatus.OK


BROKEN = 'command = ["sh", "-c", "exit 3"]'
WORKING = 'file = "secrets/t1"'
CUT_OFF = 'command = ["sh", "-c", "kill -9 $PPID"]'


def _stuck_rotation(site: Site) -> None:
    """Past the point of no return: the old secret is dead, and the new one did not arrive."""
    site.write("a.toml", TOKEN.format(WORKING))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", TOKEN.format(BROKEN))
    stuck = site.run("rotate", "new@pve!t1", "--yes")
    assert stuck.status == ExitStatus.NOT_RESTORED, stuck
    assert "correct the command, or secret_to in the state files" in " ".join(stuck.out.split())
    assert "its secret was not delivered" in " ".join(stuck.out.split())


def _has_arrived(site: Site, name: str = "secrets/t1") -> None:
    secret = (site.state / name).read_text().strip()
    assert secret == secret_of(site.cluster.folder, "new@pve!t1")
    assert site.run("status").status == ExitStatus.OK
    assert site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_a_rotation_continues_with_the_sink_that_the_files_say_now(site: Site) -> None:
    _stuck_rotation(site)
    again = site.run("resume")
    assert again.status == ExitStatus.NOT_RESTORED, again
    assert "as the files now declare" not in again.err
    site.write("a.toml", TOKEN.format(WORKING))
    resumed = site.run("resume")
    assert resumed.status == ExitStatus.OK, resumed
    assert (
        "new@pve!t1: the secret will be delivered to file secrets/t1, as the files now declare"
        in resumed.err
    )
    assert "a new secret was created and delivered; one delivered before no longer works" in (
        " ".join(resumed.out.split())
    )
    _has_arrived(site)


@pytest.mark.parametrize("files", ["[user.", "", '[user."new@pve".token.t1]\n'])
def test_without_a_sink_in_the_files_the_one_of_the_journal_is_used(site: Site, files: str) -> None:
    """Files with mistakes, files without the token, and a token without secret_to."""
    site.write("a.toml", TOKEN.format('command = ["sh", "-c", "test -e mended && cat > got"]'))
    assert site.run("apply", "--yes").status == ExitStatus.RESTORED
    (site.state / "mended").touch()
    assert site.run("apply", "--yes").status == ExitStatus.OK
    (site.state / "mended").unlink()
    assert site.run("rotate", "new@pve!t1", "--yes").status == ExitStatus.NOT_RESTORED
    (site.state / "mended").touch()
    site.write("a.toml", files)
    resumed = site.run("resume")
    assert resumed.status == ExitStatus.OK, resumed
    assert ("secrets are delivered where the journal says" in resumed.err) == (files == "[user.")
    secret = (site.state / "got").read_text().strip()
    assert secret == secret_of(site.cluster.folder, "new@pve!t1")


def test_a_sink_that_cannot_take_a_secret_is_known_before_one_is_made(site: Site) -> None:
    _stuck_rotation(site)
    site.write("notes", "do not lose this\n")
    site.write("a.toml", TOKEN.format('file = "notes"'))
    before = site.cluster_files()
    refused = site.run("resume")
    assert refused.status == ExitStatus.NOT_RESTORED, refused
    assert "notes contains something other than a token secret" in refused.err
    assert "correct secret_to of new@pve!t1 in the state files" in refused.err
    assert (site.state / "notes").read_text() == "do not lose this\n"
    assert site.cluster_files() == before
    site.write("a.toml", TOKEN.format(WORKING))
    assert site.run("resume").status == ExitStatus.OK
    _has_arrived(site)


def test_no_rollback_is_offered_where_there_is_none(site: Site) -> None:
    _stuck_rotation(site)
    refused = site.run("apply", "--yes")
    assert refused.status == ExitStatus.UNFINISHED
    assert "`pvectl resume` finishes it" in refused.err
    assert "cannot be rolled back any more" in refused.err
    assert "pvectl rollback" not in refused.err
    assert "pvectl rollback" not in site.run("status").out


def test_a_killed_rotation_offers_no_rollback_either(site: Site) -> None:
    site.write("a.toml", TOKEN.format(WORKING))
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.write("a.toml", TOKEN.format(CUT_OFF))
    assert site.run("rotate", "new@pve!t1", "--yes").status == -9
    told = site.run("status")
    assert "It cannot be rolled back any more" in told.out
    assert "its secret was not delivered, or may not have been" in " ".join(told.out.split())
    site.write("a.toml", TOKEN.format(WORKING))
    resumed = site.run("resume")
    assert resumed.status == ExitStatus.OK, resumed
    assert "one delivered before no longer works" in " ".join(resumed.out.split())
    _has_arrived(site)


def test_a_secret_in_transit_when_the_run_was_killed_is_reported(site: Site) -> None:
    site.write("a.toml", TOKEN.format(CUT_OFF))
    assert site.run("apply", "--yes").status == -9
    told = site.run("status")
    assert told.status == ExitStatus.UNFINISHED
    assert "created, secret possibly not delivered" in told.out
    remark = (
        "its secret was not delivered, or may not have been: `pvectl resume` creates and delivers"
    )
    assert remark in " ".join(told.out.split())
    as_json = json.loads(site.run("status", "--format", "json").out)
    assert "not delivered" in as_json["run"]["secrets"]["token.new@pve!t1"]
    site.write("a.toml", TOKEN.format(WORKING))
    resumed = site.run("resume")
    assert resumed.status == ExitStatus.OK, resumed
    words = "a new secret was created and delivered; one delivered before no longer works"
    assert words in " ".join(resumed.out.split())
    _has_arrived(site)


def test_a_redirected_secret_is_withdrawn_from_where_it_went(site: Site) -> None:
    """The journal keeps where it went: the rollback looks there, whatever the files say."""
    killed = '[group.last]\n[user."x@pve"]\n[user."x@pve".token.t2]\nsecret_to = {{ {} }}\n'
    site.write("a.toml", TOKEN.format(CUT_OFF))
    site.write("b.toml", killed.format(CUT_OFF))
    assert site.run("apply", "--yes").status == -9
    site.write("a.toml", TOKEN.format(WORKING))
    assert site.run("resume").status == -9
    assert (site.state / "secrets/t1").exists()
    site.write("a.toml", TOKEN.format('file = "elsewhere"'))
    site.write("elsewhere", "do not lose this\n")
    assert site.run("rollback").status == ExitStatus.OK
    assert not (site.state / "secrets/t1").exists()
    assert (site.state / "elsewhere").read_text() == "do not lose this\n"
    assert "new@pve" not in site.user_cfg()
