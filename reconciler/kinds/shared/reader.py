"""Objects read through an `Api`: a constant number of requests, however many objects there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.kinds import all_kinds
from reconciler.kinds.shared.answer_shape import COUNT, FLAG, ID, TEXT, Fields, Rows, Shape
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.request import Request, request
from reconciler.model.spec import Spec

RESOURCES = request("GET", "cluster", "resources")
"""Guests with their pool, nodes and storages: one list for all kinds that need it."""

_GUEST = Fields({"vmid": COUNT}, {"name": TEXT, "node": TEXT, "pool": TEXT, "template": FLAG})
_NODE = Fields({"node": ID}, {"status": TEXT, "maxmem": COUNT, "mem": COUNT})
_STORAGE = Fields(
    {"storage": ID, "node": ID},
    {
        "content": TEXT,
        "shared": FLAG,
        "status": TEXT,
        "plugintype": TEXT,
        "disk": COUNT,
        "maxdisk": COUNT,
    },
)
_ROW = Fields(
    {"type": ID},
    cases=(
        "type",
        {"qemu": _GUEST, "lxc": _GUEST, "node": _NODE, "storage": _STORAGE},
    ),
)
ANSWERS: Mapping[str, Shape] = {"/cluster/resources": Rows(_ROW)}
"""The shape of its answer."""

Wanted = Mapping[str, frozenset[str]]
"""Kind -> IDs that must be read in detail, not only from lists."""

EVERYTHING = frozenset({"*"})
"""All IDs of a kind."""


def read_state(
    api: Api, names: Iterable[str], wanted: Wanted, beside: Iterable[Request] = ()
) -> tuple[dict[Address, Spec], dict[Request, Any]]:
    """The objects of the named kinds, and all answers, including those to the requests `beside`.

    Two rounds: the lists of all kinds, then details of single objects. Raises what `Api.get`
    raises.
    """
    kinds = [kind for name, kind in all_kinds().items() if name in set(names)]
    lists = dict.fromkeys([*beside, *(read for kind in kinds for read in kind.reads.requests)])
    answers: dict[Request, Any] = dict(zip(lists, api.get(list(lists)), strict=True))
    details = dict.fromkeys(
        detail
        for kind in kinds
        for detail in kind.reads.details(answers, wanted.get(kind.name, frozenset()))
    )
    if details:
        answers.update(zip(details, api.get(list(details)), strict=True))
    state = {
        Address(kind.name, name): spec for kind in kinds for name, spec in kind.reads.parse(answers)
    }
    return state, answers
