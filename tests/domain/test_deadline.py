from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.business_days import calendar_of
from domain.company import DEFAULT_CALENDAR
from domain.deadline import NEXT, STATES, Deadline, advance, looks, next_look, step_at
from domain.errors import StepNotAllowed
from integrations.calendars import JapaneseHolidays

CALENDAR = calendar_of(DEFAULT_CALENDAR, JapaneseHolidays())
ENDED = datetime(2026, 6, 2, 2, 0, tzinfo=UTC)  # Tuesday 11:00 in Tokyo, due on Friday


def a_deadline() -> Deadline:
    made = Deadline(
        company_id="c", id="d", application_id="a", interview_id="i", interview_ended_at=ENDED,
        due_on=ENDED.date(), due_before=ENDED, calendar_version=1, created_at=ENDED, state="open",
    )  # fmt: skip
    made.count(CALENDAR, 1, ENDED)
    return made


def test_the_looks_of_an_ordinary_week():
    found = dict(looks(CALENDAR, ENDED, a_deadline().due_on))

    assert found == {
        "first_evening": datetime(2026, 6, 3, 9, 0, tzinfo=UTC),
        "second_morning": datetime(2026, 6, 4, 1, 0, tzinfo=UTC),
        "last_morning": datetime(2026, 6, 5, 1, 0, tzinfo=UTC),
        "last_call": datetime(2026, 6, 5, 8, 0, tzinfo=UTC),
        "passed": datetime(2026, 6, 5, 15, 0, tzinfo=UTC),
    }


def test_steps_come_in_order_and_then_every_morning():
    due = a_deadline().due_on
    moment, seen = ENDED, []
    for _ in range(8):
        moment = next_look(CALENDAR, ENDED, due, moment)
        seen.append((step_at(CALENDAR, ENDED, due, moment), moment))

    assert step_at(CALENDAR, ENDED, due, ENDED) is None
    assert [step for step, _ in seen] == [
        "first_evening", "second_morning", "last_morning", "last_call",
        "passed", "passed", "passed", "passed",
    ]  # fmt: skip
    assert [at for _, at in seen[5:]] == [
        datetime(2026, 6, day, 1, 0, tzinfo=UTC) for day in (6, 7, 8)
    ]


def test_told_in_time_is_met():
    deadline = a_deadline()
    deadline.tell(deadline.due_before - timedelta(microseconds=1))

    assert (deadline.state, deadline.missed_at) == ("met", None)
    assert deadline.look_at is None


def test_told_at_midnight_is_too_late_for_good():
    deadline = a_deadline()
    deadline.tell(deadline.due_before)

    assert (deadline.state, deadline.met_at) == ("missed", deadline.due_before)
    assert deadline.missed_at == deadline.due_before


def test_a_bounce_reopens_and_a_second_telling_meets():
    deadline, told = a_deadline(), ENDED + timedelta(hours=3)
    deadline.tell(told)
    deadline.bounce(told + timedelta(hours=1))

    assert (deadline.state, deadline.met_at) == ("open", None)
    assert deadline.look_at == told + timedelta(hours=1)

    deadline.tell(told + timedelta(hours=2))

    assert (deadline.state, deadline.met_at) == ("met", told + timedelta(hours=2))


def test_what_the_table_does_not_know_is_refused():
    for state in STATES:
        for step in ("last_day", "tell", "pass", "bounce", "void", "count"):
            if (state, step) not in NEXT:
                with pytest.raises(StepNotAllowed):
                    advance(state, step)


STEPS = st.lists(st.sampled_from(["last_day", "tell", "pass", "bounce"]), max_size=12)


@given(STEPS)
def test_a_miss_is_never_undone_by_telling_or_bouncing(steps):
    state, missed = "open", False
    for step in steps:
        if (state, step) in NEXT:
            state = advance(state, step)
            missed = missed or state == "missed"

        assert not missed or state == "missed"
