"""The clocks of an incident (domain rules 9), counted as the law counts."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.business_days import JST
from domain.errors import StepNotAllowed
from domain.incident import (
    Incident,
    advance,
    due_days,
    final_due,
    is_reportable,
    kinds_of,
    next_look,
    preliminary_due,
)
from integrations.calendars import JapaneseHolidays

HOLIDAYS = JapaneseHolidays()


def known(day: str, at: time = time(10)) -> datetime:
    return datetime.combine(date.fromisoformat(day), at, JST)


@pytest.mark.parametrize(
    ("day", "thirty", "sixty"),
    [
        ("2026-11-21", "2026-12-21", "2027-01-19"),
        ("2026-12-01", "2027-01-04", None),
        ("2026-11-05", "2026-12-04", "2027-01-04"),
        ("2026-08-24", "2026-09-24", None),
        ("2026-04-03", "2026-05-07", None),
        ("2026-06-01", "2026-06-30", "2026-07-30"),
    ],
)
def test_the_last_day_of_the_whole_report(day: str, thirty: str, sixty: str | None) -> None:
    assert final_due(known(day), ["special_care"], HOLIDAYS) == date.fromisoformat(thirty)
    if sixty is not None:
        late = final_due(known(day), ["special_care", "wrongful_purpose"], HOLIDAYS)
        assert late == date.fromisoformat(sixty)


@given(
    day=st.dates(date(2020, 1, 1), date(2027, 6, 1)),
    at=st.times(),
    kinds=st.sampled_from([[], ["special_care"], ["wrongful_purpose"]]),
)
def test_a_last_day_is_a_day_the_office_works_and_never_earlier(
    day: date, at: time, kinds: list[str]
) -> None:
    found = final_due(datetime.combine(day, at, JST), kinds, HOLIDAYS)

    counted = day + timedelta(days=59 if kinds == ["wrongful_purpose"] else 29)
    assert found >= counted
    assert found.weekday() < 5
    assert not HOLIDAYS.is_holiday(found)
    assert (found.month, found.day) not in {(12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3)}


def test_the_day_of_knowing_is_the_day_in_japan() -> None:
    late = datetime(2026, 5, 31, 15, 0, tzinfo=UTC)

    assert final_due(late, [], HOLIDAYS) == date(2026, 6, 30)
    assert final_due(late - timedelta(seconds=1), [], HOLIDAYS) == date(2026, 6, 29)
    assert preliminary_due(late) == date(2026, 6, 3)


@pytest.mark.parametrize(
    ("kinds", "persons", "encrypted", "reportable"),
    [
        ([], 1, False, False),
        ([], 1000, False, False),
        ([], 1001, False, True),
        (["special_care"], 1, False, True),
        (["property_damage"], 0, False, True),
        (["wrongful_purpose", "special_care"], 5000, True, False),
    ],
)
def test_what_must_be_reported(
    kinds: list[str],
    persons: int,
    encrypted: bool,  # noqa: FBT001
    reportable: bool,  # noqa: FBT001
) -> None:
    assert is_reportable(kinds_of(kinds, persons), encrypted=encrypted) is reportable


def test_a_number_is_a_kind_only_as_long_as_it_is_large() -> None:
    assert kinds_of(["special_care"], 1001) == ["special_care", "over_1000_persons"]
    assert kinds_of(["over_1000_persons"], 1000) == []


def an_incident(**facts: object) -> Incident:
    values: dict[str, object] = {
        "company_id": "cmp_a", "id": "inc_a", "kinds": ["special_care"],
        "known_at": known("2026-06-01"), "reportable": True, "state": "open",
        "preliminary_due_on": date(2026, 6, 3), "final_due_on": date(2026, 6, 30),
        "reported_by": "mbr_a", "created_at": known("2026-06-01"), **facts,
    }  # fmt: skip
    return Incident(**values)


@pytest.mark.parametrize(
    ("state", "now", "looked_at"),
    [
        ("open", "2026-06-01", "2026-06-03"),
        ("open", "2026-06-03", "2026-06-04"),
        ("open", "2026-06-09", "2026-06-10"),
        ("preliminary", "2026-06-04", "2026-06-23"),
        ("preliminary", "2026-06-23", "2026-06-30"),
        ("preliminary", "2026-06-30", "2026-07-01"),
    ],
)
def test_people_are_reminded_before_and_every_day_after(
    state: str, now: str, looked_at: str
) -> None:
    assert next_look(an_incident(state=state), known(now)) == known(looked_at, time(9))


def test_what_is_over_or_need_not_be_reported_reminds_nobody() -> None:
    assert next_look(an_incident(state="closed"), known("2026-06-01")) is None
    assert next_look(an_incident(reportable=False), known("2026-06-01")) is None


def test_how_many_days_are_left() -> None:
    told = an_incident(state="preliminary")

    assert due_days(an_incident(), date(2026, 6, 2)) == 1
    assert due_days(told, date(2026, 7, 2)) == -2
    assert due_days(an_incident(state="closed"), date(2026, 6, 2)) is None


def test_a_report_is_made_once() -> None:
    assert advance("open", "preliminary") == "preliminary"
    assert advance("preliminary", "final") == advance("open", "final") == "closed"
    with pytest.raises(StepNotAllowed):
        advance("closed", "final")
    with pytest.raises(StepNotAllowed):
        advance("preliminary", "preliminary")
