"""Mails as they go out: real templates, real bytes, a real SMTP server on loopback."""

import email
import email.policy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from domain.ports import Letter, Undeliverable
from integrations.mail.smtp import SmtpMailer, written
from integrations.mail.texts import MailTexts, linked, short
from tests.post_office import PostOffice

pytestmark = pytest.mark.anyio

TEMPLATES = Path("integrations/mail/templates")
VALUES = {
    "candidate_name": "試験 花子", "company_name": "株式会社みらい製作所", "department": "人事部",
    "sender_name": "採用担当", "contact": "jinji@mirai.example", "job_title": "法人営業",
    "harassment_contact": "harassment@mirai.example", "privacy_contact": "privacy@mirai.example",
    "interview_date": "2026年6月2日(火)", "feedback_text": None, "reapplication_text": "再応募の文",
    "documents_text": "書類の文", "optin_url": None, "optin_expires_on": None,
}  # fmt: skip
URL = "https://relay.example/c/" + "A" * 43


def a_letter(**other: object) -> Letter:
    values: dict[str, object] = {
        "id": "mai_1", "to": "hanako@mail.example", "from_name": "株式会社みらい製作所",
        "subject": "【選考結果のご連絡】株式会社みらい製作所 採用担当", "text": "髙橋 様\n㐂\n",
        "html": "<p>髙橋 様</p>", "at": datetime(2026, 6, 2, 1, 0, tzinfo=UTC), **other,
    }  # fmt: skip
    return Letter(**values)  # type: ignore[arg-type]


@pytest.fixture
def office():
    with PostOffice() as running:
        yield running


def mailer(office: PostOffice, **other: object) -> SmtpMailer:
    return SmtpMailer("127.0.0.1", office.port, "no-reply@relay.example", security="none", **other)  # type: ignore[arg-type]


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_a_rejection_without_relay_has_every_block_and_no_invitation(locale):
    mail = MailTexts().mail("notice_rejected", locale, VALUES)

    shown = ("candidate_name", "job_title", "interview_date", "reapplication_text")
    contacts = ("documents_text", "contact", "harassment_contact", "privacy_contact")
    for name in shown + contacts:
        assert str(VALUES[name]) in mail.text
    assert "/c/" not in mail.text
    assert "Career Relay" not in mail.text
    assert "キャリアリレー" not in mail.text


def test_the_japanese_notice_is_worded_softly():
    mail = MailTexts().mail("notice_rejected", "ja", VALUES)

    assert mail.subject == "【選考結果のご連絡】株式会社みらい製作所 採用担当"
    assert mail.text.startswith("試験 花子 様\n")
    for said in ("誠にありがとうございました", "見送らせていただく", "ご活躍を心より"):
        assert said in mail.text
    for harsh in ("不採用", "不合格", "落選"):
        assert harsh not in mail.subject + mail.text


def test_without_an_interview_only_the_application_is_thanked_for():
    mail = MailTexts().mail("notice_rejected", "ja", {**VALUES, "interview_date": None})

    assert "ご応募いただき、誠にありがとうございました。" in mail.text
    assert "面接" not in mail.text


def test_feedback_and_invitation_are_shown_where_they_are():
    more = {"feedback_text": "所見です", "optin_url": URL, "optin_expires_on": "2026年7月2日(木)"}
    mail = MailTexts().mail("notice_rejected", "ja", {**VALUES, **more})

    assert "所見です\n※ 今回の選考における所見であり、試験 花子様ご自身の" in mail.text
    assert (
        "ご利用は任意・無料で、ご希望の有無が弊社の選考に影響することは一切ございません。"
        in mail.text
    )
    assert f"{URL}\n  (受付期限: 2026年7月2日(木))" in mail.text
    assert f'<a href="{URL}">{URL}</a>' in mail.html


def test_html_escapes_what_people_typed_and_loads_nothing():
    mail = MailTexts().mail("notice_rejected", "ja", {**VALUES, "job_title": "<img src=x>"})

    assert "&lt;img src=x&gt;" in mail.html
    for remote in ("<img", "<script", "<link", "url(", "src="):
        assert remote not in mail.html.replace("&lt;img src=x&gt;", "")


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        MailTexts().mail("notice_rejected", "ja", {"company_name": "x"})


