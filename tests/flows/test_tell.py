"""A rejection is told in the company's name, in time, exactly once."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from api import jobs, timers
from api.worker import drain
from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.deadline import Deadline
from domain.errors import Conflict, Invalid
from domain.flows.office.open_account import register_member, token_hash
from domain.flows.tell.open_notice import cancel_pending, open_notice
from domain.flows.tell.record_mail_result import bounce_mail
from domain.flows.tell.send_notice import send_due_notice, send_interim_notice, send_notice
from domain.flows.tell.set_deadline import recount_deadlines, set_deadline, void_deadlines
from domain.flows.tell.write_feedback import write_feedback
from domain.flows.tell.write_mail import write_mail
from domain.invitation import CandidateLink, Invitation
from domain.notice import Mail, Notice
from domain.store import lock
from tests.applications import HANAKO, an_application, an_interview, mailbox, one, reject, rows
from tests.conftest import START, forward
from tests.domain.test_feedback import GOOD
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio

HANAKO_MAIL = HANAKO["email"]
JINJI = "jinji@mirai.example"


def to(clock, moment: str) -> None:
    """Let the clock stand at a moment in Tokyo."""
    clock.move_to(datetime.fromisoformat(f"{moment}+09:00"))


async def interviewed_and_rejected(runtime, world, **facts):
    application = await an_application(runtime, world, **facts)
    await an_interview(runtime, application)
    await reject(runtime, application)
    return application


async def in_company(runtime, world, act, *args, **more):
    """Run a flow in one transaction of the company."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        return await act(db, runtime.tools, world.company.id, *args, **more)


async def test_in_auto_mode_the_notice_waits_for_the_review_window_and_meets_the_deadline(
    runtime, clock
):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    notice = await one(runtime, world.company.id, Notice)

    assert (notice.state, notice.send_at) == (
        "scheduled", notice.created_at + timedelta(minutes=120),
    )  # fmt: skip

    forward(clock, minutes=119)
    await work(runtime)

    assert await mailbox(runtime, world.company.id) == []

    forward(clock, minutes=2)
    now = clock()
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)
    deadline = await one(runtime, world.company.id, Deadline)
    notice = await one(runtime, world.company.id, Notice)

    assert mail["to"] == HANAKO_MAIL
    assert "試験 花子 様" in mail["text"]
    assert "2026年6月2日(火)の面接" in mail["text"]
    assert (deadline.state, deadline.due_on.isoformat()) == ("met", "2026-06-05")
    assert deadline.due_before == datetime(2026, 6, 5, 15, 0, tzinfo=UTC)
    assert now <= deadline.met_at < now + timedelta(seconds=30)
    assert (notice.state, notice.sent_at) == ("sent", deadline.met_at)
    assert notice.application_id == application.id


async def test_the_link_in_the_notice_is_stored_as_a_hash_and_lives_thirty_days(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)
    link = await one(runtime, world.company.id, CandidateLink)
    invitation = await one(runtime, world.company.id, Invitation)

    assert len(mail["links"]) == 1
    token = mail["links"][0].removeprefix("http://relay.test/c/")
    assert link.token_hash == token_hash(token)
    assert (link.purpose, link.application_id) == ("optin", application.id)
    assert link.expires_at == invitation.expires_at == invitation.created_at + timedelta(days=30)


@pytest.mark.parametrize(
    "facts",
    [{"source": "agency"}, {"source": None}, {"applicant_type": "high_school"},
     {"applicant_type": "minor"}],
)  # fmt: skip
async def test_who_may_not_be_relayed_is_told_and_not_invited(runtime, clock, facts):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world, **facts)
    forward(clock, hours=3)
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)

    assert "見送らせていただく" in mail["text"]
    assert mail["links"] == []
    assert await rows(runtime, world.company.id, Invitation) == []
    assert await rows(runtime, world.company.id, CandidateLink) == []


async def test_without_an_agency_nobody_is_invited(runtime, clock):
    world = await make_world(runtime, agencies=0)
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)

    assert (await mailbox(runtime, world.company.id))[0]["links"] == []


