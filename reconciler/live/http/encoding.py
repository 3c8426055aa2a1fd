"""Encode requests for Proxmox VE's server: path segments and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from reconciler.errors import SinkFailed, UsageError
from reconciler.model.request import Request, Value
from reconciler.model.secret import SecretRef


def quoted_path(request: Request) -> Iterator[str]:
    """The percent-encoded segments, which proxmoxer joins unchanged.

    Raises `UsageError` for ids that cannot be addressed: Proxmox VE decodes `%2F` before it splits
    the path, and dots alone would go up a level.
    """
    for segment in request.path:
        if segment in ("", ".", "..") or "/" in segment:
            raise UsageError(
                f"{request.target} cannot be asked for: an id of dots alone, an empty one, or one"
                " with a slash has no address in the API"
            )
        yield quote(segment, safe="!:@")


def parameters(request: Request, secrets: Mapping[str, str]) -> dict[str, str | list[str]]:
    """The parameters in their order, with secrets filled in; raises `SinkFailed` for a missing
    one.
    """
    return {name: _value(name, value, secrets) for name, value in request.params}


def _value(name: str, value: Value, secrets: Mapping[str, str]) -> str | list[str]:
    if isinstance(value, SecretRef):
        if name not in secrets:
            raise SinkFailed(f"the value of {name} was not read: {value}")
        return secrets[name]
    return list(value) if isinstance(value, tuple) else value
