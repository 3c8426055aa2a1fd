"""Whose signature a plan needs before it is applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.common_options import CommonOptions
from reconciler.desired.reach import is_proposed
from reconciler.desired.settings.settings import Settings
from reconciler.errors import NotSigned, UsageError

if TYPE_CHECKING:
    from reconciler.execution.plan_file import SavedPlan


def signers(common: CommonOptions, settings: Settings) -> Path | None:
    """The allowed signers of the trusted settings; None where plans need no signature."""
    named = settings.trust.signers if settings.trust is not None else ""
    if not named or common.settings is None:
        return None
    return common.settings.absolute().parent / named


def signed_by(saved: SavedPlan | None, allowed: Path | None, state: Path) -> str:
    """Who signed the plan; "" where no signature is required. Raises NotSigned, also for a plan
    that is made and applied in one go, which cannot be signed, and UsageError where `allowed` lies
    in the checkout of the folder `state`.
    """
    if allowed is None:
        return ""
    if is_proposed(allowed, state):
        raise UsageError(
            f"{allowed} is next to the state files, where the author of a proposal could add their "
            "own key",
            hint="keep it outside the checkout, for example in /etc/pvectl/allowed_signers",
        )
    if saved is None:
        raise NotSigned(
            "only a signed plan may be applied here",
            hint="save and sign one: pvectl plan --out plan.json --sign KEY; "
            "then: pvectl apply plan.json",
        )
    from reconciler.execution.signature import signer

    return signer(saved.path, saved.raw, allowed)