async def test_english_readers_get_english(runtime, clock):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world, locale="en")
    forward(clock, hours=3)
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)

    assert mail["subject"] == "Your application to Mirai Works K.K."
    assert "Tue 2 June 2026" in mail["text"]


@pytest.mark.parametrize(
    ("now", "send_at"),
    [
        ("2026-06-02T15:59", "2026-06-02T17:59"),  # inside office hours
        ("2026-06-02T16:30", "2026-06-03T09:00"),  # the window ends in the evening
        ("2026-06-03T03:00", "2026-06-03T09:00"),
        ("2026-06-05T17:00", "2026-06-08T09:00"),  # Friday evening: Monday
    ],
)
async def test_notices_go_in_office_hours(runtime, clock, now, send_at):
    to(clock, now)
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await reject(runtime, application)
    notice = await one(runtime, world.company.id, Notice)
    planned = datetime.fromisoformat(f"{send_at}+09:00")

    assert timedelta() <= notice.send_at - planned < timedelta(minutes=1)


async def test_a_window_that_would_miss_the_deadline_is_skipped(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    to(clock, "2026-06-05T17:30")
    await reject(runtime, application)
    await work(runtime)
    deadline = await one(runtime, world.company.id, Deadline)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1
    assert (deadline.state, deadline.missed_at) == ("met", None)


async def test_a_job_that_runs_twice_sends_once(runtime, clock):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)
    sent_at = mail.sent_at
    forward(clock, hours=1)
    await jobs.run_now(runtime, "mail.send", world.company.id, mail.id)
    notice = await one(runtime, world.company.id, Notice)
    await in_company(runtime, world, send_due_notice, notice.id, clock())
    await work(runtime)

    assert (await one(runtime, world.company.id, Mail)).sent_at == sent_at
    assert len(await mailbox(runtime, world.company.id)) == 1


async def test_a_lost_job_is_found_again(runtime, clock):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await timers.sweep(runtime, clock())
    async with runtime.database.transaction() as db:
        await db.execute(text("DELETE FROM pgq.pgqueuer"))
    await work(runtime)

    assert await mailbox(runtime, world.company.id) == []

    forward(clock, minutes=11)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id)) == 1


async def test_one_letter_per_about(runtime):
    world = await make_world(runtime)

    async def write(session, tools, company_id):
        values = {"company_name": "x", "application_no": "A-1", "job_title": "", "due_on": "d",
                  "concern": "undecided", "link": "http://relay.test/x"}  # fmt: skip
        return await write_mail(
            session, tools, tenant_id=company_id, about="test:1", template="deadline_reminder",
            locale="ja", to=JINJI, values=values, now=START,
        )  # fmt: skip

    first = await in_company(runtime, world, write)
    second = await in_company(runtime, world, write)
    await work(runtime)

    assert first.id == second.id
    assert len(await mailbox(runtime, world.company.id)) == 1


# what must not be told


async def test_a_withdrawn_application_hears_nothing(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)

    async def withdraw(session, _tools, company_id):
        there = await lock(session, Application, company_id, application.id)
        there.outcome = "withdrawn"
        session.add(there)
        await session.flush()
        await cancel_pending(session, company_id, application.id, clock())
        await void_deadlines(session, company_id, application.id, clock())

    await in_company(runtime, world, withdraw)
    forward(clock, days=10)
    await work(runtime)

    assert await mailbox(runtime, world.company.id) == []
    assert (await one(runtime, world.company.id, Notice)).state == "cancelled"
    assert (await one(runtime, world.company.id, Deadline)).state == "void"


async def test_even_when_nobody_called_the_notice_off(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)

    async def withdraw(session, _tools, company_id):
        there = await lock(session, Application, company_id, application.id)
        there.outcome = "withdrawn"
        session.add(there)

    await in_company(runtime, world, withdraw)
    forward(clock, days=10)
    await work(runtime)

    assert await mailbox(runtime, world.company.id) == []
    assert (await one(runtime, world.company.id, Notice)).state == "cancelled"
    assert (await one(runtime, world.company.id, Deadline)).state == "void"


