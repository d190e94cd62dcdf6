"""How long data is kept: the rules alone."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.retention import (
    DEFAULTS,
    Kept,
    after_months,
    first_look,
    keep_until,
    look_on,
    record_until,
    rules_of,
)

TODAY = date(2026, 6, 2)
RULES = dict(DEFAULTS)


def kept(**facts):
    return Kept(since=date(2026, 1, 10), **facts)


@pytest.mark.parametrize(
    ("facts", "last", "rule"),
    [
        ({}, date(2026, 7, 10), "application"),
        ({"final_on": date(2026, 3, 31)}, date(2026, 9, 30), "application"),
        ({"final_on": date(2025, 8, 31)}, date(2026, 2, 28), "application"),
        ({"final_on": date(2025, 1, 5), "consent_ended_on": date(2026, 5, 20)},
         date(2026, 6, 19), "consent_end"),
        ({"final_on": date(2025, 1, 5), "answer_until": date(2026, 6, 30)},
         date(2026, 6, 30), "invitation"),
        ({"final_on": date(2025, 1, 5), "open_application": True}, date(2026, 7, 2), "open"),
        ({"final_on": date(2025, 1, 5), "consent_stands": True}, date(2026, 7, 2), "consent"),
        ({"final_on": date(2025, 1, 5), "open_request": True}, date(2026, 7, 2), "request"),
        ({"final_on": date(2025, 1, 5), "held": True, "open_request": True}, date.max, "hold"),
    ],
)  # fmt: skip
def test_the_rule_that_keeps_longest_decides(facts, last, rule):
    assert keep_until(kept(**facts), RULES, TODAY) == (last, rule)


def test_while_a_consent_stands_the_look_is_never_later_than_its_rule_needs():
    rules = {**RULES, "consent_days": 10}

    assert keep_until(kept(consent_stands=True), rules, TODAY) == (date(2026, 6, 12), "consent")


@given(st.booleans(), st.booleans(), st.booleans(), st.dates(date(2020, 1, 1), TODAY))
def test_nobody_is_erased_while_something_of_theirs_is_open(application, consent, request, final):
    facts = kept(
        open_application=application, consent_stands=consent, open_request=request, final_on=final
    )
    last, _ = keep_until(facts, RULES, TODAY)

    assert last > TODAY or not (application or consent or request)


def test_a_company_sets_its_rules_within_bounds():
    assert rules_of({"consent_days": 60}, 12) == {
        "application_months": 12, "consent_days": 60, "invitation_days": 30, "evidence_years": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [{"evidence_years": 2}, {"consent_days": 0}, {"consent_days": 366}, {"mails": 3}],
)
def test_no_rule_is_below_the_law_or_unknown(told):
    with pytest.raises(Invalid) as refused:
        rules_of(told, 6)

    assert refused.value.code == "retention_invalid"


def test_the_look_is_the_night_after_the_last_day():
    assert look_on(date(2026, 9, 30)) == datetime(2026, 9, 30, 18, tzinfo=UTC)
    assert look_on(date.max) is None
    assert first_look(datetime(2026, 6, 2, tzinfo=UTC)) == datetime(2026, 7, 2, tzinfo=UTC)


def test_months_end_on_the_last_day_there_is():
    assert after_months(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert after_months(date(2026, 12, 15), 1) == date(2027, 1, 15)


def test_records_stay_as_long_as_the_longest():
    assert record_until([date(2029, 1, 1), date(2028, 1, 1)]) == date(2029, 1, 1)
    assert record_until([]) is None
