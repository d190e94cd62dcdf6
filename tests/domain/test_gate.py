"""The gate alone: each reason closes it, and the first that holds is the answer."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from domain.agency import Agency
from domain.agreement import Agreement
from domain.candidate import Candidate
from domain.consent import Consent, ConsentEvent, ConsentText
from domain.consent_text import recipient_of
from domain.gate import ASK_ANEW, PERMANENT, Facts, Hearing, closed_because
from domain.guardian import GuardianConsent
from domain.relay import Relay

NOW = datetime(2026, 6, 2, 1, tzinfo=UTC)
TODAY = date(2026, 6, 2)
SECOND = timedelta(seconds=1)


def facts(**more):
    """A hand-over nothing speaks against; `more` replaces facts of the gate."""
    agency = Agency(
        id="agy_1", name="あおぞらキャリア株式会社", name_en="Aozora Career K.K.", country="JP",
        address="東京都", representative="代表 太郎", license_number="13-ユ-300001", state="active",
        license_valid_until=TODAY, purpose="求人のご紹介", purpose_en="Job offers",
        privacy_url="https://agency.example/privacy", created_at=NOW,
    )  # fmt: skip
    there = {
        "relay": Relay(
            company_id="cmp_1", id="rly_1", agency_id="agy_1", application_id="app_1",
            candidate_id="cnd_1", consent_id="cns_1", state="forwarded", forward_at=NOW,
            created_at=NOW,
        ),
        "consent": Consent(
            company_id="cmp_1", id="cns_1", candidate_id="cnd_1", agency_id="agy_1",
            application_id="app_1", state="given", event_id="cev_1", text_id="ctx_1",
            items=["name"], given_at=NOW - timedelta(hours=1), expires_at=NOW + SECOND,
            provision_not_before=NOW,
        ),
        "evidence": ConsentEvent(
            company_id="cmp_1", id="cev_1", candidate_id="cnd_1", agency_id="agy_1", seq=1,
            kind="given", items=["name", "email"], recipient=recipient_of(agency, "ja"), at=NOW,
            prev_hash="", hash="",
        ),
        "text": ConsentText(
            company_id="cmp_1", id="ctx_1", sha256="", version="2026-11", locale="ja", content={},
            effective_on=TODAY, created_at=NOW,
        ),
        "candidate": Candidate(company_id="cmp_1", id="cnd_1", created_at=NOW),
        "agency": agency,
        "agreement": Agreement(
            company_id="cmp_1", id="agr_1", agency_id="agy_1", state="active", created_at=NOW
        ),
        "hearing": Hearing(endpoints=1, working_endpoints=1, feed_read_at=None, clients=1),
        "stop_escalated": False,
    }  # fmt: skip
    return Facts(**(there | more))


def answer(those):
    return closed_because(those, NOW, TODAY)


@pytest.mark.parametrize("state", ["queued", "forwarded", "offered", "placed", "guaranteed"])
def test_nothing_speaks_against_it(state):
    those = facts()
    those.relay.state = state

    assert answer(those) is None


ROWS = [
    ("candidate", {"erased_at": NOW}, "candidate_erased"),
    ("consent", {"state": "expired"}, "consent_expired"),
    ("consent", {"expires_at": NOW}, "consent_expired"),
    ("consent", {"state": "superseded"}, "consent_superseded"),
    ("consent", {"state": "withdrawn"}, "consent_withdrawn"),
    ("consent", {"state": "declined"}, "consent_withdrawn"),
    ("relay", {"state": "declined"}, "relay_ended"),
    ("relay", {"state": "early_left"}, "relay_ended"),
    ("evidence", {"kind": "withdrawn"}, "consent_mismatch"),
    ("evidence", {"agency_id": "agy_2"}, "consent_mismatch"),
    ("evidence", {"candidate_id": "cnd_2"}, "consent_mismatch"),
    ("evidence", {"items": ["email"]}, "consent_mismatch"),
    ("consent", {"agency_id": "agy_2"}, "consent_mismatch"),
    ("consent", {"candidate_id": "cnd_2"}, "consent_mismatch"),
    ("consent", {"id": "cns_2"}, "consent_mismatch"),
    ("relay", {"agency_id": "agy_2"}, "consent_mismatch"),
    ("relay", {"candidate_id": "cnd_2"}, "consent_mismatch"),
    ("candidate", {"restricted_from": "provision"}, "restricted"),
    ("candidate", {"restricted_from": "all"}, "restricted"),
    ("agency", {"name": "別のキャリア株式会社"}, "recipient_changed"),
    ("agency", {"country": "SG"}, "recipient_changed"),
    ("agency", {"purpose": "広告の配信"}, "recipient_changed"),
    ("agency", {"name_en": "Aozora Careers K.K.", "purpose_en": "Jobs"}, None),
    ("agency", {"address": "大阪府", "representative": "次 郎", "license_number": "x"}, None),
    ("consent", {"provision_not_before": NOW + SECOND}, "grace_period"),
    ("agency", {"state": "suspended"}, "agency_not_licensed"),
    ("agency", {"license_valid_until": TODAY - timedelta(days=1)}, "agency_not_licensed"),
    ("agreement", {"state": "ended"}, "agreement_ended"),
]


@pytest.mark.parametrize(("row", "values", "code"), ROWS)
def test_each_row_closes_it_alone(row, values, code):
    those = facts()
    for name, value in values.items():
        setattr(getattr(those, row), name, value)

    assert answer(those) == code


FACTS = [
    ({"evidence": None}, "consent_mismatch"),
    ({"text": None}, "consent_mismatch"),
    ({"agreement": None}, "agreement_ended"),
    ({"stopped": True}, "relay_ended"),
    ({"text_ended": True}, "text_ended"),
    ({"stop_escalated": True}, "acknowledgement_overdue"),
    ({"hearing": Hearing(0, 0, None, 0)}, "no_stop_channel"),
    ({"hearing": Hearing(1, 0, None, 1)}, "no_stop_channel"),
    ({"hearing": Hearing(0, 0, NOW - timedelta(hours=24, seconds=1), 1)}, "no_stop_channel"),
    ({"hearing": Hearing(1, 0, NOW - timedelta(hours=24), 1)}, None),
    ({"hearing": Hearing(0, 0, None, 1)}, None),
    ({"survivor": Candidate(company_id="cmp_1", id="cnd_2", created_at=NOW)}, None),
    (
        {"survivor": Candidate(
            company_id="cmp_1", id="cnd_2", created_at=NOW, restricted_from="provision"
        )},
        "restricted",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("more", "code"), FACTS)
def test_each_fact_closes_it_alone(more, code):
    assert answer(facts(**more)) == code


@pytest.mark.parametrize(("revoked_at", "code"), [(None, None), (NOW, "guardian_consent_revoked")])
def test_it_closes_with_the_guardians_word(revoked_at, code):
    guardian = GuardianConsent(
        company_id="cmp_1", id="grd_1", candidate_id="cnd_1", sealed=b"", method="paper",
        recorded_by="mem_1", at=NOW, revoked_at=revoked_at,
    )  # fmt: skip

    assert answer(facts(guardian=guardian)) == code


@pytest.mark.parametrize(
    ("more", "code"),
    [({"rejected": False}, "decision_reverted"), ({"duty_missed": True}, "duty_missed")],
)
def test_what_the_company_or_the_agency_missed_holds_back_only_what_waits(more, code):
    waiting, out = facts(**more), facts(**more)
    waiting.relay.state = "queued"

    assert (answer(waiting), answer(out)) == (code, None)


@pytest.mark.parametrize(
    ("basis", "code"),
    [(None, "recipient_abroad"), ("a_word", "recipient_abroad"), ("consent_28", None)],
)
def test_abroad_there_must_be_a_basis_in_the_evidence(basis, code):
    those = facts()
    those.agency.country = "SG"
    those.evidence.recipient = recipient_of(those.agency, "ja")
    those.evidence.cross_border_basis = basis

    assert answer(those) == code


def test_the_name_and_the_purpose_are_those_the_person_read():
    those = facts()
    those.evidence.locale = "en"
    those.evidence.recipient = recipient_of(those.agency, "en")
    assert answer(those) is None

    those.agency.name, those.agency.purpose = "別のキャリア株式会社", "広告の配信"
    assert answer(those) is None

    those.agency.name_en = "Aozora Careers K.K."
    assert answer(those) == "recipient_changed"


def test_evidence_of_a_first_form_tells_of_no_recipient():
    those = facts()
    those.evidence.recipient = None

    assert answer(those) is None


def test_what_is_gone_for_good_is_said_before_what_may_pass():
    passing = facts(stop_escalated=True, text_ended=True, agreement=None)
    passing.candidate.restricted_from = "all"
    gone = replace(passing, stopped=True)

    assert answer(passing) == "restricted"
    assert answer(gone) == "relay_ended"
    assert answer(gone) in PERMANENT
    assert not PERMANENT & ASK_ANEW
