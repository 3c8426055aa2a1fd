"""The table of methods: which handler answers which request.

How a handler module is written
-------------------------------
A module in `handlers/` has one `Routes` named `routes` and registers functions in it; modules are
discovered automatically. For each method: path, permission rule, parameter table.

    from reconciler.pve.schema import Param
    from reconciler.sandbox.checks import everybody, perm
    from reconciler.sandbox.config.store import editing_users
    from reconciler.sandbox.context import Context, Params
    from reconciler.sandbox.failure import died
    from reconciler.sandbox.http.routes import Routes

    routes = Routes()
    _GROUP = Param(format="pve-groupid")

    @routes.post("/access/groups", perm("/access/groups", "Group.Allocate"),
                 {"groupid": _GROUP, "comment": Param(optional=True)})
    def create(ctx: Context, params: Params) -> None:
        with editing_users(ctx.store, "create group failed") as cfg:
            ...
            raise died(f"group '{name}' already exists")

- Parameters of the path (`{groupid}`) are in the table too; `{volume*}` matches the rest of the
  path, slashes included. They are already checked, and strings (`params.text`, `.need`, `.flag`,
  `.number`, `.names` read them). Defaults are the handler's responsibility.
- What the function returns is the answer's `data`: None, numbers, text, lists, dicts. PVE's
  booleans are the numbers 0 and 1. `Page(rows, total)` where the answer has a `total`.
- Errors: `failure.died(text)` is 500, `bad_parameters({name: text})` 400, `forbidden(what)` 403.
- Changes happen inside `config.store.locked(store, file, "failure text")`, where every error
  becomes a 500 that starts with the failure text, as in PVE; `editing_users` does that for user.cfg
  and writes it.
- Section files (storage.cfg, jobs.cfg, domains.cfg): `config/sections.py`.
- Clock: `ctx.now`. Caller: `ctx.actor`. Permissions inside a handler: `ctx.may`, `ctx.require`,
  `checks.may_modify`.
- Methods below /nodes/{node}/ run on that node, `ctx.node`; the dispatcher checks that it is up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.pve.schema import ParameterTable
from reconciler.sandbox.checks import Check
from reconciler.sandbox.context import Context, Params

Handler = Callable[[Context, Params], Any]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer with the total number of rows."""

    rows: list[Any]
    total: int


_PLACEHOLDER = re.compile(r"\{([\w-]+)(\*?)\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of the API. `allow_token`: tokens may call it, not only tickets.

    `params` is None for a method that always refuses: it accepts anything.
    """

    method: str
    path: str
    check: Check
    params: ParameterTable | None
    handler: Handler
    allow_token: bool = True


class Routes:
    """The methods of one handler module."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        check: Check,
        params: ParameterTable | None,
        *,
        allow_token: bool = True,
    ) -> Callable[[Handler], Handler]:
        """A decorator that registers a function."""

        def register(handler: Handler) -> Handler:
            self.endpoints.append(Endpoint(method, path, check, params, handler, allow_token))
            return handler

        return register

    def get(
        self, path: str, check: Check, params: ParameterTable | None = None
    ) -> Callable[..., Handler]:
        return self.add("GET", path, check, params or {})

    def post(
        self, path: str, check: Check, params: ParameterTable | None = None
    ) -> Callable[..., Handler]:
        return self.add("POST", path, check, params or {})

    def put(
        self, path: str, check: Check, params: ParameterTable | None = None
    ) -> Callable[..., Handler]:
        return self.add("PUT", path, check, params or {})

    def delete(
        self, path: str, check: Check, params: ParameterTable | None = None
    ) -> Callable[..., Handler]:
        return self.add("DELETE", path, check, params or {})


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    name: str = ""
    rest: bool = False
    methods: dict[str, Endpoint] = field(default_factory=dict)


class Router:
    """Finds the endpoint of a path. A level of the tree has fixed names or one placeholder."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self._root = _Node()
        for endpoint in endpoints:
            node = self._root
            for part in filter(None, endpoint.path.split("/")):
                placeholder = _PLACEHOLDER.fullmatch(part)
                if placeholder is None:
                    node = node.fixed.setdefault(part, _Node())
                else:
                    node.name, node.rest = placeholder[1], bool(placeholder[2])
                    node.variable = node.variable or _Node()
                    node = node.variable
            node.methods[endpoint.method] = endpoint

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint and the values of the placeholders; a value contains no spaces."""
        node = self._root
        values: dict[str, str] = {}
        parts = [part for part in path.split("/") if part]
        for at, part in enumerate(parts):
            if part in node.fixed:
                node = node.fixed[part]
            elif node.variable is not None and node.rest:
                values[node.name] = "/".join(parts[at:])
                node = node.variable
                break
            elif node.variable is not None and not re.search(r"\s", part):
                values[node.name] = part
                node = node.variable
            else:
                return None
        endpoint = node.methods.get(method)
        return None if endpoint is None else (endpoint, values)
