"""Erasing a person: the certificate, the last mail, what stays, what stops it."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api import erasure_files
from api.duties.retention import night
from domain import vault
from domain.candidate import Candidate, SubjectKey
from domain.candidate_file import CandidateFile, CandidateFileBody
from domain.deadline import Deadline
from domain.erasure import Erasure
from domain.errors import Conflict, Gone
from domain.flows.person import hold as holds
from domain.flows.person.change_person import delete, merge
from domain.flows.person.erase_candidate import erase, erase_again
from domain.flows.person.prove_erasures import NOT_BY_PERSON, SEALED_BY_PERSON, prove
from domain.ids import new_id
from domain.notice import Mail
from domain.reflection import Reflection
from domain.relay import Relay, StopNotice
from tests.applications import an_application, an_interview, mailbox, one, rows
from tests.conftest import forward
from tests.consents import invited
from tests.deliveries import Ats, rejection
from tests.deliveries import person as told_person
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


async def transact(person, act):
    company_id = person.world.company.id
    async with person.runtime.database.transaction(company_id=company_id) as db:
        candidate = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        return await act(db, candidate)


async def erased(person, rule="request"):
    runtime = person.runtime
    return await transact(
        person,
        lambda db, candidate: erase(
            db, runtime.tools, candidate, rule=rule, actor="candidate", now=runtime.clock()
        ),
    )


async def with_a_file_and_notes(person):
    async def act(db, candidate):
        sealer, now = person.runtime.tools.sealer, person.runtime.clock()
        file_id = new_id("fil")
        db.add(
            CandidateFile(
                company_id=candidate.company_id, id=file_id, candidate_id=candidate.id,
                kind="resume_file", type="pdf", size=4, sha256="00", created_at=now,
                name=await vault.seal(db, sealer, candidate, "profile", "履歴書.pdf",
                                      about=f"file-name:{file_id}"),
            )
        )  # fmt: skip
        await db.flush()
        body = await vault.seal_bytes(
            db, sealer, candidate, "profile", b"%PDF", about=f"file:{file_id}"
        )
        db.add(CandidateFileBody(company_id=candidate.company_id, file_id=file_id, sealed=body))
        notes = await vault.seal(
            db, sealer, candidate, "profile", {"next": "準備"},
            about=f"reflection:{person.application.id}",
        )  # fmt: skip
        db.add(
            Reflection(
                company_id=candidate.company_id, id=new_id("rfl"), candidate_id=candidate.id,
                application_id=person.application.id, sealed=notes, updated_at=now, created_at=now,
            )
        )  # fmt: skip

    await transact(person, act)


async def handed_over(person, clock, agency_api):
    await person.give(person.world.agency.id)
    forward(clock, minutes=31)
    await work(person.runtime)
    relay = await one(person.runtime, person.world.company.id, Relay)
    assert (await agency_api.get(f"/v1/agency/relays/{relay.id}/package")).status_code == 200
    return relay


async def test_the_certificate_says_what_was_destroyed_and_until_when_records_stay(
    person, clock, agency_api
):
    await handed_over(person, clock, agency_api)
    await with_a_file_and_notes(person)
    made = await erased(person)
    kept = await one(person.runtime, person.world.company.id, Erasure)
    file = await one(person.runtime, person.world.company.id, CandidateFile)

    assert kept.id == made.id
    assert (kept.rule, kept.actor, kept.key_kind) == ("request", "candidate", "profile")
    assert kept.counts == {
        "candidate_file": 1, "candidate_link": 3, "mail": 2, "reflection": 1,
    }  # fmt: skip
    assert kept.records_until is not None
    assert kept.records_until.isoformat() == "2029-06-02"
    assert (file.name, file.removed_at is not None) == (None, True)
    assert await rows(person.runtime, person.world.company.id, CandidateFileBody) == []
    assert await rows(person.runtime, person.world.company.id, Reflection) == []


async def test_whoever_asked_gets_one_last_mail_that_is_nobodys(person, clock, agency_api):
    await handed_over(person, clock, agency_api)
    await work(person.runtime)
    made = await erased(person)
    await work(person.runtime)
    last = (await mailbox(person.runtime, person.world.company.id))[-1]
    mail = await one(person.runtime, person.world.company.id, Mail, template="erased_farewell")

    assert last["subject"].startswith("【完了】お預かりした情報を消去しました")
    assert made.id in last["text"]
    assert person.world.agency.name in last["text"]
    assert "2029年6月2日" in last["text"]
    assert "/c/" not in last["text"]
    assert (mail.state, mail.candidate_id) == ("sent", None)


async def test_where_the_companys_system_deleted_them_nobody_is_written_to(person):
    assert (await erased(person, rule="ats")) is not None
    assert (
        await rows(person.runtime, person.world.company.id, Mail, template="erased_farewell") == []
    )


async def test_when_only_the_time_was_over_agencies_are_not_asked(person, clock, agency_api):
    await handed_over(person, clock, agency_api)
    await erased(person, rule="retention")

    assert await rows(person.runtime, person.world.company.id, StopNotice) == []


async def test_a_hold_stops_it_and_its_release_lets_it_go(person):
    tools, now = person.runtime.tools, person.runtime.clock()
    row = await transact(
        person,
        lambda db, candidate: holds.hold(
            db, tools, candidate, reason="訴訟のため", actor="mem_1", now=now
        ),
    )
    refused = await erased(person)
    deleted = await transact(person, lambda db, candidate: delete(db, tools, candidate, now))
    there = await person.reload()
    with pytest.raises(Conflict) as twice:
        await transact(
            person,
            lambda db, candidate: holds.hold(
                db, tools, candidate, reason="もう一度", actor="mem_1", now=now
            ),
        )
    reason = await transact(person, lambda db, _: holds.reason_of(db, tools.sealer, row))

    assert (refused, deleted, there.erased_at, there.review_at) == (None, None, None, None)
    assert (there.restricted_from, there.restricted_at) == ("all", now)
    assert twice.value.code == "already_held"
    assert reason == "訴訟のため"

    await transact(
        person,
        lambda db, candidate: holds.release(
            db, candidate.company_id, row.id, actor="mem_2", now=now
        ),
    )
    assert (await person.reload()).review_at == now
    assert (await erased(person)) is not None


async def test_who_was_deleted_while_held_is_erased_at_the_release(runtime, client, clock):
    ats = Ats(client, runtime, await make_world(runtime))
    company_id = ats.world.company.id
    await ats.told("application.rejected", {**told_person(), **rejection(clock())})
    (person,) = await rows(runtime, company_id, Candidate)
    async with runtime.database.transaction(company_id=company_id) as db:
        there = await db.get_one(Candidate, (company_id, person.id))
        row = await holds.hold(
            db, runtime.tools, there, reason="係争中", actor="mem_1", now=clock()
        )
    await ats.told("candidate.deleted", {"candidate": {"external_id": "C-1"}})
    (held,) = await rows(runtime, company_id, Candidate)
    forward(clock, days=3)
    async with runtime.database.transaction(company_id=company_id) as db:
        await holds.release(db, company_id, row.id, actor="mem_1", now=clock())
    await work(runtime)
    certificate = await one(runtime, company_id, Erasure, key_kind="profile")

    assert (held.erased_at, held.restricted_from) == (None, "all")
    assert (certificate.candidate_id, certificate.rule) == (person.id, "ats")


async def test_a_hold_that_ends_is_looked_at_under_the_record_that_stays(person, world):
    other = await an_application(person.runtime, world, outcome="rejected", external_id="B-1")
    company_id, tools = world.company.id, person.runtime.tools
    now = person.runtime.clock()
    async with person.runtime.database.transaction(company_id=company_id) as db:
        absorbed = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        survivor = await db.get_one(Candidate, (company_id, other.candidate_id))
        row = await holds.hold(db, tools, absorbed, reason="係争中", actor="mem_1", now=now)
        kept = await merge(db, tools, absorbed, survivor)
        await holds.release(db, company_id, row.id, actor="mem_1", now=now)

    assert (kept.id, kept.review_at) == (other.candidate_id, now)


async def test_the_log_outside_holds_ids_and_times(person):
    made = await erased(person)
    await work(person.runtime)
    where = erasure_files.folder(person.runtime.settings)
    told = json.loads((where / f"erasure-{made.id}.json").read_text())

    assert told == {
        "form": "career-relay-erasure/1", "id": made.id, "company_id": made.company_id,
        "candidate_id": made.candidate_id, "key_kind": "profile", "rule": "request",
        "actor": "candidate", "at": made.at.isoformat(),
    }  # fmt: skip


async def test_nothing_is_owed_again_to_whom_a_backup_brought_back(runtime, world, clock):
    application = await an_application(runtime, world)
    await an_interview(runtime, application)
    company_id = world.company.id
    async with runtime.database.transaction(company_id=company_id) as db:
        there = await db.get_one(Candidate, (company_id, application.candidate_id))
        note = Erasure(
            company_id=company_id, id=new_id("era"), candidate_id=there.id, key_kind="profile",
            rule="ats", actor="system", at=clock(),
        )  # fmt: skip
        forward(clock, days=10)
        assert await erase_again(db, there, note, clock())
    await work(runtime)
    deadline = await one(runtime, company_id, Deadline)

    assert (deadline.state, deadline.look_at) == ("void", None)
    assert await rows(runtime, company_id, Mail) == []


async def test_a_restored_backup_brings_nobody_back(person, clock, agency_api, database_url):
    relay = await handed_over(person, clock, agency_api)
    company_id, candidate_id = person.world.company.id, person.application.candidate_id
    keys = {key.kind: key.wrapped for key in await rows(person.runtime, company_id, SubjectKey)}
    consent = (await rows(person.runtime, company_id, Relay))[0].consent_id
    made = await erased(person)
    await work(person.runtime)
    mails = len(await rows(person.runtime, company_id, Mail))
    stops = len(await rows(person.runtime, company_id, StopNotice))
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        for statement in (
            "ALTER TABLE erasure DISABLE TRIGGER ALL",
            "DELETE FROM erasure",
            "ALTER TABLE erasure ENABLE TRIGGER ALL",
            "UPDATE relay SET state = 'forwarded', closed_at = NULL",
            "UPDATE feed_item SET op = 'upsert', reason = NULL",
            "UPDATE candidate SET erased_at = NULL",
        ):
            await connection.execute(text(statement))
        await connection.execute(
            text("UPDATE consent SET state = 'given', withdrawn_at = NULL WHERE id = :id"),
            {"id": consent},
        )
        await connection.execute(
            text("UPDATE subject_key SET wrapped = :key, destroyed_at = NULL"
                 " WHERE candidate_id = :id AND kind = 'profile'"),
            {"key": keys["profile"], "id": candidate_id},
        )  # fmt: skip
    await engine.dispose()

    done = await erasure_files.reapply(person.runtime, clock())
    again = await erasure_files.reapply(person.runtime, clock())
    await work(person.runtime)
    kept = await one(person.runtime, company_id, Erasure)
    found = await transact(
        person, lambda db, _: prove(db, person.runtime.tools.sealer, company_id, [candidate_id])
    )
    package = await agency_api.get(f"/v1/agency/relays/{relay.id}/package")
    feed = (await agency_api.get("/v1/agency/feed")).json()["data"]

    assert (done, again) == (1, 0)
    assert (kept.id, kept.at, kept.rule) == (made.id, made.at, "request")
    assert found == []
    assert package.status_code == 410
    assert [line["type"] for line in feed] == ["relay.removed"]
    assert len(await rows(person.runtime, company_id, Mail)) == mails
    assert len(await rows(person.runtime, company_id, StopNotice)) == stops


async def test_what_lies_in_the_log_and_is_none_is_passed_over(person, clock):
    where = erasure_files.folder(person.runtime.settings)
    where.mkdir(parents=True, exist_ok=True)
    (where / f"erasure-{new_id('era')}.json").write_text("[1]")
    (where / f"erasure-{new_id('era')}.json").write_text("{half")
    (where / f"erasure-{new_id('era')}.json").write_text('{"id": "../../etc"}')
    (where / "erasure-note.json").write_text("{}")

    assert list(erasure_files.read(where)) == []
    assert await erasure_files.reapply(person.runtime, clock()) == 0


async def test_the_record_key_ends_on_its_day_and_not_before(person, clock, agency_api):
    await handed_over(person, clock, agency_api)
    await erased(person)
    company_id = person.world.company.id
    keys = {key.kind: key for key in await rows(person.runtime, company_id, SubjectKey)}
    assert keys["record"].destroy_on.isoformat() == "2029-06-03"

    forward(clock, days=(keys["record"].destroy_on - clock().date()).days - 1)
    await night(person.runtime, [company_id])
    there = {key.kind: key.wrapped for key in await rows(person.runtime, company_id, SubjectKey)}
    assert there["record"] is not None
    forward(clock, days=1)
    await night(person.runtime, [company_id])
    gone = {key.kind: key.wrapped for key in await rows(person.runtime, company_id, SubjectKey)}
    certificates = await rows(person.runtime, company_id, Erasure)

    assert gone == {"profile": None, "record": None}
    assert [(row.key_kind, row.rule) for row in certificates] == [
        ("profile", "request"), ("record", "record_end"),
    ]  # fmt: skip


async def test_the_nightly_proof_finds_what_was_left(person, database_url):
    await with_a_file_and_notes(person)
    await erased(person)
    company_id, candidate_id = person.world.company.id, person.application.candidate_id
    await night(person.runtime, [company_id])
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE candidate SET phone_hmac = '\\x01'"))
        await connection.execute(
            text("INSERT INTO candidate_file_body (company_id, file_id, sealed)"
                 " SELECT company_id, id, '\\x0100' FROM candidate_file")
        )  # fmt: skip
    await engine.dispose()

    with pytest.raises(RuntimeError, match="2 places"):
        await night(person.runtime, [company_id])
    found = await transact(
        person, lambda db, _: prove(db, person.runtime.tools.sealer, company_id, [candidate_id])
    )
    assert [one.place for one in found] == [
        "candidate.phone_hmac", "candidate_file_body.sealed",
    ]  # fmt: skip


async def test_every_sealed_column_of_a_person_is_proven(runtime):
    """A new column of bytes in a table about persons has a line, or a reason."""
    async with runtime.database.transaction() as db:
        found = await db.execute(
            text(
                "SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c"
                " WHERE c.table_schema = 'public' AND c.data_type = 'bytea' AND (c.table_name IN"
                " ('candidate', 'candidate_file_body', 'hold_clearance') OR EXISTS ("
                "SELECT FROM information_schema.columns p WHERE p.table_schema = 'public'"
                " AND p.table_name = c.table_name AND p.column_name = 'candidate_id'))"
            )
        )
        there = set(found.scalars())
    proven = {f"{one.table}.{one.column}" for one in SEALED_BY_PERSON}

    assert proven & set(NOT_BY_PERSON) == set()
    assert there == proven | set(NOT_BY_PERSON)


async def test_a_merge_carries_files_and_notes_under_the_surviving_key(person, world):
    await with_a_file_and_notes(person)
    other = await an_application(person.runtime, world, external_id="B-1")
    company_id, sealer = world.company.id, person.runtime.tools.sealer
    async with person.runtime.database.transaction(company_id=company_id) as db:
        absorbed = await db.get_one(Candidate, (company_id, person.application.candidate_id))
        survivor = await db.get_one(Candidate, (company_id, other.candidate_id))
        await merge(db, person.runtime.tools, absorbed, survivor)
    file = await one(person.runtime, company_id, CandidateFile)
    notes = await one(person.runtime, company_id, Reflection)
    async with person.runtime.database.transaction(company_id=company_id) as db:
        survivor = await db.get_one(Candidate, (company_id, other.candidate_id))
        body = await db.get_one(CandidateFileBody, (company_id, file.id))
        opened = await vault.unseal_bytes(
            db, sealer, survivor, "profile", body.sealed, about=f"file:{file.id}"
        )
        read = await vault.unseal(
            db, sealer, survivor, "profile", notes.sealed,
            about=f"reflection:{person.application.id}",
        )  # fmt: skip

    assert file.candidate_id == notes.candidate_id == other.candidate_id
    assert (opened, read) == (b"%PDF", {"next": "準備"})


async def test_after_the_end_nothing_opens(person):
    await erased(person)

    async def act(db, candidate):
        with pytest.raises(Gone):
            await vault.seal(db, person.runtime.tools.sealer, candidate, "profile", 1, about="x")

    await transact(person, act)
