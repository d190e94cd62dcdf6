"""What a person asks: noted with its day, stopped at once where it must, answered with a reason."""

from datetime import UTC, date, datetime

import pytest

from domain.application import Application
from domain.business_days import calendar_of
from domain.candidate import Candidate, SubjectKey
from domain.company import DEFAULT_CALENDAR
from domain.consent import Consent
from domain.erasure import Erasure
from domain.errors import Conflict, Gone, Invalid, StepNotAllowed
from domain.flows.office.open_account import register_member
from domain.flows.person import hold as holds
from domain.flows.person.answer_rights_request import answer_request, ask_erasure, words_of
from domain.flows.person.change_person import delete, merge
from domain.flows.person.open_rights_request import open_request, verify, withdraw_request
from domain.notice import Mail
from domain.relay import Relay, StopNotice
from domain.rights_request import KINDS, RightsRequest, next_look
from domain.views.rights import disclosure, queue, requests_of
from integrations.calendars import JapaneseHolidays
from tests.applications import an_application, mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import work

pytestmark = pytest.mark.anyio
PROVEN = "mail_link_plus_code"


@pytest.fixture
async def person(runtime, world):
    async with runtime.database.transaction() as db:
        await register_member(
            db, runtime.tools.sealer, email="officer@mirai.example", name="担当",
            roles=["privacy_officer"], now=runtime.clock(), company_id=world.company.id,
        )  # fmt: skip
    return await invited(runtime, world)


async def transact(person, act):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        return await act(db, candidate)


async def ask(person, kind, words="", *, identity=PROVEN, channel="my_page", submission=None):
    runtime = person.runtime
    return await transact(
        person,
        lambda db, candidate: open_request(
            db, runtime.tools, candidate, kind, words=words, channel=channel,
            identity_check=identity, submission_id=submission, now=runtime.clock(),
        ),
    )  # fmt: skip


async def reply(person, row, result, *, reason="", answer="", channel="my_page"):
    runtime = person.runtime
    return await transact(
        person,
        lambda db, _: answer_request(
            db, runtime.tools, row.company_id, row.id, result=result, reason=reason, answer=answer,
            channel=channel, actor="mem_1", now=runtime.clock(),
        ),
    )  # fmt: skip


async def templates(person):
    return [mail.template for mail in await rows(person.runtime, person.world.company.id, Mail)]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_has_its_clock(person, kind):
    row = await ask(person, kind, "電話番号が違います")

    assert (row.state, row.due_on) == ("verified", date(2026, 6, 16))
    assert row.look_at.isoformat() == "2026-06-12T01:00:00+00:00"
    assert row.words is not None
    assert "電話".encode() not in row.words
    assert "rights_received" in await templates(person)
    assert "rights_due" in await templates(person)


async def test_the_mails_name_no_words_and_no_person_to_hr(person):
    await ask(person, "correction", "電話番号が違います")
    await work(person.runtime)
    company_id = person.world.company.id
    (to_hr,) = await mailbox(person.runtime, company_id, "officer@mirai.example")
    to_person = next(
        mail
        for mail in await mailbox(person.runtime, company_id, "hanako.shiken@mail.example")
        if mail["subject"].startswith("【受付】")
    )

    assert "2026年6月16日" in to_hr["subject"]
    assert "花子" not in to_hr["text"]
    assert "違います" not in to_hr["text"] + to_person["text"]
    assert "内容の訂正" in to_person["text"]


