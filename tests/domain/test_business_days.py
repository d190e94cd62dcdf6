"""Every vector of the domain rules 2.4, and the properties behind them."""

from datetime import UTC, date, datetime, timedelta

import jpholiday
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.business_days import (
    Calendar,
    after,
    at,
    before,
    calendar_of,
    check_calendar,
    due_before,
    due_on,
    elapsed,
    local_day,
    long_date,
    office_hours,
    office_moment,
    provisional,
)
from domain.company import DEFAULT_CALENDAR
from domain.errors import Invalid
from integrations.calendars import JapaneseHolidays

HOLIDAYS = JapaneseHolidays()
PUBLIC = Calendar(HOLIDAYS, year_end_closure=None)
OFFICE = calendar_of(DEFAULT_CALENDAR, HOLIDAYS)
SUMMER = Calendar(HOLIDAYS, closed_dates=frozenset(date(2026, 8, day) for day in (12, 13, 14)))
SHOP = Calendar(HOLIDAYS, closed_weekdays=frozenset({2, 6}), year_end_closure=None)

# interview, then the day due in: weekends and holidays; with year end; with a summer closure
VECTORS = [
    ("2026-06-01", "2026-06-04", "2026-06-04", "2026-06-04"),
    ("2026-06-05", "2026-06-10", "2026-06-10", "2026-06-10"),
    ("2026-06-13", "2026-06-17", "2026-06-17", "2026-06-17"),
    ("2026-06-14", "2026-06-17", "2026-06-17", "2026-06-17"),
    ("2026-11-03", "2026-11-06", "2026-11-06", "2026-11-06"),
    ("2026-11-20", "2026-11-26", "2026-11-26", "2026-11-26"),
    ("2026-09-17", "2026-09-25", "2026-09-25", "2026-09-25"),
    ("2026-09-18", "2026-09-28", "2026-09-28", "2026-09-28"),
    ("2026-04-28", "2026-05-07", "2026-05-07", "2026-05-07"),
    ("2026-05-01", "2026-05-11", "2026-05-11", "2026-05-11"),
    ("2025-05-02", "2025-05-09", "2025-05-09", "2025-05-09"),
    ("2025-02-21", "2025-02-27", "2025-02-27", "2025-02-27"),
    ("2024-02-09", "2024-02-15", "2024-02-15", "2024-02-15"),
    ("2024-02-22", "2024-02-28", "2024-02-28", "2024-02-28"),
    ("2018-12-21", "2018-12-27", "2018-12-27", "2018-12-27"),
    ("2019-12-20", "2019-12-25", "2019-12-25", "2019-12-25"),
    ("2019-04-26", "2019-05-09", "2019-05-09", "2019-05-09"),
    ("2019-10-21", "2019-10-25", "2019-10-25", "2019-10-25"),
    ("2020-07-17", "2020-07-22", "2020-07-22", "2020-07-22"),
    ("2020-07-22", "2020-07-29", "2020-07-29", "2020-07-29"),
    ("2020-08-07", "2020-08-13", "2020-08-13", "2020-08-13"),
    ("2020-10-09", "2020-10-14", "2020-10-14", "2020-10-14"),
    ("2021-07-21", "2021-07-28", "2021-07-28", "2021-07-28"),
    ("2021-08-06", "2021-08-12", "2021-08-12", "2021-08-12"),
    ("2021-08-10", "2021-08-13", "2021-08-13", "2021-08-13"),
    ("2021-10-08", "2021-10-13", "2021-10-13", "2021-10-13"),
    ("2027-03-19", "2027-03-25", "2027-03-25", "2027-03-25"),
    ("2028-02-28", "2028-03-02", "2028-03-02", "2028-03-02"),
    ("2028-09-21", "2028-09-27", "2028-09-27", "2028-09-27"),
    ("2032-09-17", "2032-09-27", "2032-09-27", "2032-09-27"),
    ("2026-08-07", "2026-08-13", "2026-08-13", "2026-08-18"),
    ("2026-12-25", "2026-12-30", "2027-01-05", "2027-01-05"),
    ("2026-12-28", "2026-12-31", "2027-01-06", "2027-01-06"),
    ("2026-12-29", "2027-01-04", "2027-01-06", "2027-01-06"),
    ("2027-01-01", "2027-01-06", "2027-01-06", "2027-01-06"),
    ("2027-12-28", "2027-12-31", "2028-01-06", "2028-01-06"),
]


def day(text: str) -> date:
    return date.fromisoformat(text)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(("interview", "public", "office", "summer"), VECTORS)
