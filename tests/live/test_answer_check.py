"""Answers that Proxmox VE would not send are told as what they are, whatever is wrong in them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from reconciler.errors import ExitStatus, UnexpectedAnswer
from reconciler.kinds import all_kinds
from reconciler.live.answer_check import BESIDE_THE_KINDS, check_answer, shape_of
from reconciler.model.request import Request, request
from reconciler.sandbox.http.direct import SandboxApi
from tests.support import built_once
from tests.support.command import copy_fixture
from tests.support.replay import recordings

GONE = object()
WHOLE: tuple[Any, ...] = (None, [], {}, "x", 5, [None], [{}], [[]], {"a": 1}, {"a": {"b": "c"}})
SINGLE: tuple[Any, ...] = (
    GONE,
    None,
    "",
    [],
    {"k": "v"},
    [[]],
    -1,
    10**30,
    True,
    "\ud800",
    "a\nb",
    "é|b:c",
)
STATE = """
[role.R]
privileges = ["VM.Audit"]

[user."x@pve".token.t1]

[[acl]]
roles = ["R"]
paths = ["/vms/100", "/storage/local"]
tokens = ["x@pve!t1"]

[pool.p]
storages = ["local"]

[storage.local]
content = ["backup"]

[backup.nightly]
schedule = "02:00"
all = true

[realm.pve]
comment = "c"
"""

Key = tuple[str, Any]
Change = Callable[[Any], Any]


class Altered:
    """The embedded Proxmox VE; the answer to one GET is another one."""

    def __init__(self) -> None:
        self.answers: dict[Key, Any] = {}
        self.key: Key | None = None
        self.change: Change = lambda answer: answer
        self._get = SandboxApi.get

    def get(self, api: SandboxApi, requests: Sequence[Request]) -> list[Any]:
        found = []
        for asked, answer in zip(requests, self._get(api, requests), strict=True):
            key = (asked.target, asked.params)
            if key not in self.answers:
                self.answers[key] = copy.deepcopy(answer)
            found.append(self.change(copy.deepcopy(answer)) if key == self.key else answer)
        return found


@pytest.fixture
def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Altered:
    copy_fixture("self-backup", tmp_path / "pve")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/pvectl.toml").write_text('[target]\nendpoint = "sandbox:../pve"\n')
    (tmp_path / "state/a.toml").write_text(STATE + '[user."x@pve"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    found = Altered()

    def get(api: SandboxApi, requests: Sequence[Request]) -> list[Any]:
        return found.get(api, requests)

    monkeypatch.setattr(SandboxApi, "get", get)
    return found


def run(*arguments: str) -> int:
    return built_once.run(arguments)


def places(answer: Any) -> Iterator[tuple[Any, ...]]:
    """A path to each field: of an object, and of the fullest row of each list."""
    if isinstance(answer, dict):
        for name, value in list(answer.items())[:12]:
            yield (name,)
            yield from ((name, *rest) for rest in places(value))
    elif isinstance(answer, list) and answer:
        fullest: dict[Any, int] = {}
        for number, row in enumerate(answer):
            if isinstance(row, dict):
                case = row.get("type") if "vmid" in row or "node" in row else ""
                best = fullest.setdefault(case, number)
                if len(row) > len(answer[best]):
                    fullest[case] = number
        for number in fullest.values():
            yield from ((number, *rest) for rest in places(answer[number]))


def with_value(answer: Any, place: tuple[Any, ...], value: Any) -> Any:
    within = answer
    for part in place[:-1]:
        within = within[part]
    if value is GONE:
        del within[place[-1]]
    else:
        within[place[-1]] = copy.deepcopy(value)
    return answer


def instead(whole: Any, _: Any) -> Any:
    return copy.deepcopy(whole)


def alterations(key: Key, answer: Any, values: Sequence[Any]) -> Iterator[tuple[str, Change]]:
    """Of the whole, and of each field that is looked at."""
    for whole in WHOLE:
        yield repr(whole), partial(instead, whole)
    for place in places(answer):
        if not is_refused(key, with_value(copy.deepcopy(answer), place, [[]])):
            continue
        for value in values:
            yield (
                f"{place} {value!r}",
                partial(with_value, place=place, value=value),
            )


def is_refused(key: Key, answer: Any) -> bool:
    target, params = key
    try:
        check_answer(Request("GET", tuple(target.strip("/").split("/")), params), answer)
    except UnexpectedAnswer:
        return True
    return False


@pytest.mark.parametrize(
    ("command", "values"),
    [(("plan",), SINGLE), (("import", "--out", "new"), (GONE, {"k": "v"}, "é|b:c"))],
    ids=["plan", "import"],
)
def test_no_answer_leads_to_a_bug(
    altered: Altered,
    command: tuple[str, ...],
    values: Sequence[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the check refuses has the same end each time, so that is tried once per GET."""
    assert run(*command) == ExitStatus.OK
    asked = dict(altered.answers)
    assert len(asked) >= 12
    refused = 0
    for key, answer in asked.items():
        altered.key, tried = key, False
        for name, altered.change in alterations(key, answer, values):
            wrong = is_refused(key, altered.change(copy.deepcopy(answer)))
            refused += wrong
            if wrong and tried:
                continue
            tried = tried or wrong
            for written in Path("new").glob("*.toml"):
                written.unlink()
            capsys.readouterr()
            status = run(*command)
            said = capsys.readouterr().err
            assert status != ExitStatus.BUG, (key, name, said)
            if wrong:
                assert status == ExitStatus.UNREACHABLE
                assert "E_ANSWER" in said
                assert f"GET {key[0]} is not a valid answer of Proxmox VE: " in said
        assert tried
    assert refused > 200


