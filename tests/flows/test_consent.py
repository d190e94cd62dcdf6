"""A person says yes or no, agency by agency and item by item; a yes can be taken back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from domain import vault
from domain.application import Application
from domain.candidate import Candidate, SubjectKey
from domain.consent import Consent, ConsentEvent, ConsentText, broken_at
from domain.errors import Gone, Invalid
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.person.change_person import delete, merge
from domain.flows.person.correct_profile import correct_profile
from domain.flows.person.restrict_person import restrict
from domain.flows.relay.provide_package import provide_package
from domain.flows.ways_in.open_candidate_link import newest_form
from domain.ids import new_id
from domain.invitation import CandidateLink, Invitation
from domain.notice import Mail, Notice
from domain.relay import FeedItem, Provision, Relay, RelayEvent, StopNotice
from domain.store import lock
from domain.views.my_data import my_data
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.factories import make_world, work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def take_back(person, agency_ids=None):
    runtime = person.runtime
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        return await withdraw(db, runtime.tools, opened.candidate, agency_ids, runtime.clock())


async def erase(person):
    runtime = person.runtime
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        await delete(db, runtime.tools, opened.candidate, runtime.clock())


async def read_package(person, relay):
    runtime = person.runtime
    async with runtime.database.transaction() as db:
        return await provide_package(
            db, runtime.tools, relay.agency_id, relay.id, channel="api", client_id="crc_x",
            now=runtime.clock(),
        )  # fmt: skip


async def feed(person):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        return [item.op for item in (await db.scalars(select(FeedItem))).all()]


async def chain(person):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        wanted = select(ConsentEvent).order_by(ConsentEvent.seq)
        return list((await db.scalars(wanted)).all())


async def has_another_form(person):
    """Who was told of the result asks for a form again, and has it by mail."""
    runtime, number = person.runtime, person.application
    async with runtime.database.transaction(company_id=number.company_id) as db:
        there = await db.get_one(Application, (number.company_id, number.id))
        db.add(
            Notice(
                company_id=there.company_id, id=new_id("ntc"), application_id=there.id,
                candidate_id=there.candidate_id, kind="rejected", state="sent",
                sent_at=runtime.clock(), created_at=runtime.clock(),
            )
        )  # fmt: skip
        candidate = await db.get_one(Candidate, (there.company_id, there.candidate_id))
        url = await newest_form(db, runtime.tools, candidate, runtime.clock())
    assert url is not None
    person.token = url.rpartition("/")[2]


async def test_a_consent_is_recorded_per_agency_with_everything_that_proves_it(person, clock):
    first, second = person.world.agencies
    now = clock()

    assert await person.give(
        first.id, items=("email", "name"), address="203.0.113.7",
        user_agent="Mozilla/5.0 (X11) Gecko Firefox/143.0",
    )  # fmt: skip

    consent = await one(person.runtime, person.world.company.id, Consent)
    (event,) = await chain(person)
    kept = await one(person.runtime, person.world.company.id, ConsentText)
    candidate = await person.reload()

    assert (consent.agency_id, consent.state, consent.items) == (
        first.id, "given", ["name", "email"],
    )  # fmt: skip
    assert consent.expires_at == datetime(2026, 12, 2, 15, 0, tzinfo=UTC)
    assert abs(consent.given_at - now) < timedelta(seconds=5)
    assert consent.provision_not_before == consent.given_at + timedelta(minutes=30)
    assert (event.kind, event.items, event.shown) == (
        "given", ["name", "email"], [first.id, second.id],
    )  # fmt: skip
    assert event.recipient["representative"] == first.representative
    assert event.recipient["licence"] == first.license_number
    assert (event.text_id, event.text_sha256) == (kept.id, kept.sha256)
    assert (event.user_agent_family, len(event.ip_hash)) == ("firefox", 64)
    assert (event.prev_hash, event.hash) == ("0" * 64, candidate.consent_head)
    assert kept.content["recipients"][1]["id"] == second.id


async def test_the_relay_waits_for_the_grace_and_the_invitation_is_answered(person):
    await person.give(person.world.agency.id)
    relay = await one(person.runtime, person.world.company.id, Relay)
    consent = await one(person.runtime, person.world.company.id, Consent)
    invitation = await one(person.runtime, person.world.company.id, Invitation)

    assert (relay.state, relay.forward_at) == ("queued", consent.provision_not_before)
    assert (invitation.state, invitation.look_at) == ("given", None)


async def test_the_receipt_says_what_was_agreed_in_the_words_that_were_shown(person):
    await person.give(person.world.agency.id, items=("name", "email", "phone"))
    await work(person.runtime)
    (mail,) = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    kept = await one(person.runtime, person.world.company.id, ConsentText)

    assert mail["subject"].startswith("【控え】")
    assert "提供する項目: 氏名、メールアドレス、電話番号" in mail["text"]
    assert "2026年12月2日(水)まで" in mail["text"]
    assert kept.sha256 in mail["text"]
    for key in ("purpose", "company_benefit", "withdrawal", "agreement"):
        assert kept.content[key] in mail["text"]
    link = next(url for url in mail["links"] if "/c/" in url)
    assert link.startswith("http://relay.test/c/")


async def test_the_same_submission_twice_is_one_event_one_relay_one_receipt(person):
    first = await person.give(person.world.agency.id)
    again = await person.give(person.world.agency.id)
    await work(person.runtime)

    assert (first, again) == (True, False)
    assert [event.kind for event in await chain(person)] == ["given"]
    assert len(await rows(person.runtime, person.world.company.id, Relay)) == 1
    assert len(await mailbox(person.runtime, person.world.company.id)) == 1


async def test_two_submissions_at_once_are_one_event(person):
    agency_id = person.world.agency.id
    answers = await asyncio.gather(
        *(person.give(agency_id) for _ in range(4)), return_exceptions=True
    )

    assert sorted(str(answer) for answer in answers) == ["False", "False", "False", "True"]
    assert len(await chain(person)) == 1


async def test_another_submission_after_the_answer_is_refused_and_changes_nothing(person):
    await person.give(person.world.agency.id)

    with pytest.raises(Gone) as refused:
        await person.give(person.world.agencies[1].id, submission_id="another-submission")

    assert refused.value.code == "invitation_answered"
    assert len(await chain(person)) == 1
    assert len(await rows(person.runtime, person.world.company.id, Consent)) == 1


@pytest.mark.parametrize(
    ("choices", "code"),
    [
        ({}, "nothing_chosen"),
        ({"agy_stranger": ["name", "email"]}, "agency_not_offered"),
        ({0: ["name", "email", "interview_feedback"]}, "item_not_offered"),
        ({0: ["name"]}, "required_item_missing"),
        ({0: []}, "required_item_missing"),
    ],
)
async def test_what_was_not_on_the_form_is_refused_and_nothing_is_recorded(person, choices, code):
    agencies = person.world.agencies
    named = {agencies[key].id if key == 0 else key: items for key, items in choices.items()}
    with pytest.raises(Invalid) as refused:
        await person.choose(named)

    assert refused.value.code == code
    for kind in (Consent, ConsentEvent, ConsentText, Relay, Mail):
        assert await rows(person.runtime, person.world.company.id, kind) == []


async def test_a_no_is_quiet_and_stays(person):
    assert await person.decline()
    assert not await person.decline(submission_id="another-submission")
    forward(person.runtime.clock, days=29)
    await work(person.runtime)
    (event,) = await chain(person)
    invitation = await one(person.runtime, person.world.company.id, Invitation)

    assert (event.kind, event.agency_id, event.items) == ("declined", None, [])
    assert event.shown == [agency.id for agency in person.world.agencies]
    assert invitation.state == "declined"
    assert await rows(person.runtime, person.world.company.id, Consent) == []
    assert await mailbox(person.runtime, person.world.company.id) == []


async def test_an_expired_invitation_takes_no_answer(person):
    forward(person.runtime.clock, days=30, minutes=1)

    with pytest.raises(Gone) as refused:
        await person.give(person.world.agency.id)

    assert refused.value.code == "invitation_expired"
    assert await chain(person) == []


async def test_corrections_are_kept_and_found_again(person):
    await person.give(
        person.world.agency.id,
        corrections={
            "name": "試験 はな子", "phone": "03-1234-5678", "name_kana": "", "desired_job": "経理",
        },
    )  # fmt: skip
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        profile = await vault.profile_of(db, person.runtime.tools.sealer, opened.candidate)
        hashed = opened.candidate.phone_hmac

    assert (profile["display_name"], profile["family_name"], profile["given_name"]) == (
        "試験 はな子", "試験", "はな子",
    )  # fmt: skip
    assert (profile["phone"], profile["desired_job"]) == ("+81312345678", "経理")
    assert profile["name_kana"] is None
    assert hashed == person.runtime.tools.sealer.blind("phone", "+81312345678")


async def test_a_withdrawal_in_the_grace_tells_the_agency_nothing(person):
    await person.give(person.world.agency.id)

    assert await take_back(person) == [person.world.agency.id]
    forward(person.runtime.clock, hours=2)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    mails = await mailbox(person.runtime, person.world.company.id)

    assert (relay.state, relay.forwarded_at) == ("withdrawn", None)
    for kind in (StopNotice, FeedItem, RelayEvent, Provision):
        assert (
            await rows(person.runtime, person.world.company.id, kind) == []
            if kind is not FeedItem
            else True
        )
    assert [mail["subject"] for mail in mails] == [
        "【控え】他社紹介のお申し込みを受け付けました(株式会社みらい製作所)",
        "【受付完了】同意の撤回を承りました",
    ]
    assert "情報は提供されていません" in mails[1]["text"]


async def test_a_withdrawal_after_a_read_stops_the_agency_and_asks_for_an_answer(person, clock):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    await read_package(person, relay)
    await take_back(person, [person.world.agency.id])
    relay = await one(person.runtime, person.world.company.id, Relay)
    stop = await one(person.runtime, person.world.company.id, StopNotice)
    consent = await one(person.runtime, person.world.company.id, Consent)

    assert (relay.state, relay.version) == ("withdrawn", 2)
    assert await feed(person) == ["remove"]
    assert (stop.kind, stop.state, stop.due_on.isoformat()) == (
        "withdrawn",
        "notified",
        "2026-06-05",
    )
    assert (consent.state, consent.withdrawn_at) == ("withdrawn", (await chain(person))[-1].at)
    with pytest.raises(Gone) as refused:
        await read_package(person, relay)
    assert refused.value.code == "consent_withdrawn"
    assert len(await rows(person.runtime, person.world.company.id, Provision)) == 1


async def test_a_second_withdrawal_changes_nothing(person):
    await person.give(person.world.agency.id)
    forward(person.runtime.clock, minutes=31)
    await work(person.runtime)
    await take_back(person)
    before = await chain(person)
    relay = await one(person.runtime, person.world.company.id, Relay)

    assert await take_back(person) == []
    assert await chain(person) == before
    assert (await one(person.runtime, person.world.company.id, Relay)).version == relay.version


async def test_one_agency_is_withdrawn_and_the_other_goes_on(person):
    first, second = person.world.agencies
    await person.give(first.id, second.id)
    await take_back(person, [second.id])
    states = {
        c.agency_id: c.state for c in await rows(person.runtime, person.world.company.id, Consent)
    }

    assert states == {first.id: "given", second.id: "withdrawn"}


async def test_a_consent_ends_on_its_day_and_so_does_the_relay(person, clock):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    clock.move_to(datetime(2026, 12, 2, 14, 59, tzinfo=UTC))
    await work(person.runtime)
    assert (await one(person.runtime, person.world.company.id, Consent)).state == "given"

    clock.move_to(datetime(2026, 12, 2, 15, 0, tzinfo=UTC))
    await work(person.runtime)
    consent = await one(person.runtime, person.world.company.id, Consent)
    relay = await one(person.runtime, person.world.company.id, Relay)

    assert (consent.state, relay.state) == ("expired", "expired")
    assert [event.kind for event in await chain(person)] == ["given", "expired"]
    assert broken_at(await chain(person)) is None


async def test_the_chain_shows_every_change(person):
    first, second = person.world.agencies
    await person.give(first.id, second.id)
    await take_back(person, [first.id])
    await take_back(person)
    events = await chain(person)

    assert [event.kind for event in events] == ["given", "given", "withdrawn", "withdrawn"]
    assert broken_at(events) is None
    events[1].items = ["name"]
    assert broken_at(events) == 2


@pytest.mark.parametrize(("scope", "state"), [("provision", "forwarded"), ("all", None)])
async def test_a_consent_is_not_recorded_for_nothing(person, clock, scope, state):
    """Who had all hand-overs stopped may agree to new ones; who wants no use at all may not."""
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        await restrict(db, person.runtime.tools, candidate, scope=scope, now=clock())
    refused = None
    try:
        await person.give(person.world.agency.id)
    except Gone as gone:
        refused = gone.code
    forward(clock, minutes=31)
    await work(person.runtime)
    relays = await rows(person.runtime, company_id, Relay)

    assert refused == (None if state else "not_eligible")
    assert [relay.state for relay in relays] == ([state] if state else [])
    assert (await chain(person) == []) is (state is None)


async def test_an_item_taken_back_is_told_to_the_agency_that_holds_it(person, clock):
    agency_id, company_id = person.world.agency.id, person.world.company.id
    await person.give(agency_id, items=("name", "email", "phone"))
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, company_id, Relay)
    await read_package(person, relay)
    forward(clock, minutes=1)
    await has_another_form(person)
    await person.give(agency_id, items=("name", "email"), submission_id="the-second-submission")
    provided = await read_package(person, relay)
    notice = await one(person.runtime, company_id, StopNotice)

    assert list(provided.package["candidate"]) == ["name", "email"]
    assert (notice.relay_id, notice.kind, notice.version) == (relay.id, "corrected", 2)
    assert [event.kind for event in await chain(person)] == ["given", "items_changed"]


async def test_the_database_refuses_to_change_an_event(person):
    await person.give(person.world.agency.id)

    with pytest.raises(Exception, match="permission denied"):
        async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
            await db.execute(text("UPDATE consent_event SET kind = 'declined'"))


async def test_erasure_destroys_the_person_and_leaves_the_evidence(person, clock):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    await read_package(person, relay)
    await work(person.runtime)
    await erase(person)
    candidate = await person.reload()
    company_id = person.world.company.id
    keys = {key.kind: key.wrapped for key in await rows_of_keys(person)}
    mails = await rows(person.runtime, company_id, Mail)
    links = await rows(person.runtime, company_id, CandidateLink)
    stop = await one(person.runtime, company_id, StopNotice)

    assert (candidate.profile, candidate.email_hmac, candidate.phone_hmac) == (None, None, None)
    assert candidate.kana_birth_hmac is None
    assert keys["profile"] is None
    assert keys["record"] is not None
    assert len(mails) == 2
    assert [mail.sealed for mail in mails] == [None, None]
    assert all(link.revoked_at is not None for link in links)
    assert (stop.kind, stop.state) == ("erased", "notified")
    assert (await one(person.runtime, company_id, Relay)).state == "withdrawn"
    assert broken_at(await chain(person)) is None
    provision = await one(person.runtime, company_id, Provision)
    async with person.runtime.database.transaction(company_id=company_id) as db:
        name = await vault.unseal(
            db, person.runtime.tools.sealer, candidate, "record", provision.person,
            about=f"provision:{relay.id}",
        )  # fmt: skip
    assert name == "試験 花子"


async def rows_of_keys(person):
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        return list((await db.scalars(select(SubjectKey))).all())


async def test_erasing_twice_is_erasing_once(person):
    await person.give(person.world.agency.id)
    await erase(person)
    before = await chain(person)
    await erase(person)

    assert await chain(person) == before


@pytest.mark.parametrize("_", range(5))
async def test_a_withdrawal_and_a_read_come_one_after_the_other(person, clock, _):
    """Whichever is first: no package leaves after the withdrawal; what left has its record."""
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    answers = await asyncio.gather(
        *(read_package(person, relay) for _ in range(3)), take_back(person),
        *(read_package(person, relay) for _ in range(3)), return_exceptions=True,
    )  # fmt: skip
    withdrawn = (await one(person.runtime, person.world.company.id, Consent)).state
    provisions = await rows(person.runtime, person.world.company.id, Provision)
    stops = await rows(person.runtime, person.world.company.id, StopNotice)
    left = [one for one in answers if not isinstance(one, BaseException | list)]

    assert withdrawn == "withdrawn"
    assert {type(one) for one in answers if isinstance(one, BaseException)} <= {Gone}
    assert (len(provisions), len(stops)) == ((1, 1) if left else (0, 0))


async def test_another_company_sees_nothing_of_it(runtime, person):
    other = await make_world(runtime, slug="other")
    await person.give(person.world.agency.id)

    for kind in (Consent, ConsentEvent, ConsentText, Relay, CandidateLink):
        assert await rows(runtime, other.company.id, kind) == []


# ---- one person, two records ----------------------------------------------------------------


async def test_after_a_merge_every_consent_is_shown_and_can_be_withdrawn(runtime, world):
    first, second = await invited(runtime, world), await invited(runtime, world)
    await first.give(world.agencies[0].id, submission_id="the-first-submission")
    await second.give(world.agencies[1].id, submission_id="the-second-submission")
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        one_, two = await first.reload(), await second.reload()
        absorbed = await lock(db, Candidate, company_id, one_.id)
        survivor = await lock(db, Candidate, company_id, two.id)
        kept = await merge(db, runtime.tools, absorbed, survivor)
    async with runtime.database.transaction(company_id=company_id) as db:
        held = await my_data(db, kept)
        ended = await withdraw(db, runtime.tools, kept, None, runtime.clock())

    assert kept.id == two.id
    assert {one_.agency_id for one_ in held} == {agency.id for agency in world.agencies}
    assert set(ended) == {agency.id for agency in world.agencies}
    consents = await rows(runtime, company_id, Consent)
    assert {consent.state for consent in consents} == {"withdrawn"}
    for number in (one_.id, two.id):
        chain = await rows(runtime, company_id, ConsentEvent, candidate_id=number)
        assert broken_at(chain) is None


async def merged(runtime, world, clock):
    """A person who consented under two numbers, which turned out to be one; the earlier record."""
    first, second = await invited(runtime, world), await invited(runtime, world)
    await first.give(world.agencies[0].id, submission_id="the-first-submission")
    await second.give(world.agencies[1].id, submission_id="the-second-submission")
    forward(clock, minutes=31)
    await work(runtime)
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        absorbed = await lock(db, Candidate, company_id, first.application.candidate_id)
        survivor = await lock(db, Candidate, company_id, second.application.candidate_id)
        await merge(db, runtime.tools, absorbed, survivor)
    await work(runtime)
    return first, second


async def test_after_a_merge_an_agency_reads_what_was_put_right(runtime, world, clock):
    first, second = await merged(runtime, world, clock)
    relay = await one(runtime, world.company.id, Relay, candidate_id=first.application.candidate_id)
    await read_package(first, relay)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await second.reload()
        await correct_profile(db, runtime.tools, candidate, {"name": "見本 花子"}, clock())
    provided = await read_package(first, relay)
    await work(runtime)
    mails = await mailbox(runtime, world.company.id, PROFILE["email"])
    links = await rows(
        runtime, world.company.id, CandidateLink, candidate_id=first.application.candidate_id
    )

    assert provided.package["candidate"]["name"] == "見本 花子"
    assert "見本 花子" in mails[-1]["text"]
    assert links == []


async def test_a_consent_after_a_merge_stands_alone_at_its_agency(runtime, world, clock):
    first, second = await merged(runtime, world, clock)
    forward(clock, minutes=1)
    await has_another_form(second)
    await second.give(world.agencies[0].id, submission_id="the-third-submission")
    await work(runtime)
    consents = await rows(runtime, world.company.id, Consent, agency_id=world.agencies[0].id)
    relays = await rows(runtime, world.company.id, Relay, agency_id=world.agencies[0].id)

    assert {one.candidate_id: one.state for one in consents} == {
        first.application.candidate_id: "superseded",
        second.application.candidate_id: "given",
    }
    assert {one.candidate_id: one.state for one in relays} == {
        first.application.candidate_id: "expired",
        second.application.candidate_id: "queued",
    }
