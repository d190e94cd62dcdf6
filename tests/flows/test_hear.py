"""From a delivery to what the company knows: once, in any order, never against the candidate."""

from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import func, select, text, update

from api import timers
from api.duties import hear
from api.jobs import run_now
from domain import vault
from domain.application import Application, Interview
from domain.candidate import Candidate
from domain.deadline import Deadline
from domain.delivery import AtsEvent, Delivery
from domain.flows.office import open_account
from domain.flows.tell.record_mail_result import claim_mail, mail_sent
from domain.invitation import Invitation
from domain.notice import Mail, Notice
from domain.views.deliveries import events_about, events_of
from tests.applications import mailbox
from tests.conftest import forward
from tests.deliveries import Ats, interview, person, rejection, sample
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio
HR = "hr@mirai.example"


@pytest.fixture
async def ats(runtime, client):
    return Ats(client, runtime, await make_world(runtime))


async def rows(ats, kind, *where):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        return list((await db.scalars(select(kind).where(*where).order_by(kind.id))).all())


async def one(ats, kind, *where):
    (found,) = await rows(ats, kind, *where)
    return found


async def noted(ats):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        found = (await db.scalars(select(AtsEvent).order_by(AtsEvent.applied_at))).all()
        return [(event.type, event.effect) for event in found]


async def profile(ats, number="C-1"):
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        wanted = select(Candidate).where(Candidate.external_id == number)
        candidate = (await db.scalars(wanted)).one()
        return await vault.profile_of(db, ats.runtime.tools.sealer, candidate)


async def shown(ats):
    """(status, error, events) of every delivery, oldest first."""
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        found = (await db.scalars(select(Delivery).order_by(Delivery.id))).all()
        company_id = ats.world.company.id
        events = await events_of(db, ats.runtime.tools.sealer, company_id, found)
        return [(row.status, row.error, events[row.id]) for row in found]


# ---- an application ends --------------------------------------------------------------------


async def test_a_rejection_makes_person_application_and_notice_known(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, reason_id="R-1")})

    application = await one(ats, Application)
    notice = await one(ats, Notice)
    assert application.outcome == "rejected"
    assert application.outcome_at == now
    assert (application.initiated_by, application.rejection_reason) == ("company", "R-1")
    assert (application.job_title, application.department) == ("法人営業", "営業部")
    assert (application.source, application.holds) == ("company_site", [])
    assert (notice.kind, notice.state, notice.application_id) == (
        "rejected", "scheduled", application.id,
    )  # fmt: skip
    assert await profile(ats) == {
        "display_name": "試験 花子",
        "family_name": "試験",
        "given_name": "花子",
        "email": "hanako.1@mail.example",
        "emails": ["hanako.1@mail.example"],
        "from_ats": {
            "display_name": "試験 花子",
            "family_name": "試験",
            "given_name": "花子",
            "email": "hanako.1@mail.example",
            "emails": ["hanako.1@mail.example"],
        },
    }


@pytest.mark.parametrize("kind", ["application.rejected", "application.withdrawn"])
async def test_a_candidate_s_own_end_leads_to_nothing(ats, kind):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person(), **interview(now)})
    await ats.told(kind, {**person(), **rejection(now, "candidate")})
    forward(ats.runtime.clock, days=20)
    await work(ats.runtime)

    assert (await one(ats, Application)).outcome == "withdrawn"
    assert (await one(ats, Deadline)).state == "void"
    assert await rows(ats, Notice) == []
    assert await rows(ats, Invitation) == []
    assert await rows(ats, Mail) == []


async def test_an_unclassified_end_waits_for_a_person(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, None)})
    forward(ats.runtime.clock, days=2)
    await work(ats.runtime)

    application = await one(ats, Application)
    assert (application.outcome, application.holds) == ("rejected", ["reason_unclassified"])
    assert await rows(ats, Notice) == []


async def test_a_corrected_reason_turns_a_rejection_into_a_withdrawal_before_anything_went_out(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    first = (await one(ats, Application)).last_event_key
    await ats.told("application.rejected", {**person(), **rejection(now, "candidate")})
    forward(ats.runtime.clock, days=5)
    await work(ats.runtime)

    (_, _, [correction]) = (await shown(ats))[-1]
    assert correction["type"] == "application.withdrawn"
    assert correction["supersedes"] == first
    assert (await one(ats, Application)).outcome == "withdrawn"
    assert (await one(ats, Notice)).state == "cancelled"
    assert await rows(ats, Mail) == []


async def test_a_corrected_reason_clears_what_was_unclassified(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now, None)}, now)
    await ats.told("application.rejected", {**person(), **rejection(now)}, now)
    await ats.told("application.rejected", {**person(), **rejection(now)}, now)

    statuses = await shown(ats)
    base = statuses[0][2][0]["dedupe_key"]
    assert [(status, len(events)) for status, _, events in statuses] == [
        ("processed", 1), ("processed", 1), ("ignored", 0),
    ]  # fmt: skip
    assert statuses[1][2][0]["dedupe_key"] == f"{base}#1"
    assert statuses[1][2][0]["supersedes"] == base
    assert (await one(ats, Application)).holds == []
    assert (await one(ats, Notice)).state == "scheduled"


