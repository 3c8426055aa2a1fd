"""One module per part of the API; `sandbox/http/routes.py` shows how to write one."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from reconciler.sandbox.http.routes import Router, Routes


@lru_cache(maxsize=1)
def router() -> Router:
    """All methods of all modules in this package."""
    endpoints = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        routes = getattr(import_module(f"{__name__}.{module}"), "routes", None)
        if isinstance(routes, Routes):
            endpoints += routes.endpoints
    return Router(endpoints)
