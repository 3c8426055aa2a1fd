"""What an import leaves to Terraform, and what it takes over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.desired.export.terraform import TerraformState
from reconciler.desired.settings.left_to_others import Exclusion
from reconciler.kinds import kind_of
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.model.address import Address
from reconciler.model.spec import Spec, State


@dataclass(frozen=True, slots=True)
class Ownership:
    """Members of pools stay Terraform's in either case: it makes the guests."""

    state: TerraformState = field(default_factory=TerraformState)
    taken_over: bool = False

    def left(self, live: State) -> Iterator[Address]:
        """The live objects that stay Terraform's, and what cannot be declared without them: the
        tokens of a user."""
        owned = set() if self.taken_over else self.state.owned.keys()
        for address, spec in live.items():
            if address in owned:
                yield address
            elif address.kind == "token":
                owners = kind_of(address).links.owners(address.id, spec)
                if any(owner in owned for owner in owners):
                    yield address

    def reduced(self, objects: Mapping[Address, Spec]) -> dict[Address, Spec]:
        """Pools without the members that Terraform puts into them."""
        return {address: self._reduced(address, spec) for address, spec in objects.items()}

    def _reduced(self, address: Address, spec: Spec) -> Spec:
        if not isinstance(spec, PoolSpec):
            return spec
        guests = self.state.guests.get(address.id, set())
        storages = self.state.storages.get(address.id, set())
        return spec.model_copy(
            update={
                "guests": tuple(one for one in spec.guests if one not in guests),
                "storages": spec.storages
                and tuple(one for one in spec.storages if one not in storages),
            }
        )

    def beside(self, objects: Mapping[Address, Spec]) -> dict[Address, dict[str, Any]]:
        """Such pools remove no members."""
        joined = self.state.guests.keys() | self.state.storages.keys()
        return {
            address: {"members": "additive"}
            for address in objects
            if address.kind == "pool" and address.id in joined
        }

    def exclusions(self, live: State) -> list[Exclusion]:
        """What the settings leave to Terraform."""
        globs: dict[str, list[str]] = {}
        for address in sorted(self.left(live)):
            globs.setdefault(address.kind, []).append(address.id)
        return [Exclusion("Terraform", "these objects", globs)] if globs else []
