from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones, reset_tzpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.access.windows import window_at
from proxy.core.money import Window

ZONES = sorted(available_timezones())
WINDOWS = [window for window in get_args(Window) if window != "total"]
HOUR, DAY = 3_600, 86_400


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def read(second: int, zone: str) -> datetime:
    return datetime.fromtimestamp(second, ZoneInfo(zone))


def span(window: Window, zone: str, wall: float) -> tuple[int, int]:
    start, end = window_at(window, zone, wall)
    assert end is not None
    return start, end


def chain(window: Window, zone: str, since: int, until: int) -> Iterator[tuple[int, int]]:
    while since < until:
        start, end = span(window, zone, since)
        yield start, end
        since = end


def check_partition(window: Window, zone: str, second: int) -> None:
    """The laws at one moment; asked in an order in which no answer is a remembered one."""
    start, end = span(window, zone, second)
    where = f"{window} of {zone} at {second}"

    assert start <= second < end, where
    assert span(window, zone, end)[0] == end, where
    assert span(window, zone, end - 1) == (start, end), where
    assert span(window, zone, start - 1)[1] == start, where
    assert span(window, zone, start) == (start, end), where


def changes(zone: str, since: int, until: int) -> Iterator[int]:
    """When the zone's clocks are set."""

    def offset(second: int) -> timedelta | None:
        return read(second, zone).utcoffset()

    for week in range(since, until, 7 * DAY):
        low, high = week, week + 7 * DAY
        if offset(low) != offset(high):
            before = offset(low)
            yield bisect_left(range(low, high), True, key=lambda s: offset(s) != before) + low


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_partition_time_where_clocks_are_set_in_every_zone(window: Window) -> None:
    since, until = unix("2024-01-01T00:00Z"), unix("2025-01-01T00:00Z")

    for zone in ZONES:
        for change in changes(zone, since, until):
            for moment in (change - 1, change, change + HOUR):
                check_partition(window, zone, moment)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_partition_time_at_the_ends_of_months_in_every_zone(window: Window) -> None:
    days = ("2024-02-29", "2024-03-01", "2027-01-01", "2100-03-01")

    for zone in ZONES:
        for day in days:
            check_partition(window, zone, unix(f"{day}T00:00Z") - 1)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WINDOWS), st.sampled_from(ZONES), st.integers(0, unix("2150-01-01T00:00Z")))
def test_windows_partition_time_at_any_moment(window: Window, zone: str, second: int) -> None:
    check_partition(window, zone, second)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, unix("2040-01-01T00:00Z")))
def test_a_day_begins_when_the_calendar_first_shows_it(zone: str, second: int) -> None:
    start, end = span("day", zone, second)

    shown = read(start, zone).date()
    assert all(read(s, zone).date() < shown for s in range(start - 26 * HOUR, start, 900))
    assert read(start - 1, zone).date() < shown
    assert max(read(s, zone).date() for s in range(start, end, 900)) == shown


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_a_year_has_as_many_days_weeks_and_months_as_in_the_calendar(zone: str) -> None:
    local = ZoneInfo(zone)
    since = int(datetime(2024, 1, 1, tzinfo=local).timestamp())  # a Monday
    until = int(datetime(2025, 1, 1, tzinfo=local).timestamp())

    assert len(list(chain("day", zone, since, until))) == 366
    assert len(list(chain("month", zone, since, until))) == 12
    assert len(list(chain("week", zone, since, until))) == 53
    assert len(list(chain("hour", zone, since, until))) == 366 * 24


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_days_on_which_clocks_are_set_have_23_and_25_hours(day: str, hours: int) -> None:
    start, end = span("day", "Europe/Berlin", unix(f"{day}T12:00Z"))

    assert end - start == hours * HOUR
    assert len(list(chain("hour", "Europe/Berlin", start, end))) == hours


def test_the_repeated_hour_of_autumn_is_two_windows() -> None:
    first, second = unix("2024-10-27T00:00Z"), unix("2024-10-27T01:00Z")

    assert span("hour", "Europe/Berlin", first) == (first, second)
    assert span("hour", "Europe/Berlin", second) == (second, second + HOUR)


