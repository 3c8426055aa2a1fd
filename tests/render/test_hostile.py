"""Whatever a cluster or a file holds, it cannot steer a terminal, a comment or a CI system."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.kinds.group import GroupSpec
from reconciler.model.plan import Plan
from reconciler.planning.drift import drift_of
from reconciler.render import FORMATS
from reconciler.render.markdown import LIMIT
from reconciler.render.view import View
from tests.render import samples

PIECES = st.sampled_from(
    [
        "\x1b]0;title\x07",
        "\x1b[2J",
        "\x9b31m",
        "\r\n",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ud800",
        "\x00",
        "|",
        "\\|",
        "`",
        "```",
        "~~~",
        "<!--",
        "</details>",
        "<img src=x onerror=alert(1)>",
        "@octocat",
        "#1",
        "https://evil.example",
        "www.evil.example",
        "[a](b)",
        "**",
        "$$",
        "\n+ ",
        "]]>",
        "&lt;",
        '"',
    ]
)
HOSTILE = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=8).map("".join)


def _shown(document: str, plan: Plan, format_: str) -> str:
    content = drift_of(plan) if document == "drift" else plan
    return FORMATS[document][format_](content, View(impact=("somebody has gained something",)))


@pytest.mark.parametrize("document", ["plan", "drift"])
@given(text=HOSTILE)
@example(text=samples.HOSTILE)
def test_a_terminal_gets_plain_printable_lines(document: str, text: str) -> None:
    shown = _shown(document, samples.hostile_plan(text), "text")
    assert all(line.isprintable() for line in shown.split("\n"))


@given(text=HOSTILE)
def test_colours_are_the_only_escapes(text: str) -> None:
    shown = FORMATS["plan"]["text"](samples.hostile_plan(text), View(color=True))
    plain = re.sub(r"\x1b\[[0-9;]+m", "", shown)
    assert all(line.isprintable() for line in plain.split("\n"))
    assert plain == FORMATS["plan"]["text"](samples.hostile_plan(text), View())


@pytest.mark.parametrize("document", ["plan", "drift"])
@given(text=HOSTILE)
@example(text=samples.HOSTILE)
@example(text="x" * 99 + " ``` " + "x" * 99)
def test_a_comment_keeps_its_shape_and_calls_nobody(document: str, text: str) -> None:
    shown = _shown(document, samples.hostile_plan(text), "markdown")
    assert all(line.isprintable() for line in shown.split("\n"))
    rows = [line for line in shown.split("\n") if line.startswith("|")]
    assert {row.count("|") for row in rows} == {3, 5}
    usual = _shown(document, samples.hostile_plan("harmless"), "markdown")
    assert _shape(shown) == _shape(usual)
    for name in _texts(shown):
        assert not re.search(r"(?<!\w)[@#]\w", name)


READER = MarkdownIt("commonmark").enable("table")
OURS = re.compile(
    r"<(/?(code|span|details)|br)>"
    r"|<details><summary><b>[^<]*</b> \([\d,]+\)</summary>"
)


def _shape(text: str) -> Counter[str]:
    """How many tables, cells and blocks of code a reader of Markdown sees; nothing else is there
    but headings, paragraphs and our own tags."""
    shape: Counter[str] = Counter()
    for token in READER.parse(text):
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if kind in {"table", "thead", "tbody", "tr", "th", "td", "fence"}:
            shape[kind] += 1
        else:
            assert kind in {"heading", "paragraph", "inline", "html_block"}
        for part in [token, *(token.children or ())]:
            if part.type.startswith("html_"):
                assert OURS.fullmatch(part.content.strip())
            else:
                assert part is token or part.type == "text"
    return shape


def _texts(text: str) -> list[str]:
    """What GitHub searches for names and issues: texts between tags, code aside."""
    found = []
    for token in READER.parse(text):
        in_code = False
        for child in token.children or ():
            if child.type == "html_inline":
                in_code = child.content == "<code>"
            elif not in_code:
                found.append(child.content)
    return found


@given(text=HOSTILE)
def test_programs_get_documents_that_parse(text: str) -> None:
    plan = samples.hostile_plan(text)
    shown = _shown("plan", plan, "json")
    assert shown.isascii()
    assert json.loads(shown)["findings"] == [one.to_json() for one in plan.findings]
    assert len(json.loads(_shown("plan", plan, "sarif"))["runs"][0]["results"]) == 2
    assert len(ET.fromstring(_shown("plan", plan, "junit"))[0]) == 2  # noqa: S314 - our own document
    for line in _shown("drift", plan, "metrics").splitlines():
        assert re.fullmatch(r'# .*|\w+\{(\w+="([^"\\\n]|\\[\\n"])*",?)+\} -?\d+', line)


def test_a_huge_plan_fits_a_comment_and_says_what_is_missing() -> None:
    changes = [
        samples.change(f"group.g{number:04}", None, GroupSpec(comment="é`" * 80))
        for number in range(2000)
    ]
    one = samples.findings()[1]
    findings = [one._replace(code=f"C{n}", message="x" * 200) for n in range(3000)]
    shown = _shown("plan", samples.plan(changes, findings), "markdown")
    assert LIMIT * 9 // 10 < len(shown.encode()) <= LIMIT
    left = re.findall(r"… and ([\d,]+) more (step|finding)s\.", shown)
    rows, steps = shown.count("<br>→"), len(re.findall(r"^\+ +\d+\. group", shown, re.MULTILINE))
    counted = {unit: int(number.replace(",", "")) for number, unit in left}
    assert counted == {"finding": 3000 - rows, "step": 2000 - steps}
    assert rows > 20
    assert steps > 20
    assert _shape(shown)["fence"] == 2
