"""Where secrets of tokens may go, and which may be renewed, with the installed command."""

from __future__ import annotations

import pytest

from tests.cli.site import ROOT_TOKEN, Site
from tests.command import secret_of

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
    assert refused.status == 4, refused
    assert "notes holds something else than the secret of a token" in refused.err
    assert "move the file away, or name another one in secret_to" in refused.err
    assert (site.state / "notes").read_text() == "do not lose this\n"
    assert site.untouched
    (site.state / "notes").unlink()
    assert site.run("apply", "--yes").status == 0


def test_the_earlier_secret_of_a_token_that_is_made_again_is_replaced(site: Site) -> None:
    site.write("a.toml", TOKEN.format('file = "t1"'))
    site.write("t1", "11111111-2222-4333-8444-666666666666\n")
    assert site.run("apply", "--yes").status == 0
    assert (site.state / "t1").read_text().strip() == secret_of(site.cluster.folder, "new@pve!t1")


def test_the_file_with_pvectls_own_secret_is_no_place_for_another(site: Site) -> None:
    secret = secret_of(site.cluster.folder, ROOT_TOKEN)
    site.settings = 'token_secret = { file = "own" }'
    site.target()
    site.write("own", f"{secret}\n")
    site.write("a.toml", TOKEN.format('file = "./own"'))
    refused = site.run("apply", "--yes", env={"PVECTL_TOKEN_SECRET": ""})
    assert refused.status == 4, refused
    assert "holds the secret with which pvectl itself acts" in refused.err
    assert (site.state / "own").read_text() == f"{secret}\n"
    assert site.untouched


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "~/x"])
@pytest.mark.parametrize("sink", ['file = "{}"', 'env_file = "{}", variable = "X"'])
def test_a_place_outside_the_state_folder_is_written_out(site: Site, sink: str, path: str) -> None:
    site.write("a.toml", TOKEN.format(sink.format(path)))
    refused = site.run("validate")
    assert refused.status == 3
    assert "write an absolute path if that is meant" in refused.out + refused.err


def test_an_absolute_path_is_meant(site: Site) -> None:
    site.write("a.toml", TOKEN.format(f'file = "{site.folder}/x"'))
    assert site.run("apply", "--yes").status == 0
    assert (site.folder / "x").read_text().strip() == secret_of(site.cluster.folder, "new@pve!t1")


def test_a_protected_token_keeps_its_secret_unless_that_is_allowed(site: Site) -> None:
    site.write("a.toml", TOKEN.format('file = "t1"'))
    assert site.run("apply", "--yes").status == 0
    secret = (site.state / "t1").read_text()
    site.settings = '[protected]\nnever_change = ["token.new@pve!*"]'
    site.target()
    refused = site.run("rotate", "new@pve!t1", "--yes")
    assert refused.status == 4
    assert "PROTECTED" in refused.err
    flag = "PROTECTED=token.new@pve!t1"
    assert f"--allow '{flag}'" in refused.out
    assert (site.state / "t1").read_text() == secret
    allowed = site.run("rotate", "new@pve!t1", "--yes", "--allow", flag)
    assert allowed.status == 0, allowed
    assert (site.state / "t1").read_text() != secret


def test_the_token_that_pvectl_itself_uses_is_not_rotated(site: Site) -> None:
    site.write("a.toml", BOOTSTRAP)
    before = secret_of(site.cluster.folder, ROOT_TOKEN)
    refused = site.run("rotate", ROOT_TOKEN, "--yes")
    assert refused.status == 4, refused
    assert "is the token that pvectl itself uses here" in " ".join(refused.out.split())
    assert secret_of(site.cluster.folder, ROOT_TOKEN) == before
    assert site.run("status").status == 0
