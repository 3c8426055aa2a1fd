"""`[[rule]]` as commands tell it: refused, waived, trusted, in every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.support.command import copy_fixture

LIFETIME = '[[rule]]\nname = "short-tokens"\ntoken_lifetime = "90d"\nreason = "leaks"\n'
USER = '[user."ann@pve"]\n[user."ann@pve".token.ci]\nsecret_to = { file = "s" }\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A cluster of a team, which has tokens without an end, and a state folder with a rule."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    state = tmp_path / "state"
    state.mkdir()
    (state / "rules.toml").write_text(LIFETIME)
    return copy_fixture("team", tmp_path / "pve"), state


def test_what_is_declared_is_refused_and_what_was_there_only_warns(
    place: tuple[Path, Path],
) -> None:
    """Until it is declared; drift, which judges the cluster as it is, fails."""
    pve, state = place
    plan = ask_json("plan", on=pve, state=state)
    assert {(one["code"], one["severity"]) for one in plan["findings"]} >= {
        ("RULE_SHORT_TOKENS", "warning")
    }
    assert ask("plan", on=pve, state=state).status == ExitStatus.OK
    drift = ask("drift", on=pve, state=state)
    assert drift.status == ExitStatus.REFUSED, drift
    assert "token svc-terraform@pve!tf-ci never expires (rule short-tokens: leaks)" in drift.out
    (state / "a.toml").write_text(USER)
    assert ask("validate", state=state).status == ExitStatus.REFUSED
    refused = ask("plan", on=pve, state=state)
    assert refused.status == ExitStatus.REFUSED
    assert "RULE_SHORT_TOKENS  a.toml:2" in refused.out
    assert "the rule is at rules.toml:1:3" in refused.out
    (state / "a.toml").write_text(USER + "expires = 2020-01-01\n")
    assert ask("validate", state=state).status == ExitStatus.OK


def test_an_exception_is_waived_until_a_date(place: tuple[Path, Path]) -> None:
    pve, state = place
    (state / "a.toml").write_text(USER)
    waiver = (
        '[[waive]]\ncode = "RULE_SHORT_TOKENS"\naddress = "token.*"\nreason = "new"\nexpires = {}\n'
    )
    (state / "w.toml").write_text(waiver.format("2099-01-01"))
    for words in (("validate",), ("plan", "--on", f"sandbox:{pve}")):
        done = ask(*words, state=state)
        assert done.status == ExitStatus.OK, done
        assert "RULE_SHORT" not in done.out
    assert "RULE_SHORT" not in ask("drift", on=pve, state=state).out
    (state / "w.toml").write_text(waiver.format("2020-01-01"))
    expired = ask("validate", state=state)
    assert expired.status == ExitStatus.REFUSED
    assert "WAIVER_EXPIRED" in expired.out
    (state / "w.toml").write_text(waiver.format("2099-01-01").replace("SHORT_TOK", "SHORT_TIK"))
    assert "there is no rule of that name" in ask("validate", state=state).out


@pytest.mark.parametrize("severity", ["warning", "note"])
def test_a_softer_rule_refuses_nothing(severity: str, place: tuple[Path, Path]) -> None:
    pve, state = place
    (state / "a.toml").write_text(f'{LIFETIME}severity = "{severity}"\n{USER}')
    (state / "rules.toml").unlink()
    for words in (("validate",), ("plan", "--on", f"sandbox:{pve}")):
        done = ask(*words, state=state)
        assert done.status == ExitStatus.OK, done
        assert "RULE_SHORT_TOKENS" in done.out


def test_separation_on_one_path_counts_what_pools_and_groups_give(
    place: tuple[Path, Path],
) -> None:
    """The plan is refused for what it would bring about, which no single table shows."""
    pve, state = place
    (state / "rules.toml").write_text(
        '[[rule]]\nname = "four-eyes"\npath = "/vms/9000"\n'
        'exclusive_privileges = ["VM.Allocate", "VM.Backup"]\n'
        '[role.Save]\nprivileges = ["VM.Backup"]\n[role.Make]\nprivileges = ["VM.Allocate"]\n'
        '[group.savers]\n[group.makers]\n[user."ann@pve"]\ngroups = ["savers", "makers"]\n'
        '[[acl]]\nroles = ["Save"]\npaths = ["/vms"]\ngroups = ["savers"]\n'
        '[[acl]]\nroles = ["Make"]\npaths = ["/vms"]\ngroups = ["makers"]\n'
    )
    refused = ask("plan", on=pve, state=state)
    assert refused.status == ExitStatus.REFUSED
    words = " ".join(refused.out.split())
    assert "ann@pve holds both VM.Allocate and VM.Backup on /vms/9000 (rule four-eyes)" in words
    assert "given by Make for group makers on /vms and Save for group savers on /vms" in words


def test_rules_of_the_trusted_settings_cannot_be_left_out(
    place: tuple[Path, Path], tmp_path: Path
) -> None:
    pve, state = place
    (state / "rules.toml").unlink()
    (state / "a.toml").write_text(USER)
    trusted = tmp_path / "etc" / "settings.toml"
    trusted.parent.mkdir()
    trusted.write_text(f'[trust]\nwaive = []\n{LIFETIME}[target]\nendpoint = "sandbox:{pve}"\n')
    settings = ("--settings", trusted)
    assert ask("validate", state=state).status == ExitStatus.OK
    refused = ask("plan", *settings, state=state)
    assert refused.status == ExitStatus.REFUSED, refused
    assert f"the rule is at {trusted}:3:3" in refused.out.replace("\n", "").replace(" " * 6, " ")
    (state / "w.toml").write_text(
        '[[waive]]\ncode = "RULE_SHORT_TOKENS"\nreason = "no"\nexpires = 2099-01-01\n'
    )
    assert ask("plan", *settings, state=state).status == ExitStatus.REFUSED
    trusted.write_text(trusted.read_text().replace('"90d"', '"90"'))
    assert ask("plan", *settings, state=state).status == ExitStatus.FILES_INVALID
    (state / "pvectl.toml").write_text(LIFETIME)
    assert "belong in the other files" in ask("validate", state=state).out


def test_every_format_has_the_code_and_the_line(place: tuple[Path, Path]) -> None:
    _, state = place
    (state / "a.toml").write_text(USER)
    sarif = json.loads(ask("validate", "--format", "sarif", state=state).out)
    (result,) = (one for one in sarif["runs"][0]["results"] if one["level"] == "error")
    assert result["ruleId"] == "RULE_SHORT_TOKENS"
    assert "a.toml" in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert "RULE_SHORT_TOKENS" in ask("validate", "--format", "junit", state=state).out
    assert "RULE_SHORT_TOKENS" in ask("validate", "--format", "codequality", state=state).out
    page = ask("explain", "rule_short_tokens")
    assert page.status == ExitStatus.OK
    assert page.out.startswith("RULE_SHORT_TOKENS: ")


def test_the_access_review_lists_what_breaks_a_rule(place: tuple[Path, Path]) -> None:
    pve, state = place
    found = ask_json("report", on=pve, state=state)
    codes = {one["code"] for one in found["findings"]}
    assert "RULE_SHORT_TOKENS" in codes