async def test_an_old_statement_repeated_late_does_not_undo_its_correction(ats):
    now = ats.runtime.clock()
    wrong = {**person(), **rejection(now, None)}
    right = {**person(), **rejection(now, "company", reason_id="R-2")}
    await ats.told("application.rejected", wrong, now)
    await ats.told("application.rejected", right, now)
    await ats.told("application.rejected", wrong, now)

    application = await one(ats, Application)
    assert (application.rejection_reason, application.holds) == ("R-2", [])
    assert [status for status, _, _ in await shown(ats)] == ["processed", "processed", "ignored"]


async def test_said_to_have_withdrawn_and_then_to_be_rejected_a_person_decides(ats):
    now = ats.runtime.clock()
    await ats.told("application.withdrawn", {**person(), **rejection(now, "candidate")})
    forward(ats.runtime.clock, minutes=5)
    later = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(later)})
    forward(ats.runtime.clock, days=3)
    await work(ats.runtime)

    application = await one(ats, Application)
    assert (application.outcome, application.holds) == ("rejected", ["reason_unclassified"])
    assert await rows(ats, Notice) == []


async def test_a_reversal_calls_the_notice_off(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    forward(ats.runtime.clock, minutes=1)
    await ats.told("application.rejection_reverted", person())
    forward(ats.runtime.clock, days=2)
    await work(ats.runtime)

    assert (await one(ats, Application)).outcome == "active"
    assert (await one(ats, Notice)).state == "cancelled"
    assert await rows(ats, Mail) == []


async def test_a_withdrawal_taken_back_owes_the_result_again(ats):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person(), **interview(now)})
    await ats.told("application.withdrawn", {**person(), **rejection(now, "candidate")})
    void = (await one(ats, Deadline)).state
    forward(ats.runtime.clock, minutes=1)
    await ats.told("application.rejection_reverted", person())

    assert void == "void"
    assert (await one(ats, Deadline)).state == "open"


async def test_a_hire_ends_the_promise(ats):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person(), **interview(now)})
    forward(ats.runtime.clock, minutes=1)
    await ats.told("application.hired", person())

    assert (await one(ats, Application)).outcome == "hired"
    assert (await one(ats, Deadline)).state == "met"


async def test_a_hire_taken_back_makes_the_application_active(ats):
    await ats.greenhouse(sample("hire_candidate"))
    await work(ats.runtime)
    forward(ats.runtime.clock, days=5)
    hired = (await one(ats, Application)).outcome
    await ats.greenhouse(sample("unhire_candidate"))
    await work(ats.runtime)

    assert hired == "hired"
    assert (await one(ats, Application)).outcome == "active"
    assert (await shown(ats))[-1] == ("processed", None, [])


# ---- order ----------------------------------------------------------------------------------


async def test_whatever_the_order_the_newest_outcome_stands(ats):
    now = ats.runtime.clock()
    story = [
        ("application.rejected", timedelta(minutes=-30), rejection(now - timedelta(minutes=30))),
        ("application.rejection_reverted", timedelta(minutes=-20), {}),
        ("application.withdrawn", timedelta(minutes=-10),
         rejection(now - timedelta(minutes=10), "candidate")),
    ]  # fmt: skip
    for number, order in enumerate(permutations(story)):
        for kind, ago, more in order:
            assert (await ats.tell(kind, {**person(str(number)), **more}, now + ago)).is_success
    await work(ats.runtime)

    found = await rows(ats, Application)
    assert [row.outcome for row in found] == ["withdrawn"] * 6
    assert {notice.state for notice in await rows(ats, Notice)} <= {"cancelled"}


async def test_a_rejection_and_a_correction_of_the_same_moment_converge(ats):
    now = ats.runtime.clock()
    for number, order in enumerate(permutations(["company", "candidate"])):
        for initiator in order:
            data = {**person(str(number)), **rejection(now, initiator)}
            assert (await ats.tell("application.rejected", data, now)).is_success
            await work(ats.runtime)

    assert [row.outcome for row in await rows(ats, Application)] == ["withdrawn", "withdrawn"]


