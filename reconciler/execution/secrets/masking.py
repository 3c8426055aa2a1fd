"""Mask secrets that Proxmox VE quotes in a refusal."""

from __future__ import annotations

from typing import Any

from reconciler.errors import RequestRefused

MASK = "***"
SHORTEST_SECRET = 4
"""A secret shorter than this is not masked in PVE's messages: it would mask ordinary words."""


def masked(refusal: RequestRefused, values: Any) -> RequestRefused:
    """The message with secrets masked: PVE may quote a parameter that it refuses."""

    def mask(text: str) -> str:
        for value in values:
            if len(value) >= SHORTEST_SECRET:
                text = text.replace(value, MASK)
        return text

    errors = {name: mask(text) for name, text in refusal.errors.items()}
    return RequestRefused(refusal.status, mask(refusal.reason), errors, hint=refusal.hint)
