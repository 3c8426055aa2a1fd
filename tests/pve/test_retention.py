"""Retention against what a Proxmox VE recorded, the embedded one's dry run, and a naive twin."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.pve.retention import RULES, PruneMark, Saved, is_renamed, rules_of, verdicts
from tests.support.pve import Pve
from tests.support.replay import recordings

SETS = 1000
NEWEST = datetime(2026, 11, 28, 14, 5, 10, tzinfo=UTC)


def recorded() -> list[dict[str, Any]]:
    """Every dry run that was answered."""
    return [
        step
        for scenario in recordings("exchanges")
        for step in scenario["steps"]
        if step.get("path", "").endswith("/prunebackups")
        and step["method"] == "GET"
        and step["status"] == 200
        and step.get("params", {}).get("prune-backups")
    ]


def _saved(row: Mapping[str, Any]) -> Saved:
    mark = row["mark"]
    group = (str(row["type"]), int(row.get("vmid") or 0))
    return Saved(group, int(row["ctime"]), mark == "protected", renamed=mark == "renamed")


def test_what_was_recorded() -> None:
    steps = recorded()
    assert len(steps) > 10
    for step in steps:
        rows = step["body"]["data"]
        keep = rules_of(step["params"]["prune-backups"])
        marks = verdicts([_saved(row) for row in rows], keep, UTC)
        assert marks == [row["mark"] for row in rows], step["params"]


def naive(moments: Sequence[datetime], keep: Mapping[str, int]) -> set[datetime]:
    """What stays, by definition: rule after rule, period after period, each time from scratch."""
    if not any(keep.values()):
        return set(moments)
    formats = ("%Y%m%d%H%M%S", "%Y%m%d%H", "%Y%m%d", "%G%V", "%Y%m", "%Y")
    labels = dict(zip(RULES, formats, strict=True))
    stay: list[datetime] = []
    used_up: list[datetime] = []
    for rule in RULES:
        count = keep.get(rule, 0)

        def label(moment: datetime, rule: str = rule) -> str:
            return moment.strftime(labels[rule])

        held = {label(moment) for moment in stay}
        free = [m for m in moments if m not in stay and m not in used_up and label(m) not in held]
        periods = sorted(
            {label(m): max(o for o in free if label(o) == label(m)) for m in free}.values()
        )
        chosen = periods[::-1][:count] if count else []
        stay += chosen
        if count:
            last = len(periods) > count and periods[::-1][count]
            used_up += [
                m
                for m in free
                if m not in chosen and label(m) in map(label, chosen) and (not last or m > last)
            ]
    return set(stay)


def draw(dice: random.Random) -> tuple[list[datetime], dict[str, int]]:
    """A few archives, close together and far apart, and some rules."""
    scales = [timedelta(minutes=7), timedelta(hours=5), timedelta(days=1), timedelta(days=23)]
    moments = {
        NEWEST - dice.choice(scales) * dice.randint(0, 40) for _ in range(dice.randint(0, 30))
    }
    keep = {rule: dice.randint(1, 4) for rule in RULES if dice.random() < 0.4}
    return sorted(moments), keep


def test_random_sets_against_the_naive_twin() -> None:
    dice = random.Random(13)  # noqa: S311
    for _ in range(SETS):
        moments, keep = draw(dice)
        seen = [Saved(("lxc", 9001), int(moment.timestamp())) for moment in moments]
        marks = verdicts(seen, keep, UTC)
        kept = {m for m, mark in zip(moments, marks, strict=True) if mark is PruneMark.KEEP}
        assert kept == naive(moments, keep), (moments, keep)


def test_random_sets_against_the_dry_run(tmp_path: Path) -> None:
    """Through the API, names, protection and all, so that both read the same archives."""
    dice = random.Random(7)  # noqa: S311
    pve = Pve(tmp_path, "backups")
    folder = pve.run / "storage" / "local" / "dump"
    for _ in range(SETS // 20):
        for old in folder.iterdir():
            old.unlink()
        moments, _ = draw(dice)
        for moment in moments:
            name = f"vzdump-lxc-{dice.choice((9001, 9002))}-{moment:%Y_%m_%d-%H_%M_%S}.tar"
            (folder / name).write_bytes(b"x")
            if dice.random() < 0.1:
                (folder / f"{name}.protected").touch()
        for _ in range(20):
            _, keep = draw(dice)
            asked = ",".join(f"{name}={count}" for name, count in keep.items()) or "keep-all=1"
            path = "/nodes/demo-felhom/storage/local/prunebackups"
            rows = pve.get(path, prune_backups=asked)
            marks = verdicts([_saved(row) for row in rows], rules_of(asked), UTC)
            assert marks == [row["mark"] for row in rows], (asked, rows)
            for guest in (9001, 9002):
                own = [row for row in rows if row["vmid"] == guest and row["mark"] != "protected"]
                times = [datetime.fromtimestamp(row["ctime"], UTC) for row in own]
                kept = {t for t, row in zip(times, own, strict=True) if row["mark"] == "keep"}
                assert kept == naive(sorted(times), keep)


def test_days_are_those_of_the_node() -> None:
    """23:30 and 00:30 UTC are one day in Berlin, and two in UTC."""
    first = int(datetime(2026, 6, 1, 22, 30, tzinfo=UTC).timestamp())
    seen = [Saved(("lxc", 100), first + hours * 3600) for hours in (0, 2)]
    keep = {"keep-daily": 2}
    assert verdicts(seen, keep, UTC) == ["keep", "keep"]
    assert verdicts(seen, keep, ZoneInfo("Europe/Berlin")) == ["remove", "keep"]


@pytest.mark.parametrize(
    ("volume", "own"),
    [
        ("local:backup/vzdump-lxc-9001-2026_11_28-02_30_00.tar.zst", False),
        ("local:backup/vzdump-qemu-100-2026_11_28-02_30_00.vma", False),
        ("local:backup/vzdump-lxc-9001-before-upgrade.tar.zst", True),
        ("pbs:backup/ct/9001/2026-11-28T02:30:00Z", False),
    ],
)
def test_custom_names_are_recognised(volume: str, own: bool) -> None:
    assert is_renamed(volume) is own
