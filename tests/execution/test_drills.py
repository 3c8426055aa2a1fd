"""Drills refused, cut off and killed at each request: nothing is left unnamed, nothing foreign is
touched, whatever others do meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.drills import store
from reconciler.execution.journal.journal import Journal
from reconciler.model.drill import DrillResult, Verdict
from reconciler.model.policy import Network
from reconciler.pve.guest_config import mac_of
from tests.execution.drilling import CT, NODE, SENTINEL, VM, Counting, Killed, Place, make
from tests.execution.size import count, some
from tests.execution.worlds import MEMORY

GUESTS = pytest.mark.parametrize("guest", [CT, VM])


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield make(Path(folder))


def requests_of(place: Place, guest: int) -> tuple[int, list[int]]:
    """How many requests an undisturbed drill takes, and which of them write."""
    counting = Counting(place.api())
    assert place.drill(counting, guest).verdict is Verdict.PROVEN
    return counting.number, counting.writes


def config_of(place: Place, vmid: int) -> dict[str, Any]:
    kind = "lxc" if (place.pve.folder / f"nodes/{NODE}/lxc/{vmid}.conf").exists() else "qemu"
    found: dict[str, Any] = place.pve.get(f"/nodes/{NODE}/{kind}/{vmid}/config")
    return found


@GUESTS
def test_an_archive_comes_back_to_life_and_goes_again(place: Place, guest: int) -> None:
    seen: list[dict[str, Any]] = []

    def watch(number: int, request: Any, send: Any) -> Any:
        del number
        if request.path[-1] == "start":
            seen.append(config_of(place, int(request.path[-3])))
        return send()

    result = place.drill(Counting(place.api(), watch), guest)
    assert (result.verdict, result.vmid, result.failure) == (Verdict.PROVEN, 9900, "")
    assert (result.differences, result.left, result.notes) == ((), (), ())
    (config,) = seen
    original = config_of(place, guest)
    assert "link_down=1" in config["net0"]
    assert mac_of(config["net0"]) not in ("", mac_of(original["net0"]))
    assert config.get("unprivileged") == original.get("unprivileged")
    assert config.get("features") == original.get("features")
    assert config.get("name", config.get("hostname")) == f"drill-{guest}"
    assert (config["onboot"], config["protection"]) == (0, 0)
    assert place.clean


@GUESTS
@pytest.mark.parametrize("network", list(Network))
def test_the_network_is_as_declared_before_the_guest_starts(
    place: Place, guest: int, network: Network
) -> None:
    seen: list[Any] = []

    def watch(number: int, request: Any, send: Any) -> Any:
        del number
        if request.path[-1] == "start":
            seen.append(config_of(place, 9900).get("net0"))
        return send()

    assert place.drill(Counting(place.api(), watch), guest, network=network).verdict.good
    (nic,) = seen
    if network is Network.NONE:
        assert nic is None
    else:
        assert ("link_down=1" in nic) is (network is Network.DOWN)
    assert place.clean


def _ended(place: Place, results: list[DrillResult]) -> None:
    for result in results:
        assert result.left == (), result
    assert place.clean


@GUESTS
@pytest.mark.parametrize("back", [False, True], ids=["resume", "rollback"])
def test_killed_around_each_request(place: Place, guest: int, back: bool) -> None:
    total, writes = requests_of(place, guest)
    points = [(at, after) for at in range(1, total + 1) for after in (False, True)]
    for at, after in some(points, 16):

        def die(number: int, request: Any, send: Any, at: int = at, after: bool = after) -> Any:
            if number == at and not after:
                raise Killed
            answer = send()
            if number == at:
                raise Killed
            return answer

        with contextlib.suppress(Killed):  # the last request may come earlier this time
            place.drill(Counting(place.api(), die), guest)
        made = set(place.world()) - set(place.original)
        named = {str(vmid) for one in store.open_drills(place.folder) for vmid in one.vmids}
        for name in made:
            assert set(re.findall(r"9\d\d\d", name)) & named, name
        results = place.resume(back=back)
        _ended(place, results)
        if not back and results:
            assert results[0].verdict is Verdict.PROVEN, (at, after, results)
        count("drill killed")
    assert writes


@GUESTS
def test_killed_in_the_resumed_drill(place: Place, guest: int) -> None:
    total, writes = requests_of(place, guest)

    def die_at(at: int) -> Any:
        def act(number: int, request: Any, send: Any) -> Any:
            answer = send()
            if number == at:
                raise Killed
            return answer

        return act

    for first in some(writes, 3):
        for second in some(range(1, total), 4):
            with contextlib.suppress(Killed):
                place.drill(Counting(place.api(), die_at(first)), guest)
            for one in store.open_drills(place.folder):
                with Journal.open(Path(one.journal)) as journal:
                    journal.write("continued", owner="t", run="", time=place.clock.now())
                    with contextlib.suppress(Killed):
                        place.go_on(Counting(place.api(), die_at(second)), journal)
            _ended(place, place.resume())
            count("drill killed twice")


FAULTS: dict[str, Callable[[Any], Any]] = {
    "403": lambda _: RequestRefused(403, "Permission check failed (/vms/9900, VM.Config.Network)"),
    "500": lambda _: RequestRefused(500, "something is wrong"),
    "lock": lambda _: RequestRefused(500, "can't lock file - got lock request timeout"),
    "lost before": lambda _: UnknownOutcome("no answer in time"),
    "lost after": lambda send: (send(), UnknownOutcome("the connection was closed"))[1],
    "away": lambda _: Unreachable("connection refused"),
}


@GUESTS
@pytest.mark.parametrize("fault", FAULTS)
def test_refused_or_cut_off_at_each_write(place: Place, guest: int, fault: str) -> None:
    """Once each: what failed is said, and all is removed."""
    _, writes = requests_of(place, guest)
    for at in writes:

        def fail(number: int, request: Any, send: Any, at: int = at) -> Any:
            if number == at:
                raise FAULTS[fault](send)
            return send()

        result = place.drill(Counting(place.api(), fail), guest)
        assert result.left == (), (at, result)
        assert result.verdict.good or result.failure, (at, result)
        if fault == "lost after":
            assert result.verdict is Verdict.PROVEN, (at, result)
        assert place.clean, (at, result)
        count("drill refused")


def test_what_cannot_be_destroyed_is_named_and_the_drill_stays_open(place: Place) -> None:
    def fail(number: int, request: Any, send: Any) -> Any:
        del number
        if request.method == "DELETE":
            raise RequestRefused(500, "storage is offline")
        return send()

    result = place.drill(Counting(place.api(), fail), CT)
    assert result.left == (f"guest 9900 on {NODE}: Proxmox VE answered 500 storage is offline",)
    (left,) = store.open_drills(place.folder)
    assert left.vmids == (9900,)
    _ended(place, place.resume(back=True))


def test_a_cluster_that_stops_answering_leaves_a_drill_that_can_be_finished(place: Place) -> None:
    def away(number: int, request: Any, send: Any) -> Any:
        if number > 12:
            raise Unreachable("connection refused")
        return send()

    result = place.drill(Counting(place.api(), away), CT)
    assert result.verdict is Verdict.FAILED
    assert "connection refused" in result.left[0]
    _ended(place, place.resume())


def test_a_stop_while_it_restores_removes_what_is_there(place: Place) -> None:
    _, writes = requests_of(place, CT)
    for at in writes[:3]:
        stop: list[int] = []

        def press(
            number: int, request: Any, send: Any, at: int = at, stop: list[int] = stop
        ) -> Any:
            if number == at:
                stop.append(2)
            return send()

        plan = place.plan(CT)
        with store.start(place.folder, plan, "tester", "", place.clock.now()) as journal:
            result = place.go_on(Counting(place.api(), press), journal, stop)
        assert result.verdict is Verdict.STOPPED
        _ended(place, [result])
    assert CT in store.results(place.folder)
    assert store.results(place.folder)[CT].last.verdict is Verdict.PROVEN


@GUESTS
def test_a_restore_that_fails_leaves_nothing(place: Place, guest: int) -> None:
    """Of a virtual machine Proxmox VE leaves an empty one, which is the drill's to remove."""
    free = place.pve.run / "storage/local-lvm/free"
    free.write_text("10\n")
    result = place.drill(place.api(), guest)
    free.unlink()
    assert result.verdict is Verdict.FAILED
    assert "restoring the archive failed" in result.failure
    assert "No space left" in result.failure
    _ended(place, [result])


