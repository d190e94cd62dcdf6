"""How long a person's data is kept, by rule, and when to look next (domain rules 8).

Days are local dates in Japan. A day that is named is the last one on which the data is kept.
"""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from domain.business_days import at
from domain.errors import Invalid

DEFAULTS: dict[str, int] = {
    "application_months": 6,
    "consent_days": 30,
    "invitation_days": 30,
    "evidence_years": 3,
}
"""After the last final notice; after the end of the last consent; of a link nobody used; of the
evidence of a consent (個人情報保護法 29, 規則 21)."""
LONGEST = {"application_months": 60, "consent_days": 365, "invitation_days": 90,
           "evidence_years": 10}  # fmt: skip
LOOK_DAYS = 30
"""While an application or a consent is open its end is not known: looked at again after this."""
NIGHT = time(3)
"""The hour in Japan at which what is due is done."""


@dataclass(frozen=True)
class Kept:
    """What decides how long a person's data is needed."""

    since: date
    """When the person became known."""
    held: bool = False
    """A legal hold stands."""
    open_application: bool = False
    final_on: date | None = None
    """When the last application ended for the person: told, or decided where nobody was told."""
    consent_stands: bool = False
    consent_ended_on: date | None = None
    answer_until: date | None = None
    """The last day on which an invitation may still be answered."""
    open_request: bool = False
    """A request of the person waits for its answer."""


def rules_of(told: Mapping[str, int], application_months: int) -> dict[str, int]:
    """A company's rules: the defaults, what its notices promise, what it has set.

    Raises `Invalid` (`retention_invalid`) for an unknown rule or a number out of bounds. The
    evidence of a consent is never kept for less than the law's three years.
    """
    rules = {**DEFAULTS, "application_months": application_months, **told}
    for name, value in told.items():
        least = DEFAULTS["evidence_years"] if name == "evidence_years" else 1
        if name not in DEFAULTS or not least <= value <= LONGEST[name]:
            raise Invalid(name, code="retention_invalid")
    return rules


def keep_until(facts: Kept, rules: Mapping[str, int], today: date) -> tuple[date, str]:
    """The last day on which the data is needed as far as is known, and the rule that says so.

    `hold` has no end; `open`, `consent` and `request` are looked at again, so their day is at most
    `LOOK_DAYS` away while they last.
    """
    if facts.held:
        return date.max, "hold"
    again = today + timedelta(days=min(LOOK_DAYS, rules["consent_days"]))
    for lasts, rule in (
        (facts.open_application, "open"),
        (facts.consent_stands, "consent"),
        (facts.open_request, "request"),
    ):
        if lasts:
            return again, rule
    ends = [(after_months(facts.final_on or facts.since, rules["application_months"]),
             "application")]  # fmt: skip
    if facts.consent_ended_on is not None:
        ends.append((facts.consent_ended_on + timedelta(days=rules["consent_days"]), "consent_end"))
    if facts.answer_until is not None:
        ends.append((facts.answer_until, "invitation"))
    return max(ends)


def record_until(dates: Iterable[date]) -> date | None:
    """The last day on which a statutory record needs its key; null: nothing needs it."""
    return max(dates, default=None)


def look_on(last_day: date) -> datetime | None:
    """The night after a last day; never, where there is no last day."""
    return None if last_day == date.max else at(last_day + timedelta(days=1), NIGHT)


def first_look(now: datetime) -> datetime:
    """When to look for the first time at somebody who has just become known."""
    return now + timedelta(days=LOOK_DAYS)


def after_months(day: date, months: int) -> date:
    """The same day `months` later, or the last of that month (民法 143)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
