"""Months as the Civil Code counts them, and what agreements make of them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.flows.office.open_account import DEFAULT_TERMS
from domain.periods import Period, Tier, extended, last_day, percent_of, period_end
from domain.terms import (
    Duties,
    PerN,
    Scope,
    Terms,
    available_on,
    expires_on,
    guarantee_end,
    ownership_end,
    restored_until,
    tail_end,
    taken_back,
    terms_of,
    unknown_terms,
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
    ("ended", "months", "last"),
    [
        ("2026-03-31", 6, "2026-09-30"),
        ("2026-04-01", 6, "2026-10-01"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-11-15", 0, "2026-11-15"),
        ("2026-12-31", 1, "2027-01-31"),
    ],
)
def test_credits_outlive_their_agreement_by_the_tail(ended, months, last):
    assert tail_end(Terms(tail_months=months), DAY(ended)) == DAY(last)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 60))
def test_a_tail_never_ends_before_the_agreement_and_a_longer_one_never_earlier(ended, months):
    end = tail_end(Terms(tail_months=months), ended)

    assert ended <= end < tail_end(Terms(tail_months=months + 1), ended)


def test_days_on_which_the_clock_stood_still_are_added():
    assert extended(DAY("2026-09-30"), 10) == DAY("2026-10-10")
    assert extended(DAY("2028-02-28"), 1) == DAY("2028-02-29")
    assert extended(DAY("2026-09-30"), 0) == DAY("2026-09-30")


@given(
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.sampled_from((A, B, C)),
    st.integers(0, 400),
    st.booleans(),
)
def test_who_stays_longer_never_costs_the_agency_more(start, tiers, days, counted):
    left = start + timedelta(days=days)
    share = percent_of(tiers, start, left, count_first_day=counted)
    later = percent_of(tiers, start, left + timedelta(days=1), count_first_day=counted)

    assert share >= later
    assert percent_of(tiers, start, start, count_first_day=counted) == tiers[0].percent


@given(
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    st.one_of(
        st.builds(Period, months=st.integers(1, 60)), st.builds(Period, days=st.integers(1, 2000))
    ),
)
def test_a_tier_of_the_whole_guarantee_ends_with_it(start, length):
    terms = Terms(guarantee=length)
    unit, up_to = ("month", length.months) if length.months else ("day", length.days)
    end = guarantee_end(terms, start)

    assert end == period_end(start, length)
    assert percent_of([Tier(unit, up_to, 70)], start, end) == 70
    assert percent_of([Tier(unit, up_to, 70)], start, end + timedelta(days=1)) == 0


@pytest.mark.parametrize(
    ("rule", "places", "counts"),
    [("on_placement", True, False), ("per_n_relays", False, True), ("mixed", True, True)],
)
def test_the_accrual_rule_says_what_earns(rule, places, counts):
    terms = terms_of({"accrual_rule": rule})

    assert (terms.grants_on_placement, terms.counts_relays) == (places, counts)
    assert terms.per_n == PerN(10, "accepted")


def test_every_term_is_read():
    terms = terms_of(
        {
            "accrual_rule": "mixed",
            "per_n_relays": {"n": 25, "counted_event": "met"},
            "credit_unit": "guaranteed_introduction",
            "scope": {
                "job_types": ["営業", "Engineer"],
                "employment_terms": ["permanent"],
                "salary_cap_jpy": 8_000_000,
            },
            "value_cap_jpy": 2_000_000,
            "reference_value_jpy": 1_500_000,
            "reserve_while_owed": False,
            "transferable": False,
            "already_registered_declare_days": 5,
            "already_registered_contact_days": 365,
            "reapplication_exempt_months": 12,
            "duties": {
                "status_days": 14,
                "attestation": False,
                "attestation_business_days": 10,
                "grace_business_days": 0,
                "pause": False,
            },
        }
    )

    assert terms == Terms(
        accrual_rule="mixed",
        per_n=PerN(25, "met"),
        credit_unit="guaranteed_introduction",
        scope=Scope(("営業", "Engineer"), ("permanent",), 8_000_000),
        value_cap_jpy=2_000_000,
        reference_value_jpy=1_500_000,
        reserve_while_owed=False,
        already_registered_declare_days=5,
        already_registered_contact_days=365,
        reapplication_exempt_months=12,
        duties=Duties(14, False, 10, 0, False),
    )


def test_a_part_that_is_given_in_part_keeps_its_other_defaults():
    terms = terms_of({"duties": {"pause": False}, "per_n_relays": {"n": 3}, "scope": {}})

    assert terms.duties == Duties(30, True, 5, 5, False)
    assert terms.per_n == PerN(3, "accepted")
    assert terms.scope == Scope()


SCOPE = Scope(("営業", "Software Engineer"), ("permanent",), 8_000_000)


@pytest.mark.parametrize(
    ("job_type", "term", "salary", "problem"),
    [
        ("営業", "permanent", 8_000_000, None),
        ("ｓｏｆｔｗａｒｅ　 engineer ", "permanent", 1, None),
        ("営業部", "permanent", 8_000_000, "job_type"),
        ("", "permanent", 8_000_000, "job_type"),
        ("営業", "fixed", 8_000_000, "employment_term"),
        ("営業", "permanent", 8_000_001, "salary_cap"),
        (None, "permanent", 8_000_000, "job_type_missing"),
        ("営業", None, 8_000_000, "employment_term_missing"),
        ("営業", "permanent", None, "salary_cap_missing"),
        (None, None, None, "job_type_missing"),
    ],
)
def test_a_hire_is_in_scope_or_a_word_says_why_not(job_type, term, salary, problem):
    assert SCOPE.problem(job_type, term, salary) == problem


@given(
    st.none() | st.text(max_size=8),
    st.none() | st.sampled_from(("permanent", "fixed")),
    st.none() | st.integers(0, 10**9),
)
def test_a_scope_that_names_nothing_limits_nothing(job_type, term, salary):
    assert Scope().problem(job_type, term, salary) is None


def test_only_what_is_limited_is_asked_for():
    assert Scope(salary_cap_jpy=5).problem(annual_salary_jpy=5) is None
    assert Scope(employment_terms=("fixed",)).problem(employment_term="fixed") is None
    assert Scope(job_types=("営業",)).problem("営業") is None


def test_names_nobody_reads_are_told_with_the_part_they_stand_in():
    proposal = {
        "accrual_rule": "mixed",
        "scope": {"job_typ": ["営業"], "job_types": []},
        "validity": 12,
        "guarantee": {"weeks": 3},
        "per_n_relays": {"N": 3},
        "early_leave_tiers": [{"unit": "day", "upto": 3}],
        "fee": {"rate": "35"},
        "refund": {"tiers": [{"unit": "day"}, {"percentage": 3}], "reasons": []},
        "duties": {"status_day": 3},
        "nothing": None,
    }

    assert unknown_terms(proposal) == [
        "scope.job_typ",
        "validity",
        "guarantee.weeks",
        "per_n_relays.N",
        "early_leave_tiers.0.upto",
        "fee.rate",
        "refund.tiers.1.percentage",
        "refund.reasons",
        "duties.status_day",
        "nothing",
    ]


@pytest.mark.parametrize("part", ["scope", "fee", "refund", "duties", "per_n_relays", "guarantee"])
@pytest.mark.parametrize("value", [[], "text", 3, True])
def test_a_part_of_the_wrong_form_holds_no_unknown_names_and_is_refused(part, value):
    assert unknown_terms({part: value}) == []
    with pytest.raises(Invalid) as refused:
        terms_of({part: value})

    assert refused.value.code == "terms_invalid"


def test_the_default_terms_are_known():
    assert unknown_terms(DEFAULT_TERMS) == []


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
        {"early_leave_tiers": [{}]},
        {"early_leave_tiers": ["day"]},
        {"early_leave_tiers": "day"},
        {"early_leave_tiers": {"unit": "day", "up_to": 1, "percent": 10}},
        {"early_leave_tiers": [{"unit": "day", "up_to": 1, "percent": -1}]},
        {"early_leave_tiers": [{"unit": "day", "up_to": 1, "percent": "50"}]},
        {"early_leave_tiers": [{"unit": "day", "up_to": 1, "percent": True}]},
        {"early_leave_tiers": [{"unit": "day", "up_to": 0, "percent": 10}]},
        {"early_leave_tiers": [{"unit": ["day"], "up_to": 1, "percent": 10}]},
        {"early_leave_tiers": 2 * [{"unit": "day", "up_to": 1, "percent": 10}]},
        {"accrual_rule": ["mixed"]},
        {"guarantee": {}},
        {"guarantee": {"months": 1.5}},
        {"guarantee": {"months": 1201}},
        {"validity_months": 10**9},
        {"reservation_days": 10**9},
        {"per_n_relays": {"n": 0}},
        {"per_n_relays": {"n": True}},
        {"per_n_relays": {"n": 3.0}},
        {"per_n_relays": {"n": 3, "counted_event": "placed"}},
        {"credit_unit": "yen"},
        {"transferable": True},
        {"transferable": 0},
        {"value_cap_jpy": -1},
        {"value_cap_jpy": 10**13},
        {"value_cap_jpy": "2000000"},
        {"reference_value_jpy": -1},
        {"scope": {"job_types": "営業"}},
        {"scope": {"job_types": [""]}},
        {"scope": {"job_types": ["　 "]}},
        {"scope": {"job_types": ["a\x00b"]}},
        {"scope": {"job_types": ["a" * 101]}},
        {"scope": {"job_types": [3]}},
        {"scope": {"employment_terms": ["part_time"]}},
        {"scope": {"salary_cap_jpy": 0}},
        {"scope": {"salary_cap_jpy": True}},
        {"reserve_while_owed": 1},
        {"already_registered_declare_days": 0},
        {"already_registered_contact_days": -180},
        {"reapplication_exempt_months": -1},
        {"duties": {"status_days": 0}},
        {"duties": {"attestation": "yes"}},
        {"duties": {"attestation_business_days": 0}},
        {"duties": {"grace_business_days": -1}},
        {"duties": {"pause": None, "attestation": 1}},
    ],
)
def test_terms_that_mean_nothing_are_refused(stored):
    with pytest.raises(Invalid) as refused:
        terms_of(stored)

    assert refused.value.code == "terms_invalid"


@pytest.mark.parametrize("stored", [None, [], "terms", 3])
def test_a_document_that_is_none_is_refused(stored):
    with pytest.raises(Invalid) as refused:
        terms_of(stored)

    assert refused.value.code == "terms_invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ("accrual_rule", "per_n_relays", "guarantee", "scope", "early_leave_tiers", "fee", "refund",
     "duties", "value_cap_jpy", "validity_months", "max_open", "transferable")
)  # fmt: skip
INNER = st.sampled_from(
    ("n", "counted_event", "months", "days", "unit", "up_to", "percent", "tiers", "rate_percent",
     "flat_jpy", "rounding", "job_types", "salary_cap_jpy", "status_days", "pause")
)  # fmt: skip


@given(st.dictionaries(NAMES, JSON | st.dictionaries(INNER, JSON, max_size=3), max_size=4))
def test_any_document_has_terms_whose_dates_exist_or_is_refused(stored):
    unknown_terms(stored)
    try:
        terms = terms_of(stored)
    except Invalid:
        return

    started = DAY("2026-04-01")
    ends = guarantee_end(terms, started)
    assert started <= ends <= expires_on(terms, started, ends + timedelta(days=1))
    assert 0 <= taken_back(terms, terms.credits_per_placement, started, ends) <= 5