def test_an_empty_guest_that_may_be_somebody_elses_is_named(place: Place) -> None:
    """The answer was lost, so that its task cannot be told from one of the same token."""
    free = place.pve.run / "storage/local-lvm/free"
    free.write_text("10\n")

    def lose(number: int, request: Any, send: Any) -> Any:
        del number
        if request.path[-1] == "qemu":
            send()
            raise UnknownOutcome("the connection was closed")
        return send()

    result = place.drill(Counting(place.api(), lose), VM)
    free.unlink()
    assert result.left == ("guest 9900 was not touched: it does not have the mark of this drill",)
    _delete(place, 9900)
    _ended(place, place.resume())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"start_fails": "no such device"}, "starting the restored guest failed: start failed: no"),
        ({"agent": False}, "the QEMU guest agent did not answer"),
        ({"commands": {"cat /etc/sentinel": {"exit": 1, "err": "gone\n"}}}, "exit status 1 gone"),
    ],
)
def test_a_guest_that_does_not_work_fails_and_goes(
    place: Place, behaviour: dict[str, Any], words: str
) -> None:
    disk = place.pve.run / f"storage/local-lvm/images/vm-{VM}-disk-0/etc"
    (disk / "sandbox.json").write_text(json.dumps(behaviour))
    place.clock.sleep(3)
    place.archives = make_again(place)
    result = place.drill(place.api(), VM, timeout=20)
    assert result.verdict is Verdict.FAILED
    assert words in result.failure, result
    place.original = {
        **place.original,
        **{k: v for k, v in place.world().items() if "sandbox" in k},
    }
    _ended(place, [result])


