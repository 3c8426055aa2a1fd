"""`python -m tests.bench.many_served FOLDER NUMBER`: so many clusters over HTTPS, by one process.

Writes FOLDER/state with a target for each, says `ready`, and serves until it is ended.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from unittest import mock

from reconciler.sandbox.http import server
from reconciler.sandbox.settings import Settings
from tests.bench.clusters import ROOT_TOKEN, make_cluster
from tests.bench.controllers import controllers
from tests.support.command import secret_of, trust
from tests.support.fleet import ACCESS

THREADS = 8
"""Of each server."""


def main() -> int:
    """Until the process is ended."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    state = folder / "state"
    state.mkdir(parents=True)
    (state / "access.toml").write_text(ACCESS)
    tables = []
    with mock.patch.object(server, "_THREADS", THREADS):
        for name in (f"c{n:03}" for n in range(number)):
            cluster = make_cluster(folder / name, controllers(0))
            (state / "secret").write_text(secret_of(cluster, ROOT_TOKEN))
            sandbox = server.Sandbox(cluster, 0, Settings.from_environment())
            threading.Thread(target=sandbox.serve, daemon=True).start()
            tables.append(
                f'[target.{name}]\nendpoint = "{sandbox.url}"\ntoken_id = "{ROOT_TOKEN}"\n'
                f'fingerprint = "{sandbox.fingerprint}"\ntoken_secret = {{ file = "secret" }}\n'
                f'vars = {{ site = "{name}" }}\n'
            )
    (state / "pvectl.toml").write_text("\n".join(tables))
    trust(state, folder / "home")
    print("ready", flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
