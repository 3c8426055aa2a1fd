"""Whether a restored guest works: it comes up, and what was asked for succeeds in time."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from reconciler.errors import DrillFailed, RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.drills.context import DrillRun
from reconciler.kinds.backup.drill import guest_path
from reconciler.model.policy import Check
from reconciler.model.request import request
from reconciler.model.secret import without_credentials
from reconciler.pve.guest_config import LXC, wants_agent

STEADY = 1.0
"""Seconds that a guest without agent must run on: an init that fails ends at once."""

LONGEST_PAUSE = 5.0
CONNECT = 5.0
"""Seconds that one try to connect takes at most."""

Try = Callable[[], str]
"""Tries once; why it failed, "" where it succeeded."""


def wait_until_up(run: DrillRun, until: float) -> bool:
    """A virtual machine with agent: it answers. Any other guest: it runs and goes on running.

    Whether an agent answered. Raises DrillFailed when that takes longer than `until`, in Unix
    seconds.
    """
    run.tell("waiting for the guest to come up")
    if run.plan.kind != LXC and wants_agent(run.saved):
        _until(run, until, "the QEMU guest agent did not answer", lambda: _pinged(run))
        return True
    _until(run, until, "the guest did not run", lambda: _runs(run))
    run.clock.sleep(STEADY)
    why = _runs(run)
    if why:
        raise DrillFailed(f"the guest started, but stopped again: {why}")
    return False


def check(run: DrillRun, until: float) -> None:
    """Repeat all checks until they succeed; raises DrillFailed."""
    for one in run.plan.checks:
        for words, attempt in _tries(run, one, until):
            run.tell(f"checking: {words}")
            _until(run, until, words, attempt)


def _tries(run: DrillRun, one: Check, until: float) -> list[tuple[str, Try]]:
    found: list[tuple[str, Try]] = []
    if one.agent:
        words = f"agent: {' '.join(one.agent)}"
        found.append((words, lambda: _inside(run, one.agent, until)))
    if one.tcp is not None:
        port = one.tcp
        found.append((f"tcp {port}", lambda: _any(run, lambda host: _connected(host, port))))
    if one.http is not None:
        path = one.http
        words = f"http :{one.port}{path}"
        found.append((words, lambda: _any(run, lambda host: _fetched(host, one.port, path))))
    if one.command:
        words = f"command: {' '.join(one.command)}"
        found.append((words, lambda: _here(run, one.command, until)))
    return found


def _until(run: DrillRun, until: float, words: str, attempt: Try) -> None:
    pause = 0.2
    while True:
        run.heed()
        try:
            why = attempt()
        except (RequestRefused, UnknownOutcome, Unreachable) as error:
            if isinstance(error, RequestRefused) and error.forbidden:
                raise
            why = error.summary
        if not why:
            return
        if run.clock.now() >= until:
            raise DrillFailed(f"{words}: {why}, after {run.plan.timeout} s")
        run.clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _runs(run: DrillRun) -> str:
    path = guest_path(run.plan, run.state.vmid)
    status = run.api.get([request("GET", *path, "status", "current")])[0].get("status")
    return "" if status == "running" else f"it is {status}"


def _pinged(run: DrillRun) -> str:
    run.api.send(request("POST", *guest_path(run.plan, run.state.vmid), "agent", "ping"))
    return ""


def _inside(run: DrillRun, command: Sequence[str], until: float) -> str:
    """A command by the agent: it must end with 0."""
    path = (*guest_path(run.plan, run.state.vmid), "agent")
    pid = run.api.send(request("POST", *path, "exec", command=tuple(command)))["pid"]
    while True:
        ended = run.api.get([request("GET", *path, "exec-status", pid=int(pid))])[0]
        if int(ended.get("exited") or 0):
            break
        if run.clock.now() >= until:
            return "it did not finish"
        run.heed()
        run.clock.sleep(0.5)
    status = int(ended.get("exitcode") or 0)
    said = str(ended.get("err-data") or ended.get("out-data") or "").strip().splitlines()
    return f"exit status {status} {said[-1] if said else ''}".strip() if status else ""


def addresses(run: DrillRun) -> list[str]:
    """Where the guest can be reached, IPv4 first. A loopback address is that of the machine that
    asks, whatever its interface is called: it counts only for a cluster on this machine."""
    path = guest_path(run.plan, run.state.vmid)
    if run.plan.kind == LXC:
        rows = run.api.get([request("GET", *path, "interfaces")])[0] or []
    else:
        asked = request("GET", *path, "agent", "network-get-interfaces")
        rows = run.api.get([asked])[0]["result"]
    found = [ip_address(text) for row in rows if row.get("name") != "lo" for text in _listed(row)]
    here = urlsplit(run.api.endpoint).hostname in {"127.0.0.1", "::1", "localhost"}
    usable = [one for one in found if not one.is_link_local and (here or not one.is_loopback)]
    return [str(one) for one in sorted(usable, key=lambda one: one.version)]


def _listed(row: Mapping[str, Any]) -> list[str]:
    """Releases before 9 list those of a container as `inet` and `inet6`, one of each."""
    rows = row.get("ip-addresses")
    if rows is None:
        texts = (row.get(key) for key in ("inet", "inet6"))
        return [str(text).partition("/")[0] for text in texts if text]
    return [str(one["ip-address"]) for one in rows]


def _any(run: DrillRun, attempt: Callable[[str], str]) -> str:
    found = addresses(run)
    whys = []
    for host in found:
        why = attempt(host)
        if not why:
            return ""
        whys.append(f"{host}: {why}")
    return "; ".join(whys) or "the guest has no address"


def _connected(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=CONNECT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _fetched(host: str, port: int, path: str) -> str:
    """Any answer below 400 will do; a redirection is not followed."""
    connection = http.client.HTTPConnection(host, port, timeout=CONNECT)
    try:
        connection.request("GET", path, headers={"User-Agent": "pvectl-drill"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status < 400 else f"status {status}"


def _here(run: DrillRun, command: Sequence[str], until: float) -> str:
    """A command on this machine: it must end with 0."""
    plan = run.plan
    told = {
        "PVECTL_DRILL_ID": str(run.state.vmid),
        "PVECTL_DRILL_NODE": plan.node,
        "PVECTL_DRILL_GUEST": str(plan.guest),
        "PVECTL_DRILL_ADDRESSES": " ".join(_known_addresses(run)),
    }
    left = max(1.0, until - run.clock.now())
    try:
        done = subprocess.run(  # noqa: S603 - the command is in the reviewed settings
            list(command),
            cwd=run.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=left,
            env={**without_credentials(os.environ), **told},
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it did not finish"
    except (OSError, ValueError) as error:
        raise DrillFailed(
            f"the command '{command[0]}' cannot be started: "
            f"{getattr(error, 'strerror', None) or 'its arguments are not valid'}",
            hint="correct check in [drill]",
        ) from None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    last = f": {said[-1]}" if said else ""
    return f"exit status {done.returncode}{last}" if done.returncode else ""


def _known_addresses(run: DrillRun) -> list[str]:
    try:
        return addresses(run)
    except (RequestRefused, Unreachable):
        return []