def test_every_recorded_answer_fits() -> None:
    """Of a real Proxmox VE 9.2."""
    checked = 0
    for step in (
        s for kind in ("exchanges", "traces") for r in recordings(kind) for s in r["steps"]
    ):
        if step.get("method") != "GET" or step["status"] != 200:
            continue
        path = tuple(map(unquote, step["path"].strip("/").split("/")))
        asked = request("GET", *path, **(step.get("params") or {}))
        try:
            shape_of(asked)
        except LookupError:
            continue
        check_answer(asked, step["body"]["data"])
        checked += 1
    assert checked > 200


def test_every_list_of_a_kind_has_a_shape() -> None:
    for kind in all_kinds().values():
        for asked in kind.reads.requests:
            assert f"{asked.target}" in {*kind.reads.answer_shapes, *BESIDE_THE_KINDS}, asked


@pytest.mark.parametrize(
    ("target", "answer", "complaint"),
    [
        (
            "/access/users",
            [{"userid": "a@pve"}, {"userid": "b@pve", "expire": "soon"}],
            "row 2, `expire`: a string instead of a number from 0",
        ),
        ("/access/users", None, "null instead of a list"),
        ("/access/users", [{}], "row 1, `userid` is missing"),
        (
            "/access/users",
            [{"userid": "a@pve", "tokens": [{"tokenid": "t1", "privsep": 7}]}],
            "row 1, `tokens`, row 1, `privsep`: a number instead of 0 or 1",
        ),
        ("/access/groups", [{"groupid": "a b"}], "row 1, `groupid`: a string instead of a name of"),
        ("/access/permissions", {"/": {"VM.Audit": None}}, "`/`, `VM.Audit`: null instead of"),
        ("/cluster/resources", [{"type": "qemu"}], "row 1, `vmid` is missing"),
        ("/storage", [{"storage": "s", "type": "dir", "nodes": [[]]}], "row 1, `nodes`: a list"),
    ],
)
def test_the_place_is_reported_and_no_value(target: str, answer: Any, complaint: str) -> None:
    with pytest.raises(UnexpectedAnswer) as raised:
        check_answer(request("GET", *target.strip("/").split("/")), answer)
    assert raised.value.summary.startswith(
        f"the answer of GET {target} is not a valid answer of Proxmox VE: {complaint}"
    )
    assert "soon" not in raised.value.summary
    assert f"pvesh get {target}" in raised.value.hint


def test_numbers_and_strings_are_interchangeable() -> None:
    """As JSON that comes from Perl has it."""
    rows = [{"userid": "a@pve", "enable": "1", "expire": "12", "comment": 5, "groups": "x,y"}]
    check_answer(request("GET", "access", "users", full=1), rows)
    assert rows[0]["comment"] == "5"