async def test_a_withdrawal_stops_a_mail_that_is_already_written(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await timers.sweep(runtime, clock())  # the mail is written, its job has not run

    async def withdraw(session, _tools, company_id):
        await cancel_pending(session, company_id, application.id, clock())

    await in_company(runtime, world, withdraw)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)
    link = await one(runtime, world.company.id, CandidateLink)

    assert await mailbox(runtime, world.company.id) == []
    assert (mail.state, mail.sealed) == ("cancelled", None)
    assert link.revoked_at is not None
    assert (await one(runtime, world.company.id, Invitation)).state == "cancelled"
    assert (await one(runtime, world.company.id, Notice)).state == "cancelled"


async def test_a_hold_keeps_the_notice_back_and_clearing_it_lets_it_go(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world, holds=["confidential_job"])
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)

    assert await rows(runtime, world.company.id, Notice) == []

    await reject(runtime, application, holds=[])
    forward(clock, hours=3)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1


async def test_a_hold_that_came_after_the_date_was_set_wins(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)

    async def hold(session, _tools, company_id):
        there = await lock(session, Application, company_id, application.id)
        there.holds = ["can_email_false"]
        session.add(there)

    await in_company(runtime, world, hold)
    forward(clock, hours=3)
    await work(runtime)

    assert await mailbox(runtime, world.company.id, HANAKO_MAIL) == []
    assert (await one(runtime, world.company.id, Notice)).state == "draft"


async def test_not_before_is_a_timer(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    until = clock() + timedelta(hours=22)
    await reject(runtime, application, holds=["not_before"], not_before=until)
    forward(clock, hours=21)
    await work(runtime)

    assert await rows(runtime, world.company.id, Notice) == []

    forward(clock, hours=2)
    await work(runtime)
    notice = await one(runtime, world.company.id, Notice)
    freed = await one(runtime, world.company.id, Application)

    assert (freed.holds, freed.not_before) == ([], None)
    assert notice.state == "scheduled"

    forward(clock, hours=2)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1


async def test_someone_without_an_address_is_not_told_and_people_are(runtime, clock):
    world = await make_world(runtime)
    nameless = {name: value for name, value in HANAKO.items() if name != "email"}
    application = await an_application(runtime, world, profile=nameless)
    await an_interview(runtime, application)
    await reject(runtime, application)
    forward(clock, days=2)
    await work(runtime)

    assert await rows(runtime, world.company.id, Notice) == []
    (mail,) = await mailbox(runtime, world.company.id)
    assert mail["to"] == JINJI
    assert application.external_id in mail["text"]


async def test_an_erased_person_hears_nothing(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)

    async def erase(session, _tools, company_id):
        candidate = await session.get_one(Candidate, (company_id, application.candidate_id))
        await vault.destroy(session, candidate, "profile", clock())
        candidate.erased_at, candidate.profile, candidate.email_hmac = clock(), None, None
        session.add(candidate)

    await in_company(runtime, world, erase)
    forward(clock, hours=3)
    await work(runtime)

    assert (await one(runtime, world.company.id, Notice)).state == "cancelled"
    assert await rows(runtime, world.company.id, Mail) == []


async def test_a_row_that_fails_keeps_no_other_waiting(runtime, clock):
    broken = await make_world(runtime, slug="broken", agencies=0)
    await interviewed_and_rejected(runtime, broken)
    world = await make_world(runtime, slug="fine", agencies=0)
    await interviewed_and_rejected(runtime, world)
    async with runtime.database.transaction(company_id=broken.company.id) as db:
        company = await db.get_one(Company, broken.company.id)
        company.calendar = {"closed_weekdays": [0, 1, 2, 3, 4, 5, 6]}
    forward(clock, days=2)

    with pytest.raises(ExceptionGroup) as failed:
        await timers.sweep(runtime, clock())
    await drain(runtime)

    assert [type(error) for error in failed.value.exceptions] == [Invalid]
    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1


async def test_without_its_required_blocks_nothing_is_sent(runtime, clock):
    world = await make_world(runtime, harassment_contact="", privacy_contact=" ")
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    notice = await one(runtime, world.company.id, Notice)

    assert (notice.state, notice.send_at, notice.mail_id) == ("draft", None, None)

    with pytest.raises(Invalid) as refused:
        await in_company(runtime, world, send_notice, notice.id, clock())

    assert (refused.value.code, refused.value.detail) == (
        "missing_blocks", "harassment_contact, privacy_contact",
    )  # fmt: skip
    assert await rows(runtime, world.company.id, Mail) == []


async def test_a_decision_that_stands_is_told_once(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    await reject(runtime, application)  # the ATS repeats itself with a new time
    forward(clock, days=3)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id)) == 1


