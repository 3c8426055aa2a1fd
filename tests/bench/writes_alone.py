"""`python -m tests.bench.writes_alone FILE`: what would be run instead of an apply.

A script that knows what to write: it sends the requests in FILE through proxmoxer, one after the
other over one connection, and does nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from proxmoxer import ProxmoxAPI


def main() -> None:
    """FILE: host, port, CA file, user, token, and (method, path, parameters) of each request."""
    work = json.loads(Path(sys.argv[1]).read_bytes())
    cluster = ProxmoxAPI(
        work["host"],
        port=work["port"],
        user=work["user"],
        token_name=work["token"],
        token_value=os.environ["PVECTL_TOKEN_SECRET"],
        verify_ssl=work["ca"],
    )
    for method, path, params in work["requests"]:
        getattr(cluster(path), method.lower())(**params)


if __name__ == "__main__":
    main()
