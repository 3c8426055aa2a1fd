"""Notifications by mail or chat when a problem begins, changes or ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field

from reconciler.model.policy import TomlTable
from reconciler.model.secret import SecretRef


class NoticeEvent(StrEnum):
    """What a notice is about; each is a state that begins, changes and ends."""

    DRIFT = "drift"
    """`drift` found something"""
    STALE_BACKUP = "stale-backup"
    """`backup status` found a guest without the backup that its jobs promise"""
    FAILED_CHECK = "failed-check"
    """`drift` or `backup status` could not finish"""
    FAILED_APPLY = "failed-apply"
    """`apply` or another command that writes did not do what was asked"""
    FAILED_BACKUP = "failed-backup"
    """`backup run` did not save every guest, or `drill` did not restore one"""


class Notify(TomlTable):
    """[notify] of a settings file outside the state folder: recipients and events.

    `urls` names the secret with the URLs for apprise, separated by spaces.
    """

    urls: SecretRef = Field(description="a secret with apprise URLs, separated by spaces")
    on: tuple[Annotated[NoticeEvent, Field(strict=False)], ...] = Field(
        default=tuple(NoticeEvent), strict=False, description="which events; default: all"
    )


class Notice(NamedTuple):
    """What became of one event. `facts` are what it consists of: other facts are another state,
    none mean that all is well. `title` and `lines` are for people, without secrets."""

    event: NoticeEvent
    facts: tuple[str, ...]
    title: str
    lines: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """A digest of the facts, in whatever order; "" where all is well."""
        return _digest(sorted(self.facts)) if self.facts else ""


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="backslashreplace")).hexdigest()