async def test_a_rejection_taken_back_and_made_again_is_told_again(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)

    async def revert(session, _tools, company_id):
        there = await lock(session, Application, company_id, application.id)
        there.outcome, there.outcome_at = "active", clock()
        session.add(there)
        await session.flush()
        await cancel_pending(session, company_id, application.id, clock())

    await in_company(runtime, world, revert)
    forward(clock, hours=1)
    await reject(runtime, application)
    forward(clock, days=1)
    await work(runtime)
    first, second = await rows(runtime, world.company.id, Notice)

    assert [first.state, second.state] == ["sent", "sent"]
    assert second.supersedes_id == first.id
    assert len(await mailbox(runtime, world.company.id)) == 2


# manual mode, the ATS's own mail


async def test_in_manual_mode_a_person_presses_send(runtime, clock):
    world = await make_world(runtime, notice_mode="manual")
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=5)
    await work(runtime)
    notice = await one(runtime, world.company.id, Notice)

    assert (notice.state, notice.send_at) == ("draft", None)
    assert await mailbox(runtime, world.company.id) == []

    await in_company(runtime, world, write_feedback, notice.id, GOOD)
    await in_company(runtime, world, send_notice, notice.id, clock())
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)
    sent = await one(runtime, world.company.id, Notice)

    assert f"■ 面接担当者より\n{GOOD}\n※" in mail["text"]
    assert GOOD.encode() not in sent.feedback
    assert sent.state == "sent"
    with pytest.raises(Conflict) as refused:
        await in_company(runtime, world, send_notice, notice.id, clock())
    assert refused.value.code == "not_sendable"


async def test_in_manual_mode_a_miss_is_not_mailed_away(runtime, clock):
    world = await make_world(runtime, notice_mode="manual")
    await interviewed_and_rejected(runtime, world)
    forward(clock, days=5)
    await work(runtime)

    assert await mailbox(runtime, world.company.id, HANAKO_MAIL) == []
    assert (await one(runtime, world.company.id, Deadline)).state == "missed"
    assert len(await mailbox(runtime, world.company.id, JINJI)) == 1


async def test_where_the_ats_tells_only_the_invitation_is_mailed(runtime, clock):
    world = await make_world(runtime, notice_mode="ats_sends")
    await interviewed_and_rejected(runtime, world)
    notice = await one(runtime, world.company.id, Notice)
    deadline = await one(runtime, world.company.id, Deadline)

    assert (notice.state, notice.mail_id) == ("sent", None)
    assert (deadline.state, deadline.met_at) == ("met", notice.sent_at)

    await work(runtime)
    assert await mailbox(runtime, world.company.id) == []

    forward(clock, hours=3)
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)

    assert mail["subject"] == "【ご案内】他社紹介(キャリアリレー)について(株式会社みらい製作所)"
    assert "見送" not in mail["text"]
    assert len(mail["links"]) == 1


async def test_where_the_ats_tells_the_ineligible_get_no_mail(runtime, clock):
    world = await make_world(runtime, notice_mode="ats_sends")
    await interviewed_and_rejected(runtime, world, source="agency")
    forward(clock, days=20)
    await work(runtime)

    assert await rows(runtime, world.company.id, Mail) == []