async def test_a_retry_of_greenhouse_s_first_word_does_not_undo_the_second(ats):
    first, second = sample("reject_candidate"), sample("reject_candidate_withdrew")
    second["payload"]["application"]["last_activity_at"] = "2026-06-02T09:45:00.000+09:00"
    await ats.greenhouse(second)
    await work(ats.runtime)
    await ats.greenhouse(first)
    await work(ats.runtime)

    assert (await one(ats, Application)).outcome == "withdrawn"
    assert [status for status, _, _ in await shown(ats)] == ["processed", "ignored"]
    assert await noted(ats) == [
        ("application.withdrawn", "applied"), ("application.rejected", "overtaken"),
    ]  # fmt: skip


async def test_a_vendor_s_fast_clock_does_not_silence_what_comes_after(ats):
    now = ats.runtime.clock()
    ahead = now + timedelta(hours=3)
    await ats.told("application.rejected", {**person(), **rejection(ahead)}, ahead)
    forward(ats.runtime.clock, minutes=10)
    await ats.told("application.rejection_reverted", person())

    assert (await one(ats, Application)).outcome == "active"


async def test_an_interview_told_after_the_notice_went_out_is_answered_already(ats):
    ended = ats.runtime.clock() - timedelta(hours=1)
    await ats.told("application.rejected", {**person(), **rejection(ats.runtime.clock())})
    forward(ats.runtime.clock, hours=5)
    await work(ats.runtime)
    sent = await one(ats, Notice)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)

    deadline = await one(ats, Deadline)
    assert sent.state == "sent"
    assert (deadline.state, deadline.met_at) == ("met", sent.sent_at)


async def test_an_interview_told_after_a_withdrawal_promises_nothing(ats):
    now = ats.runtime.clock()
    await ats.told("application.withdrawn", {**person(), **rejection(now, "candidate")})
    await ats.told("interview.completed", {**person(), **interview(now)})

    assert (await one(ats, Interview)).status == "completed"
    assert await rows(ats, Deadline) == []


# ---- interviews -----------------------------------------------------------------------------


async def test_an_interview_held_has_a_deadline(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)

    deadline = await one(ats, Deadline)
    assert deadline.interview_ended_at == ended
    assert str(deadline.due_on) == "2026-06-05"
    assert (deadline.state, (await one(ats, Application)).outcome) == ("open", "active")


async def test_a_planned_interview_promises_nothing_yet(ats):
    later = ats.runtime.clock() + timedelta(days=2)
    await ats.told("interview.scheduled", {**person(), **interview(later)})

    assert (await one(ats, Interview)).status == "scheduled"
    assert await rows(ats, Deadline) == []


