"""Findings: everything worth reporting that is not a change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.address import Address

SECRET_NOT_COMPARED = "SECRET_NOT_COMPARED"  # noqa: S105 - a code
UNDECLARED_MEMBER = "UNDECLARED_MEMBER"
"""The code that says of a group who is in it without being declared: drift, though no change."""


PARTIAL = "PARTIAL"
"""The code that says that a plan leaves something out."""

NOT_BACKED_UP = "NOT_BACKED_UP"
"""The code that says which guests no backup job saves."""

NOT_IN_RELEASE = "NOT_IN_RELEASE"
"""The code of what is asked for and the release of Proxmox VE does not have."""


class Severity(StrEnum):
    """`ERROR` stops the run, `WARNING` and `NOTE` do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        return ("error", "warning", "note").index(self.value)


class Source(NamedTuple):
    """A place in a state file; `file` relative to the state folder, line and column from 1.

    `each`: in a template, the value that it was expanded for and the place of that value, as in
    `team = red (teams.toml:2:9)`.
    """

    file: str
    line: int = 0
    column: int = 0
    each: str = ""

    def __str__(self) -> str:
        if not self.line:
            return self.file
        column = f":{self.column}" if self.column else ""
        return f"{self.file}:{self.line}{column}{self._value}"

    @property
    def in_line(self) -> str:
        """The place without the column."""
        return f"{self.file}:{self.line}{self._value}"

    @property
    def _value(self) -> str:
        return f" for {self.each}" if self.each else ""

    def to_json(self) -> dict[str, Any]:
        """`each` is left out where it is empty."""
        data = self._asdict()
        return data if self.each else {key: data[key] for key in ("file", "line", "column")}


def _natural(text: str) -> str:
    """The text, so that `user.cfg:5` comes before `user.cfg:10`."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(12), text)


class Finding(NamedTuple):
    """A stable `code`, what was found, and what to do about it.

    `allow` is the exact argument of `--allow` that lets a refused plan pass this one finding; empty
    where nothing does. `names`: the undeclared object that `message` is about, for code that uses
    it; it is not part of any document. `known`: it existed before, and the plan does not touch its
    object.
    """

    code: str
    severity: Severity
    message: str
    hint: str = ""
    address: Address | None = None
    source: Source | None = None
    allow: str = ""
    names: Address | None = None
    known: bool = False

    def sort_key(self) -> tuple[int, str, str, int, int, str, str, str]:
        """Errors first, then by place and address; total."""
        source = self.source or Source("")
        return (
            self.severity.rank,
            self.code,
            source.file,
            source.line,
            source.column,
            source.each,
            str(self.address or ""),
            _natural(self.message),
        )

    def to_json(self) -> dict[str, Any]:
        """Empty fields are left out."""
        data: dict[str, Any] = {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
        }
        if self.hint:
            data["hint"] = self.hint
        if self.address is not None:
            data["address"] = str(self.address)
        if self.source is not None:
            data["source"] = self.source.to_json()
        if self.allow:
            data["allow"] = self.allow
        if self.known:
            data["known"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The reverse of `to_json`."""
        source = data.get("source")
        address = data.get("address")
        return cls(
            data["code"],
            Severity(data["severity"]),
            data["message"],
            data.get("hint", ""),
            None if address is None else Address.parse(address),
            None if source is None else Source(**source),
            data.get("allow", ""),
            known=bool(data.get("known", False)),
        )