async def test_the_ats_told_also_whom_we_may_not_write_to(runtime, clock):
    world = await make_world(runtime, notice_mode="ats_sends")
    held, unclear = [await an_application(runtime, world) for _ in range(2)]
    for application, hold in ((held, "can_email_false"), (unclear, "reason_unclassified")):
        await an_interview(runtime, application)
        await reject(runtime, application, holds=[hold])
    forward(clock, days=2)
    await work(runtime)
    kept = await one(runtime, world.company.id, Deadline, application_id=held.id)
    owed = await one(runtime, world.company.id, Deadline, application_id=unclear.id)

    assert (kept.state, owed.state) == ("met", "open")
    assert await rows(runtime, world.company.id, Invitation) == []
    assert await mailbox(runtime, world.company.id, HANAKO_MAIL) == []

    for _ in range(2):
        await reject(runtime, held, holds=[])
    forward(clock, hours=3)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1
    assert len(await rows(runtime, world.company.id, Notice, application_id=held.id)) == 1


# interim notices


async def test_an_interim_notice_helps_and_does_not_meet_the_deadline(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    await in_company(
        runtime, world, send_interim_notice, application.id,
        reason="最終面接の日程調整", new_date=START.date() + timedelta(days=9), now=clock(),
    )  # fmt: skip
    await work(runtime)
    (mail,) = await mailbox(runtime, world.company.id)

    assert "最終面接の日程調整のため、いましばらく" in mail["text"]
    assert "2026年6月11日(木)までに" in mail["text"]
    assert (await one(runtime, world.company.id, Notice)).state == "sent"
    assert (await one(runtime, world.company.id, Deadline)).state == "open"


async def test_an_interim_notice_is_for_the_undecided(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)

    with pytest.raises(Conflict) as refused:
        await in_company(
            runtime, world, send_interim_notice, application.id,
            reason="…", new_date=START.date(), now=clock(),
        )  # fmt: skip

    assert refused.value.code == "not_undecided"
    assert await rows(runtime, world.company.id, Mail) == []


# the promise is watched


async def test_the_undecided_are_reminded_then_missed_then_escalated_daily(runtime, clock):
    world = await make_world(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        for role in ("recruiter", "head"):
            await register_member(
                db, runtime.tools.sealer, email=f"{role}@mirai.example", name=role, roles=[role],
                now=clock(), company_id=world.company.id,
            )  # fmt: skip
    application = await an_application(runtime, world)
    await an_interview(runtime, application)

    async def mails_by(moment: str) -> tuple[int, int]:
        to(clock, moment)
        await work(runtime)
        await work(runtime)
        counts = [len(await mailbox(runtime, world.company.id, f"{role}@mirai.example"))
                  for role in ("recruiter", "head")]  # fmt: skip
        return counts[0], counts[1]

    async def state() -> str:
        return (await one(runtime, world.company.id, Deadline)).state

    assert await mails_by("2026-06-03T17:59") == (0, 0)
    assert await mails_by("2026-06-03T18:01") == (1, 0)
    assert await mails_by("2026-06-04T10:01") == (2, 0)
    assert await state() == "open"
    assert await mails_by("2026-06-05T10:01") == (3, 1)
    assert await state() == "due_soon"
    assert await mails_by("2026-06-05T17:01") == (4, 2)
    assert await mails_by("2026-06-05T23:59") == (4, 2)
    assert await state() == "due_soon"
    assert await mails_by("2026-06-06T00:01") == (5, 3)
    assert await state() == "missed"
    assert await mails_by("2026-06-06T10:01") == (5, 3)  # told already today
    assert await mails_by("2026-06-07T10:01") == (6, 4)
    assert await mails_by("2026-06-08T10:01") == (7, 5)
    assert await mailbox(runtime, world.company.id, HANAKO_MAIL) == []
    everything = " ".join(m["text"] for m in await mailbox(runtime, world.company.id))
    assert "試験" not in everything
    assert "花子" not in everything
    assert application.external_id in everything


async def test_a_miss_is_recorded_for_good_and_told_late_ends_the_escalation(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    to(clock, "2026-06-08T12:00")
    await work(runtime)
    missed = await one(runtime, world.company.id, Deadline)

    assert (missed.state, missed.missed_at) == ("missed", missed.due_before)

    await reject(runtime, application)
    await work(runtime)
    told = await one(runtime, world.company.id, Deadline)
    count = len(await mailbox(runtime, world.company.id, JINJI))

    assert (told.state, told.missed_at, told.look_at) == ("missed", missed.due_before, None)
    assert told.met_at > told.due_before

    forward(clock, days=3)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, JINJI)) == count


async def test_the_sweep_tells_rather_than_miss(runtime, clock):
    """Nobody opened a notice (a hold was cleared by hand, say): the sweep does, before midnight."""
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await an_interview(runtime, application)

    async def quietly(session, _tools, company_id):
        there = await lock(session, Application, company_id, application.id)
        there.outcome, there.outcome_at = "rejected", clock()
        session.add(there)

    to(clock, "2026-06-05T11:00")
    await in_company(runtime, world, quietly)
    to(clock, "2026-06-05T17:05")
    await work(runtime)
    deadline = await one(runtime, world.company.id, Deadline)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1
    assert (deadline.state, deadline.missed_at) == ("met", None)


async def test_a_decision_told_before_the_interview_was_known_meets_it_at_once(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    await an_interview(runtime, application, ended_at=clock() - timedelta(hours=20))
    notice = await one(runtime, world.company.id, Notice)
    deadline = await one(runtime, world.company.id, Deadline)

    assert (deadline.state, deadline.met_at, deadline.look_at) == ("met", notice.sent_at, None)


async def test_a_moved_interview_moves_its_open_deadline(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    interview = await an_interview(runtime, application)

    async def move(session, tools, company_id, days):
        interview.ends_at += timedelta(days=days)
        company = await session.get_one(Company, company_id)
        return await set_deadline(session, tools, company, interview, clock())

    await in_company(runtime, world, move, 3)  # to Friday
    moved = await one(runtime, world.company.id, Deadline)

    assert (moved.due_on.isoformat(), moved.state) == ("2026-06-10", "open")
    assert moved.interview_ended_at == interview.ends_at


@pytest.mark.parametrize(
    ("told_after", "days_later", "state"),
    [(1, 3, "met"), (1, 0, "open"), (-1, 3, "open")],
    ids=["arranged afterwards", "on the same day", "booked together"],
)
async def test_a_next_interview_says_that_the_last_one_was_passed(
    runtime, told_after, days_later, state
):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    first = await an_interview(runtime, application)
    told_at = first.ends_at + timedelta(minutes=told_after)
    await an_interview(
        runtime, application, status="scheduled", told_at=told_at,
        ended_at=first.ends_at + timedelta(days=days_later, hours=2),
    )  # fmt: skip
    deadline = await one(runtime, world.company.id, Deadline)
    noted = await rows(runtime, world.company.id, Notice, kind="passed")

    assert deadline.state == state
    assert [one_notice.sent_at for one_notice in noted] == ([told_at] if state == "met" else [])
    assert deadline.met_at == (told_at if state == "met" else None)


async def test_an_interview_that_did_not_take_place_owes_nothing(runtime, clock):
    world = await make_world(runtime)
    application = await an_application(runtime, world)
    interview = await an_interview(runtime, application)

    async def no_show(session, tools, company_id):
        interview.status = "no_show"
        company = await session.get_one(Company, company_id)
        await set_deadline(session, tools, company, interview, clock())

    await in_company(runtime, world, no_show)
    forward(clock, days=9)
    await work(runtime)

    assert (await one(runtime, world.company.id, Deadline)).state == "void"
    assert await rows(runtime, world.company.id, Mail) == []


async def test_a_changed_calendar_recounts_open_promises_only(runtime, clock):
    world = await make_world(runtime)
    undecided = await an_application(runtime, world)
    await an_interview(runtime, undecided)
    told = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)

    async def close(session, tools, company_id):
        company = await session.get_one(Company, company_id)
        company.calendar = {**company.calendar, "closed_dates": ["2026-06-04"]}
        company.calendar_version += 1
        session.add(company)
        await session.flush()
        return await recount_deadlines(session, tools, company, clock())

    assert await in_company(runtime, world, close) == 1
    moved = await one(runtime, world.company.id, Deadline, application_id=undecided.id)
    stays = await one(runtime, world.company.id, Deadline, application_id=told.id)
    assert (moved.due_on.isoformat(), moved.calendar_version) == ("2026-06-08", 2)
    assert (stays.due_on.isoformat(), stays.calendar_version) == ("2026-06-05", 1)


# a returned mail


async def test_a_returned_mail_reopens_the_deadline_and_nothing_more_goes_there(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)
    await in_company(runtime, world, bounce_mail, mail.id, code=550, now=clock())
    deadline = await one(runtime, world.company.id, Deadline)

    assert (deadline.state, deadline.met_at) == ("open", None)
    assert (await one(runtime, world.company.id, Notice)).state == "bounced"

    await work(runtime)
    told = await mailbox(runtime, world.company.id, JINJI)
    assert [application.external_id in one_mail["text"] for one_mail in told] == [True]
    assert "届きませんでした" in told[0]["text"]

    forward(clock, days=4)
    await work(runtime)

    assert len(await rows(runtime, world.company.id, Notice)) == 1
    assert (await one(runtime, world.company.id, Deadline)).state == "missed"


async def test_a_new_address_gets_a_new_notice(runtime, clock):
    world = await make_world(runtime)
    application = await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    mail = await one(runtime, world.company.id, Mail)
    await in_company(runtime, world, bounce_mail, mail.id, code=550, now=clock())

    async def correct(session, tools, company_id):
        candidate = await session.get_one(Candidate, (company_id, application.candidate_id))
        await vault.set_profile(
            session, tools.sealer, candidate, {**HANAKO, "email": "new@mail.example"}
        )
        company = await session.get_one(Company, company_id)
        there = await lock(session, Application, company_id, application.id)
        await open_notice(session, tools, company, there, clock())

    await in_company(runtime, world, correct)
    forward(clock, hours=3)
    await work(runtime)
    bounced, sent = await rows(runtime, world.company.id, Notice)

    assert (bounced.state, sent.state, sent.supersedes_id) == ("bounced", "sent", bounced.id)
    assert len(await mailbox(runtime, world.company.id, "new@mail.example")) == 1
    assert (await one(runtime, world.company.id, Deadline)).state == "met"


# invitations


async def test_one_reminder_then_it_lapses(runtime, clock):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)
    to(clock, "2026-06-10T09:59")
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1

    to(clock, "2026-06-10T10:01")
    await work(runtime)
    await work(runtime)
    _, reminder = await mailbox(runtime, world.company.id, HANAKO_MAIL)

    assert reminder["subject"] == (
        "【再度のご案内】他社紹介の受付期限は2026年7月2日(木)です(株式会社みらい製作所)"
    )
    assert reminder["text"].startswith("ご不要の場合は、本メールにはお手続き不要です。")
    assert reminder["links"][1] == reminder["links"][0] + "/stop"

    to(clock, "2026-07-03T10:00")
    await work(runtime)
    invitation = await one(runtime, world.company.id, Invitation)

    assert (invitation.state, invitation.look_at) == ("lapsed", None)
    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 2


async def test_no_reminder_after_an_answer(runtime, clock):
    world = await make_world(runtime)
    await interviewed_and_rejected(runtime, world)
    forward(clock, hours=3)
    await work(runtime)

    async def decline(session, _tools, _company_id):
        invitation = (await session.scalars(select(Invitation))).one()
        invitation.state, invitation.answered_at = "declined", clock()
        session.add(invitation)

    await in_company(runtime, world, decline)
    forward(clock, days=40)
    await work(runtime)

    assert len(await mailbox(runtime, world.company.id, HANAKO_MAIL)) == 1
    assert (await one(runtime, world.company.id, Invitation)).state == "declined"
