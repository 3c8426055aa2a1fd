"""What an apply takes, and what its writes alone take: on two clusters that are the same."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from reconciler.access.table import AccessTable
from reconciler.execution.plan_file import load_plan
from reconciler.model.request import Request
from tests.bench.clusters import ROOT_TOKEN, make_cluster, write_settings
from tests.bench.controllers import ROLE, controllers
from tests.bench.measure import took
from tests.support.command import Served, pvectl, sandbox, secret_of, trust

Cost = Mapping[str, str]

COST: Cost = {"PVECTL_SANDBOX_REQUEST_TIME": "0.006", "PVECTL_SANDBOX_ENTRY_TIME": "0.00006"}
"""What a request costs Proxmox VE itself: 6 ms, and 0.06 ms for each ACL entry in user.cfg."""

MEASURED: Cost = {"PVECTL_SANDBOX_REQUEST_TIME": "0.05"}
"""What a write took a small Proxmox VE 9.2 with two cores, over HTTPS."""
PAIRS = 50
PATHS = 60


class Compared(NamedTuple):
    """Seconds by the clock: an apply from start to exit, its writes alone, and their number.

    `raw`: nothing but those writes, over a connection that is open already. `script`: a script that
    does the same through proxmoxer, from start to exit; 0 where it was not run.
    """

    applied: float
    raw: float
    writes: int
    script: float = 0.0

    @property
    def ratio(self) -> float:
        return self.applied / self.raw


def many_objects(folder: Path, cost: Cost = COST) -> Compared:
    """50 roles, groups, users, tokens and paths, and five pools, on a cluster without any."""
    lines = [f"[pool.p{n}]\n" for n in range(5)]
    for n in range(PAIRS):
        lines.append(f'[role.R{n}]\nprivileges = ["VM.Audit", "VM.Backup"]\n')
        lines.append(f'[group.g{n}]\ncomment = "team {n}"\n')
        lines.append(f'[user."u{n}@pve"]\ngroups = ["g{n}"]\ncomment = "member {n}"\n')
        lines.append(f'[user."u{n}@pve".token.ci]\ncomment = "job {n}"\n')
        who = f'users = ["u{n}@pve"]\ntokens = ["u{n}@pve!ci"]'
        lines.append(f'[[acl]]\nroles = ["R{n}"]\npaths = ["/vms/{2000 + n}"]\n{who}\n')
    return compare(folder, controllers(0), "\n".join(lines), cost, script=True)


def large_cluster(folder: Path, entries: int = 5000) -> Compared:
    """A role, and a grant of it on 60 paths, on a cluster with many entries."""
    paths = ", ".join(f'"/vms/{5000 + n}"' for n in range(PATHS))
    state = f"""[role.New]\nprivileges = ["VM.Audit"]\n
[[acl]]\nroles = ["New"]\npaths = [{paths}]\nusers = ["guest-1000@pve"]\n
[[acl]]\nroles = ["{ROLE}"]\npaths = ["/vms/1000"]\nusers = ["guest-1000@pve"]\n"""
    return compare(folder, controllers(entries // 4), state)


def compare(
    folder: Path, table: AccessTable, state: str, cost: Cost = COST, *, script: bool = False
) -> Compared:
    """Apply `state`, and send the same writes one after the other over one connection."""
    folder.mkdir()
    home, files = folder / "home", folder / "state"
    files.mkdir()
    (files / "access.toml").write_text(state)
    cluster = make_cluster(folder / "pve", table)
    for other in ("raw", "script"):
        shutil.copytree(cluster, folder / other / "pve")
    env = {"PVECTL_TOKEN_SECRET": secret_of(cluster, ROOT_TOKEN), "PVECTL_HOME": str(home)}
    with sandbox(folder / "raw" / "pve", cost) as served:
        plan = folder / "plan.json"
        _settings(files, home, served)
        arguments = ("--state", files, "--allow", "LIMIT_TOTAL=*")
        done = pvectl("plan", "--out", plan, *arguments, env=env, cwd=folder)
        assert done.status in (0, 2), done.err
        requests = [step.request for step in load_plan(plan).plan.steps]
        with _connection(served, env["PVECTL_TOKEN_SECRET"]) as send:
            begin = time.monotonic()
            for request in requests:
                send(request)
            raw = time.monotonic() - begin
    scripted = 0.0
    if script:
        with sandbox(folder / "script" / "pve", cost) as served:
            scripted = _scripted(folder / "requests.json", served, requests, env)
    with sandbox(cluster, cost) as served:
        _settings(files, home, served)
        applied = took(1, "apply", "--yes", *arguments, env=env)
    return Compared(applied.seconds, raw, len(requests), scripted)


def _scripted(
    file: Path, served: Served, requests: Sequence[Request], env: Mapping[str, str]
) -> float:
    """The seconds of a script that sends these requests through proxmoxer, from start to exit."""
    place = urlsplit(served.url)
    user, _, token = ROOT_TOKEN.partition("!")
    work = {
        "host": place.hostname,
        "port": place.port,
        "ca": str(served.folder / "pve-root-ca.pem"),
        "user": user,
        "token": token,
        "requests": [(r.method, "/".join(r.path), dict(r.params)) for r in requests],
    }
    file.write_text(json.dumps(work))
    program = (sys.executable, "-m", "tests.bench.writes_alone")
    return took(1, file, env=env, program=program).seconds


def _settings(files: Path, home: Path, served: Served) -> None:
    write_settings(files, served.url, served.fingerprint)
    trust(files, home)


@contextmanager
def _connection(served: Served, secret: str) -> Iterator[Callable[[Request], None]]:
    """One kept-alive connection; refuses an answer that is not 200."""
    context = ssl.create_default_context(cafile=str(served.folder / "pve-root-ca.pem"))
    context.check_hostname = False
    place = urlsplit(served.url)
    connection = http.client.HTTPSConnection(str(place.hostname), place.port, context=context)
    headers = {"Authorization": f"PVEAPIToken={ROOT_TOKEN}={secret}"}

    def send(request: Request) -> None:
        path = "/api2/json/" + "/".join(quote(part, safe="") for part in request.path)
        body = urlencode(request.params)
        if request.method in ("POST", "PUT"):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(request.method, path, body, {**headers, **form})
        else:
            connection.request(request.method, f"{path}?{body}", headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (request.target, text)

    try:
        send(Request("GET", ("version",)))
        yield send
    finally:
        connection.close()
