"""Custom rules, `[[rule]]`, which everything in a cluster must keep."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.finding import Severity, Source

RULE = "RULE_"
"""How the codes of findings about broken rules begin."""

IDLE_RULE = "IDLE_RULE"
"""The code that says that a rule can never be broken."""


class CustomRule(NamedTuple):
    """One `[[rule]]`; exactly one of the fields from `exclusive` to `comment_on` is set.

    `exclusive`: privileges of which nobody holds all on one path. `forbidden`: privileges that
    nobody holds. `roles`: globs; no other role may be granted. `grantees`: kinds of principals
    (user, group, token); nobody else may be granted anything. `realms`: globs; no user may be of
    another. `lifetime`: seconds within which every token must expire. `privsep`: every token must
    have privilege separation. `comment_on`: kinds whose objects need a comment.

    `who`, `but`, `paths` as in an expectation: to whom and where it applies; for `comment_on`,
    `but` holds globs over names. `who` and `paths` are empty where the rule applies to everything.
    """

    name: str
    source: Source
    severity: Severity = Severity.ERROR
    reason: str = ""
    exclusive: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    grantees: tuple[str, ...] = ()
    realms: tuple[str, ...] = ()
    lifetime: int = 0
    privsep: bool = False
    comment_on: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Of its findings: `four-eyes` gives `RULE_FOUR_EYES`."""
        return f"{RULE}{self.name.upper().replace('-', '_')}"


def is_of_rule(code: str) -> bool:
    """Whether a finding says that a `[[rule]]` is broken."""
    return code.startswith(RULE)
