"""Check every answer against the shape that Proxmox VE sends, before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from reconciler.errors import UnexpectedAnswer
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.answer_shape import (
    BIT,
    COUNT,
    FLAG,
    ID,
    NUMBER,
    TEXT,
    Fields,
    Maybe,
    Named,
    Rows,
    Shape,
)
from reconciler.kinds.shared.reader import ANSWERS
from reconciler.kinds.user.second_factors import ANSWERS as TFA_ANSWERS
from reconciler.model.api import Api, ForwardingApi, SeesEndpoints, SeesFiles
from reconciler.model.inventory import Strays, Unread
from reconciler.model.request import Request
from reconciler.text.shell import shell

_INTERFACE = Fields(
    {},
    {
        "name": TEXT,
        "inet": TEXT,
        "inet6": TEXT,
        "ip-addresses": Rows(Fields({"ip-address": TEXT}, {"prefix": COUNT})),
    },
)
BESIDE_THE_KINDS: Mapping[str, Shape] = {
    **ANSWERS,
    **TFA_ANSWERS,
    "/access/permissions": Named(Named(BIT)),
    "/cluster/log": Rows(Fields({}, {"time": COUNT, "user": TEXT, "msg": TEXT})),
    "/cluster/tasks": Rows(
        Fields(
            {"upid": ID},
            {"starttime": COUNT, "status": TEXT, "type": TEXT, "id": TEXT, "user": TEXT}
            | {"tokenid": TEXT},
        )
    ),
    "/cluster/status": Rows(
        Fields(
            {"type": ID},
            cases=(
                "type",
                {
                    "cluster": Fields({}, {"quorate": FLAG}),
                    "node": Fields({"name": ID}, {"online": FLAG}),
                },
            ),
        )
    ),
    "/cluster/backup/{id}/included_volumes": Fields(
        {},
        {
            "children": Rows(
                Fields(
                    {"id": COUNT},
                    {
                        "type": TEXT,
                        "children": Rows(
                            Fields({"id": TEXT}, {"name": TEXT, "included": FLAG, "reason": TEXT})
                        ),
                    },
                )
            )
        },
    ),
    "/nodes": Rows(Fields({"node": ID})),
    "/nodes/{node}/certificates/info": Rows(Fields({}, {"filename": TEXT, "fingerprint": TEXT})),
    "/nodes/{node}/storage/{storage}/content": Rows(
        Fields(
            {"volid": ID},
            {
                "vmid": COUNT,
                "ctime": COUNT,
                "size": COUNT,
                "subtype": TEXT,
                "protected": FLAG,
                "notes": TEXT,
                "verification": Fields({}, {"state": TEXT}),
            },
        )
    ),
    "/nodes/{node}/storage/{storage}/prunebackups": Rows(
        Fields({"volid": ID, "mark": TEXT}, {"vmid": COUNT, "ctime": COUNT, "type": TEXT})
    ),
    "/cluster/nextid": COUNT,
    **dict.fromkeys(
        ("/nodes/{node}/lxc/{vmid}/config", "/nodes/{node}/qemu/{vmid}/config"),
        Fields({}, {"digest": TEXT, "description": TEXT}),
    ),
    **dict.fromkeys(
        ("/nodes/{node}/lxc/{vmid}/status/current", "/nodes/{node}/qemu/{vmid}/status/current"),
        Fields({"status": TEXT}),
    ),
    "/nodes/{node}/lxc/{vmid}/interfaces": Maybe(Rows(_INTERFACE)),
    "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": Fields({"result": Rows(_INTERFACE)}),
    "/nodes/{node}/qemu/{vmid}/agent/exec-status": Fields(
        {"exited": FLAG}, {"exitcode": NUMBER, "out-data": TEXT, "err-data": TEXT}
    ),
    "/nodes/{node}/vzdump/extractconfig": TEXT,
    "/nodes/{node}/tasks": Rows(
        Fields({"upid": ID}, {"starttime": COUNT, "endtime": COUNT, "status": TEXT, "id": TEXT})
    ),
    "/nodes/{node}/time": Fields({"timezone": TEXT}),
    "/nodes/{node}/tasks/{upid}/log": Rows(Fields({"n": COUNT, "t": TEXT})),
    "/nodes/{node}/tasks/{upid}/status": Fields({"status": TEXT}, {"exitstatus": TEXT}),
    "/version": Fields({"version": ID}),
}
"""What is read beside the lists of the kinds."""


class CheckedApi(ForwardingApi):
    """Wraps an `Api`; `get` raises UnexpectedAnswer for an answer that Proxmox VE would not
    send.
    """

    def get(self, requests: Sequence[Request]) -> list[Any]:
        answers = self._api.get(requests)
        for request, answer in zip(requests, answers, strict=True):
            check_answer(request, answer)
        return answers


class _CheckedFiles(CheckedApi):
    """The same for a connection that also reads the files of the cluster."""

    def __init__(self, api: SeesFiles) -> None:
        super().__init__(cast("Api", api))
        self._files = api

    def unread(self) -> Sequence[Unread]:
        return self._files.unread()

    def strays(self) -> Mapping[str, Strays]:
        return self._files.strays()


class _CheckedEndpoints(CheckedApi):
    """The same for a connection over the network."""

    def __init__(self, api: SeesEndpoints) -> None:
        super().__init__(cast("Api", api))
        self._endpoints = api

    def get_elsewhere(self, requests: Sequence[Request]) -> dict[str, list[Any]]:
        """An endpoint whose answers are none of Proxmox VE counts as one that does not answer."""
        found = self._endpoints.get_elsewhere(requests)
        for endpoint, answers in found.items():
            try:
                for request, answer in zip(requests, answers, strict=bool(answers)):
                    check_answer(request, answer)
            except UnexpectedAnswer:
                found[endpoint] = []
        return found

    @property
    def clock_skew(self) -> float | None:
        return self._endpoints.clock_skew


def checked(api: Api) -> Api:
    """`api`, with every answer checked."""
    if isinstance(api, SeesEndpoints):
        return _CheckedEndpoints(api)
    return _CheckedFiles(api) if isinstance(api, SeesFiles) else CheckedApi(api)


def check_answer(request: Request, answer: Any) -> None:
    """Raise UnexpectedAnswer with the place of the first mismatch, and no values, which may be
    secrets. Raises LookupError for a GET without a declared shape.
    """
    complaint = shape_of(request).wrong(answer)
    if complaint:
        given = [word for name, value in request.params for word in (f"--{name}", str(value))]
        raise UnexpectedAnswer(
            f"the answer of GET {request.target} is not a valid answer of Proxmox VE: {complaint}",
            hint="something between here and Proxmox VE may change its answers: compare with what "
            f"a node tells itself: {shell('pvesh', 'get', request.target, *given)}",
        )


class _Route(NamedTuple):
    """A GET with placeholders (None) in its path, and a parameter that it has or ""."""

    path: tuple[str | None, ...]
    parameter: str
    shape: Shape

    def fits(self, request: Request) -> bool:
        if len(self.path) != len(request.path):
            return False
        if self.parameter and self.parameter not in dict(request.params):
            return False
        return all(
            part in (None, given) for part, given in zip(self.path, request.path, strict=True)
        )


def shape_of(request: Request) -> Shape:
    """The shape of a GET's answer."""
    for route in _routes():
        if route.fits(request):
            return route.shape
    raise LookupError(f"no shape is declared for GET {request.target}")


@cache
def _routes() -> tuple[_Route, ...]:
    """All routes, those with a parameter first."""
    return tuple(sorted(_declared(), key=lambda route: not route.parameter))


def _declared() -> Iterator[_Route]:
    kinds = (kind.reads.answer_shapes for kind in all_kinds().values())
    for written, shape in {
        k: v for table in (BESIDE_THE_KINDS, *kinds) for k, v in table.items()
    }.items():
        path, _, parameter = written.partition("?")
        parts = path.strip("/").split("/")
        yield _Route(tuple(None if part[0] == "{" else part for part in parts), parameter, shape)
