"""A person's own page: who has what, what is held, and what can be done about it."""

import io

import pytest
from pypdf import PdfReader

from domain import vault
from domain.application import Application
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentText
from domain.contact import dialled
from domain.flows.hear.keep_settings import keep_language
from domain.ids import new_id
from domain.relay import Relay
from tests.applications import an_application, mailbox, one, reject, rows
from tests.conftest import api_client, forward
from tests.consents import Person, invited
from tests.factories import work
from tests.own_page import at_own_page, form_in
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    made = await invited(runtime, world)
    await made.give(world.agency.id, items=("name", "email", "phone"))
    return made


@pytest.fixture
async def visitor(client, person):
    return await at_own_page(client, person)


async def profile_of(person):
    runtime, company = person.runtime, person.world.company.id
    async with runtime.database.transaction(company_id=company) as db:
        there = await db.get_one(Candidate, (company, person.application.candidate_id))
        return await vault.profile_of(db, runtime.tools.sealer, there)


async def handed_over(person, clock):
    """The agency has read the package."""
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    async with api_client(person.runtime, person.world.agency_clients[0]) as agency:
        answer = await agency.get(f"/v1/agency/relays/{relay.id}/package")
    assert answer.status_code == 200, answer.text
    return relay


async def test_the_page_says_by_which_path_and_until_when(visitor, person, clock):
    await handed_over(person, clock)
    page = await visitor.get()

    assert "受け取りの方法：会社のシステムからの照会" in page.text
    assert "2026年7月7日(火)まで" in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_a_link_lasts_180_days_and_as_long_as_a_consent(runtime, client, world, clock):
    agreed, silent = [await invited(runtime, world) for _ in range(2)]
    await agreed.give(world.agency.id)
    visitors = [await at_own_page(client, person) for person in (agreed, silent)]
    forward(clock, days=179)
    before = [(await visitor.get()).status_code for visitor in visitors]
    forward(clock, days=1)
    after = [(await visitor.get()).status_code for visitor in visitors]

    assert (before, after) == ([200, 200], [200, 410])


async def test_what_is_held_is_shown_after_the_step_only(visitor):
    before = await visitor.get()
    await visitor.prove()
    after = await visitor.get()

    assert dialled(PROFILE["phone"]) not in before.text
    assert "ご本人の確認が必要なお手続き" in before.text
    assert dialled(PROFILE["phone"]) in after.text
    assert "ご本人の確認が必要なお手続き" not in after.text


async def test_a_correction_is_kept_and_reaches_the_agency_that_has_the_data(
    visitor, person, clock
):
    relay = await handed_over(person, clock)
    await visitor.prove()
    answer = await visitor.press("/correct", on="/correct", phone="080-9999-0000")
    shown = await visitor.get(answer.headers["location"].removeprefix(visitor.path))
    after = await one(person.runtime, person.world.company.id, Relay)

    assert answer.headers["location"] == f"{visitor.path}?done=corrected"
    assert "差し替えを依頼します" in shown.text
    assert "差し替えを依頼しました" in shown.text
    assert (await profile_of(person))["phone"] == "+818099990000"
    assert after.version > relay.version


async def test_nothing_typed_is_nothing_changed(visitor, person, clock):
    relay = await handed_over(person, clock)
    before = await profile_of(person)
    await visitor.prove()
    answer = await visitor.press("/correct", on="/correct")

    assert answer.headers["location"] == f"{visitor.path}?done=unchanged"
    assert await profile_of(person) == before
    assert (await one(person.runtime, person.world.company.id, Relay)).version == relay.version


async def test_what_is_wrong_is_shown_and_nothing_is_kept(visitor, person):
    before = await profile_of(person)
    await visitor.prove()
    answer = await visitor.press("/correct", on="/correct", name="", phone="12345")

    assert answer.status_code == 422
    assert "氏名を入力してください" in answer.text
    assert 'value="12345"' in answer.text
    assert await profile_of(person) == before


async def test_a_field_left_out_by_hand_is_not_emptied(visitor, person):
    await visitor.prove()
    form = await visitor.form("/correct", on="/correct")
    form["fields"] = [one for one in form["fields"] if one[0] in {"csrf", "desired_job"}]
    await visitor.send(form, desired_job="経理")
    kept = await profile_of(person)

    assert (kept["desired_job"], kept["phone"]) == ("経理", PROFILE["phone"])