def test_third_business_day(interview, public, office, summer):
    ended = at(day(interview), datetime.min.time().replace(hour=15))

    assert due_on(PUBLIC, ended) == day(public)
    assert due_on(OFFICE, ended) == day(office)
    assert due_on(SUMMER, ended) == day(summer)


@pytest.mark.parametrize(
    ("ended_at", "due", "limit"),
    [
        ("2026-06-02T14:59:59Z", "2026-06-05", "2026-06-05T15:00:00Z"),
        ("2026-06-02T15:00:00Z", "2026-06-08", "2026-06-08T15:00:00Z"),
        ("2026-06-05T15:30:00Z", "2026-06-10", "2026-06-10T15:00:00Z"),
        ("2026-09-17T23:30:00Z", "2026-09-28", "2026-09-28T15:00:00Z"),
        ("2026-12-28T15:00:00Z", "2027-01-06", "2027-01-06T15:00:00Z"),
    ],
)
def test_the_day_is_the_day_in_japan(ended_at, due, limit):
    counted = due_on(OFFICE, moment(ended_at))

    assert counted == day(due)
    assert due_before(counted) == moment(limit)
    assert due_before(counted).tzinfo == UTC


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "09-18"), (1, "09-24"), (2, "09-25"), (3, "09-28"), (5, "09-30"), (10, "10-07")],
)
def test_business_days_after(count, expected):
    assert after(OFFICE, date(2026, 9, 18), count) == day(f"2026-{expected}")


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-11-20", "2026-11-20", 0),
        ("2026-11-20", "2026-11-23", 0),
        ("2026-11-20", "2026-11-26", 3),
        ("2026-11-20", "2026-11-27", 4),
        ("2026-09-18", "2026-09-23", 0),
        ("2026-12-28", "2027-01-04", 1),
        ("2026-12-28", "2027-01-06", 3),
        ("2026-11-27", "2026-11-20", 0),
    ],
)
def test_elapsed_business_days(first, last, expected):
    assert elapsed(OFFICE, day(first), day(last)) == expected


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [
        ("2026-11-26", 1, "2026-11-25"),
        ("2027-01-05", 1, "2027-01-04"),
        ("2026-09-28", 1, "2026-09-25"),
        ("2026-05-11", 2, "2026-05-07"),
    ],
)
def test_business_days_before(start, count, expected):
    assert before(OFFICE, day(start), count) == day(expected)


def test_a_shop_closed_on_wednesdays_and_sundays():
    assert after(SHOP, date(2026, 11, 20), 3) == date(2026, 11, 26)
    assert after(SHOP, date(2026, 6, 5), 3) == date(2026, 6, 9)


def test_single_dates_beat_the_rules():
    opened = Calendar(HOLIDAYS, open_dates=frozenset({date(2026, 11, 23)}))
    closed = Calendar(HOLIDAYS, closed_dates=frozenset({date(2026, 11, 24)}))

    assert after(opened, date(2026, 11, 20), 3) == date(2026, 11, 25)
    assert after(closed, date(2026, 11, 20), 3) == date(2026, 11, 27)


@pytest.mark.parametrize(
    ("year", "public", "office"),
    [(2025, 246, 241), (2026, 244, 240), (2027, 245, 242), (2028, 246, 244)],
)
def test_open_days_per_year(year, public, office):
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    days = [one for one in days if one.year == year]

    assert sum(map(PUBLIC.is_open, days)) == public
    assert sum(map(OFFICE.is_open, days)) == office


def test_the_longest_wait():
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(365 * 17 + 4)]

    assert max((after(PUBLIC, one, 3) - one).days for one in days) == 11
    assert max((after(OFFICE, one, 3) - one).days for one in days) == 12


def test_a_second_library_knows_the_same_holidays():
    days = [date(2016, 1, 1) + timedelta(days=n) for n in range(365 * 35)]
    differ = [one for one in days if HOLIDAYS.is_holiday(one) != jpholiday.is_holiday(one)]

    assert differ == []


DAYS = st.dates(date(2018, 1, 1), date(2045, 12, 31))
CALENDARS = st.builds(
    Calendar,
    st.just(HOLIDAYS),
    closed_weekdays=st.frozensets(st.integers(0, 6), max_size=6),
    observe_public_holidays=st.booleans(),
    year_end_closure=st.sampled_from([None, ((12, 29), (1, 3)), ((8, 10), (8, 16))]),
    closed_dates=st.frozensets(DAYS, max_size=3),
)


