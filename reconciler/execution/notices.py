"""Sends notices through the optional package `apprise`: one per change of state, not per run."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.atomic_write import atomic_write
from reconciler.bounded_read import read_bounded
from reconciler.errors import SinkFailed
from reconciler.execution import private_folder
from reconciler.extras import install_command
from reconciler.model.notice import Notice

FORMAT = 1


def told(path: Path) -> Mapping[str, str]:
    """What was sent last: digest of a URL -> state. Empty if nothing was."""
    try:
        data = json.loads(read_bounded(path, regular=True))
        if (data["kind"], data["format"]) != ("notice", FORMAT):
            return {}
        return {str(address): str(state) for address, state in data["told"].items()}
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return {}


def keep(path: Path, states: Mapping[str, str]) -> None:
    """Remember what was sent. Raises OSError."""
    private_folder.make(path.parent)
    content = {"kind": "notice", "format": FORMAT, "told": states}
    text = json.dumps(content, sort_keys=True) + "\n"
    atomic_write(path, text.encode(), private=True, follow=False)


def send(home: Path, subject: str, notice: Notice, urls: str) -> list[str]:
    """Send each address what it has not received yet; returns the failures, without the addresses.

    `subject` is what the notice is about; each has its own state. An unreachable address is retried
    at the next run. Raises SinkFailed without addresses or without apprise.
    """
    addresses = split(urls)
    name = _digest(f"{notice.event} {subject}")
    path = home / "notices" / f"{name}.json"
    private_folder.check(home, path.parent)
    before = told(path)
    after: dict[str, str] = {}
    failed = []
    for number, url in enumerate(addresses, 1):
        key = _digest(url)
        known = before.get(key, "")
        if known != notice.state and not deliver(url, notice):
            failed.append(f"notice '{notice.event}' did not reach URL {number} of [notify]")
            after[key] = known
        else:
            after[key] = notice.state
    after = {key: state for key, state in after.items() if state}
    if after != before:
        keep(path, after)
    return failed


def split(urls: str) -> Sequence[str]:
    """The addresses of a secret; raises SinkFailed without any."""
    addresses = urls.split()
    if not addresses:
        raise SinkFailed("[notify] names no URL", hint="separate several with spaces")
    return addresses


def deliver(url: str, notice: Notice) -> bool:
    """Whether the notice was delivered, as far as its first hop reports. Raises SinkFailed."""
    apprise = _package()
    asset = apprise.AppriseAsset(
        app_id="pvectl",
        app_desc="pvectl",
        app_url="",
        image_url_mask=None,
        image_url_logo=None,
        image_path_mask=None,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return False
    kind = apprise.NotifyType.WARNING if notice.facts else apprise.NotifyType.SUCCESS
    body = "\n".join(notice.lines) or notice.title
    sent = service.notify(
        body, notice.title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )
    return bool(sent)


def _package() -> Any:
    try:
        import apprise
    except ImportError:
        raise SinkFailed(
            "the package 'apprise' is not installed", hint=install_command("notify")
        ) from None
    quiet = logging.getLogger("apprise")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # what it logs may hold parts of an address
    return apprise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