async def test_a_plan_told_late_does_not_undo_the_interview(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    planned = ended - timedelta(days=3)
    await ats.told("interview.scheduled", {**person(), **interview(ended)}, planned)

    assert (await one(ats, Interview)).status == "completed"
    assert (await one(ats, Deadline)).state == "open"


async def test_a_plan_entered_afterwards_does_not_undo_the_interview(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    await ats.told("interview.scheduled", {**person(), **interview(ended)})

    assert (await one(ats, Interview)).status == "completed"
    assert (await one(ats, Deadline)).state == "open"


async def test_an_interview_entered_in_the_calendar_afterwards_was_held_all_the_same(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.scheduled", {**person(), **interview(ended)})
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)

    assert (await one(ats, Interview)).status == "completed"
    assert (await one(ats, Deadline)).interview_ended_at == ended


async def test_an_interview_put_off_after_all_is_awaited_again(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    await ats.told("interview.scheduled", {**person(), **interview(ended + timedelta(days=2))})

    assert (await one(ats, Interview)).status == "scheduled"
    assert (await one(ats, Deadline)).state == "void"


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
async def test_an_interview_that_did_not_take_place_after_all_is_void(ats, status):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    await ats.told("interview.completed", {**person(), **interview(ended, status)})

    assert (await one(ats, Interview)).status == status
    assert (await one(ats, Deadline)).state == "void"
    assert [state for state, _, _ in await shown(ats)] == ["processed", "processed"]


async def test_a_corrected_end_moves_the_deadline(ats):
    ended = ats.runtime.clock() - timedelta(days=1)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    before = (await one(ats, Deadline)).due_on
    data = {**person(), **interview(ended)}
    data["interview"]["ends_at"] = (ended + timedelta(days=1)).isoformat()
    await ats.told("interview.completed", data)

    assert str(before) == "2026-06-04"
    assert str((await one(ats, Deadline)).due_on) == "2026-06-05"


async def test_an_interview_without_details_ended_when_it_was_told(ats):
    ended = ats.runtime.clock() - timedelta(hours=2)
    await ats.told("interview.completed", person(), ended)

    assert (await one(ats, Interview)).ends_at == ended
    assert (await one(ats, Deadline)).interview_ended_at == ended


# ---- once -----------------------------------------------------------------------------------


async def test_the_same_delivery_twice_is_kept_once(ats):
    body = sample("reject_candidate")
    answers = [await ats.greenhouse(body, "same") for _ in range(3)]
    await work(ats.runtime)

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(await rows(ats, Delivery)) == 1
    assert len(await rows(ats, Notice)) == 1


async def test_the_same_effect_in_another_delivery_is_no_event(ats):
    body = sample("reject_candidate")
    await ats.greenhouse(body)
    await ats.greenhouse(body)
    await work(ats.runtime)

    # Both are read at the same time; which of them comes first does not matter.
    assert sorted((status, len(events)) for status, _, events in await shown(ats)) == [
        ("ignored", 0), ("processed", 1),
    ]  # fmt: skip
    assert len(await rows(ats, Notice)) == 1


async def test_a_job_run_twice_acts_once(ats):
    now = ats.runtime.clock()
    await ats.tell("application.rejected", {**person(), **rejection(now)})
    delivery = await one(ats, Delivery)
    for _ in range(2):
        await run_now(ats.runtime, "delivery.read", delivery.company_id, delivery.id)

    assert len(await rows(ats, Notice)) == 1
    assert await noted(ats) == [("application.rejected", "applied")]


async def test_a_delivery_nobody_read_is_picked_up_again(ats):
    now = ats.runtime.clock()
    await ats.tell("application.rejected", {**person(), **rejection(now)})
    async with ats.runtime.database.transaction() as db:
        await db.execute(text("DELETE FROM pgq.pgqueuer"))
    await work(ats.runtime)
    before = (await one(ats, Delivery)).status
    forward(ats.runtime.clock, seconds=61)
    await work(ats.runtime)

    assert before == "received"
    assert (await one(ats, Delivery)).status == "processed"


# ---- what cannot be read --------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "error"), [
    (b"\xff", "not_utf8"),
    (b"{", "not_json"),
    (b'{"type":"application.rejected","timestamp":"2026-06-02T00:00:00Z","data":{}}',
     "application_id_missing"),
    ((b'{"type":"application.rejected","timestamp":"2026-06-02T00:00:00Z",'
     b'"data":{"application":{"external_id":"a\\u0000"}}}'), "application_id_malformed"),
])  # fmt: skip
async def test_what_cannot_be_read_is_kept_and_says_why(ats, raw, error):
    answer = await ats.tell_raw(raw)
    await work(ats.runtime)

    delivery = await one(ats, Delivery)
    assert answer.status_code == 202
    assert (delivery.status, delivery.error) == ("failed", error)
    assert delivery.body is not None
    assert await rows(ats, Application) == []


async def test_a_delivery_that_breaks_us_is_noted_and_can_be_replayed(ats, monkeypatch):
    now = ats.runtime.clock()
    await ats.tell("application.rejected", {**person(), **rejection(now)})

    async def broken(*_args):
        message = "花子"
        raise KeyError(message)

    with monkeypatch.context() as patched:
        patched.setattr(hear, "understand_delivery", broken)
        await work(ats.runtime)
    delivery = await one(ats, Delivery)

    assert (delivery.status, delivery.error) == ("failed", "internal_error")
    assert await rows(ats, Application) == []


async def test_uninteresting_events_are_ignored(ats):
    assert (await ats.greenhouse(sample("ping"))).status_code == 200
    assert (await ats.tell("webhook.ping", {})).status_code == 202
    await work(ats.runtime)

    assert await shown(ats) == [("ignored", None, []), ("ignored", None, [])]
    assert await rows(ats, Application) == []


# ---- what is known of a person --------------------------------------------------------------


async def test_a_later_event_with_an_address_clears_the_hold(ats):
    now = ats.runtime.clock()
    unreachable = person()
    unreachable["candidate"]["emails"] = []
    await ats.told("application.rejected", {**unreachable, **rejection(now)})
    held = (await one(ats, Application)).holds
    notices = await rows(ats, Notice)
    await ats.told("interview.completed", {**person(), **interview(now)})

    assert (held, notices) == (["no_email"], [])
    assert (await one(ats, Application)).holds == []
    assert (await one(ats, Notice)).state == "scheduled"


async def test_a_hold_told_later_stops_what_was_planned(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    quiet = person()
    quiet["candidate"]["can_email"] = False
    await ats.told("interview.completed", {**quiet, **interview(now)})
    forward(ats.runtime.clock, days=1)
    await work(ats.runtime)

    assert (await one(ats, Application)).holds == ["can_email_false"]
    assert (await one(ats, Notice)).state == "cancelled"
    assert await rows(ats, Mail, Mail.candidate_id.is_not(None)) == []


async def test_what_the_candidate_corrected_is_not_overwritten(ats):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person(), **interview(now)})
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        candidate = (await db.scalars(select(Candidate))).one()
        known = await vault.profile_of(db, ats.runtime.tools.sealer, candidate)
        await vault.set_profile(
            db, ats.runtime.tools.sealer, candidate, {**known, "given_name": "はな子"}
        )
    changed = person()
    changed["candidate"].update(
        given_name="花", emails=[{"value": "neu@mail.example", "type": "personal"}]
    )
    await ats.told("application.rejected", {**changed, **rejection(now)})

    known = await profile(ats)
    assert (known["given_name"], known["email"]) == ("はな子", "neu@mail.example")


