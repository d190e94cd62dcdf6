"""Fees, refunds and published figures, to the yen."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import Conflict, Invalid
from domain.fees import (
    Fee,
    FeeTerms,
    Pay,
    Refund,
    RefundTerms,
    average_fee_rate,
    fee,
    no_solicitation_until,
    refund,
    tax_percent_on,
    theoretical_salary,
    waived,
)
from domain.periods import Tier
from domain.terms import terms_of

DAY = date.fromisoformat
START = DAY("2026-04-01")
A = (Tier("month", 1, 80), Tier("month", 3, 50), Tier("month", 6, 10))
B = (Tier("day", 30, 100), Tier("day", 60, 50))
C = (Tier("day", 30, 80), Tier("day", 90, 50), Tier("day", 180, 10))


def rate(percent: str, **facts: object) -> FeeTerms:
    return FeeTerms(rate_percent=Decimal(percent), **facts)


def back(  # what comes back of a fee of 1,750,000 and its tax
    terms: RefundTerms, left: str, *, reason="voluntary_leave", term="permanent", claimed=None
) -> Refund:
    return refund(
        Fee(1_750_000, 175_000), terms, START, DAY(left),
        reason=reason, employment_term=term, claimed_on=DAY(claimed or left),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("salary", "percent", "expected"),
    [
        (5_000_000, "35", (1_750_000, 175_000, 1_925_000)),
        (4_440_000, "35", (1_554_000, 155_400, 1_709_400)),
        (4_333_333, "33", (1_429_999, 142_999, 1_572_998)),
        (7_200_000, "32.5", (2_340_000, 234_000, 2_574_000)),
        (0, "35", (0, 0, 0)),
        (10**12, "100", (10**12, 10**11, 11 * 10**11)),
    ],
)
def test_a_fee_is_a_share_of_the_theoretical_salary_and_its_tax(salary, percent, expected):
    made = fee(salary, rate(percent), START)

    assert (made.without_tax, made.tax, made.total) == expected


@pytest.mark.parametrize(
    ("salary", "rounding", "tax_rounding", "expected"),
    [
        (4_333_333, "floor", "ceil", (1_429_999, 143_000)),
        (4_333_333, "half_up", "floor", (1_430_000, 143_000)),
        (4_333_335, "half_up", "half_up", (1_430_001, 143_000)),
        (4_333_350, "half_up", "half_up", (1_430_006, 143_001)),
        (4_333_350, "floor", "half_up", (1_430_005, 143_001)),
        (4_333_334, "ceil", "ceil", (1_430_001, 143_001)),
        (4_333_400, "ceil", "floor", (1_430_022, 143_002)),
    ],
)
def test_fee_and_tax_are_rounded_as_agreed(salary, rounding, tax_rounding, expected):
    made = fee(salary, rate("33", rounding=rounding, tax_rounding=tax_rounding), START)

    assert (made.without_tax, made.tax) == expected


def test_a_flat_fee_does_not_ask_for_the_salary():
    assert fee(9_999_999, FeeTerms(flat_jpy=1_000_001), START) == Fee(1_000_001, 100_000)


@given(
    st.integers(0, 10**12),
    st.decimals("0.000001", "100", places=6),
    st.sampled_from(("floor", "half_up", "ceil")),
)
def test_a_fee_is_exact_whatever_its_digits(salary, percent, rounding):
    exact = Fraction(salary) * Fraction(percent) / 100
    whole = {"floor": floor(exact), "half_up": floor(exact + Fraction(1, 2)), "ceil": ceil(exact)}

    made = fee(salary, FeeTerms(rate_percent=percent, rounding=rounding), START)

    assert made == Fee(whole[rounding], whole[rounding] // 10)


@pytest.mark.parametrize(
    ("pay", "terms", "expected"),
    [
        (Pay(annual_salary=5_000_000), rate("35"), 5_000_000),
        (
            Pay(base_monthly=300_000, fixed_allowances_monthly=20_000,
                expected_full_year_bonus=600_000),
            rate("35"), 4_440_000,
        ),
        (
            Pay(base_monthly=250_000, fixed_allowances_monthly=10_000,
                fixed_overtime_monthly=40_000, expected_incentive=500_000),
            rate("35"), 3_600_000,
        ),
        (
            Pay(base_monthly=250_000, fixed_overtime_monthly=50_000,
                expected_full_year_bonus=400_000, expected_incentive=500_000),
            rate("35", incentive_counts=True), 4_500_000,
        ),
        (
            Pay(annual_salary=6_000_000, base_monthly=1, expected_full_year_bonus=1,
                expected_incentive=1),
            rate("35", incentive_counts=True), 6_000_000,
        ),
        (Pay(base_monthly=0), rate("35"), 0),
    ],
)  # fmt: skip
def test_the_theoretical_salary_is_a_full_first_year(pay, terms, expected):
    assert theoretical_salary(pay, terms) == expected


@pytest.mark.parametrize(
    "pay",
    [
        Pay(),
        Pay(expected_full_year_bonus=600_000),
        Pay(base_monthly=-1),
        Pay(annual_salary=-1),
        Pay(annual_salary=10**12 + 1),
        Pay(base_monthly=1, fixed_allowances_monthly=-1),
        Pay(base_monthly=1, fixed_overtime_monthly=-1),
        Pay(base_monthly=1, expected_full_year_bonus=-1),
        Pay(base_monthly=1, expected_incentive=-1),
    ],
)
def test_a_pay_that_cannot_be_is_refused(pay):
    with pytest.raises(Invalid) as refused:
        theoretical_salary(pay, rate("35"))

    assert refused.value.code == "pay_invalid"


def test_a_salary_below_zero_has_no_fee():
    with pytest.raises(Invalid) as refused:
        fee(-1, rate("35"), START)

    assert refused.value.code == "pay_invalid"


@pytest.mark.parametrize(
    ("day", "percent"),
    [
        ("1989-03-31", 0), ("1989-04-01", 3), ("1997-03-31", 3), ("1997-04-01", 5),
        ("2014-03-31", 5), ("2014-04-01", 8), ("2019-09-30", 8), ("2019-10-01", 10),
        ("2026-11-21", 10),
    ],
)  # fmt: skip
def test_the_tax_is_the_one_in_force_on_the_day(day, percent):
    assert tax_percent_on(DAY(day)) == percent
    assert fee(1_000_000, rate("35"), DAY(day)).tax == 3_500 * percent


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
def test_a_refund_follows_the_tier_of_the_last_day_employed(start, last, a, b, c):
    paid = Fee(1_429_999, 142_999)
    found = [
        refund(
            paid, RefundTerms(tiers), DAY(start), DAY(last), reason="voluntary_leave",
            employment_term="permanent", claimed_on=DAY(last),
        )
        for tiers in (A, B, C)
    ]  # fmt: skip

    amounts = {
        100: Refund(100, 1_429_999, 142_999, "covered"),
        80: Refund(80, 1_143_999, 114_399, "covered"),
        50: Refund(50, 714_999, 71_499, "covered"),
        10: Refund(10, 142_999, 14_299, "covered"),
        0: Refund(0, 0, 0, "after_last_tier"),
    }
    assert found == [amounts[share] for share in (a, b, c)]


def test_a_refund_is_paid_with_its_tax():
    assert back(RefundTerms(A), "2026-06-15") == Refund(50, 875_000, 87_500, "covered")
    assert back(RefundTerms(A), "2026-06-15").total == 962_500


def test_an_uncounted_first_day_moves_the_refund_by_one():
    uncounted = RefundTerms(A, count_first_day=False)
    shares = [back(uncounted, left).percent for left in ("2026-05-01", "2026-05-02")]

    assert shares == [80, 50]


@pytest.mark.parametrize(
    ("terms", "facts", "why"),
    [
        (RefundTerms(A), {"reason": "dismissal_for_cause"}, "covered"),
        (RefundTerms(A), {"reason": "company_closed"}, "reason_not_covered"),
        (RefundTerms(A, covered_reasons=()), {}, "reason_not_covered"),
        (RefundTerms(A, excluded_reasons=("voluntary_leave",)), {}, "reason_not_covered"),
        (RefundTerms(A, covered_reasons=("illness",)), {"reason": "illness"}, "covered"),
        (RefundTerms(A), {"term": "fixed"}, "covered"),
        (
            RefundTerms(A, employment_terms_covered=("permanent",)),
            {"term": "fixed"},
            "employment_term_not_covered",
        ),
        (RefundTerms(A, employment_terms_covered=("fixed",)), {"term": "fixed"}, "covered"),
        (RefundTerms(A), {"claimed": "2026-05-30"}, "covered"),
        (RefundTerms(A), {"claimed": "2026-05-31"}, "claimed_too_late"),
        (RefundTerms(A, claim_within_days=31), {"claimed": "2026-05-31"}, "covered"),
        (RefundTerms(A), {"claimed": "2026-04-20"}, "covered"),
    ],
)
def test_what_is_not_covered_gives_nothing_and_says_why(terms, facts, why):
    share, fee_back, tax_back = (80, 1_400_000, 140_000) if why == "covered" else (0, 0, 0)

    assert back(terms, "2026-04-30", **facts) == Refund(share, fee_back, tax_back, why)


def test_nobody_leaves_before_the_start():
    with pytest.raises(Conflict) as refused:
        back(RefundTerms(A), "2026-03-31")

    assert refused.value.code == "left_before_start"


SHARES = st.builds(Tier, st.sampled_from(("day", "month")), st.integers(1, 24), st.integers(0, 100))


@given(
    st.integers(0, 10**9), st.lists(SHARES, min_size=1, max_size=4), st.dates(START),
    st.integers(0, 800), st.booleans(),
)  # fmt: skip
def test_a_refund_is_never_above_the_fee(salary, tiers, start, days, counted):
    assume(start < date(9990, 1, 1))
    paid = fee(salary, rate("35"), start)
    left = start + timedelta(days=days)
    found = refund(
        paid, RefundTerms(tuple(tiers), counted), start, left,
        reason="voluntary_leave", employment_term="fixed", claimed_on=left,
    )  # fmt: skip

    assert 0 <= found.without_tax <= paid.without_tax
    assert 0 <= found.tax <= paid.tax
    assert found.total <= paid.total
    assert found.percent in {0, *(tier.percent for tier in tiers)}
    assert (found.why == "covered") == (found.percent > 0)


@given(
    st.integers(0, 10**9), st.lists(st.integers(0, 100), min_size=2, max_size=4),
    st.dates(START, date(2100, 1, 1)), st.integers(0, 120),
)  # fmt: skip
def test_with_falling_tiers_a_later_leave_never_gives_more_back(salary, shares, start, days):
    falling = sorted(shares, reverse=True)
    terms = RefundTerms(
        tuple(Tier("month", months, share) for months, share in enumerate(falling, start=1))
    )
    amounts = [
        refund(
            fee(salary, rate("35"), start), terms, start, left,
            reason="voluntary_leave", employment_term="fixed", claimed_on=left,
        ).total
        for left in (start + timedelta(days=days), start + timedelta(days=days + 1))
    ]  # fmt: skip

    assert amounts[0] >= amounts[1]


@pytest.mark.parametrize(
    ("cap", "expected"),
    [(None, 1_750_000), (2_000_000, 1_750_000), (1_750_000, 1_750_000), (1_000_000, 1_000_000),
     (0, 0)],
)  # fmt: skip
def test_a_credit_waives_the_fee_up_to_its_cap(cap, expected):
    assert waived(Fee(1_750_000, 175_000), cap) == expected


@given(st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_what_is_waived_is_never_above_the_cap_nor_the_fee(amount, cap):
    found = waived(Fee(amount, 0), cap)

    assert 0 <= found <= amount
    assert cap is None or found <= cap
    assert found in {amount, cap}


@pytest.mark.parametrize(
    ("fees", "pay", "expected"),
    [
        (800_000, 4_000_000, "20.0"),
        (12_345_678, 38_000_000, "32.5"),
        (3_045, 10_000, "30.5"),
        (3_044, 10_000, "30.4"),
        (0, 10_000, "0.0"),
        (1, 3, "33.3"),
    ],
)
def test_the_published_rate_is_rounded_half_up_to_one_decimal(fees, pay, expected):
    assert str(average_fee_rate(fees, pay, 11)) == expected


@pytest.mark.parametrize(("placements", "pay"), [(10, 4_000_000), (0, 4_000_000), (11, 0)])
def test_a_rate_of_few_placements_or_of_no_pay_is_not_published(placements, pay):
    assert average_fee_rate(800_000, pay, placements) is None


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_the_published_rate_is_exact(fees, pay):
    exact = floor(Fraction(fees * 1000, pay) + Fraction(1, 2))

    assert average_fee_rate(fees, pay, 11) == Decimal(exact) / 10


@pytest.mark.parametrize(
    ("hired", "until"),
    [("2024-04-15", "2026-04-14"), ("2024-02-29", "2026-02-28"), ("2026-01-01", "2027-12-31")],
)
def test_whom_an_agency_placed_it_leaves_alone_for_two_years(hired, until):
    assert no_solicitation_until(DAY(hired)) == DAY(until)


def test_fee_and_refund_are_read_from_the_agreement():
    terms = terms_of(
        {
            "fee": {"rate_percent": "32.5", "rounding": "ceil", "tax_rounding": "half_up",
                    "incentive_counts": True},
            "refund": {
                "tiers": [{"unit": "month", "up_to": 1, "percent": 80},
                          {"unit": "day", "up_to": 90, "percent": 50}],
                "count_first_day": False,
                "covered_reasons": ["voluntary_leave"],
                "excluded_reasons": ["本人の死亡"],
                "employment_terms_covered": ["permanent"],
                "claim_within_days": 60,
                "replacement_allowed": True,
            },
        }
    )  # fmt: skip

    assert terms.fee == FeeTerms(Decimal("32.5"), None, "ceil", "half_up", True)
    assert terms.refund == RefundTerms(
        (Tier("month", 1, 80), Tier("day", 90, 50)),
        False, ("voluntary_leave",), ("本人の死亡",), ("permanent",), 60, True,
    )  # fmt: skip


def test_a_fee_and_a_refund_have_their_defaults():
    terms = terms_of(
        {
            "fee": {"flat_jpy": 900_000},
            "refund": {"tiers": [{"unit": "day", "up_to": 30, "percent": 100}]},
        }
    )

    assert terms.fee == FeeTerms(None, 900_000, "floor", "floor", False)
    assert terms.refund == RefundTerms(
        (Tier("day", 30, 100),), True, ("voluntary_leave", "dismissal_for_cause"), (), (), 30, False
    )
    assert (terms_of({}).fee, terms_of({}).refund) == (None, None)


@pytest.mark.parametrize(
    ("written", "percent"),
    [("35", "35"), ("32.5", "32.5"), (35, "35"), ("100", "100"), (100, "100"), ("0.5", "0.5"),
     ("33.333333", "33.333333"), ("30.00", "30")],
    ids=repr,
)  # fmt: skip
def test_a_rate_is_plain_digits(written, percent):
    terms = terms_of({"fee": {"rate_percent": written}})

    assert terms.fee is not None
    assert terms.fee.rate_percent == Decimal(percent)


@pytest.mark.parametrize(
    "written",
    ["1e1", "NaN", "Infinity", "-1", "+1", "32.5 ", " 32.5", "32.5\n", "32,5", "32.", ".5", "035",
     "٣٥", "３５", "3_5", "0", "0.0", "100.1", "101", "", "35%", "33.3333333", 0, -1, 101, True,
     False, 32.5, 35.0, [35], {"value": 35}],
    ids=repr,
)  # fmt: skip
def test_a_rate_that_is_no_percentage_is_refused(written):
    with pytest.raises(Invalid) as refused:
        terms_of({"fee": {"rate_percent": written}})

    assert refused.value.code == "terms_invalid"


@pytest.mark.parametrize(
    "stored",
    [
        {"fee": {}},
        {"fee": {"rounding": "floor"}},
        {"fee": {"rate_percent": "35", "flat_jpy": 1}},
        {"fee": {"flat_jpy": 0}},
        {"fee": {"flat_jpy": True}},
        {"fee": {"flat_jpy": "900000"}},
        {"fee": {"rate_percent": "35", "rounding": "up"}},
        {"fee": {"rate_percent": "35", "tax_rounding": "round"}},
        {"fee": {"rate_percent": "35", "incentive_counts": 1}},
        {"refund": {}},
        {"refund": {"tiers": []}},
        {"refund": {"tiers": [None]}},
        {"refund": {"tiers": [{"unit": "day", "up_to": 30}]}},
        {"refund": {"tiers": [{"unit": "day", "up_to": 30, "percent": 101}]}},
        {"refund": {"tiers": 2 * [{"unit": "day", "up_to": 30, "percent": 80}]}},
        {"refund": {"tiers": [{"unit": "day", "up_to": 30, "percent": 80}],
                    "claim_within_days": 0}},
        {"refund": {"tiers": [{"unit": "day", "up_to": 30, "percent": 80}],
                    "covered_reasons": "voluntary_leave"}},
        {"refund": {"tiers": [{"unit": "day", "up_to": 30, "percent": 80}],
                    "employment_terms_covered": ["temporary"]}},
    ],
)  # fmt: skip
def test_a_fee_or_refund_that_means_nothing_is_refused(stored):
    with pytest.raises(Invalid) as refused:
        terms_of(stored)

    assert refused.value.code == "terms_invalid"