@pytest.mark.parametrize(
    ("zone", "minutes"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15), ("Pacific/Chatham", 15)]
)
def test_hours_follow_the_clock_of_zones_with_odd_offsets(zone: str, minutes: int) -> None:
    start, end = span("hour", zone, unix("2026-11-21T12:34:56Z"))

    assert (start % HOUR, end - start) == (minutes * 60, HOUR)


def test_where_clocks_are_set_by_half_an_hour_one_hour_has_only_that() -> None:
    back = unix("2024-04-06T15:00Z")  # Lord Howe Island: 2:00 becomes 1:30
    lengths = [
        end - start
        for start, end in chain("hour", "Australia/Lord_Howe", back - HOUR, back + 2 * HOUR)
    ]

    assert lengths == [HOUR, HOUR // 2, HOUR, HOUR]


def test_a_date_that_was_left_out_has_no_window() -> None:
    jump = unix("2011-12-30T10:00Z")  # Samoa went from the 29th to the 31st

    before, after = span("day", "Pacific/Apia", jump - 1), span("day", "Pacific/Apia", jump)

    assert before == (jump - DAY, jump)
    assert after == (jump, jump + DAY)
    assert span("week", "Pacific/Apia", jump) == span("week", "Pacific/Apia", jump - 1)


@pytest.mark.parametrize(
    ("zone", "jump"),
    [
        ("America/Sao_Paulo", "2018-11-04T03:00Z"),
        ("Asia/Beirut", "2024-03-30T22:00Z"),
        ("Africa/Cairo", "2024-04-25T22:00Z"),
        ("Asia/Pyongyang", "2018-05-04T15:00Z"),
    ],
)
def test_where_midnight_is_jumped_over_the_day_begins_at_the_jump(zone: str, jump: str) -> None:
    second = unix(jump)

    assert span("day", zone, second + HOUR)[0] == second
    assert read(second - 1, zone).date() < read(second, zone).date()


def test_a_jump_from_before_midnight_begins_the_day_too() -> None:
    jump = unix("1919-03-31T04:30Z")  # Toronto went from 23:30 to 0:30

    assert span("day", "America/Toronto", jump)[0] == jump
    assert span("day", "America/Toronto", jump - 1)[1] == jump


def test_an_island_that_crossed_the_date_line_lost_a_day() -> None:
    jump = unix("1993-08-21T12:00Z")  # Kwajalein

    assert span("day", "Pacific/Kwajalein", jump - 1) == (jump - DAY, jump)
    assert span("day", "Pacific/Kwajalein", jump) == (jump, jump + DAY)


def test_where_midnight_comes_twice_the_day_begins_with_the_first() -> None:
    first = unix("2006-10-29T02:30Z")  # St. John's: at 0:01 it was 23:01 once more
    again = first + 60

    assert read(again, "America/St_Johns").day == 28
    assert span("day", "America/St_Johns", again)[0] == first
    assert span("day", "America/St_Johns", first - 1)[1] == first
    assert span("day", "America/St_Johns", again)[1] - first == 25 * HOUR


def test_offsets_of_odd_seconds_are_respected() -> None:
    start, end = span("day", "Africa/Monrovia", unix("1971-06-01T12:00Z"))

    assert start == unix("1971-06-01T00:44:30Z")
    assert end - start == DAY


def test_a_total_has_no_end() -> None:
    assert window_at("total", "Europe/Berlin", 1e9) == (0, None)


def test_fractions_of_a_second_belong_to_it() -> None:
    midnight = unix("2026-11-21T00:00Z")

    assert span("day", "UTC", midnight - 0.001)[1] == midnight
    assert span("day", "UTC", midnight + 0.001)[0] == midnight


def test_utc_needs_no_zone_files() -> None:
    reset_tzpath(to=[])
    try:
        assert span("day", "UTC", 1_234_567_890.0) == (1_234_483_200, 1_234_569_600)
        with pytest.raises(ZoneInfoNotFoundError):
            window_at("day", "Nowhere/Land", 1.0)
    finally:
        reset_tzpath()


def test_windows_of_one_kind_follow_each_other_in_order() -> None:
    spans = list(
        chain("week", "Africa/Casablanca", unix("2026-01-01T00:00Z"), unix("2027-01-01T00:00Z"))
    )

    assert all(one[1] == next_[0] for one, next_ in pairwise(spans))
    assert {
        datetime.fromtimestamp(s, ZoneInfo("Africa/Casablanca")).weekday() for s, _ in spans
    } == {0}