@pytest.mark.parametrize(("told", "kept"), [
    ("０９０−１２３４−５６７８", "+819012345678"), ("03-1234-5678", "+81312345678"),
    ("+81(0)90-1234-5678", "+819012345678"), ("+81 90 1234 5678", "+819012345678"),
    ("12345", "12345"), ("0012345678", "0012345678"),
])  # fmt: skip
async def test_numbers_are_kept_in_e164_where_they_are_japanese(ats, told, kept):
    data = person()
    data["candidate"]["phones"] = [{"value": told, "type": "mobile"}]
    await ats.told("interview.scheduled", {**data, **interview(ats.runtime.clock())})

    assert (await profile(ats))["phone"] == kept


async def test_two_applications_of_one_person_are_one_candidate(ats):
    now = ats.runtime.clock()
    first, second = person("1"), person("2")
    second["candidate"] = first["candidate"]
    await ats.told("interview.completed", {**first, **interview(now)})
    await ats.told("interview.completed", {**second, **interview(now)})

    applications = await rows(ats, Application)
    assert len({row.candidate_id for row in applications}) == 1
    assert len(await rows(ats, Candidate)) == 1


async def test_a_person_named_late_joins_the_application(ats):
    now = ats.runtime.clock()
    nobody = {**person(), "candidate": None}
    await ats.told("interview.completed", {**nobody, **interview(now)})
    before = await one(ats, Application)
    await ats.told("application.rejected", {**person(), **rejection(now)})

    after = await one(ats, Application)
    assert (before.holds, after.holds) == (["no_email"], [])
    assert (await one(ats, Candidate)).external_id == "C-1"
    assert (await one(ats, Notice)).state == "scheduled"


# ---- where they came from -------------------------------------------------------------------


async def source_of(ats, provider, source, known):
    connection = ats.world.connections[provider]
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await db.execute(
            update(type(connection))
            .where(type(connection).id == connection.id)
            .values(settings={"source_map": known})
        )
    if provider == "greenhouse":
        body = sample("reject_candidate")
        body["payload"]["application"]["source"] = {"id": 1, "name": source}
        await ats.greenhouse(body)
        await work(ats.runtime)
    else:
        now = ats.runtime.clock()
        await ats.told("application.rejected", {**person(source=source), **rejection(now)})
    return (await one(ats, Application)).source


@pytest.mark.parametrize(("provider", "source", "known", "expected"), [
    ("standard-webhooks", "company_site", {}, "company_site"),
    ("standard-webhooks", "スカウト", {}, "スカウト"),
    ("standard-webhooks", "スカウト", {"スカウト": "scout"}, "scout"),
    ("greenhouse", "自社採用サイト", {"自社採用サイト": "company_site"}, "company_site"),
    ("greenhouse", "自社採用サイト", {}, "自社採用サイト"),
    ("greenhouse", "direct", {}, "unmapped:direct"),
])  # fmt: skip
async def test_sources_count_only_where_somebody_mapped_them(
    ats, provider, source, known, expected
):
    assert await source_of(ats, provider, source, known) == expected


# ---- deletion and merging -------------------------------------------------------------------


async def test_a_deleted_person_is_erased_and_hears_nothing(ats):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    await ats.greenhouse(sample("delete_candidate"))
    await work(ats.runtime)
    forward(ats.runtime.clock, days=10)
    await work(ats.runtime)

    candidate = await one(ats, Candidate)
    first, last = await shown(ats)
    assert candidate.erased_at is not None
    assert (candidate.profile, candidate.email_hmac) == (None, None)
    assert (await one(ats, Notice)).state == "cancelled"
    assert await rows(ats, Mail) == []
    assert first == ("processed", None, [])
    assert last[2][0]["type"] == "candidate.deleted"
    assert last[2][0]["candidate"]["family_name"] is None
    assert [row.body for row in await rows(ats, Delivery)] == [None, None]


async def test_events_about_an_erased_person_bring_nothing_back(ats):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    await ats.greenhouse(sample("delete_candidate"))
    await work(ats.runtime)
    forward(ats.runtime.clock, days=2)
    await ats.greenhouse(sample("unreject_candidate"))
    await work(ats.runtime)

    candidate = await one(ats, Candidate)
    assert (await one(ats, Application)).outcome == "active"
    assert candidate.profile is None
    assert (await rows(ats, Delivery))[-1].body is None


