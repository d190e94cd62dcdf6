"""Placement fees, their refunds, and what the law counts about them (domain rules 10, 11).

Money is whole yen. Shares of it are computed in `Decimal`, never in binary floating point, and
rounded once, as the agreement says. Nothing here reads a clock or a database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from domain.errors import Conflict, Invalid
from domain.periods import Tier, last_day, percent_of
from domain.term_values import (
    EMPLOYMENT_TERMS,
    MOST_YEN,
    Shape,
    accepted,
    choice,
    days,
    distinct_tiers,
    every,
    flag,
    percent,
    text,
    yen,
)

TAX_PERCENT_FROM = (
    (date(2019, 10, 1), 10),
    (date(2014, 4, 1), 8),
    (date(1997, 4, 1), 5),
    (date(1989, 4, 1), 3),
)
"""Consumption tax, national and local together, newest first: 消費税法29 and 地方税法72の83.

3 % by 昭和63年法律第108号, 5 % by 平成6年法律第109号, 8 % and 10 % by 平成24年法律第68号 (the last
step put off to 2019-10-01 by 平成28年法律第85号).
"""
RATE_PUBLISHED_ABOVE = 10
"""An average over ten placements or fewer would show single ones."""
NO_SOLICITATION_MONTHS = 24
_ROUNDING: Mapping[str, str] = {
    "floor": ROUND_FLOOR,
    "half_up": ROUND_HALF_UP,
    "ceil": ROUND_CEILING,
}
_MONTHS = 12
_WHOLE = 100
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class FeeTerms:
    """The agreed fee: a percentage of the theoretical annual salary, or a flat amount of yen."""

    rate_percent: Decimal | None = None
    flat_jpy: int | None = None
    rounding: str = "floor"
    tax_rounding: str = "floor"
    incentive_counts: bool = False


@dataclass(frozen=True)
class RefundTerms:
    """The agreed refund (返戻金) of an early leave. Empty `employment_terms_covered`: every term.

    Reasons are words of the two parties; a reason that nobody listed is not covered.
    """

    tiers: tuple[Tier, ...]
    count_first_day: bool = True
    covered_reasons: tuple[str, ...] = ("voluntary_leave", "dismissal_for_cause")
    excluded_reasons: tuple[str, ...] = ()
    employment_terms_covered: tuple[str, ...] = ()
    claim_within_days: int = 30
    replacement_allowed: bool = False


@dataclass(frozen=True)
class Pay:
    """What a person is offered for a full first year, in yen, also when they start mid-year.

    `annual_salary` where the pay is agreed by the year (年俸制), else the monthly parts. Commuting
    allowance, one-off payments and variable overtime never count, so there is no place for them.
    """

    annual_salary: int | None = None
    base_monthly: int | None = None
    fixed_allowances_monthly: int = 0
    fixed_overtime_monthly: int = 0
    expected_full_year_bonus: int = 0
    expected_incentive: int = 0


@dataclass(frozen=True)
class Fee:
    """A fee in yen."""

    without_tax: int
    tax: int

    @property
    def total(self) -> int:
        """What is invoiced."""
        return self.without_tax + self.tax


@dataclass(frozen=True)
class Refund:
    """A refund in yen, and in a word that never changes why it is what it is.

    `covered`; or, with nothing to pay, `reason_not_covered`, `employment_term_not_covered`,
    `claimed_too_late`, `after_last_tier`.
    """

    percent: int
    without_tax: int
    tax: int
    why: str

    @property
    def total(self) -> int:
        """What is paid back."""
        return self.without_tax + self.tax


def theoretical_salary(pay: Pay, terms: FeeTerms) -> int:
    """The theoretical annual salary (理論年収) a percentage is taken of, in yen (rules 11.1).

    The incentive counts only where the agreement says so. An annual salary stands for everything.
    Raises `Invalid` (`pay_invalid`) without an annual or a monthly salary, or for a negative part.
    """
    if pay.annual_salary is not None:
        return _pay("annual_salary", pay.annual_salary)
    monthly = (
        _pay("base_monthly", pay.base_monthly)
        + _pay("fixed_allowances_monthly", pay.fixed_allowances_monthly)
        + _pay("fixed_overtime_monthly", pay.fixed_overtime_monthly)
    )
    bonus = _pay("expected_full_year_bonus", pay.expected_full_year_bonus)
    incentive = _pay("expected_incentive", pay.expected_incentive)
    return _MONTHS * monthly + bonus + (incentive if terms.incentive_counts else 0)


def tax_percent_on(day: date) -> int:
    """The consumption tax in force on a day, in percent; none before there was one."""
    return next((rate for since, rate in TAX_PERCENT_FROM if day >= since), 0)


def fee(salary: int, terms: FeeTerms, on: date) -> Fee:
    """The fee for a placement with this theoretical salary, due on the day of the start.

    Raises `Invalid` (`pay_invalid`) for a salary below zero.
    """
    salary = _pay("salary", salary)
    if terms.rate_percent is None:
        without_tax = terms.flat_jpy or 0
    else:
        without_tax = _share(salary, terms.rate_percent, terms.rounding)
    tax = _share(without_tax, Decimal(tax_percent_on(on)), terms.tax_rounding)
    return Fee(without_tax, tax)


def waived(whole: Fee, value_cap_jpy: int | None) -> int:
    """How much of a fee a credit waives, without tax: all of it, up to the agreed cap."""
    return whole.without_tax if value_cap_jpy is None else min(whole.without_tax, value_cap_jpy)


def refund(
    paid: Fee,
    terms: RefundTerms,
    started_on: date,
    last_day_employed: date,
    *,
    reason: str,
    employment_term: str,
    claimed_on: date,
) -> Refund:
    """What comes back of a paid fee when the person leaves early (rules 11.3).

    Fee and tax are reduced alike, so that the tax keeps the rate it was charged with. The day of
    leaving is not counted in the time for the claim (民法140).
    Raises `Conflict` (`left_before_start`).
    """
    if last_day_employed < started_on:
        detail = "the last day employed is before the start"
        raise Conflict(detail, code="left_before_start")
    if reason not in terms.covered_reasons or reason in terms.excluded_reasons:
        return Refund(0, 0, 0, "reason_not_covered")
    if terms.employment_terms_covered and employment_term not in terms.employment_terms_covered:
        return Refund(0, 0, 0, "employment_term_not_covered")
    if claimed_on > last_day_employed + _DAY * terms.claim_within_days:
        return Refund(0, 0, 0, "claimed_too_late")
    share = percent_of(
        terms.tiers, started_on, last_day_employed, count_first_day=terms.count_first_day
    )
    if not share:
        return Refund(0, 0, 0, "after_last_tier")
    without_tax, tax = (
        _share(one, Decimal(share), "floor") for one in (paid.without_tax, paid.tax)
    )
    return Refund(share, without_tax, tax, "covered")


def average_fee_rate(total_fees: int, total_pay: int, placements: int) -> Decimal | None:
    """The published average rate in percent, half up to one decimal (rules 10).

    Nothing for ten placements or fewer, or where no pay is known.
    """
    if placements <= RATE_PUBLISHED_ABOVE or total_pay <= 0:
        return None
    tenths = (2 * total_fees * _WHOLE * 10 + total_pay) // (2 * total_pay)
    return Decimal(tenths).scaleb(-1)


def no_solicitation_until(hired_on: date) -> date:
    """The last day on which the agency may not solicit the person it placed (rules 10)."""
    return last_day(hired_on, months=NO_SOLICITATION_MONTHS)


def _pay(name: str, value: int | None) -> int:
    if value is None or not 0 <= value <= MOST_YEN:
        detail = f"the pay's {name} is not an amount of yen"
        raise Invalid(detail, code="pay_invalid")
    return value


def _share(amount: int, percent: Decimal, rounding: str) -> int:
    """A percentage of whole yen. Exact: both have far fewer digits than `Decimal` keeps."""
    exact = Decimal(amount) * percent / _WHOLE
    return int(exact.to_integral_value(_ROUNDING[rounding]))


def _fee_terms(**given: Any) -> FeeTerms:
    accepted(("rate_percent" in given) != ("flat_jpy" in given), "fee")
    return FeeTerms(**given)


_ROUNDINGS = choice(*_ROUNDING)
FEE = Shape(
    _fee_terms,
    {
        "rate_percent": percent,
        "flat_jpy": yen(1),
        "rounding": _ROUNDINGS,
        "tax_rounding": _ROUNDINGS,
        "incentive_counts": flag,
    },
)
REFUND = Shape(
    RefundTerms,
    {
        "tiers": distinct_tiers(1),
        "count_first_day": flag,
        "covered_reasons": every(text),
        "excluded_reasons": every(text),
        "employment_terms_covered": every(choice(*EMPLOYMENT_TERMS)),
        "claim_within_days": days(1),
        "replacement_allowed": flag,
    },
    needs=("tiers",),
)
