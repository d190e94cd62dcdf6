"""From when one may apply again."""

from datetime import date

import pytest

from domain.company import Company
from domain.views.passport import Stamp, again_from


@pytest.mark.parametrize(
    ("months", "told_on", "again"),
    [
        (6, date(2026, 6, 2), date(2026, 12, 2)), (6, date(2026, 8, 31), date(2027, 2, 28)),
        (6, date(2027, 8, 31), date(2028, 2, 29)), (12, date(2026, 12, 1), date(2027, 12, 1)),
        (0, date(2026, 6, 2), date(2026, 6, 2)),
    ],
)  # fmt: skip
def test_months_are_counted_to_the_same_day_or_the_months_last(months, told_on, again):
    company = Company(id="cmp_x", reapplication_months=months, job_reapplication={})

    assert again_from(company, "経理", told_on) == again


def test_a_job_may_have_months_of_its_own():
    company = Company(id="cmp_x", reapplication_months=6, job_reapplication={"経理": 1})

    assert again_from(company, "経理", date(2026, 6, 2)) == date(2026, 7, 2)
    assert again_from(company, "法人営業", date(2026, 6, 2)) == date(2026, 12, 2)


def test_it_is_open_from_that_day_on():
    stamp = Stamp("app_x", "経理", date(2026, 6, 2), date(2026, 12, 2))

    assert not stamp.open_on(date(2026, 12, 1))
    assert stamp.open_on(date(2026, 12, 2))
