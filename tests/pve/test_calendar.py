"""Calendar events: the recorded runs and refusals of PVE, and what they do when clocks change."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.pve.calendar.cron import from_cron
from reconciler.pve.calendar.event import next_runs, parse
from reconciler.pve.calendar.meant import advice

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "calendar.json").read_text())
VIENNA = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize("case", RECORDED["events"], ids=lambda case: case["schedule"] or "empty")
def test_an_event_runs_or_is_refused_as_pve_recorded(case: dict) -> None:
    if "refusal" in case:
        with pytest.raises(ValueError, match="calendar event") as refused:
            parse(case["schedule"])
        assert str(refused.value) == case["refusal"]
    else:
        start = datetime.fromtimestamp(RECORDED["start"], UTC)
        runs = next_runs(parse(case["schedule"]), start, RECORDED["count"])
        assert [int(run.timestamp()) for run in runs] == case["runs"]


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("mon,foo 1:00", ",foo 1:00", "Nom(Eof)"),
        ("mon..foo", "..foo", "Nom(Eof)"),
        ("daily2", "daily", 'Context("weekday")'),
        ("Daily", "Daily", 'Context("weekday")'),
        ("UTC", "", 'Context("date or time specification")'),
        ("5..3:00", "5..3:00", 'Context("date or time specification")'),
        ("1,70:00", ",70:00", "Nom(Eof)"),
        ("*/x", "*/x", 'Context("date or time specification")'),
        ("1:2:3:4", ":4", "Nom(Eof)"),
        ("23:59:60", ":60", "Nom(Eof)"),
        ("*:60", "*:60", 'Context("date or time specification")'),
        ("*-*-* *:*:*/70", ":*/70", "Nom(Eof)"),
        ("2200-01-01", "2200-01-01", 'Context("date or time specification")'),
        ("12:00 utc", " utc", "Nom(Eof)"),
    ],
)
def test_a_refusal_names_the_place_as_pve_does(text: str, where: str, why: str) -> None:
    with pytest.raises(ValueError, match="calendar event") as refused:
        parse(text)
    expected = f"invalid calendar event '{text}' - unable to parse calendar event at '{where}'"
    assert str(refused.value) == f"{expected} - {why}"


@pytest.mark.parametrize("text", ["24:00", "sun 24:00", "25:0/5"])
def test_an_hour_that_is_none_is_known_to_be_a_minute(text: str) -> None:
    assert parse(text).minute_and_second


@pytest.mark.parametrize("text", ["23:00", "*:24:00", "30", "daily", "mon"])
def test_ordinary_times_are_not_taken_for_minute_and_second(text: str) -> None:
    assert not parse(text).minute_and_second


def test_a_past_or_impossible_date_never_runs() -> None:
    now = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    for text in ("2020-01-01", "*-02-30", "2026-01..08-*", "2027-02-30"):
        assert parse(text).next_after(now) is None


def test_a_run_is_later_than_the_instant_asked_about() -> None:
    event = parse("02:30")
    at = datetime(2026, 9, 21, 2, 30, tzinfo=UTC)
    assert event.next_after(at) == at + timedelta(days=1)
    assert event.next_after(at - timedelta(microseconds=1)) == at


def test_a_step_may_jump_over_the_full_hour_as_in_pve() -> None:
    runs = next_runs(parse("*:0/7"), datetime(2026, 9, 21, 14, 50, tzinfo=UTC), 2)
    assert [f"{run:%H:%M}" for run in runs] == ["14:56", "15:07"]


def test_local_time_is_kept_when_the_clock_changes() -> None:
    runs = next_runs(parse("04:00"), datetime(2026, 10, 24, 12, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M %z}" for run in runs] == ["25 04:00 +0100", "26 04:00 +0100"]


def test_an_event_in_utc_ignores_the_local_clock() -> None:
    runs = next_runs(parse("02:30 UTC"), datetime(2026, 10, 24, 12, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M}" for run in runs] == ["25 03:30", "26 03:30"]


def test_a_time_that_the_clock_skips_does_not_run_that_day() -> None:
    runs = next_runs(parse("02:30"), datetime(2027, 3, 27, 1, tzinfo=VIENNA), 2)
    assert [f"{run:%d %H:%M}" for run in runs] == ["27 02:30", "29 02:30"]


def test_runs_go_forward_through_the_repeated_hour() -> None:
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC).astimezone(VIENNA)
    runs = next_runs(parse("*:0/30"), start, 6)
    assert runs == sorted(runs, key=datetime.timestamp)
    assert len({run.timestamp() for run in runs}) == 6


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("0 2 * * 1-5", "mon..fri 02:00"),
        ("0 2 * * Mon-Fri", "mon..fri 02:00"),
        ("*/15 * * * *", "*/15"),
        ("*/7 * * * *", "*:00..56/7"),
        ("@daily", "daily"),
        ("@weekly", "sun 00:00"),
        ("30 4 1,15 jan-mar *", "*-1..3-1,15 04:30"),
        ("0 8-18/2 * * 0,6", "sat,sun 08..18/2:00"),
        ("0 2 1-31 * 3", "02:00"),
        ("mon-fri 02:00", "mon..fri 02:00"),
        ("Monday to Friday, 10 pm", "mon..fri 22:00"),
        ("02:00 mon-fri", "mon..fri 02:00"),
        ("sat + sun 3am", "sat,sun 03:00"),
        ("every day at 02.30", "02:30"),
        ("Daily", "daily"),
    ],
)
def test_cron_and_other_spellings_are_translated(text: str, event: str) -> None:
    assert f"'{event}'" in advice(text)
    assert parse(event)


@pytest.mark.parametrize("text", ["@reboot", "61 2 * * *", "0 2 * * 5-1", "0 2 L * *", "nonsense"])
def test_what_has_no_equivalent_gets_none(text: str) -> None:
    assert "write '" not in advice(text)
    assert not from_cron(text)


def test_cron_that_means_either_day_takes_two_jobs() -> None:
    assert "two jobs, '*-*-1 02:00' and 'mon 02:00'" in advice("0 2 1 * 1")


@st.composite
def _fields(draw: st.DrawFn, low: int, high: int) -> tuple[str, set[int]]:
    """A field of cron, and what it allows."""
    values, step = st.integers(low, high), draw(st.integers(2, 9))
    sort = draw(st.integers(0, 4))
    if sort == 0:
        return "*", set(range(low, high + 1))
    if sort == 1:
        return f"*/{step}", set(range(low, high + 1, step))
    first, last = sorted((draw(values), draw(values)))
    if sort == 2:
        return f"{first}-{last}", set(range(first, last + 1))
    if sort == 3:
        return f"{first}-{last}/{step}", set(range(first, last + 1, step))
    chosen = draw(st.lists(values, min_size=1, max_size=4))
    return ",".join(map(str, chosen)), set(chosen)


FIELDS = st.tuples(*(_fields(*ends) for ends in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))))


@given(FIELDS, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)))  # noqa: DTZ001
@settings(max_examples=80, deadline=None)
def test_events_run_whenever_the_schedule_of_cron_does(fields: tuple, start: datetime) -> None:
    texts, (minutes, hours, dates, months, days) = zip(*fields, strict=True)
    either = not texts[2].startswith("*") and not texts[4].startswith("*")

    def on(day: datetime) -> bool:
        right = (day.day in dates, day.isoweekday() % 7 in days)
        return day.month in months and (any(right) if either else all(right))

    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    wanted: list[datetime] = []
    for number in range(800):
        day = midnight + timedelta(days=number)
        if on(day):
            runs = (day.replace(hour=h, minute=m) for h in sorted(hours) for m in sorted(minutes))
            wanted += [run for run in runs if run > start][: 3 - len(wanted)]
        if len(wanted) == 3:
            break
    events = [parse(text) for text in from_cron(" ".join(texts))]
    assert events
    found = sorted({run for event in events for run in next_runs(event, start, 3)})
    assert found[: len(wanted)] == wanted
