"""The privacy officer's room: incidents with their clocks, guardians, exceptions, settings."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent
from domain.errors import Invalid
from domain.flows.consent.record_guardian import (
    Guardian,
    guardian_facts,
    guardian_of,
    record_guardian,
)
from domain.flows.office.check_provisions import check_provisions
from domain.flows.office.open_incident import Report, items_of, open_incident
from domain.flows.office.set_cross_border import set_cross_border
from domain.flows.person.open_rights_request import open_request
from domain.guardian import GuardianConsent
from domain.incident import Incident, IncidentEvent
from domain.privacy import PrivacyChange, SourceOverride
from domain.relay import Provision, StopNotice
from domain.sources import allowed_sources
from tests.api.test_provision_register import Desk, an_officer, read
from tests.applications import an_application, mailbox, one, rows
from tests.consents import invited
from tests.factories import work
from tests.flows.test_check_provisions import falsified
from tests.pages.seed import enter
from tests.relays import forwarded, take_back

pytestmark = pytest.mark.anyio
HERE = "/dashboard/privacy/incidents"
MINOR = {"display_name": "試験 若葉", "email": "wakaba@mail.example", "birth_date": "2009-01-01"}
GUARDIAN = {
    "name": "試験 保子", "relation": "母", "document": "人事部キャビネットB-3", "method": "paper",
}  # fmt: skip
SETTINGS = {
    "privacy_officer": "総務部長", "privacy_contact": "p@mirai.example", "processors": "委託なし",
    "processors_en": "None", "retention_months": "12", "consent_days": "45",
    "invitation_days": "30", "evidence_years": "3", "feedback_requests": "yes",
    "reapplication_months": "3", "jobs": "法人営業 = 12\n経理＝０",
}  # fmt: skip


async def officer_sees(runtime, application):
    async with runtime.database.transaction(company_id=application.company_id) as db:
        return await db.get_one(Candidate, (application.company_id, application.candidate_id))


async def wait_until(runtime, application, when):
    async with runtime.database.transaction(company_id=application.company_id) as db:
        person = await db.get_one(Candidate, (application.company_id, application.candidate_id))
        person.review_at = when
        db.add(person)


@pytest.fixture
async def officer(runtime, world, client):
    return await an_officer(runtime, world, client)


async def test_an_incident_from_its_first_hour_to_its_end(runtime, world, officer):
    secret = "名簿を誤送信した"
    opened = await officer.post(
        HERE, known_on="2026-06-01", known_time="18:30", kinds="wrongful_purpose", persons="1,200",
        item_outline=secret,
    )  # fmt: skip
    page = await officer.get(opened.headers["location"])
    row = await one(runtime, world.company.id, Incident)
    path = f"{HERE}/{row.id}"
    early = await officer.post(f"{path}/final", sure="yes")
    told = await officer.post(f"{path}/told")
    first = await officer.post(f"{path}/preliminary")
    whole = {f"item_{name}": "確認済み" for name in (
        "outline", "data_items", "persons", "cause", "towards_persons", "prevention")}  # fmt: skip
    amended = await officer.post(path, kinds="wrongful_purpose", persons="900", **whole)
    unsure = await officer.post(f"{path}/final")
    final = await officer.post(f"{path}/final", sure="yes")
    late = await officer.post(path, persons="1", **whole)
    row = await one(runtime, world.company.id, Incident)
    events = await rows(runtime, world.company.id, IncidentEvent)

    assert opened.status_code == told.status_code == first.status_code == 303
    assert amended.status_code == final.status_code == 303
    assert secret in page.text
    assert (early.status_code, unsure.status_code, late.status_code) == (409, 422, 409)
    assert "確報に必要な項目" in early.text
    assert row.state == "closed"
    assert row.known_at == datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
    assert (row.preliminary_due_on, row.final_due_on) == (date(2026, 6, 3), date(2026, 7, 30))
    assert (row.kinds, row.persons, row.reportable) == (["wrongful_purpose"], 900, True)
    assert (row.look_at, row.final_at is not None) == (None, True)
    assert [event.kind for event in sorted(events, key=lambda event: event.id)] == [
        "opened", "persons_told", "reported_preliminary", "amended", "reported_final",
    ]  # fmt: skip


@pytest.mark.usefixtures("officer")
async def test_its_words_are_sealed_and_never_mailed(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        row = await open_incident(
            db, runtime.tools, world.company.id,
            Report(clock(), ("special_care",), items={"outline": "試験 花子さんの診断書"}),
            actor="operator:x", now=clock(),
        )  # fmt: skip
    await work(runtime)
    mails = await mailbox(runtime, world.company.id, "officer@people.example")

    assert "診断書".encode() not in row.items
    assert items_of(runtime.tools.sealer, row) == {"outline": "試験 花子さんの診断書"}
    assert [mail["subject"] for mail in mails] == ["漏えい等事案が登録されました"]
    assert "花子" not in mails[0]["text"]
    assert "2026年6月4日" in mails[0]["text"]
    assert "2026年7月1日" in mails[0]["text"]


@pytest.mark.usefixtures("officer")
async def test_reminders_come_on_the_day_and_daily_after_it(runtime, world, clock):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        report = Report(clock(), ("special_care",))
        await open_incident(
            db, runtime.tools, world.company.id, report, actor="operator:x", now=clock()
        )
    told = []
    for day in (3, 4, 5):
        clock.move_to(datetime(2026, 6, day, 0, 0, tzinfo=UTC))  # 09:00 in Japan
        await work(runtime)
        await work(runtime)
        told.append(len(await mailbox(runtime, world.company.id, "officer@people.example")))

    assert told == [1, 2, 3]


async def test_the_operator_tells_each_company_once(runtime, world, clock):
    report = Report(clock(), ("special_care",))
    for _ in range(2):
        async with runtime.database.transaction(company_id=world.company.id) as db:
            await open_incident(
                db, runtime.tools, world.company.id, report, actor="operator:x", now=clock(),
                origin="op-1",
            )  # fmt: skip

    assert len(await rows(runtime, world.company.id, Incident)) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"known_on": "2026-06-03", "persons": "1"}, 422),
        ({"known_on": "", "persons": "1"}, 422),
        ({"known_on": "2026-06-01", "persons": "viele"}, 422),
        ({"known_on": "2026-06-01", "known_time": "25:99", "persons": "1"}, 422),
        ({"known_on": "2026-06-01", "persons": "1", "item_outline": "x" * 4001}, 422),
    ],
)
async def test_what_cannot_be_registered_is_shown_again(runtime, world, officer, fields, status):
    answer = await officer.post(HERE, **fields)

    assert answer.status_code == status
    assert "error-summary" in answer.text
    assert await rows(runtime, world.company.id, Incident) == []


async def test_a_guardian_agrees_and_takes_it_back(runtime, world, officer):
    relay = await forwarded(runtime, world, birth_date="2009-01-01")
    await read(runtime, relay)
    path = f"/dashboard/privacy/people/{relay.candidate_id}"
    recorded = await officer.post(f"{path}/guardian", **GUARDIAN)
    page = await officer.get(path)
    again = await officer.post(f"{path}/guardian", **GUARDIAN)
    row = await one(runtime, world.company.id, GuardianConsent)
    stood = await one(runtime, world.company.id, Candidate, id=relay.candidate_id)
    unsure = await officer.post(f"{path}/guardian/{row.id}/revoke")
    revoked = await officer.post(f"{path}/guardian/{row.id}/revoke", sure="yes")
    candidate = await one(runtime, world.company.id, Candidate, id=relay.candidate_id)
    consent = await one(runtime, world.company.id, Consent)
    row = await one(runtime, world.company.id, GuardianConsent)

    assert (recorded.status_code, again.status_code) == (303, 409)
    assert (unsure.status_code, revoked.status_code) == (422, 303)
    assert "試験 保子" in page.text
    assert "試験 保子".encode() not in row.sealed
    assert stood.guardian_consent_at is not None
    assert candidate.guardian_consent_at is None
    assert row.revoked_at is not None
    assert consent.state == "withdrawn"
    assert len(await rows(runtime, world.company.id, StopNotice)) == 1


async def test_what_was_noted_of_a_guardian_is_opened_again(runtime, world, clock):
    application = await an_application(runtime, world, profile=MINOR)
    company_id, said = world.company.id, Guardian("試験 保子", "母", "B-3")
    async with runtime.database.transaction(company_id=company_id) as db:
        await record_guardian(
            db, runtime.tools.sealer, company_id, application.candidate_id, said,
            method="paper", actor="mbr_x", now=clock(),
        )  # fmt: skip
    async with runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, application.candidate_id))
        row = await guardian_of(db, candidate)
        opened = await guardian_facts(db, runtime.tools.sealer, row)

    assert opened == said
    assert repr(opened) == "Guardian(•••)"


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"name": ""}, "保護者の氏名"), ({"method": "rumour"}, "確認の方法を選んで")],
)
async def test_half_a_guardian_is_refused(runtime, world, officer, changed, words):
    application = await an_application(runtime, world, profile=MINOR)
    answer = await officer.post(
        f"/dashboard/privacy/people/{application.candidate_id}/guardian", **{**GUARDIAN, **changed}
    )

    assert answer.status_code == 422
    assert words in answer.text
    assert await rows(runtime, world.company.id, GuardianConsent) == []


async def test_nobody_knows_a_person_of_somebody_else(officer):
    path = "/dashboard/privacy/people/cnd_" + "0" * 26

    assert (await officer.get(path)).status_code == 404
    assert (await officer.post(f"{path}/guardian", **GUARDIAN)).status_code == 404


async def test_a_source_is_allowed_by_its_clause_and_for_its_time(runtime, world, officer):
    answer = await officer.post(
        "/dashboard/privacy/sources", source="agency", clause="第8条第2項", contract="2026-014",
        effective_on="2026-06-10", ends_on="2026-06-20",
    )  # fmt: skip
    page = await officer.get("/dashboard/privacy/sources")

    async def allowed(day):
        async with runtime.database.transaction(company_id=world.company.id) as db:
            company = await db.get_one(Company, world.company.id)
            return await allowed_sources(db, company, date(2026, 6, day))

    own = frozenset(world.company.allowed_sources)
    assert answer.status_code == 303
    assert "第8条第2項" in page.text
    assert [await allowed(day) - own for day in (9, 10, 20, 21)] == [
        frozenset(), {"agency"}, {"agency"}, frozenset(),
    ]  # fmt: skip


async def test_the_newest_word_about_a_source_holds(runtime, world, officer):
    here = "/dashboard/privacy/sources"
    await officer.post(here, source="scout", clause="c", contract="d", effective_on="2026-06-01")
    ended = await officer.post(f"{here}/end", source="scout")
    again = await officer.post(f"{here}/end", source="scout")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        today = await allowed_sources(db, company, date(2026, 6, 2))

    assert (ended.status_code, again.status_code) == (303, 409)
    assert "scout" not in today
    assert len(await rows(runtime, world.company.id, SourceOverride)) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "direct"}, {"source": "moon"}, {"clause": ""}, {"contract": ""},
        {"effective_on": ""}, {"ends_on": "2026-05-01"}, {"ends_on": "soon"},
    ],
)  # fmt: skip
async def test_an_exception_without_its_grounds_is_none(runtime, world, officer, changed):
    fields = {"source": "agency", "clause": "c", "contract": "d", "effective_on": "2026-06-01"}
    answer = await officer.post("/dashboard/privacy/sources", **{**fields, **changed})

    assert answer.status_code == 422
    assert await rows(runtime, world.company.id, SourceOverride) == []


async def test_shorter_times_are_confirmed_and_hold_from_the_next_night(runtime, world, officer):
    application = await an_application(runtime, world, outcome="rejected")
    there = await officer_sees(runtime, application)
    await wait_until(runtime, application, there.created_at + timedelta(days=200))
    before = await officer_sees(runtime, application)
    shorter = {**SETTINGS, "retention_months": "2", "consent_days": "30"}
    unsure = await officer.post("/dashboard/settings/privacy", **shorter)
    same = await officer_sees(runtime, application)
    kept = (await one(runtime, world.company.id, Company)).retention_months
    sure = await officer.post("/dashboard/settings/privacy", **shorter, sure="yes")
    after = await officer_sees(runtime, application)

    assert (unsure.status_code, sure.status_code, kept) == (422, 303, 6)
    assert 'id="settings-sure-error"' in unsure.text
    assert same.review_at == before.review_at
    assert after.review_at == datetime(2026, 6, 2, 18, 0, tzinfo=UTC)


async def test_who_is_waited_for_stands_on_the_first_page_of_whoever_acts(
    runtime, world, client, officer
):
    application = await an_application(runtime, world, outcome="rejected")
    async with runtime.database.transaction(company_id=world.company.id) as db:
        person = await db.get_one(Candidate, (world.company.id, application.candidate_id))
        await open_request(
            db, runtime.tools, person, "purpose_notice", words="", channel="mail",
            identity_check="document", submission_id=None,
            now=runtime.clock() - timedelta(days=20),
        )  # fmt: skip
        await open_incident(
            db, runtime.tools, world.company.id, Report(runtime.clock(), ("special_care",)),
            actor="mem_1", now=runtime.clock(),
        )  # fmt: skip
    seen = {}
    for role in ("recruiter", "head"):
        cookie = await enter(runtime, role, company_id=world.company.id, roles=[role])
        seen[role] = (await Desk(client, cookie).get("/dashboard")).text
    seen["officer"] = (await officer.get("/dashboard")).text

    requests, incidents = (
        'href="/dashboard/privacy/requests"',
        'href="/dashboard/privacy/incidents"',
    )
    assert {role: (requests in page, incidents in page) for role, page in seen.items()} == {
        "recruiter": (False, False), "head": (True, False), "officer": (True, True),
    }  # fmt: skip
    assert "期限超過 1件" in seen["head"]
    assert 'href="/dashboard/privacy"' not in seen["head"]


@pytest.mark.parametrize("by", ["email", "application", "external", "candidate"])
async def test_a_person_is_found_by_what_one_has_of_them(runtime, world, officer, by):
    application = await an_application(runtime, world)
    named = {
        "email": "HANAKO@mail.example", "application": application.id,
        "external": application.external_id, "candidate": application.candidate_id,
    }  # fmt: skip
    found = await officer.post("/dashboard/privacy/people", person=named[by])
    nobody = await officer.post("/dashboard/privacy/people", person="nobody@mail.example")
    page = await officer.get(found.headers["location"])

    assert found.headers["location"] == f"/dashboard/privacy/people/{application.candidate_id}"
    assert (nobody.status_code, page.status_code) == (422, 200)
    assert 'id="find-person-error"' in nobody.text


async def test_what_a_person_said_stands_beside_what_was_handed_over(runtime, world, officer):
    relay = await forwarded(runtime, world)
    await read(runtime, relay)
    await take_back(runtime, relay)
    page = await officer.get(f"/dashboard/privacy/people/{relay.candidate_id}")
    history = page.text.split('id="evidence"')[1].split("</section>")[0]

    assert history.count('scope="row"') == 2
    assert history.index("撤回") < history.index("同意<")
    assert history.count(world.agencies[0].name) == 2
    assert "2026-06</span>" in history
    assert "2026年11月29日(日)まで" in history
    assert world.agencies[0].name in page.text.split('id="records"')[1]


async def test_a_wish_to_be_asked_later_stands_among_what_was_said(runtime, world, officer):
    person = await invited(runtime, world)
    await person.give(world.agency.id, followup=True)
    page = await officer.get(f"/dashboard/privacy/people/{person.application.candidate_id}")

    assert page.status_code == 200
    assert "その後のおたずね" in page.text.split('id="evidence"')[1].split("</section>")[0]


async def test_each_finding_of_the_night_leads_to_its_person(runtime, world, officer, database_url):
    relay, other = await forwarded(runtime, world), await forwarded(runtime, world, agency=1)
    await read(runtime, relay)
    record = await one(runtime, world.company.id, Provision)
    await falsified(database_url, "UPDATE provision SET items = '[\"education\"]'")
    await falsified(
        database_url, "UPDATE consent_event SET method = 'x' WHERE candidate_id = $1",
        other.candidate_id,
    )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        check = await check_provisions(db, world.company.id, runtime.clock())
    page = (await officer.get("/dashboard/privacy")).text
    first = (await officer.get("/dashboard")).text

    assert check.findings == [record.id, f"{other.candidate_id}, 1"]
    for finding, person in zip(check.findings, (relay, other), strict=True):
        linked = rf'people/{person.candidate_id}#evidence">[^<]*</a> <code>{finding}</code>'
        assert re.search(linked, page)
    for shown in (page, first):
        assert (
            "有効な同意を確認できない提供が1件あります・同意の証跡が一致しない方が1名います"
            in shown
        )


async def test_the_settings_are_kept_and_shown_again(runtime, world, officer):
    here = "/dashboard/settings/privacy"
    answer = await officer.post(here, **SETTINGS)
    page = await officer.get(here)
    company = await one(runtime, world.company.id, Company, id=world.company.id)

    assert answer.status_code == 303
    assert (company.privacy_officer, company.processors_en) == ("総務部長", "None")
    assert (company.retention_months, company.retention) == (12, {"consent_days": 45})
    assert (company.feedback_requests, company.reapplication_months) == (True, 3)
    assert company.job_reapplication == {"法人営業": 12, "経理": 0}
    assert 'value="総務部長"' in page.text
    assert "法人営業 = 12" in page.text
    assert re.search(r'name="feedback_requests" value="yes" checked', page.text)


async def test_who_changed_the_settings_is_kept_and_shown(runtime, world, officer):
    here = "/dashboard/settings/privacy"
    untouched = await officer.get(here)
    await officer.post(here, **SETTINGS)
    await officer.post(here, **SETTINGS)
    fewer = {**SETTINGS, "reapplication_months": "2", "privacy_officer": "試験 花子"}
    del fewer["feedback_requests"]
    await officer.post(here, **fewer)
    page = await officer.get(here)
    first, second = sorted(
        await rows(runtime, world.company.id, PrivacyChange), key=lambda one: one.id
    )

    assert "変更の記録はありません" in untouched.text
    assert first.changes == [
        {"name": "privacy_officer"}, {"name": "privacy_contact"}, {"name": "processors"},
        {"name": "processors_en"}, {"name": "retention_months", "before": 6, "after": 12},
        {"name": "feedback_requests", "before": False, "after": True},
        {"name": "reapplication_months", "before": 6, "after": 3},
        {"name": "consent_days", "before": 30, "after": 45}, {"name": "jobs"},
    ]  # fmt: skip
    assert second.changes == [
        {"name": "privacy_officer"}, {"name": "feedback_requests", "before": True, "after": False},
        {"name": "reapplication_months", "before": 3, "after": 2},
    ]  # fmt: skip
    assert first.actor == second.actor
    assert first.actor.startswith("mbr_")
    assert "応募情報の保存期間(月): 6 → 12" in page.text
    assert "受け付ける: 受け付けない" in page.text
    assert page.text.index("3 → 2") < page.text.index("6 → 12")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"privacy_officer": " "}, "管理者、窓口"),
        ({"processors": "お祝い金をお渡しします"}, "見返り"),
        ({"retention_months": "0"}, "60か月"),
        ({"retention_months": "61"}, "60か月"),
        ({"reapplication_months": "x"}, "60か月"),
        ({"evidence_years": "2"}, "範囲を超えて"),
        ({"jobs": "法人営業 12"}, "1行に1つ"),
    ],
)
async def test_settings_that_cannot_be_are_refused_whole(runtime, world, officer, changed, words):
    answer = await officer.post("/dashboard/settings/privacy", **{**SETTINGS, **changed})
    company = await one(runtime, world.company.id, Company, id=world.company.id)

    assert answer.status_code == 422
    assert words in answer.text
    assert (company.privacy_officer, company.retention_months) == ("人事部長", 6)


TOLD = {
    "country": "ドイツ", "regime": "GDPRが適用されます", "measures": "同等の措置を講じています",
}  # fmt: skip


async def test_an_agency_abroad_needs_everything_people_must_be_told(runtime, world):
    facts = {"basis": "designated_country", "ja": TOLD, "en": TOLD}
    async with runtime.database.transaction() as db:
        kept = await set_cross_border(db, world.agency.id, "DE", facts)
    for country, wrong in (
        ("US", facts),
        ("DE", {**facts, "basis": "trust"}),
        ("US", {**facts, "basis": "consent_28", "en": {**TOLD, "regime": " "}}),
        ("US", {"basis": "equivalent_system", "ja": TOLD}),
    ):
        with pytest.raises(Invalid) as refusal:
            async with runtime.database.transaction() as db:
                await set_cross_border(db, world.agency.id, country, wrong)
        assert refusal.value.code == "cross_border_incomplete"
    async with runtime.database.transaction() as db:
        back = await set_cross_border(db, world.agency.id, "JP", None)

    assert kept.id == back.id
    assert (back.country, back.cross_border) == ("JP", None)
