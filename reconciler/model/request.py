"""One HTTP request to Proxmox VE as a value, to be shown, saved and compared before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.model.secret import SecretRef

Value = str | tuple[str, ...] | SecretRef
"""A parameter: text, repeated texts, or a reference that is resolved when it is sent."""


class Request(NamedTuple):
    """`path` holds raw segments below /api2/json; the client quotes each of them.

    `params` keeps its order, so that the same change always gives the same bytes.
    """

    method: str
    path: tuple[str, ...]
    params: tuple[tuple[str, Value], ...] = ()

    @property
    def target(self) -> str:
        """The path as displayed: `/access/users/felhom-ctl@pve`."""
        return "/" + "/".join(self.path)

    def to_json(self) -> dict[str, Any]:
        """Without secrets: references stay references."""
        params = {
            key: value.model_dump(exclude_none=True) if isinstance(value, SecretRef) else value
            for key, value in self.params
        }
        return {"method": self.method, "path": list(self.path), "params": params}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        """The reverse of `to_json`."""
        params = tuple((key, _value(value)) for key, value in data["params"].items())
        return cls(data["method"], tuple(data["path"]), params)


def _value(value: Any) -> Value:
    if isinstance(value, Mapping):
        return SecretRef.model_validate(value)
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return str(value)


def request(method: str, *path: str, **params: Value | bool | int | None) -> Request:
    """Build a request: `_` in a name becomes `-`, booleans 0 or 1, None is left out."""
    given: list[tuple[str, Value]] = []
    for key, value in params.items():
        if value is not None:
            text = str(int(value)) if isinstance(value, int) else value
            given.append((key.rstrip("_").replace("_", "-"), text))
    return Request(method, path, tuple(given))
