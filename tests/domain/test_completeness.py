"""Silence and its consequences without a database."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.business_days import calendar_of
from domain.company import DEFAULT_CALENDAR
from domain.completeness import OPEN_STATES, Overdue, Pause, pauses, words_kept
from domain.relay import STATES, is_open
from domain.terms import Duties
from integrations.calendars import JapaneseHolidays

CALENDAR = calendar_of(DEFAULT_CALENDAR, JapaneseHolidays())
FRIDAY = date(2026, 6, 5)
FIRST = date(2026, 6, 1)


def on(day):
    return FIRST + timedelta(days=day)


def test_the_states_that_need_a_word_are_those_an_agency_is_at_work_on():
    assert set(OPEN_STATES) == {state for state in STATES if is_open(state)}


@pytest.mark.parametrize(
    ("today", "since"),
    [
        (date(2026, 6, 5), None),
        (date(2026, 6, 12), None),
        (date(2026, 6, 13), date(2026, 6, 13)),
        (date(2026, 7, 1), date(2026, 6, 13)),
    ],
)
def test_new_relays_pause_after_the_days_of_grace(today, since):
    found = pauses(Overdue(status_due_on=FRIDAY), Duties(pause=True), CALENDAR, today)

    assert found == ([Pause("status_missing", since)] if since else [])


def test_grace_is_counted_in_business_days():
    golden_week = date(2026, 4, 30)
    found = pauses(
        Overdue(attestation_due_on=golden_week),
        Duties(grace_business_days=2, pause=True),
        CALENDAR,
        date(2026, 6, 1),
    )

    assert found == [Pause("attestation_missing", date(2026, 5, 8))]


def test_without_grace_the_pause_begins_the_day_after():
    overdue = Overdue(status_due_on=FRIDAY, attestation_due_on=FRIDAY)
    found = pauses(overdue, Duties(grace_business_days=0, pause=True), CALENDAR, date(2026, 6, 6))

    assert found == [
        Pause("status_missing", date(2026, 6, 6)), Pause("attestation_missing", date(2026, 6, 6)),
    ]  # fmt: skip


def test_an_agreement_that_does_not_pause_does_not():
    overdue = Overdue(status_due_on=FRIDAY, attestation_due_on=FRIDAY)

    assert pauses(overdue, Duties(), CALENDAR, date(2027, 1, 1)) == []
    assert not Overdue()


@pytest.mark.parametrize(
    ("words", "ended", "today", "judged"),
    [
        ([], None, 30, (0, 0)),  # the last day is not over
        ([], None, 31, (0, 1)),
        ([], None, 61, (0, 2)),  # silence goes on
        ([30], None, 31, (1, 1)),
        ([30], None, 60, (1, 1)),
        ([30], None, 61, (1, 2)),
        ([31], None, 61, (1, 2)),  # late by a day: missed once, then given
        ([1, 2, 3, 4, 29], None, 31, (1, 1)),  # many words count once
        ([10, 40], None, 71, (2, 3)),
        ([], 30, 100, (0, 0)),  # ended in time
        ([], 31, 100, (0, 1)),
        ([0], None, 31, (0, 1)),  # on the day of the hand-over: nothing new
    ],
)
def test_words_are_judged_by_the_days_they_were_due(words, ended, today, judged):
    found = words_kept(
        [on(day) for day in words], FIRST, ended=on(ended) if ended is not None else None,
        every=30, today=on(today),
    )  # fmt: skip

    assert found == judged


@given(
    st.lists(st.integers(0, 400)),
    st.integers(1, 60),
    st.integers(0, 400),
    st.none() | st.integers(0, 400),
)
def test_no_more_words_are_due_than_time_has_passed(words, every, today, ended):
    kept, due = words_kept(
        [on(day) for day in words], FIRST, ended=on(ended) if ended is not None else None,
        every=every, today=on(today),
    )  # fmt: skip
    spoke = {day for day in words if 0 < day < today}

    assert 0 <= kept <= due
    assert kept <= len(spoke)
    assert kept == due or due - kept <= today // every


@given(st.integers(1, 60), st.integers(0, 400))
def test_who_speaks_every_day_misses_nothing(every, today):
    kept, due = words_kept(
        [on(day) for day in range(today)], FIRST, ended=None, every=every, today=on(today)
    )

    assert kept == due
