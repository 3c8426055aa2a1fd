"""`python -m tests.bench.counted ARGUMENTS`: pvectl, and how often it sent which request.

The last line is JSON: `METHOD /path` without ids -> number; a GET that had to be repeated counts
twice.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any
from unittest import mock

from reconciler.cli.app import run
from reconciler.live.http.failover import ClusterApi
from reconciler.model.request import Request


def main() -> int:
    """Run pvectl in this process."""
    sent: Counter[str] = Counter()
    send, close = ClusterApi.send, ClusterApi.close

    def counting(
        api: ClusterApi, request: Request, secrets: Mapping[str, str] | None = None
    ) -> Any:
        sent[f"{request.method} /{'/'.join(request.path[:2])}"] += 1
        return send(api, request, secrets)

    def closing(api: ClusterApi) -> None:
        sent["GET"] += api.counts.reads
        close(api)

    with mock.patch.multiple(ClusterApi, send=counting, close=closing):
        status = run(sys.argv[1:])
    print(json.dumps(sent))
    return status


if __name__ == "__main__":
    sys.exit(main())