@pytest.mark.parametrize(
    ("kind", "scope"), [("stop_provision", "provision"), ("stop_use", "all"), ("erase", "all")]
)
async def test_a_stop_stops_before_anybody_has_read_it(person, clock, agency_api, kind, scope):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    assert (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 200
    await ask(person, kind)
    consent = await one(person.runtime, person.world.company.id, Consent)
    stop = await one(person.runtime, person.world.company.id, StopNotice)
    candidate = await person.reload()

    assert (candidate.restricted_from, consent.state, stop.kind) == (
        scope,
        "withdrawn",
        "withdrawn",
    )
    assert (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 410


async def test_nothing_stops_for_somebody_nobody_has_recognised(person):
    await person.give(person.world.agency.id)
    row = await ask(person, "stop_provision", identity=None, channel="phone")
    before = await person.reload()
    with pytest.raises(StepNotAllowed):
        await reply(person, row, "granted")

    assert (row.state, before.restricted_from) == ("received", None)
    await transact(
        person,
        lambda db, _: verify(
            db, person.runtime.tools, row.company_id, row.id, identity_check="document",
            now=person.runtime.clock(),
        ),
    )  # fmt: skip
    assert (await person.reload()).restricted_from == "provision"
    assert (await one(person.runtime, row.company_id, Consent)).state == "withdrawn"


async def test_who_is_not_recognised_is_refused_with_the_reason(person):
    row = await ask(person, "disclosure", identity=None, channel="paper")
    done = await reply(person, row, "refused", reason="本人確認ができませんでした", channel="paper")
    said = await transact(person, lambda db, _: words_of(db, person.runtime.tools, done))

    assert (done.state, done.result, done.look_at) == ("answered", "refused", None)
    assert done.retention_until == date(2029, 6, 2)
    assert said == {"words": None, "reason": "本人確認ができませんでした", "answer": None}


@pytest.mark.parametrize("result", ["refused", "partly"])
async def test_a_refusal_without_a_reason_is_none(person, result):
    row = await ask(person, "disclosure")
    with pytest.raises(Invalid) as refused:
        await reply(person, row, result, reason="  ")

    assert refused.value.code == "reason_missing"
    assert (await one(person.runtime, row.company_id, RightsRequest)).state == "verified"


async def test_a_purpose_is_told_in_words(person):
    row = await ask(person, "purpose_notice")
    with pytest.raises(Invalid) as silent:
        await reply(person, row, "granted", answer=" ")
    said = await reply(person, row, "granted", answer="採用選考のために利用しています。")

    assert silent.value.code == "answer_missing"
    assert (said.state, said.result) == ("answered", "granted")


async def test_refusing_lifts_the_stop_and_granting_keeps_it(person):
    use, provision = await ask(person, "stop_use"), await ask(person, "stop_provision")
    assert (await person.reload()).restricted_from == "all"
    await reply(person, use, "refused", reason="必要な範囲の利用です")
    after_refusal = (await person.reload()).restricted_from
    await reply(person, provision, "granted")
    after_grant = await person.reload()

    assert (after_refusal, after_grant.restricted_from) == ("provision", "provision")


async def test_a_wish_the_person_has_taken_back_by_agreeing_anew_does_not_come_back(person, clock):
    """Granted once, overtaken by a consent; another request that is refused revives nothing."""
    provision = await ask(person, "stop_provision")
    await reply(person, provision, "granted")
    forward(clock, hours=1)
    await person.give(person.world.agency.id)
    forward(clock, hours=1)
    use = await ask(person, "stop_use")
    held = (await person.reload()).restricted_from
    await reply(person, use, "refused", reason="必要な範囲の利用です")

    assert held == "all"
    assert (await person.reload()).restricted_from is None


async def test_taking_it_back_lifts_the_stop(person):
    row = await ask(person, "stop_use")
    done = await transact(
        person,
        lambda db, candidate: withdraw_request(db, candidate, row.id, person.runtime.clock()),
    )
    again = await person.reload()
    with pytest.raises(StepNotAllowed):
        await reply(person, row, "granted")

    assert (done.state, done.look_at) == ("withdrawn", None)
    assert (again.restricted_from, again.restricted_at) == (None, None)


async def test_nobody_takes_back_what_another_person_asked(person, runtime, world):
    row = await ask(person, "disclosure")
    other = await an_application(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(Candidate, (world.company.id, other.candidate_id))
        with pytest.raises(Conflict):
            await withdraw_request(db, there, row.id, runtime.clock())

    assert (await one(runtime, world.company.id, RightsRequest)).state == "verified"


async def test_sent_twice_it_is_one(person):
    first = await ask(person, "disclosure", submission="a-submission")
    second = await ask(person, "disclosure", submission="a-submission")

    assert first.id == second.id
    assert (await templates(person)).count("rights_received") == 1


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"kind": "everything"}, "kind_unknown"),
        ({"kind": "correction"}, "words_missing"),
        ({"kind": "disclosure", "words": "あ" * 2001}, "words_too_long"),
        ({"kind": "disclosure", "channel": "fax"}, "channel_unknown"),
        ({"kind": "disclosure", "identity": "a hunch"}, "identity_unknown"),
    ],
)
async def test_what_is_no_request_is_refused(person, values, code):
    with pytest.raises(Invalid) as refused:
        await ask(person, **values)

    assert refused.value.code == code
    assert await rows(person.runtime, person.world.company.id, RightsRequest) == []


