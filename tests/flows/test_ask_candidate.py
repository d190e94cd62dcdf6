"""A person who ticked the box is asked whether they started; nobody else learns the answer."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from domain import consent_text
from domain.business_days import local_day
from domain.consent import ConsentEvent, broken_at
from domain.duty import PlacementQuestion
from domain.errors import Gone, Invalid
from domain.flows.consent import record_consent
from domain.flows.consent.keep_consent import Answer
from domain.flows.consent.verify_consents import verify_consents
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.earn.report_placement import Start, report_placement
from domain.flows.person.change_person import delete
from domain.flows.relay.ask_candidate import (
    ANSWER_TIME,
    answer_question,
    may_be_asked,
    open_question,
    stop_asking,
)
from domain.relay import Relay
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import make_world, work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def handed_over(person, clock, *agencies, **answer):
    """Consented with the box ticked, and forwarded; the relays."""
    await person.give(*(agencies or (person.world.agency.id,)), followup=True, **answer)
    forward(clock, minutes=31)
    await work(person.runtime)
    return await rows(person.runtime, person.world.company.id, Relay)


async def questions(person):
    found = await rows(person.runtime, person.world.company.id, PlacementQuestion)
    return sorted(found, key=lambda question: (question.days, question.id))


async def pass_days(person, clock, days):
    """Until the day's afternoon, with everything that falls due."""
    forward(clock, days=days)
    await work(person.runtime)


async def asked_mails(person):
    sent = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    return [mail for mail in sent if any(link.endswith("/started") for link in mail["links"])]


def token_of(mail):
    (link,) = (link for link in mail["links"] if link.endswith("/started"))
    return link.split("/")[-2]


async def answered(person, token, answer, question=None):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        asked = await open_question(db, token, runtime.clock())
        wanted = question or next((one.id for one in asked.questions), asked.link.id)
        await answer_question(db, token, answer, wanted, runtime.clock())


async def states(person):
    return [(one.days, one.state, one.answer) for one in await questions(person)]


async def candidate_does(person, act):
    runtime = person.runtime
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        return await act(db, opened.candidate, runtime.clock())


async def test_three_questions_are_planned_when_the_relay_is_forwarded(person, clock):
    (relay,) = await handed_over(person, clock)
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    (evidence,) = [one for one in events if one.agency_id is None]
    first = local_day(relay.forwarded_at)

    assert [(one.days, one.state, one.look_at) for one in await questions(person)] == [
        (days, "planned", datetime(day.year, day.month, day.day, 1, tzinfo=UTC))
        for days in (30, 90, 180)
        for day in [first + timedelta(days=days)]
    ]
    assert {one.consent_event_id for one in await questions(person)} == {evidence.id}


async def test_the_agreement_to_be_asked_is_evidence_of_its_own(person):
    await person.give(person.world.agency.id, followup=True)
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    given, asked = sorted(events, key=lambda one: one.seq)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        statement = await person.statement(db)
        verified = await verify_consents(db, person.world.company.id)

    assert (given.agency_id, given.items) == (person.world.agency.id, ["name", "email"])
    assert (asked.kind, asked.agency_id, asked.items, asked.method) == (
        "given", None, ["followup"], "followup_box",
    )  # fmt: skip
    assert (asked.submission_id, asked.text_sha256) == (given.submission_id, statement.sha256)
    assert "就職の確認のメール(最大3回)" in statement.content["followup_agreement"]
    assert broken_at([given, asked]) is None
    assert verified.broken == []


async def test_without_the_box_nobody_is_asked(person, clock):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    await pass_days(person, clock, 200)

    assert await questions(person) == []
    assert await asked_mails(person) == []


async def test_the_box_and_a_no_is_a_no(person):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        await record_consent.decline(
            db, runtime.tools, await person.open(db), await person.statement(db),
            Answer("a-submission-of-mine", followup=True), now=runtime.clock(),
        )  # fmt: skip
    (event_,) = await rows(runtime, person.world.company.id, ConsentEvent)

    assert (event_.kind, event_.items) == ("declined", [])
    assert await questions(person) == []


async def test_the_box_alone_is_no_consent(person):
    with pytest.raises(Invalid) as refused:
        await person.choose({}, followup=True)

    assert refused.value.code == "nothing_chosen"
    assert await rows(person.runtime, person.world.company.id, ConsentEvent) == []


async def test_the_receipt_repeats_the_sentence_only_if_it_was_ticked(runtime, world):
    ticked, plain = await invited(runtime, world), await invited(runtime, world)
    await ticked.give(world.agency.id, followup=True)
    await plain.give(world.agency.id)
    await work(runtime)
    receipts = await mailbox(runtime, world.company.id, PROFILE["email"])
    async with runtime.database.transaction() as db:
        said = (await ticked.statement(db)).content["followup_agreement"]

    assert sorted(mail["text"].count(said) for mail in receipts) == [0, 1]


