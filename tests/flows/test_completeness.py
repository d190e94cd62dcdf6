"""Silence is noticed: words about open relays, months without an attestation, stuck credits."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from domain.agreement import Agreement
from domain.candidate import Candidate
from domain.duty import Attestation
from domain.errors import Conflict, NotFound
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.earn.agree_terms import end_agreement
from domain.flows.earn.attest import attest, manager_of
from domain.flows.earn.dispute_credit import Matter, open_dispute
from domain.flows.earn.use_credit import Opening, reserve, use
from domain.flows.office.open_account import agree, register_member
from domain.flows.relay.answer_relay import say_unchanged
from domain.flows.relay.provide_package import provide_package
from domain.month import Month
from domain.relay import Relay
from domain.views.completeness import unresolved
from domain.views.duties import overdue_duties, paused
from domain.views.mailbox import mails
from tests.applications import mailbox, one, rows
from tests.conftest import forward
from tests.factories import make_world, work
from tests.flows.ledger_story import at, earn, leave, terms_are
from tests.relays import forwarded, queued, reload

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(runtime):
    """Agreements in which new relays pause when a duty is missed."""
    made = await make_world(runtime)
    async with runtime.database.transaction(company_id=made.company.id) as db:
        await terms_are(db, made, duties={"pause": True})
    return made


JUNE = Month(date(2026, 6, 1))


async def staff(runtime, world):
    """Somebody at the agency and somebody at the company, to read the mails."""
    async with runtime.database.transaction() as db:
        for side, roles in (("agency", ["consultant"]), ("company", ["head"])):
            await register_member(
                db, runtime.tools.sealer, email=f"{side}@people.example", name="担当 見本",
                roles=roles, now=runtime.clock(),
                **{f"{side}_id": getattr(world, side).id},
            )  # fmt: skip


async def agency_mail(runtime, world):
    async with runtime.database.transaction(agency_id=world.agency.id) as db:
        return list(reversed(await mails(db, runtime.tools, world.agency.id)))


async def to(runtime, clock, day, hour=10):
    """Let time pass, with everything that falls due on the way."""
    clock.move_to(at(day, hour))
    await work(runtime)


async def word(runtime, world, relay):
    async with runtime.database.transaction() as db:
        await say_unchanged(db, world.agency.id, relay.id, actor="crc_a", now=runtime.clock())


async def attestation(runtime, world):
    return await one(runtime, world.company.id, Attestation)


async def give(runtime, world, month=JUNE, *, manager="見本 三郎", company_id=None):
    async with runtime.database.transaction() as db:
        return await attest(
            db, runtime.tools, world.agency.id, month, company_id=company_id, manager=manager,
            actor="crc_a", now=runtime.clock(),
        )  # fmt: skip


# ---- words about open relays


async def test_a_missing_word_is_asked_for_once(runtime, world, clock):
    await staff(runtime, world)
    relay = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 2))
    before = (await reload(runtime, relay)).status_missed_on
    await to(runtime, clock, date(2026, 7, 3))
    await work(runtime)
    about = [mail for mail in await agency_mail(runtime, world) if relay.id in mail["subject"]]

    assert before is None
    assert (await reload(runtime, relay)).status_missed_on == date(2026, 7, 3)
    assert len(about) == 1
    assert "2026年7月2日(木)" in about[0]["text"]


async def test_new_relays_pause_when_the_grace_has_passed(runtime, world, clock):
    old = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 9))  # five business days after 2 July
    in_grace = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 10))
    held_back = await queued(runtime, world)
    elsewhere = await queued(runtime, world, agency=1)
    await work(runtime)

    assert (await reload(runtime, in_grace)).state == "forwarded"
    found = await reload(runtime, held_back)
    assert (found.state, found.reason) == ("queued", "duty_missed")
    assert found.forward_at - clock() <= timedelta(minutes=15)
    assert (await reload(runtime, elsewhere)).state == "forwarded"
    async with runtime.database.transaction() as db:
        package = await provide_package(
            db, runtime.tools, world.agency.id, old.id, channel="api", client_id="crc_a",
            now=clock(),
        )  # fmt: skip
    assert package.package["relay_id"] == old.id


async def test_a_word_lets_what_waited_go_at_once(runtime, world, clock):
    old = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 13))
    held_back = await queued(runtime, world)
    await work(runtime)
    await word(runtime, world, old)
    await work(runtime)

    assert (await reload(runtime, held_back)).state == "forwarded"


async def test_the_end_of_the_relay_ends_the_pause_as_well(runtime, world, clock):
    old = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 13))
    held_back = await queued(runtime, world)
    await work(runtime)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        candidate = await db.get_one(Candidate, (world.company.id, old.candidate_id))
        await withdraw(db, runtime.tools, candidate, None, clock())
    await work(runtime)

    assert (await reload(runtime, old)).status_missed_on is None
    assert (await reload(runtime, held_back)).state == "forwarded"


async def test_a_relay_that_ended_without_a_trace_does_not_pause(runtime, world):
    relay = await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await db.execute(
            update(Relay)
            .where(col(Relay.id) == relay.id)
            .values(state="closed_no_placement", status_missed_on=date(2026, 6, 1))
        )
        found = await overdue_duties(db, world.company.id, world.agency.id)

    assert not found


async def test_without_a_pause_in_the_agreement_relays_go_on(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, duties={})
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 30))
    later = await forwarded(runtime, world)

    assert (await reload(runtime, later)).state == "forwarded"


async def test_another_company_is_not_paused(runtime, world, clock):
    other = await make_world(runtime, slug="other", agencies=0)
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 30))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        mine = await paused(db, runtime.tools.holidays, world.company.id, world.agency.id, clock())
    async with runtime.database.transaction(company_id=other.company.id) as db:
        theirs = await overdue_duties(db, other.company.id, world.agency.id)

    assert [(one.reason, one.since) for one in mine] == [
        ("status_missing", date(2026, 7, 10)), ("attestation_missing", date(2026, 7, 15)),
    ]  # fmt: skip
    assert not theirs


# ---- attestations


async def test_without_a_relay_no_attestation_is_owed(runtime, world, clock):
    await to(runtime, clock, date(2026, 8, 1))

    assert await rows(runtime, world.company.id, Attestation) == []
    assert {one.attest_at for one in await rows(runtime, world.company.id, Agreement)} == {None}


async def test_an_attestation_is_owed_when_the_month_has_ended(runtime, world, clock):
    await staff(runtime, world)
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 6, 30), 23)
    before = await rows(runtime, world.company.id, Attestation)
    await to(runtime, clock, date(2026, 7, 1), 0)
    await work(runtime)
    owed = await attestation(runtime, world)
    (agreement,) = await rows(runtime, world.company.id, Agreement, agency_id=world.agency.id)
    mails = [mail for mail in await agency_mail(runtime, world) if "成約" in mail["subject"]]

    assert before == []
    assert (owed.month, owed.due_on, owed.state) == (date(2026, 6, 1), date(2026, 7, 7), "due")
    assert agreement.attest_at == datetime(2026, 7, 31, 15, tzinfo=UTC)
    assert [mail["subject"] for mail in mails] == [
        "【お願い】2026年6月分の成約のご確認(2026年7月7日(火)まで)"
    ]


async def test_months_nobody_looked_at_are_asked_for_one_by_one(runtime, world, clock):
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 9, 10))
    await work(runtime)
    found = await rows(runtime, world.company.id, Attestation)

    assert [(one.month, one.state) for one in sorted(found, key=lambda one: one.month)] == [
        (date(2026, 6, 1), "overdue"), (date(2026, 7, 1), "overdue"), (date(2026, 8, 1), "overdue"),
    ]  # fmt: skip


async def test_one_mail_for_all_companies(runtime, world, clock):
    await staff(runtime, world)
    other = await make_world(runtime, slug="other", agencies=0)
    async with runtime.database.transaction() as db:
        other.agreements = [
            await agree(
                db, other.company.id, world.agency.id, number="o-1",
                effective_on=date(2025, 1, 1), now=clock(),
            )
        ]  # fmt: skip
    other.agencies = world.agencies
    await forwarded(runtime, world)
    await forwarded(runtime, other)
    await to(runtime, clock, date(2026, 7, 1))
    mails = [mail for mail in await agency_mail(runtime, world) if "成約" in mail["subject"]]

    assert len(mails) == 1
    assert len(await rows(runtime, other.company.id, Attestation)) == 1


async def test_given_once_with_what_stood_then(runtime, world, clock):
    await forwarded(runtime, world)
    await forwarded(runtime, world)
    await earn(runtime, world, date(2026, 6, 20))
    await earn(runtime, world, date(2026, 5, 31))
    await to(runtime, clock, date(2026, 7, 2))
    (row,) = await give(runtime, world)
    forward(clock, days=1)
    (again,) = await give(runtime, world)

    assert (row.state, row.open_relays, row.placements, row.given_by) == ("given", 2, 1, "crc_a")
    assert again.given_at == row.given_at
    assert manager_of(runtime.tools.sealer, again) == "見本 三郎"
    assert b"\xe8\xa6\x8b\xe6\x9c\xac" not in row.manager


async def test_said_again_differently_it_is_refused_and_stands(runtime, world, clock):
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 2))
    await give(runtime, world)
    with pytest.raises(Conflict) as refused:
        await give(runtime, world, manager="別人 四郎")

    assert refused.value.code == "attested_differently"
    row = await attestation(runtime, world)
    assert manager_of(runtime.tools.sealer, row) == "見本 三郎"


async def test_a_month_that_is_not_over_or_not_owed_is_not_attested(runtime, world, clock):
    await forwarded(runtime, world)
    with pytest.raises(Conflict) as early:
        await give(runtime, world)
    await to(runtime, clock, date(2026, 7, 2))
    with pytest.raises(NotFound):
        await give(runtime, world, Month(date(2026, 5, 1)))
    with pytest.raises(NotFound):
        await give(runtime, world, company_id="cmp_00000000000000000000000000")

    assert early.value.code == "month_not_over"
    assert (await attestation(runtime, world)).state == "due"


async def test_an_overdue_attestation_is_told_and_pauses_and_ends_the_pause(runtime, world, clock):
    await staff(runtime, world)
    relay = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 1))
    await word(runtime, world, relay)
    await to(runtime, clock, date(2026, 7, 8))
    state = (await attestation(runtime, world)).state
    told = [mail["subject"] for mail in await mailbox(runtime, world.company.id)]
    reminded = [mail["subject"] for mail in await agency_mail(runtime, world)]
    await to(runtime, clock, date(2026, 7, 14))
    in_grace = await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 7, 15))
    held_back = await queued(runtime, world)
    await work(runtime)
    closed = await reload(runtime, held_back)
    await give(runtime, world)
    await work(runtime)

    assert state == "overdue"
    missing = "【重要】2026年6月分の成約の確認が期限を過ぎています"
    assert told == [missing]
    assert missing in reminded
    assert (await reload(runtime, in_grace)).state == "forwarded"
    assert (closed.state, closed.reason) == ("queued", "duty_missed")
    assert (await reload(runtime, held_back)).state == "forwarded"


async def test_an_agreement_without_attestations_owes_none(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, duties={"attestation": False})
    await forwarded(runtime, world)
    await to(runtime, clock, date(2026, 8, 1))

    assert await rows(runtime, world.company.id, Attestation) == []


async def test_the_month_in_which_an_agreement_ends_is_the_last(runtime, world, clock):
    await forwarded(runtime, world)
    async with runtime.database.transaction(company_id=world.company.id) as db:
        wanted = select(Agreement).where(col(Agreement.agency_id) == world.agency.id)
        agreement = (await db.scalars(wanted)).one()
        await end_agreement(
            db, world.company.id, agreement.id, ends_on=date(2026, 7, 10), actor="crc_h",
            now=clock(),
        )  # fmt: skip
    for day in (date(2026, 7, 11), date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)):
        await to(runtime, clock, day)
    found = await rows(runtime, world.company.id, Attestation)
    (agreement,) = await rows(runtime, world.company.id, Agreement, agency_id=world.agency.id)

    assert sorted(one.month for one in found) == [date(2026, 6, 1), date(2026, 7, 1)]
    assert (agreement.state, agreement.attest_at) == ("ended", None)


# ---- what has got stuck


async def stuck(runtime, now, world=None):
    company = world.company.id if world is not None else None
    async with runtime.database.transaction(company_id=company) as db:
        found = await unresolved(db, now, company_id=company)
    return {one.bucket: (one.count, one.oldest_days) for one in found}


async def test_nothing_is_stuck_in_a_new_house(runtime, world, clock):
    nothing = dict.fromkeys(("pending", "frozen", "owed", "reserved"), (0, None))

    assert await stuck(runtime, clock()) == nothing
    assert await stuck(runtime, clock(), world) == nothing


async def test_a_credit_past_its_guarantee_is_an_alarm_until_somebody_looks(runtime, world, clock):
    await earn(runtime, world, date(2026, 6, 2))  # the guarantee ends on 1 December
    clock.move_to(at(date(2026, 12, 1)))
    on_the_last_day = await stuck(runtime, clock())
    clock.move_to(at(date(2026, 12, 4)))
    late, own = await stuck(runtime, clock()), await stuck(runtime, clock(), world)
    await work(runtime)

    assert on_the_last_day["pending"] == (0, None)
    assert late["pending"] == own["pending"] == (1, 3)
    assert (await stuck(runtime, clock()))["pending"] == (0, None)


async def test_a_debt_is_an_alarm_after_ninety_days(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    placement = await earn(runtime, world, date(2026, 6, 2))
    await hire(runtime, world, clock())
    await to(runtime, clock, date(2026, 6, 3))
    await leave(runtime, world, placement, date(2026, 6, 3), clock())
    clock.move_to(at(date(2026, 9, 1)))
    young = await stuck(runtime, clock())
    clock.move_to(at(date(2026, 9, 2)))

    assert young["owed"] == (0, None)
    assert (await stuck(runtime, clock()))["owed"] == (1, 91)
    assert (await stuck(runtime, clock(), world))["owed"] == (1, 91)


async def test_a_settled_debt_is_none(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    placement = await earn(runtime, world, date(2026, 6, 2))
    await hire(runtime, world, clock())
    await to(runtime, clock, date(2026, 6, 3))
    await leave(runtime, world, placement, date(2026, 6, 3), clock())
    await to(runtime, clock, date(2026, 6, 4))
    await earn(runtime, world, date(2026, 6, 4))
    clock.move_to(at(date(2026, 12, 2)))

    assert (await stuck(runtime, clock()))["owed"] == (0, None)


async def test_of_two_debts_the_settled_one_no_longer_counts(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    first = await earn(runtime, world, date(2026, 6, 2))
    await hire(runtime, world, clock())
    second = await earn(runtime, world, date(2026, 6, 2))
    await hire(runtime, world, clock())
    await to(runtime, clock, date(2026, 6, 3))
    await leave(runtime, world, first, date(2026, 6, 3), clock())
    await to(runtime, clock, date(2026, 6, 10))
    await leave(runtime, world, second, date(2026, 6, 10), clock())
    clock.move_to(at(date(2026, 9, 30)))
    both = await stuck(runtime, clock())
    await earn(runtime, world, date(2026, 6, 12))
    await work(runtime)

    assert both["owed"] == (2, 119)
    assert (await stuck(runtime, clock()))["owed"] == (1, 112)


async def test_a_frozen_credit_is_an_alarm_after_thirty_days(runtime, world, clock):
    placement = await earn(runtime, world, date(2026, 6, 2))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await open_dispute(
            db, runtime.tools, world.company.id, world.agency.id,
            Matter("placement", "not_started", "まだ入社していません", None, placement, []),
            party="agency", actor="crc_a", now=clock(),
        )  # fmt: skip
    clock.move_to(at(date(2026, 7, 2)))
    young = await stuck(runtime, clock())
    clock.move_to(at(date(2026, 7, 3)))

    assert young["frozen"] == (0, None)
    assert (await stuck(runtime, clock()))["frozen"] == (1, 31)


async def test_a_hold_that_should_have_ended_is_an_alarm(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        await terms_are(db, world, available_after="start")
    await earn(runtime, world, date(2026, 6, 2))
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await reserve(
            db, world.company.id, agency_id=world.agency.id, opening=Opening("経理"),
            actor="crc_h", now=clock(),
        )  # fmt: skip
    clock.move_to(at(held.holds_until))
    on_the_last_day = await stuck(runtime, clock())
    clock.move_to(at(held.holds_until + timedelta(days=2)))

    assert on_the_last_day["reserved"] == (0, None)
    assert (await stuck(runtime, clock()))["reserved"] == (1, 2)


async def hire(runtime, world, now):
    """A hire made with the only credit."""
    async with runtime.database.transaction(company_id=world.company.id) as db:
        held = await reserve(
            db, world.company.id, agency_id=world.agency.id, opening=Opening("経理"),
            actor="crc_h", now=now,
        )  # fmt: skip
        await use(db, world.company.id, held.id, hired_on=date(2026, 6, 2), actor="crc_h", now=now)