async def test_granting_an_erasure_erases_and_says_so_once(person):
    row = await ask(person, "erase", identity="in_person", channel="paper")
    await reply(person, row, "granted", channel="paper")
    await work(person.runtime)
    certificate = await one(person.runtime, row.company_id, Erasure, key_kind="profile")
    kept = await one(person.runtime, row.company_id, RightsRequest)
    sent = [mail.template for mail in await rows(person.runtime, row.company_id, Mail)
            if mail.state == "sent" and mail.candidate_id is None]  # fmt: skip

    assert (certificate.rule, certificate.actor) == ("request", "mem_1")
    assert certificate.records_until == kept.retention_until == date(2029, 6, 2)
    assert (await person.reload()).erased_at is not None
    assert sent.count("erased_farewell") == 1
    with pytest.raises(Gone):
        await ask(person, "disclosure")


async def test_a_hold_stands_in_the_way_of_an_erasure_and_the_request_waits(person):
    tools, now = person.runtime.tools, person.runtime.clock()
    await transact(
        person,
        lambda db, candidate: holds.hold(
            db, tools, candidate, reason="係争中", actor="mem_1", now=now
        ),
    )
    erased = await transact(
        person, lambda db, candidate: ask_erasure(db, tools, candidate, now=now)
    )
    again = await transact(person, lambda db, candidate: ask_erasure(db, tools, candidate, now=now))
    row = await one(person.runtime, person.world.company.id, RightsRequest)
    with pytest.raises(Conflict) as refused:
        await reply(person, row, "granted")

    assert (erased, again, row.state) == (False, False, "verified")
    assert refused.value.code == "legal_hold"
    assert (await person.reload()).restricted_from == "all"


async def test_the_records_end_also_where_an_erasure_was_granted_after_the_data_was_gone(person):
    """The company's system deleted the person first: the answer is the last thing that was open."""
    row = await ask(person, "erase", identity="document", channel="mail")
    tools, now = person.runtime.tools, person.runtime.clock()
    await transact(person, lambda db, candidate: delete(db, tools, candidate, now))
    waiting = await one(person.runtime, row.company_id, SubjectKey, kind="record")
    done = await reply(person, row, "granted", channel="mail")
    ending = await one(person.runtime, row.company_id, SubjectKey, kind="record")

    assert (waiting.destroy_on, done.retention_until) == (None, date(2029, 6, 2))
    assert ending.destroy_on == date(2029, 6, 3)


@pytest.mark.parametrize("kind", ["stop_use", "erase"])
async def test_after_the_time_the_company_tells_a_stop_is_not_refused(person, clock, kind):
    """Six months after the result nothing of the selection needs the data any more (Q&A 9-20)."""
    row = await ask(person, kind, identity="document", channel="mail")
    other = await ask(person, "stop_provision", identity="document", channel="mail")
    forward(clock, days=184)
    with pytest.raises(Conflict) as refused:
        await reply(person, row, "refused", reason="再応募の確認に必要です", channel="mail")
    nothing = await reply(person, other, "refused", reason="提供していません", channel="mail")
    done = await reply(person, row, "granted", channel="mail")

    assert refused.value.code == "must_be_granted"
    assert (nothing.result, done.result) == ("refused", "granted")


