import pytest

from domain import invitation, notice
from domain.errors import StepNotAllowed
from domain.invitation import remind_at
from domain.notice import missing_blocks
from tests.domain.test_deadline import CALENDAR, ENDED

FULL = {
    "candidate_name": "試験 花子", "company_name": "株式会社みらい製作所", "department": "人事部",
    "sender_name": "採用担当", "contact": "jinji@mirai.example", "reapplication_text": "…",
    "documents_text": "…", "harassment_contact": "…", "privacy_contact": "…",
    "interim_reason": "…", "new_date": "…",
}  # fmt: skip


def test_nothing_is_missing_where_all_is_said():
    assert missing_blocks("rejected", FULL) == []
    assert missing_blocks("interim", FULL) == []


@pytest.mark.parametrize(
    ("empty", "blocks"),
    [
        ("candidate_name", ["recipient_name"]),
        ("company_name", ["greeting_sender", "signature"]),
        ("contact", ["signature"]),
        ("reapplication_text", ["next_options"]),
        ("documents_text", ["documents"]),
        ("harassment_contact", ["harassment_contact"]),
        ("privacy_contact", ["privacy_contact"]),
    ],
)
def test_an_empty_value_names_its_blocks(empty, blocks):
    assert missing_blocks("rejected", {**FULL, empty: " "}) == blocks
    assert missing_blocks("rejected", {**FULL, empty: None}) == blocks


def test_a_sent_notice_can_only_bounce():
    assert notice.advance("sent", "bounce") == "bounced"
    for step in ("schedule", "hold", "cancel", "sent"):
        with pytest.raises(StepNotAllowed):
            notice.advance("sent", step)


def test_a_lapsed_invitation_stays_lapsed():
    for step in ("invite", "give", "decline", "lapse", "cancel"):
        with pytest.raises(StepNotAllowed):
            invitation.advance("lapsed", step)


def test_the_reminder_comes_after_five_whole_business_days():
    found = remind_at(CALENDAR, ENDED)  # Tuesday 2 June

    assert found.isoformat() == "2026-06-10T01:00:00+00:00"  # Wednesday 10:00 in Tokyo
