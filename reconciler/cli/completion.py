"""Values for the completion of a shell: names of the state files, codes, privileges, formats.

No network access; nothing is offered where the files cannot be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from reconciler.errors import PvectlError

Offer = Callable[[typer.Context, str], list[str]]


def _declared(context: typer.Context) -> Iterable[Any]:
    """The addresses that the state files declare."""
    from reconciler.desired.loader import load

    return load(Path(context.params.get("state") or "state")).objects


def _ids(context: typer.Context, *kinds: str) -> Iterable[str]:
    return (address.id for address in _declared(context) if address.kind in kinds)


def _tokens(context: typer.Context) -> Iterable[str]:
    return _ids(context, "token")


def _jobs(context: typer.Context) -> Iterable[str]:
    return _ids(context, "backup")


def _principals(context: typer.Context) -> Iterable[str]:
    return _ids(context, "user", "token")


def _addresses(context: typer.Context) -> Iterable[str]:
    return map(str, _declared(context))


def _kinds(context: typer.Context) -> Iterable[str]:
    del context
    from reconciler.kinds import all_kinds

    return all_kinds()


def _addresses_and_kinds(context: typer.Context) -> Iterable[str]:
    return [*_kinds(context), *_addresses(context)]


def _roles(context: typer.Context) -> Iterable[str]:
    from reconciler.pve.release import NEWEST

    return [*NEWEST.roles, *_ids(context, "role")]


def _privileges(context: typer.Context) -> Iterable[str]:
    del context
    from reconciler.pve.release import NEWEST

    return NEWEST.privileges


def _paths(context: typer.Context) -> Iterable[str]:
    """Paths that an entry of the files names."""
    return {address.id.partition("|")[0] for address in _declared(context) if address.kind == "acl"}


def _codes(context: typer.Context) -> Iterable[str]:
    del context
    from reconciler.cli.explain.code_pages import pages

    return [code for code in pages() if code.isupper() and code.isidentifier()]


def _subjects(context: typer.Context) -> Iterable[str]:
    roles = (f"role.{role}" for role in _roles(context))
    return [*_codes(context), *_principals(context), *roles]


def _refusals(context: typer.Context) -> Iterable[str]:
    """`CODE=`, what follows is in the refusal."""
    return (f"{code}=" for code in _codes(context))


def _formats_of(command: str) -> Callable[[typer.Context], Iterable[str]]:
    """Those of the document that is called like the command, else all."""

    def formats(context: typer.Context) -> Iterable[str]:
        del context
        from reconciler.render import FORMATS

        every = {name for formats in FORMATS.values() for name in formats}
        return FORMATS.get(command, every)

    return formats


def _targets(context: typer.Context) -> Iterable[str]:
    from reconciler.desired.settings.settings import read_settings

    return ["all", *read_settings(Path(context.params.get("state") or "state")).clusters]


_BY_OPTION: Mapping[str, Callable[[typer.Context], Iterable[str]]] = {
    "--allow": _refusals,
    "--on": _targets,
    "--target": _addresses,
    "--token": _tokens,
    "--who": _principals,
}
_BY_ARGUMENT: Mapping[tuple[str, str], Callable[[typer.Context], Iterable[str]]] = {
    ("backup", "job"): _jobs,
    ("explain", "path"): _paths,
    ("explain", "privilege"): _privileges,
    ("explain", "subject"): _subjects,
    ("grant", "path"): _paths,
    ("grant", "role"): _roles,
    ("grant", "who"): _principals,
    ("import", "what"): _addresses_and_kinds,
    ("kinds", "name"): _kinds,
    ("revoke", "path"): _paths,
    ("revoke", "role"): _roles,
    ("revoke", "who"): _principals,
    ("rotate", "token"): _tokens,
    ("who-can", "path"): _paths,
    ("who-can", "privilege"): _privileges,
}


def offer_for(command: str, parameter: str, declared: Iterable[str]) -> Offer | None:
    """What completes a parameter; `declared`: the names of an option, empty for an argument."""
    by_option = {**_BY_OPTION, "--format": _formats_of(command)}
    options = [name for name in declared if name in by_option]
    values = by_option[options[0]] if options else _BY_ARGUMENT.get((command, parameter))
    if values is None:
        return None

    def offer(ctx: typer.Context, incomplete: str) -> list[str]:
        with contextlib.suppress(PvectlError, OSError):
            return sorted(value for value in values(ctx) if value.startswith(incomplete))
        return []

    return offer
