"""A document leaves by a link for one agency, with its token, through the gate, on record."""

import hashlib
import re
from dataclasses import replace
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from domain.agency import Agency
from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, FileAccess
from domain.consent import Consent
from domain.flows.person.keep_file import keep_file, remove_file
from domain.flows.relay.provide_file import refs_for
from domain.relay import Provision, Relay
from domain.views.files import accesses_of
from integrations.scanning import scanner_of
from tests.applications import mailbox, rows
from tests.conftest import api_client, forward
from tests.documents import docx, pdf
from tests.factories import work
from tests.relays import ITEMS, PROFILE, forwarded, take_back
from tests.scanners import clamd

pytestmark = pytest.mark.anyio
RESUME = pdf(pages=2)
WITH_RESUME = (*ITEMS, "resume_file")


@pytest.fixture
async def relay(runtime, world):
    made = await forwarded(runtime, world, items=WITH_RESUME)
    await keep(runtime, made)
    return made


async def person_of(db, relay):
    return await db.get_one(Candidate, (relay.company_id, relay.candidate_id))


async def keep(runtime, relay, content=RESUME, kind="resume_file", name="履歴書_試験花子.pdf"):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        return await keep_file(
            db, runtime.tools, await person_of(db, relay), kind, content,
            name=name, now=runtime.clock(),
        )  # fmt: skip


async def refs(runtime, relay):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        there = await db.get_one(Relay, (relay.company_id, relay.id))
        consent = await db.get_one(Consent, (relay.company_id, relay.consent_id))
        return await refs_for(db, runtime.tools, there, consent, runtime.clock())


async def link(runtime, relay):
    (ref,) = await refs(runtime, relay)
    return ref["url"].removeprefix("http://relay.test")


async def nothing_left(runtime, relay):
    return not await rows(runtime, relay.company_id, FileAccess) and not [
        one for one in await rows(runtime, relay.company_id, Provision) if one.file_sha256
    ]


async def test_the_package_names_the_document_and_a_link_for_a_quarter_of_an_hour(runtime, relay):
    (file,) = await rows(runtime, relay.company_id, CandidateFile)
    (ref,) = await refs(runtime, relay)
    place = urlsplit(ref["url"])

    assert {name: ref[name] for name in ("code", "id", "name", "type", "size", "sha256")} == {
        "code": "resume_file",
        "id": file.id,
        "name": "履歴書_試験花子.pdf",
        "type": "pdf",
        "size": len(RESUME),
        "sha256": hashlib.sha256(RESUME).hexdigest(),
    }
    assert place.path == f"/v1/agency/relays/{relay.id}/files/{file.id}"
    assert set(parse_qs(place.query)) == {"expires", "sig"}
    assert re.fullmatch(r"2026-06-02T01:15:\d\dZ", ref["expires_at"])


async def test_what_was_not_consented_to_is_not_named(runtime, world):
    relay = await forwarded(runtime, world, items=ITEMS)
    await keep(runtime, relay)

    assert await refs(runtime, relay) == []


async def test_the_document_is_handed_over_on_record_and_the_person_sees_it(
    runtime, world, relay, agency_api
):
    package = (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).json()
    (named,) = package["files"]
    answer = await agency_api.get(named["url"].removeprefix("http://relay.test"))
    again = await agency_api.get(await link(runtime, relay))

    assert (answer.status_code, answer.content) == (200, RESUME)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="resume_file.pdf"'
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert again.status_code == 200
    (record,) = [one for one in await rows(runtime, relay.company_id, Provision) if one.file_sha256]
    assert (record.items, record.file_sha256) == (
        ["resume_file"], [hashlib.sha256(RESUME).hexdigest()],
    )  # fmt: skip
    assert (record.agency_id, record.channel) == (relay.agency_id, "api")
    assert record.client_id == world.agency_clients[0][0]
    accesses = await rows(runtime, relay.company_id, FileAccess)
    assert len(accesses) == 2
    assert {one.provision_id for one in accesses} == {record.id}
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        seen = await accesses_of(db, await person_of(db, relay))
    assert [(one.kind, one.reader, one.agency) for one in seen] == [
        ("resume_file", "agency", world.agency.name)
    ] * 2
    await work(runtime)
    told = await mailbox(runtime, relay.company_id, PROFILE["email"])
    assert len([mail for mail in told if "履歴書" in mail["text"]]) == 1


