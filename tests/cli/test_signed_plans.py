"""A plan that must be signed is applied only when one who may has signed these very bytes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

REVIEWER = "alice@example.com"


def key(folder: Path, name: str) -> Path:
    """A new SSH key without a passphrase."""
    path = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(words, check=True)
    return path


def allowed(folder: Path, *lines: tuple[str, Path]) -> Path:
    """A file of allowed signers."""
    path = folder / "allowed_signers"
    texts = [
        f'{who} namespaces="pvectl-plan" {own.with_suffix(".pub").read_text()}'
        for who, own in lines
    ]
    path.write_text("".join(texts))
    return path


@pytest.fixture
def signers(site: Site) -> Path:
    """Who may sign; the reviewer's key is `reviewer` beside it."""
    site.write("a.toml", "[group.ops]\n")
    return allowed(site.folder, (REVIEWER, key(site.folder, "reviewer")))


def test_a_signed_plan_is_applied_and_its_signer_named(site: Site, signers: Path) -> None:
    ended = site.run("plan", "--out", "p.json", "--sign", "reviewer")
    assert ended.status == ExitStatus.OK, ended
    assert (site.folder / "p.json.sig").read_text().startswith("-----BEGIN SSH SIGNATURE-----")
    ended = site.run(
        "apply", "p.json", "--allowed-signers", signers, "--format", "text", "--format", "json=r"
    )
    assert ended.status == ExitStatus.OK, ended
    assert f"signed by {REVIEWER}" in " ".join(ended.out.split())
    assert json.loads((site.folder / "r").read_text())["signer"] == REVIEWER
    assert "group:ops:" in site.user_cfg()
    (journal,) = (site.home / "journal").glob("*/*.jsonl")
    assert f"signed by {REVIEWER}" in " ".join(site.run("show", journal).out.split())


def test_without_the_flag_nothing_is_asked(site: Site, signers: Path) -> None:
    del signers
    assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
    assert site.run("apply", "p.json").status == ExitStatus.OK


@pytest.mark.parametrize(
    "attack", ["unsigned", "changed", "other key", "other plan", "other purpose", "not a signature"]
)
def test_any_other_plan_is_refused(attack: str, site: Site, signers: Path) -> None:
    plan, signature = site.folder / "p.json", site.folder / "p.json.sig"
    eve = key(site.folder, "eve")
    signed_by = eve if attack == "other key" else site.folder / "reviewer"
    assert site.run("plan", "--out", "p.json", "--sign", signed_by).status == ExitStatus.OK
    if attack == "unsigned":
        signature.unlink()
    elif attack == "changed":
        plan.write_bytes(plan.read_bytes().replace(b'{"created"', b'{ "created"'))
    elif attack == "other plan":
        old = signature.read_bytes()
        site.write("a.toml", "[group.other]\n")
        assert site.run("plan", "--out", "p.json").status == ExitStatus.OK
        assert not signature.exists()
        signature.write_bytes(old)
    elif attack == "other purpose":
        signature.unlink()
        words = ["ssh-keygen", "-q", "-Y", "sign", "-f", "reviewer", "-n", "git", "p.json"]
        subprocess.run(words, cwd=site.folder, check=True, capture_output=True)
    elif attack == "not a signature":
        signature.write_text("-----BEGIN SSH SIGNATURE-----\nAAAA\n")
    ended = site.run("apply", "p.json", "--allowed-signers", signers)
    assert ended.status == ExitStatus.REFUSED, ended
    assert "E_NOT_SIGNED" in ended.err
    assert "p.json" in ended.err
    assert site.untouched


def test_settings_can_demand_signatures(site: Site, signers: Path) -> None:
    outside = site.folder / "etc"
    outside.mkdir()
    (outside / "signers").write_bytes(signers.read_bytes())
    target = (site.state / "pvectl.toml").read_text()
    (outside / "settings.toml").write_text(f'{target}\n[trust]\nsigners = "signers"\n')
    (site.state / "pvectl.toml").unlink()
    settings = ("--settings", outside / "settings.toml")
    ended = site.run("apply", "--yes", *settings)
    assert ended.status == ExitStatus.REFUSED
    assert "only a signed plan may be applied here" in ended.err
    assert site.run("plan", "--out", "p.json", *settings).status == ExitStatus.OK
    assert site.run("apply", "p.json", *settings).status == ExitStatus.REFUSED
    assert site.untouched
    words = ("plan", "--out", "p.json", "--sign", "reviewer", *settings)
    assert site.run(*words).status == ExitStatus.OK
    assert site.run("apply", "p.json", *settings).status == ExitStatus.OK


def test_a_proposal_does_not_name_its_own_signers(site: Site, signers: Path) -> None:
    assert site.run("plan", "--out", "p.json", "--sign", "reviewer").status == ExitStatus.OK
    for inside in (True, False):
        place = site.state if inside else site.folder
        (place / "signers").write_bytes(signers.read_bytes())
        if not inside:
            (site.folder / ".git").mkdir()
        for words, env in (
            (("--allowed-signers", place / "signers"), {}),
            ((), {"PVECTL_ALLOWED_SIGNERS": str(place / "signers")}),
        ):
            ended = site.run("apply", "p.json", *words, env=env)
            assert ended.status == ExitStatus.USAGE, ended
            assert "is next to the state files" in ended.err
    assert site.untouched


def test_mistakes_are_reported(site: Site, signers: Path) -> None:
    ended = site.run("plan", "--sign", "reviewer")
    assert (ended.status, "add --out FILE" in ended.err) == (ExitStatus.USAGE, True)
    ended = site.run("plan", "--out", "p.json", "--sign", "nobody")
    assert ended.status == ExitStatus.USAGE
    assert "saved but not signed: nobody cannot sign it" in ended.err
    assert not (site.folder / "p.json.sig").exists()
    ended = site.run("apply", "p.json", "--allowed-signers", site.folder / "none")
    assert (ended.status, "cannot be read" in ended.err) == (ExitStatus.USAGE, True)
    ended = site.run("apply", "--yes", "--allowed-signers", signers)
    assert (ended.status, "E_NOT_SIGNED" in ended.err) == (ExitStatus.REFUSED, True)
    env = {"PATH": str(site.folder)}
    ended = site.run("apply", "p.json", "--allowed-signers", signers, env=env)
    assert ended.status in {ExitStatus.USAGE, ExitStatus.REFUSED}
    assert site.untouched


def test_a_line_of_allowed_signers_may_name_several(site: Site, signers: Path) -> None:
    signers.write_text(signers.read_text().replace(REVIEWER, f"{REVIEWER},bob@example.com"))
    assert site.run("plan", "--out", "p.json", "--sign", "reviewer").status == ExitStatus.OK
    ended = site.run("apply", "p.json", "--allowed-signers", signers)
    assert ended.status == ExitStatus.OK, ended
    assert f"signed by {REVIEWER}\n" in " ".join(ended.out.split(" ")).replace("  ", " ")