@given(CALENDARS, DAYS, st.integers(1, 10))
def test_the_result_is_open_and_exactly_so_many_days_lie_before_it(calendar, start, count):
    found = after(calendar, start, count)

    assert calendar.is_open(found)
    assert elapsed(calendar, start, found) == count
    assert elapsed(calendar, start, found - timedelta(days=1)) == count - 1


@given(CALENDARS, DAYS, DAYS)
def test_a_later_interview_is_never_due_earlier(calendar, one, other):
    first, second = sorted((one, other))

    assert after(calendar, first, 3) <= after(calendar, second, 3)


@given(CALENDARS, DAYS, st.integers(1, 10))
def test_before_undoes_after(calendar, start, count):
    opened = after(calendar, start, 1)

    assert before(calendar, after(calendar, opened, count), count) == opened


MOMENTS = st.integers(0, 15 * 365 * 24 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(MOMENTS)
def test_office_moments_are_in_office_hours_and_never_earlier(moment_):
    found = office_moment(OFFICE, moment_)
    local = found + timedelta(hours=9)

    assert found >= moment_
    assert OFFICE.is_open(local_day(found))
    assert 9 <= local.hour < 18


@pytest.mark.parametrize(
    ("given_at", "expected"),
    [
        ("2026-06-02T01:00:00Z", "2026-06-02T01:00:00Z"),  # Tuesday 10:00
        ("2026-06-01T23:59:59Z", "2026-06-02T00:00:00Z"),  # Tuesday 08:59:59
        ("2026-06-02T08:59:59Z", "2026-06-02T08:59:59Z"),  # Tuesday 17:59:59
        ("2026-06-02T09:00:00Z", "2026-06-03T00:00:00Z"),  # Tuesday 18:00
        ("2026-06-05T10:00:00Z", "2026-06-08T00:00:00Z"),  # Friday 19:00
        ("2026-12-28T12:00:00Z", "2027-01-04T00:00:00Z"),  # the last day of the year, 21:00
    ],
)
def test_office_hours_begin_at_nine_and_end_before_six(given_at, expected):
    assert office_moment(OFFICE, moment(given_at)) == moment(expected)


def test_hours_are_counted_in_the_office_only():
    friday, monday = moment("2026-06-05T08:00:00Z"), moment("2026-06-08T01:30:00Z")

    assert office_hours(OFFICE, friday, monday) == 2.5
    assert office_hours(OFFICE, monday, friday) == 0.0


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"closed_weekdays": [0, 1, 2, 3, 4, 5, 6]}, "calendar_never_open"),
        ({"closed_dates": ["2026-06-01"], "open_dates": ["2026-06-01"]}, "calendar_date_twice"),
        ({"closed_weekdays": [7]}, "calendar_invalid"),
        ({"closed_weekdays": ["Mon"]}, "calendar_invalid"),
        ({"closed_dates": ["2026-02-30"]}, "calendar_invalid"),
        ({"year_end_closure": ["12-29"]}, "calendar_invalid"),
        ({"year_end_closure": ["13-01", "01-03"]}, "calendar_invalid"),
        ({"year_end_closure": ["01-10", "12-20"]}, "calendar_never_open"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(rules, code):
    with pytest.raises(Invalid) as refused:
        check_calendar(rules, HOLIDAYS, date(2026, 1, 5))

    assert refused.value.code == code


def test_a_closure_may_lie_within_a_year_or_across_its_end():
    summer = calendar_of({"year_end_closure": ["08-10", "08-16"]}, HOLIDAYS)

    assert [summer.is_open(date(2027, 8, n)) for n in (9, 10, 13, 16, 17)] == [
        True, False, False, False, True,
    ]  # fmt: skip
    assert [OFFICE.is_open(day(text)) for text in ("2027-12-28", "2027-12-29", "2028-01-03")] == [
        True, False, False,
    ]  # fmt: skip


def test_days_beyond_the_official_list_are_provisional():
    sure, unsure = moment("2027-12-20T03:00:00Z"), moment("2027-12-28T03:00:00Z")

    assert provisional(OFFICE, sure, due_on(OFFICE, sure)) is False
    assert provisional(OFFICE, unsure, due_on(OFFICE, unsure)) is True


def test_the_operator_can_correct_the_list_of_holidays():
    corrected = JapaneseHolidays({date(2027, 5, 6): "add", date(2027, 5, 5): "remove"})

    assert (corrected.is_holiday(date(2027, 5, 6)), corrected.is_holiday(date(2027, 5, 5))) == (
        True,
        False,
    )


def test_dates_for_people():
    assert long_date(date(2026, 11, 26)) == "2026年11月26日(木)"
    assert long_date(date(2026, 11, 26), "en") == "Thu 26 November 2026"