async def test_an_erased_person_who_applies_again_begins_anew(ats):
    await ats.told("interview.completed", {**person(), **interview(ats.runtime.clock())})
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-1"}})
    forward(ats.runtime.clock, days=30)
    now = ats.runtime.clock()
    again = person("2", applied_at=(now - timedelta(days=1)).isoformat())
    again["candidate"] = person()["candidate"]
    await ats.told("application.rejected", {**again, **rejection(now)})

    old, new = await rows(ats, Candidate)
    assert (old.erased_at is not None, old.external_id) == (True, None)
    assert (new.erased_at, new.external_id) == (None, "C-1")
    assert (await one(ats, Notice)).candidate_id == new.id


async def test_contents_about_nobody_we_know_are_emptied_after_thirty_days(ats):
    await ats.greenhouse(sample("candidate_stage_change"))
    await work(ats.runtime)
    kept = (await one(ats, Delivery)).body
    forward(ats.runtime.clock, days=31)
    await work(ats.runtime)

    delivery = await one(ats, Delivery)
    assert kept is not None
    assert (delivery.body, delivery.headers, delivery.events) == (None, None, None)
    assert delivery.status == "ignored"


async def test_the_contents_of_a_delivery_lie_under_the_person_s_own_key(ats):
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)

    delivery = await one(ats, Delivery)
    with pytest.raises(ValueError, match="not in the ring"):
        ats.runtime.tools.sealer.open(delivery.body, about=f"delivery:{delivery.id}")
    with pytest.raises(ValueError, match="not in the ring"):
        ats.runtime.tools.sealer.open(delivery.events, about=events_about(delivery.id))


@pytest.mark.parametrize("order", list(permutations(["reject_candidate", "merge_candidate"])))
async def test_a_merge_into_an_unknown_record_is_another_number(ats, order):
    for name in order:
        await ats.greenhouse(sample(name))
        await work(ats.runtime)
    application = await one(ats, Application)
    survivor = await one(ats, Candidate, Candidate.id == application.candidate_id)
    absorbed = await one(ats, Candidate, Candidate.id != application.candidate_id)

    assert (survivor.external_id, survivor.merged_into_id) == ("32", None)
    assert (absorbed.external_id, absorbed.merged_into_id) == ("31", survivor.id)
    assert (await profile(ats, "32"))["email"] == "Hanako.Shiken@mail.example"
    assert (await one(ats, Notice)).candidate_id == survivor.id


async def test_a_deletion_told_before_the_rejection_counts(ats):
    await ats.greenhouse(sample("delete_candidate"))
    await work(ats.runtime)
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    forward(ats.runtime.clock, days=2)
    await work(ats.runtime)

    assert (await one(ats, Candidate)).profile is None
    assert (await one(ats, Application)).outcome == "rejected"
    assert await rows(ats, Notice) == []
    assert await rows(ats, Mail) == []


async def test_merged_twice_the_first_record_follows(ats):
    now = ats.runtime.clock()
    for number in "123":
        await ats.told("interview.completed", {**person(number), **interview(now)})
    for one_of_them, into in (("C-1", "C-2"), ("C-2", "C-3")):
        merged = {"candidate": {"external_id": one_of_them, "merged_into_external_id": into}}
        await ats.told("candidate.merged", merged)

    first, second, third = await rows(ats, Candidate)
    assert (first.merged_into_id, second.merged_into_id, third.merged_into_id) == (
        third.id, third.id, None,
    )  # fmt: skip
    assert {row.candidate_id for row in await rows(ats, Application)} == {third.id}


async def test_a_merge_hands_the_applications_to_the_surviving_record(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person("1"), **rejection(now)})
    await ats.told("interview.completed", {**person("2"), **interview(now)})
    merged = {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}}
    await ats.told("candidate.merged", merged)
    await ats.told("interview.completed", {**person("1"), **interview(now)})

    absorbed, survivor = await rows(ats, Candidate)
    assert absorbed.merged_into_id == survivor.id
    assert {row.candidate_id for row in await rows(ats, Application)} == {survivor.id}
    assert (await one(ats, Notice)).candidate_id == survivor.id


async def test_a_record_with_consents_survives_here_under_the_surviving_number(ats):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person("1"), **interview(now)})
    await ats.told("interview.completed", {**person("2"), **interview(now)})
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await db.execute(
            update(Candidate).where(Candidate.external_id == "C-1").values(consent_seq=2)
        )
    await ats.told(
        "candidate.merged",
        {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}},
    )

    kept, other = await rows(ats, Candidate)
    assert (kept.external_id, kept.merged_into_id, kept.consent_seq) == ("C-2", None, 2)
    assert (other.external_id, other.merged_into_id) == ("C-1", kept.id)
    assert {row.candidate_id for row in await rows(ats, Application)} == {kept.id}
    assert (await profile(ats, "C-2"))["email"] == "hanako.2@mail.example"


