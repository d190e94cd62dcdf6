"""A person's documents: sealed, one of a kind, scanned if there is a scanner, gone when taken."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, CandidateFileBody
from domain.errors import Invalid, NotFound
from domain.flows.person.keep_file import keep_file, remove_file
from domain.notice import Mail
from domain.views.files import accesses_of, content_of, files_of, kinds_of
from integrations.scanning import scanner_of
from tests.applications import one, rows
from tests.conftest import forward
from tests.documents import docx, pdf
from tests.factories import make_world, work
from tests.relays import queued
from tests.scanners import clamd

pytestmark = pytest.mark.anyio
RESUME, CV = pdf(pages=2), docx()


@pytest.fixture
async def candidate(runtime, world):
    return await person_of(runtime, await queued(runtime, world, minutes=30))


async def person_of(runtime, relay):
    async with runtime.database.transaction(company_id=relay.company_id) as db:
        return await db.get_one(Candidate, (relay.company_id, relay.candidate_id))


async def keep(runtime, candidate, content=RESUME, kind="resume_file", name="履歴書.pdf"):
    async with runtime.database.transaction(company_id=candidate.company_id) as db:
        return await keep_file(
            db, runtime.tools, candidate, kind, content, name=name, now=runtime.clock()
        )


async def shown(runtime, candidate):
    async with runtime.database.transaction(company_id=candidate.company_id) as db:
        return await files_of(db, runtime.tools.sealer, candidate)


async def content(runtime, file):
    async with runtime.database.transaction(company_id=file.company_id) as db:
        return await content_of(db, runtime.tools.sealer, file)


async def bodies(runtime, candidate):
    return await rows(runtime, candidate.company_id, CandidateFileBody)


async def test_a_document_is_kept_sealed_with_its_name_and_comes_back_whole(runtime, candidate):
    kept = await keep(runtime, candidate)
    (body,) = await bodies(runtime, candidate)
    (found,) = await shown(runtime, candidate)

    assert await content(runtime, kept) == RESUME
    assert b"%PDF" not in body.sealed
    assert "履歴書".encode() not in kept.name
    assert (found.id, found.kind, found.name, found.type) == (
        kept.id, "resume_file", "履歴書.pdf", "pdf",
    )  # fmt: skip
    assert (found.size, found.sha256) == (len(RESUME), hashlib.sha256(RESUME).hexdigest())
    assert (found.scan, kept.look_at) == ("unscanned", None)
    assert repr(found) == "HeldFile(•••)"


async def test_a_new_one_takes_the_place_of_its_kind_only(runtime, candidate):
    first = await keep(runtime, candidate)
    cv = await keep(runtime, candidate, CV, "cv_file", "職務経歴書.docx")
    second = await keep(runtime, candidate, pdf(pages=3))
    found = await rows(runtime, candidate.company_id, CandidateFile)

    assert [one.id for one in await shown(runtime, candidate)] == [second.id, cv.id]
    gone = next(one for one in found if one.id == first.id)
    assert (gone.name, gone.removed_at) == (None, second.created_at)
    assert await content(runtime, first) is None
    assert {one.file_id for one in await bodies(runtime, candidate)} == {second.id, cv.id}


async def test_the_same_content_again_changes_nothing(runtime, candidate):
    first = await keep(runtime, candidate)
    again = await keep(runtime, candidate, name="another name.pdf")

    assert again.id == first.id
    assert len(await rows(runtime, candidate.company_id, CandidateFile)) == 1


async def test_what_is_taken_back_is_gone(runtime, candidate):
    kept = await keep(runtime, candidate)
    for _ in range(2):
        async with runtime.database.transaction(company_id=candidate.company_id) as db:
            await remove_file(db, candidate, kept.id, runtime.clock())

    assert await shown(runtime, candidate) == []
    assert await bodies(runtime, candidate) == []


async def test_nobody_takes_back_another_persons_document(runtime, world, candidate):
    kept = await keep(runtime, candidate)
    other = await person_of(runtime, await queued(runtime, world, minutes=30))
    async with runtime.database.transaction(company_id=other.company_id) as db:
        with pytest.raises(NotFound):
            await remove_file(db, other, kept.id, runtime.clock())
    async with runtime.database.transaction(company_id=other.company_id) as db:
        assert await files_of(db, runtime.tools.sealer, other) == []
    assert len(await bodies(runtime, candidate)) == 1


async def test_no_other_company_sees_it(runtime, candidate):
    await keep(runtime, candidate)
    elsewhere = await make_world(runtime, slug="elsewhere")

    assert await rows(runtime, elsewhere.company.id, CandidateFile) == []
    assert await rows(runtime, elsewhere.company.id, CandidateFileBody) == []


@pytest.mark.parametrize(
    ("what", "kind", "code"),
    [
        (b"x" * (5 * 1024 * 1024 + 1), "resume_file", "file_too_large"),
        (b"not a document", "resume_file", "file_type_unknown"),
        (RESUME, "portfolio_url", "file_kind_unknown"),
    ],
)
async def test_what_is_refused_leaves_nothing(runtime, candidate, what, kind, code):
    with pytest.raises(Invalid) as caught:
        await keep(runtime, candidate, what, kind)

    assert caught.value.code == code
    assert await rows(runtime, candidate.company_id, CandidateFile) == []
    assert await bodies(runtime, candidate) == []


async def test_a_scanner_is_asked_and_its_word_is_kept(runtime, candidate):
    async with clamd() as there:
        runtime.tools = replace(runtime.tools, scanner=scanner_of(there.address))
        kept = await keep(runtime, candidate)
        await work(runtime)
        (found,) = await rows(runtime, candidate.company_id, CandidateFile)

        assert there.scanned == [RESUME]
        assert (found.scan, found.scanner) == ("clean", "clamd")
        assert found.scanned_at is not None
        assert found.look_at == found.scanned_at + timedelta(days=7)

        forward(runtime.clock, days=8)
        await work(runtime)

        assert there.scanned == [RESUME, RESUME]
    assert await content(runtime, kept) == RESUME


async def test_what_is_infected_is_destroyed_and_never_offered_but_seen(runtime, candidate):
    async with clamd() as there:
        there.answer = b"stream: Test.Word FOUND\0"
        runtime.tools = replace(runtime.tools, scanner=scanner_of(there.address))
        await keep(runtime, candidate)
        await work(runtime)
        (found,) = await shown(runtime, candidate)
        async with runtime.database.transaction(company_id=candidate.company_id) as db:
            offered = await kinds_of(db, candidate)

        mail = await one(runtime, candidate.company_id, Mail, template="file_infected")
        assert found.scan == "infected"
        assert (mail.candidate_id, mail.state) == (candidate.id, "sent")
        assert await bodies(runtime, candidate) == []
        assert offered == []

        there.answer = None
        again = await keep(runtime, candidate)
        await work(runtime)

    assert [one.id for one in await shown(runtime, candidate)] == [again.id]


async def test_a_scan_without_a_verdict_is_asked_for_again(runtime, candidate):
    async with clamd() as there:
        there.answer = b"out of memory ERROR\0"
        runtime.tools = replace(runtime.tools, scanner=scanner_of(there.address))
        await keep(runtime, candidate)
        await work(runtime)
        first = (await shown(runtime, candidate))[0].scan
        there.answer = None
        forward(runtime.clock, minutes=16)
        await work(runtime)

    assert (first, (await shown(runtime, candidate))[0].scan) == ("failed", "clean")


async def test_a_document_removed_meanwhile_is_not_scanned(runtime, candidate):
    async with clamd() as there:
        runtime.tools = replace(runtime.tools, scanner=scanner_of(there.address))
        kept = await keep(runtime, candidate)
        async with runtime.database.transaction(company_id=candidate.company_id) as db:
            await remove_file(db, candidate, kept.id, runtime.clock())
        await work(runtime)

    assert there.scanned == []


async def test_nobody_has_read_a_document_nobody_was_given(runtime, candidate):
    await keep(runtime, candidate)
    async with runtime.database.transaction(company_id=candidate.company_id) as db:
        assert await accesses_of(db, candidate) == []