def make_again(place: Place) -> Any:
    """A second archive of the virtual machine, of another second."""
    dump = place.pve.run / "storage/local/dump"
    for path in dump.glob(f"*-{VM}-*"):
        path.unlink()
    upid = place.pve.post(f"/nodes/{NODE}/vzdump", vmid=str(VM), storage="local")
    assert place.pve.ended(upid) == "OK"
    rows = place.pve.get(f"/nodes/{NODE}/storage/local/content", content="backup")
    volume = next(row["volid"] for row in rows if row["vmid"] == VM)
    return {**place.archives, VM: place.archives[VM]._replace(volume=volume)}


def test_a_machine_without_its_sentinel_is_not_proven(place: Place) -> None:
    (place.pve.run / f"storage/local-lvm/images/vm-{VM}-disk-0/etc/sentinel").unlink()
    place.archives = make_again(place)
    place.original = place.world()
    result = place.drill(place.api(), VM, timeout=5)
    assert "No such file" in result.failure
    _ended(place, [result])
    assert SENTINEL not in result.failure


def test_two_at_once_take_different_ids(place: Place) -> None:
    """The second one begins while the first is between any two requests."""
    total, _ = requests_of(place, CT)
    for at in some(range(1, total + 1), 8):
        inner: list[DrillResult] = []

        def meet(
            number: int, request: Any, send: Any, at: int = at, inner: list[DrillResult] = inner
        ) -> Any:
            if number == at:
                inner.append(place.drill(place.api(), VM))
            return send()

        outer = place.drill(Counting(place.api(), meet), CT)
        assert outer.verdict is Verdict.PROVEN, (at, outer)
        assert inner[0].verdict is Verdict.PROVEN, (at, inner)
        _ended(place, [outer, *inner])


# Rivals: another administrator, who makes, renames and destroys guests in the drills' own ids.


def _make(place: Place, vmid: int) -> None:
    place.pve.post(
        f"/nodes/{NODE}/lxc",
        vmid=str(vmid),
        restore="1",
        ostemplate=place.archives[CT].volume,
        storage="local-lvm",
        hostname="rival",
        description="mine",
    )


def _delete(place: Place, vmid: int) -> None:
    kind = "lxc" if (place.pve.folder / f"nodes/{NODE}/lxc/{vmid}.conf").exists() else "qemu"
    for method, path in (("POST", f"{vmid}/status/stop"), ("DELETE", str(vmid))):
        try:
            place.pve.call(method, f"/nodes/{NODE}/{kind}/{path}")
        except RequestRefused:
            continue


