"""Ask the cluster what principals may do on paths, with few requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.access.expectations.verify import Answers, Checkpoint
from reconciler.model.api import Api
from reconciler.model.request import Request, request


def ask(api: Api, spots: Iterable[Checkpoint], listed: Collection[str]) -> Answers:
    """The answers of /access/permissions; asking about others needs Sys.Audit on /access.

    `listed`: the paths that Proxmox VE lists. Several of them for one principal are one request: a
    listed path that is missing from the answer grants nothing.
    """
    paths: dict[str, list[str]] = {}
    for spot in dict.fromkeys(spots):
        paths.setdefault(spot.principal, []).append(spot.path)
    asked: list[tuple[Request, list[Checkpoint]]] = []
    for who, where in paths.items():
        user = None if who == api.actor else who
        together = [path for path in where if path in listed]
        if len(together) > 1:
            rest = [path for path in where if path not in listed]
            asked.append((_asking(user, None), [Checkpoint(who, path) for path in together]))
        else:
            rest = where
        asked += [(_asking(user, path), [Checkpoint(who, path)]) for path in rest]
    answers = api.get([one for one, _ in asked])
    return {
        spot: frozenset(answer.get(spot.path, ()))
        for (_, about), answer in zip(asked, answers, strict=True)
        for spot in about
    }


def _asking(user: str | None, path: str | None) -> Request:
    return request("GET", "access", "permissions", userid=user, path=path)
