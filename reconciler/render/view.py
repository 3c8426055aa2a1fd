"""What a caller knows beyond the document itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.address import Address


@dataclass(frozen=True, slots=True)
class View:
    """How and with what a document is shown; every format takes what it needs of it.

    `color`: with ANSI colours. `width`: columns of the terminal. `now`: Unix seconds, where an
    output carries a time. `impact`: lines about what a drift does to access, marked by `+ `, `~ `,
    `- ` or `! ` at their start; `impact_json`: the effect of a plan or a drift for programs.
    `remarks`: further lines about single changes. `next_command`: what applies the plan; empty
    where that is not to be said. `unfinished`: an earlier run stands in its way. `prefix`: the
    state folder as seen from the root of the repository, for tools that link findings to files.
    `known`: findings that are no news are shown in full, too.
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