async def test_another_agency_or_nobody_gets_nothing(runtime, world, client, relay):
    url = await link(runtime, relay)
    async with api_client(runtime, world.agency_clients[1]) as other:
        foreign = await other.get(url)
    without = await client.get(url)

    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert without.status_code == 401
    assert await nothing_left(runtime, relay)


async def test_a_link_that_was_changed_or_is_old_leads_nowhere(
    runtime, clock, world, relay, agency_api
):
    url = await link(runtime, relay)
    (file,) = await rows(runtime, relay.company_id, CandidateFile)
    other = await forwarded(runtime, world, items=WITH_RESUME)
    another = await keep(runtime, other)
    expires = int(parse_qs(urlsplit(url).query)["expires"][0])
    changed = {
        "longer": url.replace(f"expires={expires}", f"expires={expires + 3600}"),
        "another relay": url.replace(relay.id, other.id),
        "another file": url.replace(file.id, another.id),
        "signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
    }
    for name, wrong in changed.items():
        answer = await agency_api.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid"), name
    shapeless = await agency_api.get(url.partition("&sig=")[0] + "&sig=x")
    forward(clock, minutes=16)
    late = await agency_api.get(url)

    assert shapeless.status_code == 422
    assert (late.status_code, late.json()["code"]) == (403, "link_expired")
    assert await nothing_left(runtime, relay)


async def test_after_a_withdrawal_a_link_given_before_leads_nowhere(runtime, relay, agency_api):
    url = await link(runtime, relay)
    await take_back(runtime, relay)
    answer = await agency_api.get(url)

    assert (answer.status_code, answer.json()["code"]) == (410, "consent_withdrawn")
    assert await nothing_left(runtime, relay)


async def test_the_gate_is_asked_for_every_document(runtime, relay, agency_api):
    url = await link(runtime, relay)
    async with runtime.database.transaction(agency_id=relay.agency_id) as db:
        await db.execute(update(Agency).values(license_valid_until=date(2026, 6, 1)))
    answer = await agency_api.get(url)

    assert (answer.status_code, answer.json()["code"]) == (403, "agency_not_licensed")
    assert await nothing_left(runtime, relay)


async def test_a_document_taken_back_or_replaced_is_gone(runtime, relay, agency_api):
    url = await link(runtime, relay)
    await keep(runtime, relay, docx())
    replaced = await agency_api.get(url)
    url = await link(runtime, relay)
    (file,) = [
        one for one in await rows(runtime, relay.company_id, CandidateFile) if not one.removed_at
    ]
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        await remove_file(db, await person_of(db, relay), file.id, runtime.clock())
    removed = await agency_api.get(url)

    assert (replaced.status_code, replaced.json()["code"]) == (410, "file_removed")
    assert (removed.status_code, removed.json()["code"]) == (410, "file_removed")
    assert await refs(runtime, relay) == []
    assert await nothing_left(runtime, relay)


async def test_with_a_scanner_nothing_unscanned_leaves(runtime, relay, agency_api):
    unscanned = await link(runtime, relay)
    async with clamd() as there:
        runtime.tools = replace(runtime.tools, scanner=scanner_of(there.address))
        answer = await agency_api.get(unscanned)
        named = await refs(runtime, relay)
        await work(runtime)
        after = await agency_api.get(await link(runtime, relay))

    assert (answer.status_code, answer.json()["code"]) == (403, "file_not_cleared")
    assert named == []
    assert there.scanned == [RESUME]
    assert after.content == RESUME


async def test_a_new_document_reaches_the_agency_that_has_the_former_one(
    runtime, relay, agency_api
):
    await agency_api.get(await link(runtime, relay))
    before = (await agency_api.get(f"/v1/agency/relays/{relay.id}")).json()["version"]
    await keep(runtime, relay, docx(), name="新しい履歴書.docx")
    after = (await agency_api.get(f"/v1/agency/relays/{relay.id}")).json()["version"]

    assert after == before + 1