async def test_the_first_question_comes_after_thirty_days_and_names_no_day_and_no_employer(
    person, clock
):
    await handed_over(person, clock)
    await pass_days(person, clock, 29)
    before = await asked_mails(person)
    await pass_days(person, clock, 1)
    await work(person.runtime)
    (mail,) = await asked_mails(person)

    assert before == []
    assert "その後のご状況" in mail["subject"]
    assert person.world.agency.name in mail["text"]
    assert "お答えは任意です" in mail["text"]
    assert not any(word in mail["text"] for word in consent_text.FORBIDDEN)
    assert await states(person) == [
        (30, "asked", None), (90, "planned", None), (180, "planned", None),
    ]  # fmt: skip


async def test_the_token_is_long_and_only_its_hash_is_kept(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    first = (await questions(person))[0]

    assert len(token_of(mail)) == 43
    assert (len(first.token_hash), token_of(mail).encode() in first.token_hash) == (32, False)


async def test_several_agencies_are_asked_about_in_one_mail(person, clock):
    await handed_over(person, clock, *(agency.id for agency in person.world.agencies))
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    async with person.runtime.database.transaction() as db:
        asked = await open_question(db, token_of(mail), clock())

    assert {one.agency_id for one in asked.questions} == {
        agency.id for agency in person.world.agencies
    }
    for agency in person.world.agencies:
        assert agency.name in mail["text"]


async def test_started_ends_the_questions(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    await answered(person, token_of(mail), "started")
    await pass_days(person, clock, 160)

    assert await states(person) == [
        (30, "answered", "started"), (90, "void", None), (180, "void", None),
    ]  # fmt: skip
    assert len(await asked_mails(person)) == 1


async def test_not_yet_leaves_the_later_questions(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    await answered(person, token_of(mail), "not_started")
    await pass_days(person, clock, 60)

    assert await states(person) == [
        (30, "answered", "not_started"), (90, "asked", None), (180, "planned", None),
    ]  # fmt: skip
    assert len(await asked_mails(person)) == 2


async def test_do_not_ask_again_is_kept_as_evidence_and_leaves_the_consent(person, clock):
    (relay,) = await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    await answered(person, token_of(mail), "stop_asking")
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)
    last = max(events, key=lambda one: one.seq)

    assert (last.kind, last.agency_id, last.items, last.method) == (
        "withdrawn", None, ["followup"], "question_button",
    )  # fmt: skip
    assert await states(person) == [
        (30, "answered", "stop_asking"), (90, "void", None), (180, "void", None),
    ]  # fmt: skip
    assert (await one(person.runtime, relay.company_id, Relay)).state == "forwarded"
    async with person.runtime.database.transaction(company_id=relay.company_id) as db:
        assert (await verify_consents(db, relay.company_id)).broken == []


async def withdraws(person):
    async def act(db, candidate, now):
        await withdraw(db, person.runtime.tools, candidate, None, now)

    await candidate_does(person, act)


async def is_erased(person):
    async def act(db, candidate, now):
        await delete(db, person.runtime.tools, candidate, now)

    await candidate_does(person, act)


async def does_not_want_to_be_asked(person):
    async def act(db, candidate, now):
        await stop_asking(db, candidate, now, method="my_page_button")

    await candidate_does(person, act)


async def is_reported_placed(person):
    runtime = person.runtime
    (relay,) = await rows(runtime, person.world.company.id, Relay)
    async with runtime.database.transaction() as db:
        await report_placement(
            db, runtime.tools, relay.agency_id, relay.id,
            Start(local_day(runtime.clock()), "permanent", attestation=True, actor="crc_a"),
            now=runtime.clock(),
        )  # fmt: skip


async def sees_the_relay_expire(person):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        relay = await db.get_one(Relay, (company_id, (await the_relay(person)).id))
        relay.state, relay.closed_at = "expired", person.runtime.clock()


async def the_relay(person):
    return await one(person.runtime, person.world.company.id, Relay)


@pytest.mark.parametrize(
    "happens",
    [
        withdraws, is_erased, does_not_want_to_be_asked, is_reported_placed, sees_the_relay_expire,
    ],
)  # fmt: skip
async def test_nobody_is_asked_who_need_not_be(person, clock, happens):
    await handed_over(person, clock)
    await happens(person)
    await pass_days(person, clock, 30)

    assert (await states(person))[0] == (30, "void", None)
    assert await asked_mails(person) == []


async def test_stopping_twice_is_the_same_as_once(person, clock):
    await handed_over(person, clock)
    await does_not_want_to_be_asked(person)
    await does_not_want_to_be_asked(person)
    events = await rows(person.runtime, person.world.company.id, ConsentEvent)

    assert [one.kind for one in sorted(events, key=lambda one: one.seq)] == [
        "given", "given", "withdrawn",
    ]  # fmt: skip
    assert not await candidate_does(person, lambda db, who, _: may_be_asked(db, who))


async def test_a_link_ends_after_thirty_days_and_the_next_question_has_its_own(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    forward(clock, seconds=(ANSWER_TIME + timedelta(hours=1)).total_seconds())
    with pytest.raises(Gone) as refused:
        await answered(person, token_of(mail), "started")
    await work(person.runtime)
    await pass_days(person, clock, 30)
    _, second = await asked_mails(person)

    assert refused.value.code == "question_closed"
    assert token_of(second) != token_of(mail)
    assert await states(person) == [
        (30, "void", None), (90, "asked", None), (180, "planned", None),
    ]  # fmt: skip


async def test_the_first_answer_stands_and_the_same_again_is_the_same(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    first = (await questions(person))[0]
    await answered(person, token_of(mail), "not_started")
    at = (await questions(person))[0].answered_at
    forward(clock, hours=1)
    await answered(person, token_of(mail), "not_started", first.id)
    with pytest.raises(Gone):
        await answered(person, token_of(mail), "started", first.id)

    assert (await states(person))[0] == (30, "answered", "not_started")
    assert (await questions(person))[0].answered_at == at


async def test_a_link_answers_the_questions_of_its_person_only(runtime, world, clock):
    mine, other = await invited(runtime, world), await invited(runtime, world)
    await handed_over(mine, clock)
    await other.give(world.agency.id, followup=True)
    forward(clock, minutes=31)
    await work(runtime)
    await pass_days(mine, clock, 30)
    everything = await rows(runtime, world.company.id, PlacementQuestion, state="asked")
    theirs = next(one for one in everything if one.candidate_id == other.application.candidate_id)
    mails = await asked_mails(mine)
    async with runtime.database.transaction() as db:
        opened = [await open_question(db, token_of(mail), clock()) for mail in mails]
    link = next(
        token_of(mail) for mail, asked in zip(mails, opened, strict=True)
        if asked.candidate.id == mine.application.candidate_id
    )  # fmt: skip

    with pytest.raises(Gone):
        await answered(mine, link, "started", theirs.id)
    after = await rows(runtime, world.company.id, PlacementQuestion, id=theirs.id)
    assert after[0].state == "asked"


async def test_an_answer_that_is_none_of_the_three_is_refused(person, clock):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)

    with pytest.raises(Invalid) as refused:
        await answered(person, token_of(mail), "maybe")
    assert refused.value.code == "answer_unknown"
    assert (await states(person))[0] == (30, "asked", None)


async def test_a_renewed_consent_without_the_box_takes_it_as_a_no(runtime, world, clock):
    person = await invited(runtime, world)
    await handed_over(person, clock)
    again = await invited(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        first, second = await person.open(db), await again.open(db)
        second.link.candidate_id = first.candidate.id
        second.invitation.candidate_id = first.candidate.id
        second.application.candidate_id = first.candidate.id
    await again.give(world.agency.id, submission_id="another-submission-1")
    await pass_days(person, clock, 30)

    assert (await states(person))[0] == (30, "void", None)


async def test_ticking_later_asks_about_a_relay_already_at_work(runtime, world, clock):
    person = await invited(runtime, world)
    await person.give(world.agency.id)
    forward(clock, minutes=31)
    await work(runtime)
    forward(clock, days=40)
    again = await invited(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        first, second = await person.open(db), await again.open(db)
        second.link.candidate_id = first.candidate.id
        second.invitation.candidate_id = first.candidate.id
        second.application.candidate_id = first.candidate.id
    await again.give(world.agency.id, followup=True, submission_id="another-submission-1")

    assert await states(person) == [(90, "planned", None), (180, "planned", None)]


async def test_opening_the_link_changes_nothing(person, clock, client):
    await handed_over(person, clock)
    await pass_days(person, clock, 30)
    (mail,) = await asked_mails(person)
    written = []

    def listen(*args):
        if args[2].lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(args[2])

    event.listen(person.runtime.database.engine.sync_engine, "before_cursor_execute", listen)
    path = f"/c/{token_of(mail)}/started"
    answers = [
        await client.get(path), await client.head(path), await client.get(f"{path}/stop"),
        await client.get(f"/c/{token_of(mail)}"),
    ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [200, 200, 303, 404]
    assert written == []


async def test_another_company_is_not_asked_for(runtime, clock):
    world, other = await make_world(runtime), await make_world(runtime, slug="other")
    person = await invited(runtime, world)
    await handed_over(person, clock)
    await pass_days(person, clock, 30)

    assert await rows(runtime, other.company.id, PlacementQuestion) == []
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        found = await db.execute(PlacementQuestion.__table__.select())
        assert found.all() == []
