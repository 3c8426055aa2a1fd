"""One message per change of state, by mail and to a web hook, with nothing secret in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import ROOT_TOKEN, SELF_BACKUP, Site
from tests.support.command import Ended, environment
from tests.support.mailbox import Hook, Mailbox, hook, mailbox

CANARY = "hook-secret-7f3a91"


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def web() -> Iterator[Hook]:
    with hook(CANARY) as made:
        yield made


@pytest.fixture
def watched(site: Site, mail: Mailbox, web: Hook) -> Site:
    """A site whose administrator keeps the settings and is told of everything."""
    (site.folder / "secret").write_text(site.env.pop("PVECTL_TOKEN_SECRET"))
    (site.folder / "urls").write_text(f"{mail.url} {web.url}\n")
    settings(site, '[notify]\nurls = { file = "urls" }\n')
    (site.state / "pvectl.toml").unlink()
    site.write("a.toml", SELF_BACKUP)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.env["CI"] = "true"
    return site


def settings(site: Site, notify: str) -> None:
    path = site.folder / "settings.toml"
    path.write_text(
        f'[target]\nendpoint = "{site.cluster.url}"\nfingerprint = "{site.cluster.fingerprint}"\n'
        f'token_id = "{ROOT_TOKEN}"\ntoken_secret = {{ file = "secret" }}\n'
        f'[trust]\nfiles = ["{site.folder}/*"]\n{notify}'
    )
    site.env["PVECTL_SETTINGS"] = str(path)


def drift(site: Site) -> Ended:
    ended = site.run("drift", "--quiet")
    assert "warning: no notification" not in ended.err, ended.err
    return ended


def test_drift_is_reported_once_until_it_changes_and_when_it_ends(
    watched: Site, mail: Mailbox, web: Hook
) -> None:
    assert drift(watched).status == ExitStatus.OK
    assert (mail.texts, web.calls) == ([], [])
    before = watched.user_cfg()
    watched.edit("user.cfg", ":in-guest controller:", ":somebody else:")
    for _ in range(2):
        assert drift(watched).status == ExitStatus.CHANGES
    assert len(mail.texts) == len(web.calls) == 1
    assert mail.messages[0]["subject"].startswith(f"pvectl: drift on {watched.cluster.url}: 1 ")
    assert 'changed user.felhom-ctl@pve: comment: "somebody else" in the' in mail.texts[0]
    assert web.calls[0]["title"] == mail.messages[0]["subject"]
    assert web.calls[0]["type"] == "warning"
    watched.edit("user.cfg", ":somebody else:", ":and another:")
    assert drift(watched).status == ExitStatus.CHANGES
    assert len(mail.texts) == 2
    watched.edit("user.cfg", "", "user:evil@pve:1:0::::::\nacl:1:/:evil@pve:Administrator:\n")
    assert drift(watched).status == ExitStatus.CHANGES
    assert "evil@pve has become root, with every privilege on /" in mail.texts[2]
    assert "extra user.evil@pve: not declared" in mail.texts[2]
    (watched.cluster.folder / "user.cfg").write_text(before)
    for _ in range(2):
        assert drift(watched).status == ExitStatus.OK
    assert [call["title"] for call in web.calls[3:]] == [
        f"pvectl: no drift any more on {watched.cluster.url}"
    ]
    assert web.calls[3]["type"] == "success"


def test_what_fails_is_reported_and_that_it_works_again(
    watched: Site, mail: Mailbox, web: Hook
) -> None:
    secret = watched.folder / "secret"
    good = secret.read_text()
    secret.write_text("00000000-0000-0000-0000-000000000000")
    for command in ("drift", "drift", "backup status", "apply --yes"):
        assert watched.run(*command.split()).status == ExitStatus.UNREACHABLE
    told = [one.partition("\n")[0] for one in mail.texts]
    assert told == [
        f"pvectl {task} failed: E_AUTH (state)" for task in ("drift", "backup status", "apply")
    ]
    assert "0000-0000" not in str(web.calls) + "".join(mail.texts)
    secret.write_text(good)
    assert drift(watched).status == ExitStatus.OK
    watched.run("backup", "status", env={"PVECTL_RUN_URL": "https://ci.example.com/7"})
    assert watched.run("apply", "--yes").status == ExitStatus.OK
    told = [call["title"] for call in web.calls[3:]]
    assert "pvectl drift works again (state)" in told
    assert "pvectl apply works again (state)" in told
    (stale,) = (call for call in web.calls if "backups on" in call["title"])
    assert "2 guests without a recent backup" in stale["title"]
    assert "guest 9001: in no job" in stale["message"]
    assert "https://ci.example.com/7" in stale["message"]


def test_an_apply_that_fails_is_reported(watched: Site, mail: Mailbox) -> None:
    watched.write("b.toml", '[user."new@pve"]\npassword = { env = "NEW" }\n')
    ended = watched.run("apply", "--yes", env={"NEW": "short"})
    assert ended.status == ExitStatus.RESTORED, ended
    assert mail.texts[0].startswith("pvectl apply failed: exit status 9 (state)\n")
    assert "short" not in mail.texts[0]


def test_only_what_is_asked_for_is_reported(watched: Site, mail: Mailbox) -> None:
    settings(watched, '[notify]\nurls = { file = "urls" }\non = ["stale-backup"]\n')
    watched.edit("user.cfg", ":in-guest controller:", ":somebody else:")
    assert drift(watched).status == ExitStatus.CHANGES
    assert mail.texts == []


def test_a_failed_delivery_is_repeated_later(watched: Site, mail: Mailbox, web: Hook) -> None:
    watched.edit("user.cfg", ":in-guest controller:", ":somebody else:")
    web.broken = True
    ended = watched.run("drift", "--quiet")
    assert ended.status == ExitStatus.CHANGES
    assert ended.err == "warning: notice 'drift' did not reach URL 2 of [notify]\n"
    assert (len(mail.texts), len(web.calls)) == (1, 0)
    web.broken = False
    assert drift(watched).status == ExitStatus.CHANGES
    assert (len(mail.texts), len(web.calls)) == (1, 1)


def test_no_secret_is_said_or_kept(watched: Site, mail: Mailbox, web: Hook) -> None:
    watched.edit("user.cfg", ":in-guest controller:", ":somebody else:")
    web.broken = True
    ended = watched.run("drift")
    kept = b"".join(path.read_bytes() for path in watched.home.rglob("*") if path.is_file())
    told = ended.out + ended.err + "".join(mail.texts)
    for secret in (CANARY, (watched.folder / "secret").read_text()):
        assert secret not in told
        assert secret.encode() not in kept
    (notice,) = (watched.home / "notices").iterdir()
    assert notice.stat().st_mode & 0o777 == 0o600


def test_a_state_folder_cannot_say_where_notices_go(watched: Site, web: Hook) -> None:
    watched.write("pvectl.toml", f'[notify]\nurls = {{ env = "X" }}\n# {web.url}\n')
    ended = watched.run("drift", env={"X": web.url})
    assert (ended.status, "UNTRUSTED_TABLE" in ended.err) == (3, True)


def test_mistakes_in_the_settings(watched: Site) -> None:
    settings(watched, '[notify]\nurls = "json://x"\non = ["drft"]\n')
    ended = watched.run("drift")
    assert ended.status == ExitStatus.FILES_INVALID
    assert "settings.toml" in ended.err
    assert "'on'" in ended.err
    assert "'stale-backup'" in ended.err
    settings(watched, '[notify]\nurls = { env = "NOT_SET" }\n')
    watched.edit("user.cfg", ":in-guest controller:", ":somebody else:")
    ended = watched.run("drift", "--quiet")
    assert ended.status == ExitStatus.CHANGES
    assert (
        "warning: no notification of 'drift' was sent: the environment variable NOT_SET"
        in ended.err
    )


def test_it_can_be_tried(watched: Site, mail: Mailbox, web: Hook) -> None:
    ended = watched.run("notify")
    assert (ended.status, len(mail.texts), len(web.calls)) == (0, 1, 1), ended
    assert "sent to 2 URLs" in ended.err
    (watched.folder / "urls").write_text(f"nonsense://x {web.url}")
    web.broken = True
    ended = watched.run("notify")
    assert (ended.status, "URL 1, 2 of [notify]" in ended.err) == (4, True), ended
    assert CANARY not in ended.out + ended.err
    del watched.env["PVECTL_SETTINGS"]
    ended = watched.run("notify")
    assert (ended.status, "have no [notify]" in ended.err) == (64, True)


def test_the_library_is_imported_only_to_send() -> None:
    script = (
        "import sys\nfrom reconciler.cli.app import run\nrun(['drift', '--on', 'sandbox:none'])\n"
        "print([name for name in sys.modules if name.startswith(('apprise', 'requests', "
        "'reconciler.cli.notices', 'reconciler.execution.notices'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=Path(__file__).parent,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
