from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.company import Company
from domain.consent import Consent, ConsentText
from domain.data_items import CODES
from domain.gate import Hearing
from domain.import_words import SOURCES
from domain.relay_package import (
    ACQUIRED_THROUGH,
    ACQUISITION,
    candidate_items,
    canonical,
    content,
    record_retention_until,
    use_until,
)
from tests.factories import COMPANY

NOW = datetime(2026, 6, 2, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("made", "until"),
    [
        (datetime(2026, 11, 21, 3, tzinfo=UTC), date(2029, 11, 21)),
        (datetime(2028, 2, 29, 3, tzinfo=UTC), date(2031, 2, 28)),
        (datetime(2026, 12, 31, 15, 30, tzinfo=UTC), date(2030, 1, 1)),  # New Year in Japan
    ],
)
def test_records_are_kept_three_years(made, until):
    assert record_retention_until(made, 3) == until


@pytest.mark.parametrize(
    ("source", "background"),
    [
        ("company_site", ACQUISITION), (None, ACQUISITION), ("employee_referral", ACQUISITION),
        ("agency", "職業紹介事業者を通じて採用選考の応募書類として取得"),
        ("scout", "スカウト媒体を通じて採用選考の応募書類として取得"),
        ("job_board", "求人媒体を通じて採用選考の応募書類として取得"),
    ],
)  # fmt: skip
def test_how_the_data_was_come_by_is_not_misstated(source, background):
    company = Company(id="cmp_1", slug="a", created_at=NOW, **COMPANY)
    consent = Consent(
        company_id="cmp_1", id="cns_1", candidate_id="cnd_1", agency_id="agy_1",
        application_id="app_1", given_at=NOW, expires_at=NOW, provision_not_before=NOW,
        event_id="cev_1", text_id="ctx_1", state="given",
    )  # fmt: skip
    words = ConsentText(
        company_id="cmp_1", id="ctx_1", sha256="0", version="2026-11", locale="ja",
        effective_on=NOW.date(), created_at=NOW,
    )  # fmt: skip
    made = content("rly_1", company, consent, words, {}, source=source)

    assert made["acquisition_background"] == background


def test_every_source_a_contract_may_allow_has_its_own_words():
    own = {"company_site", "direct", "employee_referral", "event"}

    assert set(SOURCES) - own == set(ACQUIRED_THROUGH)


def test_the_lease_is_thirty_five_days_and_never_beyond_the_consent():
    far, near = NOW + timedelta(days=90), NOW + timedelta(days=3)

    assert use_until(NOW, far) == NOW + timedelta(days=35)
    assert use_until(NOW, near) == near


@given(st.sets(st.sampled_from(CODES)), st.dictionaries(st.sampled_from(CODES), st.text()))
def test_nothing_leaves_that_was_not_consented_to(consented, profile):
    company = Company(id="cmp_1", slug="a", created_at=NOW, **COMPANY)
    items = candidate_items(
        sorted(consented), profile, company=company, job_title="営業", stage="first", feedback="x"
    )

    assert set(items) <= consented
    assert all(items.values())
    assert list(items) == [code for code in CODES if code in items]


def test_the_canonical_form_does_not_depend_on_the_order():
    assert (
        canonical({"b": 1, "a": "花"})
        == canonical({"a": "花", "b": 1})
        == '{"a":"花","b":1}'.encode()
    )


@pytest.mark.parametrize(
    ("endpoints", "working", "hours_since_read", "clients", "works"),
    [
        (1, 1, None, 0, True),
        (2, 1, 999, 1, True),
        (1, 0, None, 1, False),
        (1, 0, 24, 1, True),
        (1, 0, 25, 1, False),
        (0, 0, 1, 1, True),
        (0, 0, 25, 1, False),
        (0, 0, None, 1, True),
        (0, 0, None, 0, False),
    ],
)
def test_a_stop_must_be_able_to_reach_the_agency(
    endpoints, working, hours_since_read, clients, works
):
    read_at = None if hours_since_read is None else NOW - timedelta(hours=hours_since_read)

    assert Hearing(endpoints, working, read_at, clients).works(NOW) is works