async def test_words_nobody_has_to_give_are_asked_about_and_kept_only_on_purpose(visitor, person):
    await visitor.prove()
    warned = await visitor.press("/correct", on="/correct", desired_job="通院と両立できる経理")
    kept = (await profile_of(person))["desired_job"]
    sent = await visitor.send(form_in(warned, "/correct"))

    assert warned.status_code == 200
    assert "保存する前にお確かめください" in warned.text
    assert "「通院」" in warned.text
    assert kept == PROFILE["desired_job"]
    assert sent.status_code == 303
    assert (await profile_of(person))["desired_job"] == "通院と両立できる経理"


async def test_a_correction_needs_the_step(visitor, person):
    await visitor.prove()
    form = await visitor.form("/correct", on="/correct")
    visitor.client.cookies.delete("relay_proof")
    answer = await visitor.send(form, phone="080-9999-0000")

    assert answer.status_code == 403
    assert (await profile_of(person))["phone"] == PROFILE["phone"]


async def test_the_language_is_kept_for_mails_too(visitor, person):
    answer = await visitor.press("/language", locale="en")
    page = await visitor.get()
    await visitor.ask_code()
    await work(person.runtime)
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])

    assert "relay_lang=en" in answer.headers["set-cookie"]
    assert '<html lang="en">' in page.text
    assert (await person.reload()).locale == "en"
    assert mails[-1]["subject"].startswith("Your code")


async def test_a_language_nobody_writes_is_refused(visitor, person):
    assert (await visitor.press("/language", locale="xx")).status_code == 403
    assert (await person.reload()).locale == "ja"


async def test_opening_the_page_in_another_language_keeps_nothing(visitor, person):
    await visitor.get("?lang=en")

    assert (await person.reload()).locale == "ja"


async def test_invitations_may_be_allowed_again(visitor, person):
    company = person.world.company.id
    async with person.runtime.database.transaction(company_id=company) as db:
        there = await db.get_one(Candidate, (company, person.application.candidate_id))
        there.opted_out_at = person.runtime.clock()
        db.add(there)
    answer = await visitor.press("/invitations")

    assert answer.headers["location"] == f"{visitor.path}?done=invited_again"
    assert (await person.reload()).opted_out_at is None
    assert "/invitations" not in (await visitor.get()).text


async def test_all_links_end_at_once_and_a_new_one_is_mailed(visitor, person):
    await visitor.prove()
    answer = await visitor.press("/links")
    await work(person.runtime)
    mails = await mailbox(person.runtime, person.world.company.id, PROFILE["email"])
    new = mails[-1]["links"][0].removeprefix("http://relay.test")

    assert answer.status_code == 200
    assert (await visitor.get()).status_code == 410
    assert (await visitor.client.get(f"/c/{person.token}")).status_code == 410
    assert (await visitor.client.get(new)).status_code == 200
    assert (await visitor.client.get(f"{new}/data.json")).status_code == 303


async def test_ending_links_needs_the_step(visitor):
    assert "/links" not in (await visitor.get()).text
    form = await visitor.form("/language")
    answer = await visitor.send(form | {"action": f"{visitor.path}/links"})

    assert answer.status_code == 403
    assert (await visitor.get()).status_code == 200


async def test_the_passport_says_when_and_for_what(runtime, client, world, clock):
    application = await an_application(
        runtime, world, profile=dict(PROFILE), job_title="法人営業", stage="二次面接"
    )
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    person = Person(runtime, world, application, "")
    visitor = await at_own_page(client, person)
    await visitor.prove()
    page = await visitor.get()
    forward(clock, days=183)
    visitor = await at_own_page(client, person)
    await visitor.prove()
    later = await visitor.get()

    assert "選考の結果をお伝えした日：2026年6月2日(火)" in page.text
    assert "同じ職種には、2026年12月2日(水)から再び応募できます" in page.text
    assert "ほかの職種には、いつでも応募できます" in page.text
    assert "同じ職種に、いつでも再び応募できます" in later.text


@pytest.mark.parametrize(
    ("months", "told", "shown"),
    [
        (12, "再応募について: 12か月後以降、または", "2027年6月2日(水)から再び応募できます"),
        (0, "再応募について: 同じ職種、別の職種のいずれも、いつでも", "いつでも再び応募できます"),
    ],
)
async def test_the_notice_and_the_passport_say_the_same(  # noqa: PLR0917
    runtime, client, world, clock, months, told, shown
):
    async with runtime.database.transaction(company_id=world.company.id) as db:
        company = await db.get_one(Company, world.company.id)
        company.job_reapplication = {"法人営業": months}
        db.add(company)
    application = await an_application(runtime, world, profile=dict(PROFILE), job_title="法人営業")
    await reject(runtime, application)
    forward(clock, hours=3)
    await work(runtime)
    (notice,) = await mailbox(runtime, world.company.id, PROFILE["email"])
    visitor = await at_own_page(client, Person(runtime, world, application, ""))
    await visitor.prove()
    page = await visitor.get()

    assert told in notice["text"]
    assert shown in page.text


