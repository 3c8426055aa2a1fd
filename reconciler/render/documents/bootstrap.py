"""The grants that pvectl itself needs, as shell commands for a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.access.explain.remediation import NewRole
from reconciler.access.explain.snippets import acl_commands
from reconciler.access.trace import TracedEntry
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Section, Style, TextLine, copied
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count
from reconciler.text.shell import shell

FORMAT = 1


@dataclass(frozen=True, slots=True)
class BootstrapSection:
    """One token or user with its purpose. `account`: the lines that create it."""

    title: str
    principal: str
    account: tuple[str, ...]
    roles: tuple[NewRole, ...]
    entries: tuple[TracedEntry, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """All of it, in order; run again, it keeps what exists and corrects the roles."""
        roles = [line for role in self.roles for line in _role_commands(role)]
        return (*(f"{line} || true" for line in self.account), *roles, *acl_commands(self.entries))


@dataclass(frozen=True, slots=True)
class Start:
    """`warnings`: what to know before running the lines."""

    state: str
    parts: tuple[BootstrapSection, ...]
    warnings: tuple[str, ...] = ()


def _role_commands(role: NewRole) -> Iterable[str]:
    yield f"{shell('pveum', 'role', 'add', role.name)} || true"
    yield shell("pveum", "role", "modify", role.name, "--privs", " ".join(role.privileges))


def outline(start: Start) -> Document:
    """Warnings first, then each token with its lines."""
    return Document(
        title=f"What pvectl needs for the state files in {start.state}",
        sections=(*_warned(start.warnings), *(_section(part) for part in start.parts)),
        closing=(
            TextLine(
                "Run the lines as root on a node. `pveum user token add` prints the secret once: "
                "store it in PVECTL_TOKEN_SECRET, or where token_secret says."
            ),
            TextLine(
                "The lines can be run again: existing objects are kept, and the roles are "
                "corrected."
            ),
        ),
    )


def _warned(warnings: Sequence[str]) -> Iterable[Section]:
    if warnings:
        blocks = tuple((TextLine(text, Style.WARNING, 2, "!"),) for text in warnings)
        yield Section("Before you start", blocks, "warning")


def _section(part: BootstrapSection) -> Section:
    blocks: list[Block] = [copied(part.commands, 2)]
    numbers = f"{count(len(part.roles), 'role')}, {count(len(_paths(part.entries)), 'path')}"
    return Section(f"{part.title}: {part.principal} ({numbers})", tuple(blocks), "line")


def _paths(entries: Iterable[TracedEntry]) -> frozenset[str]:
    return frozenset(entry.path for entry in entries)


def text(start: Start, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(start), color=view.color, width=view.width)


def markdown(start: Start, view: View) -> str:
    """For a ticket."""
    del view
    return comment.render(outline(start))


def json(start: Start, view: View) -> str:
    """For programs."""
    del view
    content = {
        "state": start.state,
        "parts": [_part_json(part) for part in start.parts],
        "warnings": list(start.warnings),
    }
    return document("bootstrap", FORMAT, content)


def _part_json(part: BootstrapSection) -> dict[str, Any]:
    return {
        "title": part.title,
        "principal": part.principal,
        "roles": {role.name: list(role.privileges) for role in part.roles},
        "commands": list(part.commands),
    }
