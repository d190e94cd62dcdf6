"""The receipt: by its schema, signed, on paper; only after the second step."""

import base64
import io
import json
from pathlib import Path

import jsonschema_rs
import pypdf
import pytest

from api import receipt_pdf
from domain.candidate import Candidate
from domain.company import Company
from domain.consent import Consent, ConsentEvent
from domain.flows.consent.withdraw_consent import withdraw
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from domain.views.consent_receipt import receipt, signed
from integrations.pdf import render
from tests.applications import one, rows
from tests.conftest import forward
from tests.consents import invited

pytestmark = pytest.mark.anyio
SCHEMA = json.loads(
    (Path(__file__).parents[2] / "schemas" / "consent-receipt.schema.json").read_text("utf-8")
)


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def made(person, **options):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        company = await db.get_one(Company, company_id)
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        return await receipt(
            db, company, candidate, person.runtime.clock(), public_url="https://relay.example",
            **options,
        )  # fmt: skip


async def take_back(person):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        opened = await person.open(db)
        await withdraw(db, person.runtime.tools, opened.candidate, None, person.runtime.clock())


def faults(content):
    return [
        error.message for error in jsonschema_rs.Draft202012Validator(SCHEMA).iter_errors(content)
    ]


async def test_every_receipt_of_a_persons_way_is_as_the_schema_says(person):
    before = await made(person)
    await person.give(*(agency.id for agency in person.world.agencies), followup=True)
    given = await made(person)
    await take_back(person)
    taken_back = await made(person)

    assert (faults(before), faults(given), faults(taken_back)) == ([], [], [])
    assert (before["receipt_id"], before["purposes"], before["events"]) == (None, [], [])
    assert {one["event_state"] for one in given["purposes"]} == {"given"}
    assert {one["event_state"] for one in taken_back["purposes"]} == {"withdrawn"}


def test_the_schema_refuses_what_says_less_or_more():
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)

    assert not validator.is_valid({})
    assert not validator.is_valid({"schema_version": "career-relay-receipt/1"})


async def test_it_says_who_was_shown_who_was_chosen_and_what_each_needed(person):
    first, second = person.world.agencies
    await person.give(second.id, items=("name", "email", "phone"))
    said = await made(person)
    consent = await one(person.runtime, person.world.company.id, Consent)
    event = await one(person.runtime, person.world.company.id, ConsentEvent)
    (purpose,) = said["purposes"]

    assert (said["receipt_id"], said["record_id"]) == (event.hash, event.id)
    assert said["previous_receipt_id"] is None
    assert purpose["record_id"] == consent.id
    assert purpose["recipients_shown"] == [first.id, second.id]
    assert purpose["pii_information"] == [
        {"pii_type": "name", "pii_optional": False},
        {"pii_type": "email", "pii_optional": False},
        {"pii_type": "phone", "pii_optional": True},
    ]
    assert purpose["recipient_third_parties"][0]["licence"] == second.license_number
    assert purpose["retention_period"] == "P6M"
    assert purpose["withdrawal_method"]["url"] == "https://relay.example/join/mirai"
    assert said["events"][0]["validity_duration"] == "P6M"
    assert said["privacy_notices"][0]["sha256"] == purpose["privacy_notice_sha256"]


async def test_the_agency_stands_in_it_as_it_was_shown_and_not_as_it_is_called_today(person):
    await person.give(person.world.agency.id)
    shown = (await made(person))["purposes"][0]["recipient_third_parties"][0]
    async with person.runtime.database.transaction(agency_id=person.world.agency.id) as db:
        from domain.agency import Agency  # noqa: PLC0415

        (await db.get_one(Agency, person.world.agency.id)).name = "合併後キャリア株式会社"

    assert (await made(person))["purposes"][0]["recipient_third_parties"][0] == shown


async def test_what_was_signed_on_paper_is_the_persons_own_word_for_the_time_it_said(person):
    signed = {"channel": "paper", "method": "paper_form", "actor": "mbr_1"}
    await person.give(person.world.agency.id, **signed, identity_check="in_person")
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        from domain.company import Company  # noqa: PLC0415

        (await db.get_one(Company, person.world.company.id)).consent_months = 3
    said = await made(person)
    (event,), (purpose,) = said["events"], said["purposes"]

    assert (event["event_type"], event["entity_id"]) == ("explicit", said["pii_principal_id"])
    assert (event["expression_method"], event["identity_check"]) == ("paper_form", "in_person")
    assert (purpose["retention_period"], event["validity_duration"]) == ("P6M", "P6M")
    assert faults(said) == []


async def test_a_receipt_of_one_submission_names_the_one_before(person):
    await person.give(person.world.agency.id, submission_id="the-first-submission")
    first = await made(person, submission_id="the-first-submission")
    await take_back(person)
    forward(person.runtime.clock, hours=1)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        from domain.flows.ways_in.invite import new_link  # noqa: PLC0415
        from domain.invitation import Invitation  # noqa: PLC0415

        invitation = (await rows(person.runtime, person.world.company.id, Invitation))[0]
        url = await new_link(db, person.runtime.tools, invitation, person.runtime.clock())
    person.token = url.rpartition("/")[2]
    await person.give(person.world.agency.id, submission_id="the-second-submission")
    second = await made(person, submission_id="the-second-submission")

    assert (faults(first), faults(second)) == ([], [])
    assert second["previous_receipt_id"] == first["receipt_id"]
    assert [event["event_state"] for event in second["events"]] == ["given"]
    today = await made(person, submission_id="the-first-submission")
    assert first["purposes"][0]["event_state"] == "given"
    assert today["purposes"][0]["event_state"] == "superseded"


async def test_it_is_signed_so_that_anybody_can_check_it(person):
    await person.give(person.world.agency.id)
    said = await made(person)
    signer = person.runtime.tools.signer
    head, body, mark = signed(signer, said).split(".")

    def opened(part):
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    assert json.loads(opened(head)) == {
        "alg": "EdDSA", "kid": signer.key_id, "typ": "consent-receipt+jwt",
    }  # fmt: skip
    assert json.loads(opened(body)) == said
    assert signer.verifies(signer.key_id, opened(mark), f"{head}.{body}".encode())
    assert not signer.verifies(signer.key_id, opened(mark), f"{head}.{body}x".encode())


@pytest.mark.parametrize(("lang", "heading"), [("ja", "控え"), ("en", "Receipt")])
async def test_on_paper_it_says_the_same(person, lang, heading):
    await person.give(person.world.agency.id)
    await take_back(person)
    said = await made(person)
    pages = receipt_pdf.laid_out(
        said, lang, keys_url="https://relay.example/keys", now=person.runtime.clock()
    )
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(render(pages))).pages)

    assert heading in text
    assert person.world.agency.license_number in text
    assert pages.foot.endswith(said["receipt_id"][:16])


@pytest.mark.parametrize("name", ["receipt.json", "receipt.jws", "receipt.pdf"])
async def test_a_link_alone_does_not_hand_it_out(client, person, name):
    await person.give(person.world.agency.id)
    async with person.runtime.database.transaction(company_id=person.world.company.id) as db:
        opened = await person.open(db)
        link = await new_my_page_link(
            db, person.runtime.tools, opened.candidate, person.runtime.clock()
        )
    path = link.removeprefix("http://relay.test")
    answer = await client.get(f"{path}/{name}")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{path}/code")