async def test_of_two_noes_to_one_job_the_last_counts(runtime, client, world, clock):
    first = await an_application(runtime, world, profile=dict(PROFILE), job_title="法人営業")
    await reject(runtime, first)
    forward(clock, hours=3)
    await work(runtime)
    forward(clock, days=190)
    again = Application(
        company_id=world.company.id, id=new_id("app"), external_id="A-again",
        candidate_id=first.candidate_id, job_title="法人営業", source="company_site",
        outcome_at=clock(), created_at=clock(),
    )  # fmt: skip
    async with runtime.database.transaction(company_id=world.company.id) as db:
        db.add(again)
    await reject(runtime, again)
    forward(clock, hours=3)
    await work(runtime)
    visitor = await at_own_page(client, Person(runtime, world, first, ""))
    await visitor.prove()
    page = await visitor.get()

    assert page.text.count("選考の結果をお伝えした日") == 1
    assert "同じ職種には、2027年6月9日(水)から再び応募できます" in page.text


async def test_everything_can_be_taken_along(visitor, person, clock):
    await handed_over(person, clock)
    await visitor.prove()
    receipt = (await visitor.get("/receipt.json")).json()
    answer = await visitor.get("/data.json")
    data, kept = answer.json(), await one(person.runtime, person.world.company.id, ConsentText)

    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert receipt["schema_version"] == "career-relay-receipt/1"
    assert receipt["privacy_notices"][0]["sha256"] == kept.sha256
    assert data["profile"]["email"] == PROFILE["email"]
    assert [one["job_title"] for one in data["applications"]] == ["法人営業"]
    assert data["recipients"][0]["provisions"][0]["channel"] == "api"
    assert "mai_" not in answer.text
    for page in ("receipt.json", "data.json"):
        assert (await visitor.client.get(f"/c/{person.token}/{page}")).status_code == 410


@pytest.mark.parametrize(
    ("locale", "title", "path"),
    [("ja", "お預かりしている個人データ", "照会"), ("en", "Your personal data", "request")],
)
async def test_the_same_can_be_read_and_printed(  # noqa: PLR0917
    visitor, person, clock, locale, title, path
):
    await handed_over(person, clock)
    await visitor.prove()
    answer = await visitor.get(f"/data.pdf?lang={locale}")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)

    assert answer.headers["content-type"] == "application/pdf"
    assert title in text
    assert PROFILE["email"] in text
    assert person.world.agency.name.replace(" ", "") in text.replace(" ", "").replace("\n", "")
    assert path in text


async def test_erasing_needs_the_step_and_a_tick_and_ends_every_link(visitor, person):
    refused = await visitor.get("/erase")
    await visitor.prove()
    unsure = await visitor.press("/erase", on="/erase")
    before = await person.reload()
    done = await visitor.press("/erase", ("erase", "yes"), on="/erase")
    after = await person.reload()
    links = [
        await visitor.client.get(link)
        for link in (visitor.path, f"/c/{person.token}", f"{visitor.path}/data.json")
    ]

    assert (refused.status_code, unsure.status_code, before.erased_at) == (303, 422, None)
    assert done.status_code == 200
    assert after.profile is None
    assert [link.status_code for link in links] == [410, 410, 410]
    assert all(PROFILE["email"] not in link.text for link in links)
    assert (await one(person.runtime, person.world.company.id, Consent)).state == "withdrawn"


async def test_forms_from_elsewhere_are_refused(visitor, person):
    await visitor.prove()
    form = await visitor.form("/language")
    for place in ("withdraw", "language", "links", "correct", "erase", "invitations", "feedback"):
        sent = form | {"action": f"{visitor.path}/{place}"}
        answer = await visitor.send(sent, ("erase", "yes"), ("agency", "all"), csrf="0" * 64)
        assert answer.status_code == 403, place
    assert (await one(person.runtime, person.world.company.id, Consent)).state == "given"
    assert (await person.reload()).erased_at is None


async def test_a_language_is_one_we_write_in_the_flow_too(runtime, person):
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        candidate = (await rows(runtime, person.world.company.id, Candidate))[0]
        with pytest.raises(Exception, match="Japanese and English") as refused:
            await keep_language(db, candidate, "fr")

    assert refused.value.code == "language_unknown"