def test_both_languages_have_every_template():
    ja, en = ({file.name for file in (TEMPLATES / one).iterdir()} for one in ("ja", "en"))

    assert ja == en


def test_subjects_are_one_line_of_sixty():
    assert short("【件名】\r\nBcc: x@y.example") == "【件名】 Bcc: x@y.example"
    assert len(short("あ" * 70)) == 60
    assert short("あ" * 60) == "あ" * 60


def test_links_end_where_the_sentence_goes_on():
    assert str(linked("見る(https://a.example/c/x_-1)。")) == (
        '見る(<a href="https://a.example/c/x_-1">https://a.example/c/x_-1</a>)。'
    )


def test_identifiers_and_urls_are_never_folded():
    url = "https://relay.example/c/" + "A" * 120 + "/stop"
    headers = {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    lines = (
        written(a_letter(headers=headers), "no-reply@relay.example").decode("ascii").split("\r\n")
    )

    assert f"List-Unsubscribe: <{url}>" in lines
    assert "Message-ID: <mai_1@relay.example>" in lines
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    head = lines[: lines.index("")]
    assert all(len(line) <= 78 for line in head if not line.startswith("List-Unsubscribe:"))
    words = [part for line in head for part in line.split() if part.startswith("=?")]
    assert words
    assert all(len(word) <= 75 for word in words)


def test_the_text_comes_first_and_rare_letters_survive():
    raw = written(a_letter(), "no-reply@relay.example")
    read = email.message_from_bytes(raw, policy=email.policy.default)
    first, second = read.iter_parts()

    assert read.get_content_type() == "multipart/alternative"
    assert (first.get_content_type(), second.get_content_type()) == ("text/plain", "text/html")
    assert first.get_content().splitlines() == ["髙橋 様", "㐂"]
    assert first["Content-Transfer-Encoding"] == "base64"
    assert read["Subject"] == "【選考結果のご連絡】株式会社みらい製作所 採用担当"
    assert read["From"].addresses[0].display_name == "株式会社みらい製作所"
    assert read["Auto-Submitted"] == "auto-generated"


async def test_a_server_takes_the_very_bytes(office):
    await mailer(office).send(a_letter(to="a..b@docomo.ne.jp"))

    (taken,) = office.taken
    assert taken.sender == "bounce+mai_1@relay.example"
    assert taken.recipients == ["a..b@docomo.ne.jp"]
    assert taken.message["Message-ID"] == "<mai_1@relay.example>"


@pytest.mark.parametrize(
    ("answer", "code", "permanent"),
    [
        ("550 5.1.1 no such user", 550, True),
        ("551 not here", 551, True),
        ("553 bad name", 553, True),
        ("552 mailbox full", 552, False),
        ("451 4.3.0 try again", 451, False),
        ("421 closing", 421, False),
    ],
)
async def test_a_refused_recipient_says_whether_asking_again_helps(office, answer, code, permanent):
    office.recipient_answers = [answer]

    with pytest.raises(Undeliverable) as refused:
        await mailer(office).send(a_letter())

    assert (refused.value.code, refused.value.permanent) == (code, permanent)
    assert office.taken == []


async def test_refused_content_is_not_the_addresses_fault(office):
    office.data_answers = ["554 looks like spam"]

    with pytest.raises(Undeliverable) as refused:
        await mailer(office).send(a_letter())

    assert (refused.value.code, refused.value.permanent) == (554, False)


async def test_a_server_that_is_not_there_is_asked_again_later():
    with PostOffice() as closed:
        port = closed.port

    with pytest.raises(Undeliverable) as refused:
        await SmtpMailer("127.0.0.1", port, "a@relay.example", security="none").send(a_letter())

    assert refused.value.permanent is False


async def test_an_address_with_a_line_break_never_reaches_a_server(office):
    with pytest.raises(Undeliverable):
        await mailer(office).send(a_letter(to="a@mail.example\r\nRCPT TO:<b@mail.example>"))

    assert office.taken == []
