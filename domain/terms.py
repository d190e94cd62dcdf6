"""What an agreement's version says, and the dates that follow from it (domain rules 11-13).

Days are local dates in Japan. Terms never change for a credit that was granted: the terms in force
are copied onto it.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from domain.fees import FEE, REFUND, FeeTerms, RefundTerms
from domain.periods import Period, Tier, last_day, percent_of, period_end
from domain.term_values import (
    EMPLOYMENT_TERMS,
    PERIOD,
    Shape,
    accepted,
    choice,
    count,
    days,
    distinct_tiers,
    every,
    flag,
    months,
    text,
    yen,
)

MOST_CREDITS = 5
"""Per placement: an agreement that gives more is a mistake."""
_MOST_COUNTED = 1_000_000
_HALF_A_YEAR = Period(months=6)
_DAY = timedelta(days=1)
_WHOLE = 100


@dataclass(frozen=True)
class PerN:
    """One credit for every `n` relays that reached the counted event."""

    n: int = 10
    counted_event: str = "accepted"


@dataclass(frozen=True)
class Scope:
    """Which hires a credit may be used for. What is left empty sets no limit."""

    job_types: tuple[str, ...] = ()
    employment_terms: tuple[str, ...] = ()
    salary_cap_jpy: int | None = None

    def problem(
        self,
        job_type: str | None = None,
        employment_term: str | None = None,
        annual_salary_jpy: int | None = None,
    ) -> str | None:
        """Why a hire is out of scope, in a word that never changes; nothing if it is in scope.

        `job_type`, `employment_term`, `salary_cap`; with `_missing` behind it where the agreement
        asks for a fact that was not told. Job types are compared as people read them: width and
        case do not count.
        """
        asked: tuple[tuple[str, Any, Any, Callable[[Any], bool]], ...] = (
            ("job_type", self.job_types, job_type, self._names),
            ("employment_term", self.employment_terms, employment_term, self._allows),
            ("salary_cap", self.salary_cap_jpy, annual_salary_jpy, self._covers),
        )
        for word, limit, told, fits in asked:
            if limit is None or limit == ():
                continue
            if told is None:
                return f"{word}_missing"
            if not fits(told):
                return word
        return None

    def _names(self, job_type: str) -> bool:
        return _as_read(job_type) in {_as_read(one) for one in self.job_types}

    def _allows(self, employment_term: str) -> bool:
        return employment_term in self.employment_terms

    def _covers(self, annual_salary_jpy: int) -> bool:
        return self.salary_cap_jpy is None or annual_salary_jpy <= self.salary_cap_jpy


def _as_read(words: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", words).casefold().split())


@dataclass(frozen=True)
class Duties:
    """What an agency owes about its relays, so that nothing is lost in silence (ledger rules 22).

    An open relay needs a status every `status_days`. The attestation of a month is due on the
    `attestation_business_days`-th business day after it; `grace_business_days` later new relays
    pause, where the agreement pauses at all.
    """

    status_days: int = 30
    attestation: bool = True
    attestation_business_days: int = 5
    grace_business_days: int = 5
    pause: bool = False


@dataclass(frozen=True)
class Terms:
    """The terms of one agreement version, with the defaults of a new agreement.

    `value_cap_jpy` is the largest fee waived, without tax. `reference_value_jpy` (参考値) of one
    credit is for reports: no rule may depend on it.
    """

    accrual_rule: str = "on_placement"
    per_n: PerN = PerN()
    credit_unit: str = "hire_without_fee"
    credits_per_placement: int = 1
    guarantee: Period = _HALF_A_YEAR
    available_after: str = "guarantee_end"
    validity_months: int = 12
    validity_from: str = "available"
    value_cap_jpy: int | None = None
    reference_value_jpy: int = 0
    scope: Scope = Scope()
    early_leave_tiers: tuple[Tier, ...] = ()
    early_leave_rounding: str = "up"
    reservation_days: int = 60
    reservation_stops_expiry: bool = True
    reserve_while_owed: bool = True
    restore_on_early_leave: bool = True
    restore_min_months: int = 3
    max_open: int | None = None
    settle_owed: str = "next_credit"
    tail_months: int = 6
    ownership_window_months: int = 12
    attribution: str = "first_consent"
    already_registered_declare_days: int = 3
    already_registered_contact_days: int = 180
    reapplication_exempt_months: int = 0
    fee: FeeTerms | None = None
    refund: RefundTerms | None = None
    duties: Duties = Duties()

    @property
    def grants_on_placement(self) -> bool:
        """Whether a start earns credits by itself."""
        return self.accrual_rule in {"on_placement", "mixed"}

    @property
    def counts_relays(self) -> bool:
        """Whether relays earn by their number. It rewards volume: set-up shows a warning."""
        return self.accrual_rule in {"per_n_relays", "mixed"}


def terms_of(stored: Mapping[str, Any]) -> Terms:
    """The terms from an agreement version's document; what it leaves out has its default.

    Names it does not know are passed over, so that a document outlives the release that wrote it;
    a proposal is asked for them with `unknown_terms`.
    Raises `Invalid` (`terms_invalid`) for a value the business cannot mean.
    """
    terms: Terms = _DOCUMENT("", stored)
    return terms


def unknown_terms(stored: Mapping[str, Any]) -> list[str]:
    """The names in a proposed document that nobody reads: `scope.job_typ`, `refund.tiers.0.upto`.

    A slip in a name would otherwise become a default nobody agreed to.
    """
    return _DOCUMENT.unknown(stored)


def guarantee_end(terms: Terms, started_on: date) -> date:
    """The last day on which leaving counts as early. The start date is day 1."""
    return period_end(started_on, terms.guarantee)


def available_on(terms: Terms, started_on: date, guarantee_end_on: date) -> date:
    """The first day on which a credit may be used."""
    return started_on if terms.available_after == "start" else guarantee_end_on + _DAY


def expires_on(terms: Terms, started_on: date, first_usable: date) -> date:
    """The last day on which a credit may be used."""
    begins = started_on if terms.validity_from == "start" else first_usable
    return last_day(begins, months=terms.validity_months)


def restored_until(terms: Terms, expires: date, today: date) -> date:
    """A credit that comes back stays usable for a while, and never less long than before."""
    if not terms.restore_min_months:
        return expires
    return max(expires, last_day(today, months=terms.restore_min_months))


def tail_end(terms: Terms, ended_on: date) -> date:
    """The last day on which credits may be used after their agreement ended, that day uncounted."""
    return last_day(ended_on, months=terms.tail_months, count_first_day=False)


def ownership_end(terms: Terms, forwarded_on: date) -> date:
    """The last day on which a start still counts for the company that relayed (domain rules 12)."""
    return last_day(forwarded_on, months=terms.ownership_window_months, count_first_day=False)


def taken_back(terms: Terms, granted: int, started_on: date, last_day_employed: date) -> int:
    """How many of a placement's credits an early leave takes back. Without tiers: all of them."""
    percent = _WHOLE
    if terms.early_leave_tiers:
        percent = percent_of(terms.early_leave_tiers, started_on, last_day_employed)
    share = granted * percent
    if terms.early_leave_rounding == "up":
        return -(-share // _WHOLE)
    if terms.early_leave_rounding == "down":
        return share // _WHOLE
    return (2 * share + _WHOLE) // (2 * _WHOLE)


def _terms(**given: Any) -> Terms:
    """The document speaks of `per_n_relays`, after the accrual rule it belongs to."""
    given.pop("transferable", None)
    return Terms(per_n=given.pop("per_n_relays", PerN()), **given)


def _never(name: str, value: Any) -> None:
    """Credits are never transferable: a document may say so, and nothing else (rules 13)."""
    accepted(value is False, name)


_DOCUMENT = Shape(
    _terms,
    {
        "accrual_rule": choice("on_placement", "per_n_relays", "mixed"),
        "per_n_relays": Shape(
            PerN, {"n": count(1, _MOST_COUNTED), "counted_event": choice("accepted", "met")}
        ),
        "credit_unit": choice("hire_without_fee", "guaranteed_introduction"),
        "credits_per_placement": count(1, MOST_CREDITS),
        "guarantee": PERIOD,
        "available_after": choice("guarantee_end", "start"),
        "transferable": _never,
        "validity_months": months(1),
        "validity_from": choice("available", "start"),
        "value_cap_jpy": yen(0),
        "reference_value_jpy": yen(0),
        "scope": Shape(
            Scope,
            {
                "job_types": every(text),
                "employment_terms": every(choice(*EMPLOYMENT_TERMS)),
                "salary_cap_jpy": yen(1),
            },
        ),
        "early_leave_tiers": distinct_tiers(0),
        "early_leave_rounding": choice("up", "down", "half_up"),
        "reservation_days": days(1),
        "reservation_stops_expiry": flag,
        "reserve_while_owed": flag,
        "restore_on_early_leave": flag,
        "restore_min_months": months(0),
        "max_open": count(0, _MOST_COUNTED),
        "settle_owed": choice("next_credit", "invoice"),
        "tail_months": months(0),
        "ownership_window_months": months(1),
        "attribution": choice("first_consent", "last_consent", "shared"),
        "already_registered_declare_days": days(1),
        "already_registered_contact_days": days(1),
        "reapplication_exempt_months": months(0),
        "fee": FEE,
        "refund": REFUND,
        "duties": Shape(
            Duties,
            {
                "status_days": days(1),
                "attestation": flag,
                "attestation_business_days": days(1),
                "grace_business_days": days(0),
                "pause": flag,
            },
        ),
    },
)