async def test_deleting_the_survivor_erases_the_absorbed_record_too(ats):
    now = ats.runtime.clock()
    await ats.told("interview.completed", {**person("1"), **interview(now)})
    await ats.told("interview.completed", {**person("2"), **interview(now)})
    await ats.told(
        "candidate.merged",
        {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}},
    )
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-2"}})

    assert [row.erased_at is not None for row in await rows(ats, Candidate)] == [True, True]
    assert {row.state for row in await rows(ats, Deadline)} == {"void"}


async def test_what_was_merged_before_the_survivor_was_deleted_goes_with_it(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person("1"), **rejection(now)})
    await ats.told("application.rejected", {**person("2"), **rejection(now)})
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-2"}})
    merged = {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}}
    await ats.told("candidate.merged", merged, now - timedelta(minutes=1))
    forward(ats.runtime.clock, days=2)
    await work(ats.runtime)

    assert [row.erased_at is not None for row in await rows(ats, Candidate)] == [True, True]
    assert {row.state for row in await rows(ats, Notice)} == {"cancelled"}
    assert await rows(ats, Mail) == []


async def test_who_applied_after_the_survivor_was_erased_has_come_back(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person("2"), **rejection(now)})
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-2"}})
    forward(ats.runtime.clock, days=30)
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person("1"), **rejection(now)})
    merged = {"candidate": {"external_id": "C-1", "merged_into_external_id": "C-2"}}
    await ats.told("candidate.merged", merged)

    assert (await profile(ats, "C-2"))["email"] == "hanako.1@mail.example"
    assert {row.state for row in await rows(ats, Notice)} == {"cancelled", "scheduled"}


async def test_a_deletion_reaches_an_application_told_without_the_person_s_number(ats):
    now = ats.runtime.clock()
    nameless = {**person("1"), "candidate": {**person("1")["candidate"], "external_id": None}}
    await ats.told("application.rejected", {**nameless, **rejection(now)})
    await ats.told("application.rejected", {**person("2"), **rejection(now)})
    listed = {"kind": "deleted", "application_external_ids": ["A-1", "A-2", "A-3"]}
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-1"}, "deletion": listed})

    erased = {row.external_id: row.erased_at is not None for row in await rows(ats, Candidate)}
    assert erased["C-1"]
    assert not erased["C-2"]
    assert {row.external_id: row.candidate_id for row in await rows(ats, Application)}["A-1"] == (
        await one(ats, Candidate, Candidate.external_id == "C-1")
    ).id
    assert [row.state for row in await rows(ats, Notice)] == ["cancelled", "scheduled"]


async def test_nothing_is_promised_any_more_to_a_deleted_person(ats):
    ended = ats.runtime.clock() - timedelta(minutes=30)
    await ats.told("interview.completed", {**person(), **interview(ended)}, ended)
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-1"}})
    await ats.told("application.rejected", {**person(), **rejection(ats.runtime.clock())})
    await ats.told("interview.completed", {**person(), **interview(ended, number="2")}, ended)

    assert [row.state for row in await rows(ats, Deadline)] == ["void", "void"]


# ---- what a later statement changes ---------------------------------------------------------


async def test_an_older_word_about_an_interview_is_kept_and_does_nothing(ats):
    now = ats.runtime.clock()
    newer, older = now + timedelta(days=2), now + timedelta(days=3)
    await ats.told("interview.scheduled", {**person(), **interview(newer)}, now)
    at = now - timedelta(minutes=5)
    await ats.told("interview.scheduled", {**person(), **interview(older)}, at)

    assert (await one(ats, Interview)).ends_at == newer
    assert [(status, len(told)) for status, _, told in await shown(ats)] == [
        ("processed", 1), ("ignored", 0),
    ]  # fmt: skip
    assert [row.effects[0]["effect"] for row in await rows(ats, Delivery)] == [
        "applied", "overtaken",
    ]  # fmt: skip


async def test_an_interview_moved_there_and_back_stands_where_it_was(ats):
    now = ats.runtime.clock()
    first, second = now + timedelta(days=2), now + timedelta(days=3)
    for number, ended in enumerate((first, second, first)):
        at = now + timedelta(minutes=number)
        await ats.told("interview.scheduled", {**person(), **interview(ended)}, at)

    assert (await one(ats, Interview)).ends_at == first
    assert [status for status, _, _ in await shown(ats)] == ["processed"] * 3

    await ats.told("interview.scheduled", {**person(), **interview(second)}, now)
    assert (await one(ats, Interview)).ends_at == first