async def test_on_their_own_page_it_is_done_at_once_and_noted(person):
    tools, now = person.runtime.tools, person.runtime.clock()
    assert await transact(person, lambda db, candidate: ask_erasure(db, tools, candidate, now=now))
    row = await one(person.runtime, person.world.company.id, RightsRequest)

    assert (row.kind, row.state, row.result, row.channel) == (
        "erase", "answered", "granted", "my_page",
    )  # fmt: skip
    assert (row.identity_verified_at, row.answered_at) == (now, now)


async def test_hr_is_reminded_before_on_and_after_the_day(person, clock):
    row = await ask(person, "disclosure")
    told = []
    for days in (10, 4, 1, 1):
        forward(clock, days=days)
        await work(person.runtime)
        found = await rows(person.runtime, row.company_id, Mail, template="rights_due")
        told.append([mail.about.split(":")[2] for mail in sorted(found, key=lambda m: m.id)])

    assert told == [
        ["new", "soon"], ["new", "soon", "soon"], ["new", "soon", "soon", "late"],
        ["new", "soon", "soon", "late", "late"],
    ]  # fmt: skip
    await reply(person, row, "granted")
    forward(clock, days=3)
    await work(person.runtime)
    found = await rows(person.runtime, row.company_id, Mail, template="rights_due")
    assert len(found) == 5


async def test_the_queue_has_the_one_due_first_on_top(person, clock):
    first = await ask(person, "disclosure")
    forward(clock, days=1)
    second = await ask(person, "purpose_notice")
    forward(clock, days=1)
    third = await ask(person, "correction", "住所")
    await reply(person, second, "granted", answer="採用選考のためです")
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        opened = [row.id for row in await queue(db, company_id, "open")]
        done = [row.id for row in await queue(db, company_id, "done")]

    assert (opened, done) == ([first.id, third.id], [second.id])


async def test_what_is_disclosed_has_the_records_and_not_the_persons_own_notes(
    person, clock, agency_api
):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    assert (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 200
    tools, now = person.runtime.tools, clock()
    content = await transact(
        person,
        lambda db, candidate: disclosure(db, tools.sealer, person.world.company, candidate, now),
    )

    assert content["profile"]["family_name"] == "試験"
    ((record,),) = (one["provisions"] for one in content["recipients"])
    assert (record["recipient_name"], record["recipient_address"]) == (
        person.world.agency.name, person.world.agency.address,
    )  # fmt: skip
    assert record["recipient_representative"] == person.world.agency.representative
    assert record["items"] == ["name", "email"]
    assert record["consent_text_sha256"] == content["receipt"]["privacy_notices"][0]["sha256"]
    assert (content["reflections"], content["questions"]) == ([], [])


async def test_requests_of_a_merged_record_are_found_and_opened(person, runtime, world):
    row = await ask(person, "correction", "カナが違います")
    other = await an_application(runtime, world, external_id="B-1")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        absorbed = await db.get_one(Candidate, (world.company.id, person.application.candidate_id))
        survivor = await db.get_one(Candidate, (world.company.id, other.candidate_id))
        kept = await merge(db, runtime.tools, absorbed, survivor)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        there = await db.get_one(Candidate, (world.company.id, kept.id))
        found = await requests_of(db, there)
        said = await words_of(db, runtime.tools, found[0])
    applications = await rows(runtime, world.company.id, Application)

    assert [one.id for one in found] == [row.id]
    assert said["words"] == "カナが違います"
    assert {one.candidate_id for one in applications} == {kept.id}


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        (date(2026, 6, 16), ["2026-06-12", "2026-06-16", "2026-06-17", "2026-06-18"]),
        # Due in the closure of the year's end: the first is on the last open day before it.
        (date(2027, 1, 3), ["2026-12-28", "2027-01-03", "2027-01-04", "2027-01-05"]),
        (date(2026, 5, 6), ["2026-05-01", "2026-05-06", "2026-05-07", "2026-05-08"]),
    ],
)
def test_the_looks_come_in_order(due, expected):
    calendar = calendar_of(DEFAULT_CALENDAR, JapaneseHolidays())
    looks, now = [], datetime(2026, 4, 24, tzinfo=UTC)
    for _ in range(4):
        now = next_look(calendar, due, now)
        looks.append(now.date().isoformat())

    assert looks == expected
