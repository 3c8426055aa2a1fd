"""One call, from method and path to data, in PVE's order of checks.

Method and path (501), a parameter given twice (400), token allowed (403), permission (403), the
node (500), parameters (400), and then the handler. PVE source: `rest_handler` of PVE::HTTPServer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.access.contents import split_token
from reconciler.pve.parameter_check import errors
from reconciler.pve.schema import ParameterTable, ParameterValue, normalized
from reconciler.sandbox.checks import allowed
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died, forbidden
from reconciler.sandbox.handlers import router
from reconciler.sandbox.http.routes import Endpoint

_ELSEWHERE = (
    "hostname lookup '{0}' failed - failed to get address info for: {0}: "
    "Temporary failure in name resolution"
)
_NO_ROUTE = "No route to host"
UNREACHABLE = 595
"""The status that a node returns when it cannot forward a call to another; there is no body."""


def call(ctx: Context, method: str, path: str, given: Mapping[str, ParameterValue | None]) -> Any:
    """The `data` of the answer; raises ApiError. `path` is decoded and relative to /api2/FORMAT. A
    parameter that is None is absent, but its name must be known.
    """
    found = router().find(method, path)
    if found is None:
        raise ApiError(f"Method '{method} {path}' not implemented", 501)
    endpoint, values = found
    raw = _present(endpoint.params, _merged(values, given))
    if (ctx.with_token or split_token(ctx.actor)) and not endpoint.allow_token:
        raise forbidden(f"URI '{path}' not available with API token, need proper ticket.\n")
    allowed(endpoint.check, ctx, raw)
    _choose_node(ctx, endpoint, values)
    if endpoint.params is not None:
        raw = normalized(endpoint.params, raw)
        wrong = errors(endpoint.params, raw, release=ctx.store.release)
        if wrong:
            raise bad_parameters(wrong)
    return endpoint.handler(ctx, Params(raw))


def _merged(
    path: Mapping[str, str], given: Mapping[str, ParameterValue | None]
) -> dict[str, ParameterValue | None]:
    for name, value in path.items():
        if name in given and given[name] != value:
            text = "duplicate parameter (already defined in URI) with conflicting values!"
            raise bad_parameters({name: text})
    return {**path, **given}


def _present(
    table: ParameterTable | None, given: Mapping[str, ParameterValue | None]
) -> dict[str, ParameterValue]:
    """Without the absent parameters that the table has; any others are rejected."""
    unknown = {name: "" for name in given if name not in (table or {})}
    return unknown | {name: value for name, value in given.items() if value is not None}


def _choose_node(ctx: Context, endpoint: Endpoint, values: Mapping[str, str]) -> None:
    """A call below /nodes/NAME/ is executed by that node, as if it had been forwarded."""
    if not endpoint.path.startswith("/nodes/{node}/"):
        return
    node = values["node"]
    if node in ("localhost", ctx.store.node):
        return
    if node not in ctx.store.nodes:
        raise died(_ELSEWHERE.format(node))
    if not ctx.store.is_up(node):
        raise ApiError(_NO_ROUTE, UNREACHABLE)
    ctx.at = node
