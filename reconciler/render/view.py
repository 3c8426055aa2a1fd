"""What a caller knows beyond the document itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.model.address import Address

if TYPE_CHECKING:
    from reconciler.access.review.before_after import BeforeAfter


@dataclass(frozen=True, slots=True)
class View:
    """Options of the output; every format uses what it needs.

    `color`: with ANSI colours. `width`: columns of the terminal. `now`: Unix seconds, for outputs
    with a time. `impact`: lines about the effect of a drift on access; `impact_json`: the effect of
    a plan or a drift for programs. `remarks`: further lines about single changes. `next_command`:
    the command that applies the plan, "" to omit it. `unfinished`: an unfinished run blocks it.
    `prefix`: the state folder relative to the root of the repository, for tools that link findings
    to files. `known`: known findings are shown in full, too. `target`: the cluster as
    `--on` names it. `earlier`: what the file held that the document replaces; metrics only.
    `access`: who holds what before and after a plan; HTML only.
    """

    color: bool = False
    width: int = 80
    now: int = 0
    impact: Sequence[str] = ()
    impact_json: Any = None
    remarks: Mapping[Address, Sequence[str]] = field(default_factory=dict)
    next_command: str = ""
    unfinished: bool = False
    prefix: str = ""
    known: bool = False
    target: str = "default"
    earlier: str = ""
    access: BeforeAfter | None = None
