"""Months as the Civil Code counts them, and what agreements make of them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.flows.open_account import DEFAULT_TERMS
from domain.terms import (
    Period,
    Terms,
    Tier,
    available_on,
    expires_on,
    guarantee_end,
    last_day,
    ownership_end,
    percent_of,
    restored_until,
    taken_back,
    terms_of,
)

DAY = date.fromisoformat
A = (Tier("month", 1, 80), Tier("month", 3, 50), Tier("month", 6, 10))
B = (Tier("day", 30, 100), Tier("day", 60, 50))
C = (Tier("day", 30, 80), Tier("day", 90, 50), Tier("day", 180, 10))


@pytest.mark.parametrize(
    ("start", "months", "counted", "uncounted"),
    [
        ("2026-04-01", 1, "2026-04-30", "2026-05-01"),
        ("2026-04-01", 3, "2026-06-30", "2026-07-01"),
        ("2026-04-01", 6, "2026-09-30", "2026-10-01"),
        ("2026-10-31", 1, "2026-11-30", "2026-11-30"),
        ("2026-01-31", 1, "2026-02-28", "2026-02-28"),
        ("2026-11-30", 3, "2027-02-28", "2027-02-28"),
        ("2026-12-01", 3, "2027-02-28", "2027-03-01"),
        ("2027-08-31", 6, "2028-02-29", "2028-02-29"),
        ("2026-11-15", 12, "2027-11-14", "2027-11-15"),
    ],
)
def test_a_period_of_months_ends_the_day_before_the_corresponding_day(
    start, months, counted, uncounted
):
    assert last_day(DAY(start), months=months) == DAY(counted)
    assert last_day(DAY(start), months=months, count_first_day=False) == DAY(uncounted)


@pytest.mark.parametrize(
    ("start", "last", "a", "b", "c"),
    [
        ("2026-04-01", "2026-04-30", 80, 100, 80),
        ("2026-04-01", "2026-05-01", 50, 50, 50),
        ("2026-04-01", "2026-05-30", 50, 50, 50),
        ("2026-04-01", "2026-05-31", 50, 0, 50),
        ("2026-04-01", "2026-06-29", 50, 0, 50),
        ("2026-04-01", "2026-06-30", 50, 0, 10),
        ("2026-04-01", "2026-07-01", 10, 0, 10),
        ("2026-04-01", "2026-09-30", 10, 0, 0),
        ("2026-04-01", "2026-10-01", 0, 0, 0),
        ("2026-11-30", "2026-12-29", 80, 100, 80),
        ("2026-11-30", "2026-12-30", 50, 50, 50),
        ("2026-11-30", "2027-02-28", 50, 0, 10),
        ("2027-08-31", "2028-02-29", 10, 0, 0),
    ],
)
def test_the_share_follows_the_tier_of_the_last_day_employed(start, last, a, b, c):
    shares = [percent_of(tiers, DAY(start), DAY(last)) for tiers in (A, B, C)]

    assert shares == [a, b, c]


def test_tiers_apply_in_the_order_of_their_ends_whatever_their_order():
    assert percent_of(A[::-1], DAY("2026-04-01"), DAY("2026-04-30")) == 80


def test_an_uncounted_first_day_moves_the_tiers_by_one():
    ends = {"2026-05-01": (80, 100), "2026-05-02": (50, 50)}
    for last, expected in ends.items():
        shares = tuple(
            percent_of(tiers, DAY("2026-04-01"), DAY(last), count_first_day=False)
            for tiers in (A, B)
        )
        assert shares == expected


@given(
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.integers(min_value=1, max_value=60),
    st.booleans(),
)
def test_a_longer_period_never_ends_earlier_and_the_next_begins_where_one_ends(
    start, months, counted
):
    end = last_day(start, months=months, count_first_day=counted)
    longer = last_day(start, months=months + 1, count_first_day=counted)

    assert start <= end < longer
    if start.day <= 28 and counted:
        following = end + timedelta(days=1)
        assert following.day == start.day
        assert last_day(following, months=1) == longer


def test_a_guarantee_and_a_validity():
    terms, started = terms_of(DEFAULT_TERMS), DAY("2026-04-01")
    ends = guarantee_end(terms, started)
    first = available_on(terms, started, ends)

    assert (ends, first) == (DAY("2026-09-30"), DAY("2026-10-01"))
    assert expires_on(terms, started, first) == DAY("2027-09-30")


def test_a_guarantee_in_days_counts_the_start():
    terms = terms_of({"guarantee": {"days": 90}})

    assert guarantee_end(terms, DAY("2026-04-01")) == DAY("2026-06-29")


def test_a_validity_may_run_from_the_start():
    terms = terms_of({"validity_from": "start", "available_after": "start"})
    started = DAY("2026-04-01")

    assert available_on(terms, started, DAY("2026-09-30")) == started
    assert expires_on(terms, started, started) == DAY("2027-03-31")


def test_the_ownership_window_does_not_count_the_day_of_the_hand_over():
    assert ownership_end(Terms(), DAY("2026-04-01")) == DAY("2027-04-01")


def test_a_credit_that_comes_back_stays_usable_for_three_months():
    assert restored_until(Terms(), DAY("2026-10-31"), DAY("2026-10-01")) == DAY("2026-12-31")
    assert restored_until(Terms(), DAY("2027-10-31"), DAY("2026-10-01")) == DAY("2027-10-31")
    never = Terms(restore_min_months=0)
    assert restored_until(never, DAY("2026-10-31"), DAY("2026-10-01")) == DAY("2026-10-31")


@pytest.mark.parametrize(
    ("granted", "percent", "up", "down", "half_up"),
    [(2, 50, 1, 1, 1), (1, 50, 1, 0, 1), (1, 49, 1, 0, 0), (3, 50, 2, 1, 2), (5, 100, 5, 5, 5),
     (5, 0, 0, 0, 0), (3, 10, 1, 0, 0)],
)  # fmt: skip
def test_what_is_taken_back_is_whole_credits(granted, percent, up, down, half_up):
    found = [
        taken_back(
            Terms(early_leave_tiers=(Tier("month", 6, percent),), early_leave_rounding=rounding),
            granted,
            DAY("2026-04-01"),
            DAY("2026-05-01"),
        )
        for rounding in ("up", "down", "half_up")
    ]

    assert found == [up, down, half_up]


def test_without_tiers_everything_is_taken_back():
    assert taken_back(Terms(), 3, DAY("2026-04-01"), DAY("2026-09-30")) == 3


def test_what_an_agreement_leaves_out_has_its_default():
    assert terms_of({}) == Terms()
    assert terms_of(DEFAULT_TERMS) == Terms()
    assert terms_of({"max_open": None, "something_new": 1}) == Terms()
    assert Terms().guarantee == Period(months=6)


@pytest.mark.parametrize(
    "stored",
    [
        {"credits_per_placement": 0},
        {"credits_per_placement": 6},
        {"credits_per_placement": True},
        {"credits_per_placement": "1"},
        {"accrual_rule": "on_consent"},
        {"guarantee": {"months": 0}},
        {"guarantee": {"weeks": 3}},
        {"guarantee": {"months": 1, "days": 1}},
        {"guarantee": 6},
        {"validity_months": -1},
        {"reservation_stops_expiry": "yes"},
        {"early_leave_tiers": [{"unit": "week", "up_to": 1, "percent": 10}]},
        {"early_leave_tiers": [{"unit": "day", "up_to": 1, "percent": 101}]},
        {"early_leave_tiers": [{"unit": "day", "percent": 10}]},
    ],
)
def test_terms_that_mean_nothing_are_refused(stored):
    with pytest.raises(Invalid) as refused:
        terms_of(stored)

    assert refused.value.code == "terms_invalid"