def _edit(place: Place, vmid: int, **given: str) -> None:
    kind = "lxc" if (place.pve.folder / f"nodes/{NODE}/lxc/{vmid}.conf").exists() else "qemu"
    name = {"lxc": "hostname", "qemu": "name"}[kind]
    changed = {name if key == "name" else key: value for key, value in given.items()}
    try:
        place.pve.put(f"/nodes/{NODE}/{kind}/{vmid}/config", **changed)
    except RequestRefused:
        return


def _replace(place: Place, vmid: int) -> None:
    _delete(place, vmid)
    _make(place, vmid)


RIVALS: dict[str, Callable[[Place], None]] = {
    "takes the id": lambda place: _make(place, 9900),
    "takes the next id": lambda place: _make(place, 9901),
    "renames it": lambda place: _edit(place, 9900, name="renamed", onboot="1"),
    "destroys it": lambda place: _delete(place, 9900),
    "replaces it": lambda place: _replace(place, 9900),
    "takes the mark away": lambda place: _edit(place, 9900, description="mine now"),
}


def _safe_points(place: Place, guest: int) -> list[int]:
    """Requests before which a rival may act. Not between the look at the description and the
    request that relies on it: Proxmox VE has nothing that would tell."""
    counting = Counting(place.api())
    order: list[str] = []

    def note(number: int, request: Any, send: Any) -> Any:
        del number
        order.append("GET" if request.method == "GET" and "tasks" not in request.path else "other")
        return send()

    counting.act = note
    assert place.drill(counting, guest).verdict.good
    return [at for at, method in enumerate(order, 1) if method == "GET"]


@GUESTS
@pytest.mark.parametrize("rival", RIVALS)
def test_rivals_lose_nothing(place: Place, guest: int, rival: str) -> None:
    for at in some(_safe_points(place, guest), 6):

        def meet(number: int, request: Any, send: Any, at: int = at) -> Any:
            if number == at:
                with contextlib.suppress(RequestRefused):  # the drill was there before
                    RIVALS[rival](place)
            return send()

        result = place.drill(Counting(place.api(), meet), guest)
        others = {
            name: content
            for name, content in place.world().items()
            if name not in place.original or place.original[name] != content
        }
        confs = {name for name in others if name.endswith(".conf")}
        for name in confs:
            number = int(re.findall(r"(\d+)\.conf", name)[0])
            foreign = b"rival" in others[name] or b"mine" in others[name]
            assert foreign, (at, name, others[name])
            if b"drill-" in others[name]:
                assert any(str(number) in one for one in result.left), (at, result)
        for name in confs:
            _delete(place, int(re.findall(r"(\d+)\.conf", name)[0]))
        place.resume(back=True)
        assert place.clean, (at, result)
        count("drill among rivals")


def test_what_the_original_uses_of_its_node_is_left_out(place: Place) -> None:
    """Otherwise a restored container would write into the folders of the original."""
    conf = place.pve.folder / f"nodes/{NODE}/lxc/{CT}.conf"
    conf.write_text(conf.read_text() + "mp0: /srv/data,mp=/data\nhookscript: local:snippets/h.pl\n")
    for path in (place.pve.run / "storage/local/dump").glob(f"*-{CT}-*"):
        path.unlink()
    upid = place.pve.post(f"/nodes/{NODE}/vzdump", vmid=str(CT), storage="local")
    assert place.pve.ended(upid) == "OK"
    place.original = place.world()
    seen: list[dict[str, Any]] = []

    def watch(number: int, request: Any, send: Any) -> Any:
        del number
        if request.path[-1] == "start":
            seen.append(config_of(place, 9900))
        return send()

    result = place.drill(Counting(place.api(), watch), CT)
    assert result.verdict is Verdict.PROVEN, result
    assert result.notes == (
        "mp0 was omitted: the original uses /srv/data,mp=/data",
        f"its hook script local:snippets/h.pl also runs on {NODE} for the restored guest",
    )
    assert result.differences == ()
    assert "mp0" not in seen[0]
    _ended(place, [result])
