"""The objects of one side, declared or live, in normal form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from reconciler.model.address import Address
from reconciler.pve.schema import ParameterTable


class Spec(BaseModel):
    """The properties of one object in normal form, so that `==` decides whether it changed.

    Normal form: sets as sorted tuples, absent and empty text equal, 0/1 as bool, times in Unix
    seconds with 0 for never. A field that must not be shown is annotated with a `Secrecy`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    option_table: ClassVar[ParameterTable] = {}
    """What PVE says of the options that the specs of a kind hold by name."""

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults; parses back with `model_validate`."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def parts(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of some fields, or of options by PVE's names; None for one that is not set."""
        own = dict(getattr(self, "options", ()))
        return {
            name: getattr(self, name) if name in self._fields() else own.get(name) for name in names
        }

    @classmethod
    def _fields(cls) -> frozenset[str]:
        """An option of some storages is called `options` itself."""
        return frozenset(cls.model_fields) - {"options"}

    def with_parts(self, parts: Mapping[str, Any]) -> Self:
        """The same spec with other values, as `parts` returns them."""
        fields = {name: value for name, value in parts.items() if name in self._fields()}
        if len(fields) < len(parts):
            own = {**dict(getattr(self, "options", ())), **parts}
            left = {name: v for name, v in own.items() if name not in fields and v is not None}
            fields["options"] = tuple(sorted(left.items()))
        return self.model_copy(update=fields) if fields else self

    def keeps(self, live: Spec) -> bool:
        """Whether omitted fields may keep their value in `live`."""
        del live
        return True

    def as_whole(self, live: Spec) -> Self:
        """The spec with omitted fields cleared, for kinds whose specs leave them open."""
        del live
        return self


State = Mapping[Address, Spec]
"""All objects that one side knows of."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no whitespace: the same value always gives the same bytes."""
    return _CANONICAL.encode(value).encode(errors="surrogatepass")


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()