async def test_two_interviews_at_the_same_time_are_two_and_heard_once_each(ats):
    ended = ats.runtime.clock() + timedelta(days=1)
    for _ in range(2):
        for number in ("1", "2"):
            await ats.told("interview.scheduled", {**person(), **interview(ended, number=number)})
    statuses = [status for status, _, _ in await shown(ats)]

    assert {row.external_id for row in await rows(ats, Interview)} == {"I-1", "I-2"}
    assert statuses == ["processed", "processed", "ignored", "ignored"]


async def test_greenhouse_removes_an_interview_by_its_number_alone(ats):
    later = ats.runtime.clock() + timedelta(days=1)
    await ats.greenhouse(sample("reject_candidate"))
    await work(ats.runtime)
    application = await one(ats, Application)
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        db.add(
            Interview(
                company_id=application.company_id, id="itv_1", application_id=application.id,
                external_id="91", starts_at=later, ends_at=later, told_at=later - timedelta(days=3),
                created_at=later,
            )
        )  # fmt: skip
    body = {"action": "interview_deleted", "payload": {"interview": {"id": 91}}}
    await ats.greenhouse(body)
    await work(ats.runtime)

    assert (await one(ats, Interview)).status == "cancelled"
    assert [status for status, _, _ in await shown(ats)] == ["processed", "processed"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("application.rejection_reverted", "選考が再開されています"),
        ("application.withdrawn", "候補者の辞退として登録されています"),
    ],
)
async def test_hr_hears_when_a_rejection_is_taken_back_too_late(ats, kind, word):
    now = ats.runtime.clock()
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await open_account.register_member(
            db, ats.runtime.tools.sealer, email=HR, name="人事", roles=["recruiter"], now=now,
            company_id=ats.world.company.id,
        )  # fmt: skip
    await ats.told("application.rejected", {**person(), **rejection(now)})
    forward(ats.runtime.clock, hours=3)
    await work(ats.runtime)
    assert (await one(ats, Notice)).state == "sent"

    forward(ats.runtime.clock, minutes=5)
    later = ats.runtime.clock()
    told = rejection(later, "candidate") if kind == "application.withdrawn" else {}
    for _ in range(2):
        await ats.told(kind, {**person(), **told}, later)
    to_hr = await mailbox(ats.runtime, ats.world.company.id, HR)

    assert len(to_hr) == 1
    assert word in to_hr[0]["text"]
    assert "花子" not in to_hr[0]["text"]


async def test_hr_hears_of_it_too_when_the_mail_was_under_way(ats):
    now = ats.runtime.clock()
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await open_account.register_member(
            db, ats.runtime.tools.sealer, email=HR, name="人事", roles=["recruiter"], now=now,
            company_id=ats.world.company.id,
        )  # fmt: skip
    await ats.told("application.rejected", {**person(), **rejection(now)})
    forward(ats.runtime.clock, hours=3)
    await timers.sweep(ats.runtime, ats.runtime.clock())
    mail = await one(ats, Mail)
    place = (ats.runtime.tools, ats.world.company.id, mail.id, ats.runtime.clock())
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await claim_mail(db, *place)
    await ats.told("application.rejection_reverted", person())
    async with ats.runtime.database.transaction(company_id=ats.world.company.id) as db:
        await mail_sent(db, *place)
    await work(ats.runtime)

    assert (await one(ats, Notice)).state == "sent"
    assert len(await mailbox(ats.runtime, ats.world.company.id, HR)) == 1


async def test_who_was_turned_down_long_before_we_were_connected_is_not_told_now(ats):
    now = ats.runtime.clock()
    for number, days in (("1", 31), ("2", 29)):
        ended = now - timedelta(days=days)
        await ats.told("application.rejected", {**person(number), **rejection(ended)}, ended)
    held = {row.external_id: row.holds for row in await rows(ats, Application)}

    assert held == {"A-1": ["history"], "A-2": []}
    assert len(await rows(ats, Notice)) == 1


async def test_hr_hears_nothing_when_the_notice_had_not_gone_out(ats):
    now = ats.runtime.clock()
    await ats.told("application.rejected", {**person(), **rejection(now)})
    forward(ats.runtime.clock, minutes=5)
    await ats.told("application.rejection_reverted", person())

    assert (await one(ats, Notice)).state == "cancelled"
    assert await mailbox(ats.runtime, ats.world.company.id) == []


# ---- tenancy --------------------------------------------------------------------------------


async def test_the_same_number_at_two_companies_is_two_applications(ats):
    other = Ats(ats.client, ats.runtime, await make_world(ats.runtime, slug="other"))
    now = ats.runtime.clock()
    for one_of_them in (ats, other):
        await one_of_them.told("application.rejected", {**person(), **rejection(now)})

    assert len(await rows(ats, Application)) == 1
    assert len(await rows(other, Application)) == 1
    async with ats.runtime.database.transaction() as db:
        assert (await db.execute(select(func.count()).select_from(Delivery))).scalar() == 0
