"""A person's documents at their doors: the form's link may send, one's own page after the code."""

import re
import tempfile
from dataclasses import replace

import pytest

from api.middleware import MAX_DOCUMENT, MAX_UPLOAD
from domain.candidate import Candidate
from domain.candidate_file import CandidateFile, FileAccess
from domain.errors import TryLater
from domain.flows.ways_in.open_candidate_link import new_my_page_link
from tests.api.test_candidate_pages import choose, post, snapshot, ticks_for
from tests.applications import mailbox, rows
from tests.consents import invited
from tests.documents import docx, pdf
from tests.factories import work
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
PAPERS = ("resume_file", "cv_file")


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world)


@pytest.fixture
def at_form(person):
    return f"/c/{person.token}"


async def csrf_of(client, path):
    page = await client.get(path)
    assert page.status_code == 200, page.text
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


async def send(client, link, content=None, name="履歴書.pdf", kind="resume_file", **more):
    """Fill in the form of the page of documents and send it."""
    fields = {"csrf": await csrf_of(client, f"{link}/files"), "kind": kind, **more}
    files = {"file": (name, pdf() if content is None else content, "application/pdf")}
    return await client.post(f"{link}/files", data=fields, files=files)


async def my_page(runtime, person):
    """The path of a link to the person's own page."""
    async with runtime.database.transaction(company_id=person.world.company.id) as db:
        place = (person.world.company.id, person.application.candidate_id)
        candidate = await db.get_one(Candidate, place)
        url = await new_my_page_link(db, runtime.tools, candidate, runtime.clock())
    return url.removeprefix("http://relay.test")


async def take_second_step(client, runtime, person, link):
    csrf = await csrf_of(client, f"{link}/code")
    await post(client, f"{link}/code", [("csrf", csrf)])
    await work(runtime)
    mails = await mailbox(runtime, person.world.company.id, PROFILE["email"])
    codes = [found[0] for mail in mails if (found := re.search(r"\b\d{6}\b", mail["text"]))]
    entered = await post(client, f"{link}/code/enter", [("csrf", csrf), ("code", codes[-1])])
    assert entered.status_code == 303, entered.text


async def kept(person):
    found = await rows(person.runtime, person.world.company.id, CandidateFile)
    return [one for one in found if one.removed_at is None]


@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_the_page_says_what_is_taken_before_anything_is_sent(client, at_form, lang):
    page = await client.get(f"{at_form}/files?lang={lang}")

    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.text.count('type="file"') == 2
    assert page.text.count('enctype="multipart/form-data"') == 2
    for label in ("履歴書", "職務経歴書") if lang == "ja" else ("Résumé", "Career history"):
        assert label in page.text


async def test_a_document_sent_from_the_form_is_kept_shown_and_offered(client, person, at_form):
    before = await client.get(at_form)
    answer = await send(client, at_form)
    shown = await client.get(answer.headers["location"])
    after = await client.get(at_form)

    assert (answer.status_code, answer.headers["location"]) == (
        303, f"{at_form}/files?kept=resume_file",
    )  # fmt: skip
    assert [(one.kind, one.type) for one in await kept(person)] == [("resume_file", "pdf")]
    assert "履歴書.pdf" in shown.text
    assert "履歴書をお預かりしました" in shown.text
    assert 'value="resume_file"' not in before.text
    assert 'value="resume_file"' in after.text
    assert 'value="cv_file"' not in after.text


async def test_the_confirm_page_names_the_document_that_is_handed_over(client, person, at_form):
    agency = person.world.agency.id
    without = await choose(client, person, ticks_for(agency, "name", "email"))
    await send(client, at_form)
    page = await choose(client, person, ticks_for(agency, "name", "email", "resume_file"))

    assert f'href="{at_form}/files"' in without.text
    assert "履歴書.pdf" not in without.text
    assert "<dt>履歴書</dt><dd><bdi>履歴書.pdf</bdi></dd>" in page.text
    assert f'href="{at_form}/files"' not in page.text


async def test_both_kinds_and_both_types_are_taken(client, person, at_form):
    await send(client, at_form)
    await send(client, at_form, docx(), "経歴 😀 𠮷田.docx", "cv_file")
    page = await client.get(f"{at_form}/files")

    assert {(one.kind, one.type) for one in await kept(person)} == {
        ("resume_file", "pdf"), ("cv_file", "docx"),
    }  # fmt: skip
    assert "経歴 😀 𠮷田.docx" in page.text


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"MZ\x90\x00", "履歴書.pdf", (422, "PDFまたはWord(.docx)のファイルではありません")),
        (b"", "履歴書.pdf", (422, "ファイルの中身が空です")),
        (pdf(more={"/OpenAction": "x"})[:200], "a.pdf", (422, "壊れているか")),
        (docx(more={"word/vbaProject.bin": b"x"}), "a.docx", (422, "プログラム")),
        (docx(more={"word/z.bin": bytes(40 * 1024 * 1024)}), "a.docx", (422, "大きすぎます")),
        (b"%PDF-" + bytes(5 * 1024 * 1024), "a.pdf", (413, "大きすぎます")),
        (b"%PDF-" + bytes(MAX_DOCUMENT), "a.pdf", (413, "大きすぎます")),
    ],
    ids=["program", "empty", "damaged", "macro", "bomb", "too large", "far too large"],
)
async def test_what_is_refused_is_explained_beside_its_field(client, person, content, name, told):
    answer = await send(client, f"/c/{person.token}", content, name)

    assert (answer.status_code, told[1] in answer.text) == (told[0], True)
    assert answer.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in answer.text
    assert await kept(person) == []


async def test_no_file_is_a_mistake_and_no_more(client, at_form):
    answer = await send(client, at_form, b"", "")

    assert answer.status_code == 422
    assert "ファイルが選択されていません" in answer.text


async def test_a_hundred_megabytes_are_not_taken_in(client, at_form):
    csrf = await csrf_of(client, f"{at_form}/files")
    sent = 0

    async def body():
        nonlocal sent
        yield (
            b'--b\r\ncontent-disposition: form-data; name="csrf"\r\n\r\n' + csrf.encode()
            + b'\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        )  # fmt: skip
        for _ in range(100):
            sent += 1
            yield bytes(1024 * 1024)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    declared = await client.post(
        f"{at_form}/files", content=b"", headers={**headers, "content-length": "104857600"}
    )
    streamed = await client.post(f"{at_form}/files", content=body(), headers=headers)

    assert (declared.status_code, streamed.status_code) == (413, 413)
    assert "大きすぎます" in streamed.text
    assert sent >= MAX_UPLOAD // 1024 // 1024


async def test_only_the_page_of_documents_takes_more_than_a_mebibyte(client, at_form):
    for path in (at_form, f"{at_form}/files/x", f"{at_form}/withdraw", "/c/files", "/c/x/files"):
        answer = await client.post(path, content=bytes(1024 * 1024 + 1))
        assert answer.status_code == 413, path


async def test_what_is_sent_is_never_written_to_a_temporary_file(
    client, person, at_form, monkeypatch
):
    """Three megabytes: more than the framework keeps in memory by itself."""
    noise = bytes(range(256)) * 4096 * 3
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")

    answer = await send(client, at_form, pdf(text=noise.hex()[: 3 * 1024 * 1024]))
    large = await send(client, at_form, noise)

    assert answer.status_code == 303
    assert large.status_code == 422
    assert len(await kept(person)) == 1


@pytest.mark.parametrize(
    "changed", [{"csrf": "of another page"}, {"kind": "portfolio_url"}, {"kind": ""}]
)
async def test_a_form_that_is_not_ours_changes_nothing(client, person, at_form, changed):
    answer = await send(client, at_form, **changed)

    assert answer.status_code == 403
    assert await kept(person) == []


async def test_another_site_sends_nothing(client, person, at_form):
    fields = {"csrf": await csrf_of(client, f"{at_form}/files"), "kind": "resume_file"}
    answer = await client.post(
        f"{at_form}/files", data=fields, files={"file": ("a.pdf", pdf())},
        headers={"sec-fetch-site": "cross-site"},
    )  # fmt: skip

    assert answer.status_code == 403
    assert await kept(person) == []


async def test_a_forged_link_sends_nothing(client):
    answer = await client.post(
        f"/c/{'A' * 43}/files", data={"kind": "resume_file"}, files={"file": ("a.pdf", pdf())}
    )

    assert answer.status_code == 404


async def test_too_many_in_a_minute_wait(client, at_form):
    answers = [await send(client, at_form, b"no document") for _ in range(14)]

    assert [one.status_code for one in answers].count(429) >= 1
    assert "1分ほどおいて" in answers[-1].text


class Crowded:
    """A reader of documents that has too many before it."""

    async def check(self, _):
        raise TryLater


async def test_whoever_finds_a_queue_is_told_so_on_the_same_page(client, runtime, person, at_form):
    runtime.tools = replace(runtime.tools, files=Crowded())
    answer = await send(client, at_form)

    assert answer.status_code == 503
    assert "1分ほどおいて" in answer.text
    assert 'name="file"' in answer.text
    assert await kept(person) == []


async def test_a_document_taken_back_is_gone_and_no_longer_offered(client, person, at_form):
    await send(client, at_form)
    (file,) = await kept(person)
    csrf = await csrf_of(client, f"{at_form}/files")
    answer = await post(client, f"{at_form}/files/{file.id}/remove", [("csrf", csrf)])
    again = await post(client, f"{at_form}/files/{file.id}/remove", [("csrf", csrf)])
    page = await client.get(answer.headers["location"])

    assert (answer.status_code, again.status_code) == (303, 303)
    assert "履歴書を取り消しました" in page.text
    assert await kept(person) == []
    assert 'value="resume_file"' not in (await client.get(at_form)).text


async def test_nobody_removes_or_opens_another_persons_document(client, runtime, world, at_form):
    other = await invited(runtime, world, external_id="A-OTHER", profile={
        **PROFILE, "email": "other@mail.example", "phone": "+819000000001",
    })  # fmt: skip
    await send(client, f"/c/{other.token}")
    (file,) = await kept(other)
    csrf = await csrf_of(client, f"{at_form}/files")
    answer = await post(client, f"{at_form}/files/{file.id}/remove", [("csrf", csrf)])

    assert answer.status_code == 403
    assert len(await kept(other)) == 1


async def test_the_forms_link_does_not_open_what_was_sent(client, person, at_form):
    await send(client, at_form)
    (file,) = await kept(person)
    answer = await client.get(f"{at_form}/files/{file.id}")

    assert answer.status_code != 200
    assert b"%PDF" not in answer.content


async def test_ones_own_page_shows_documents_after_the_second_step_only(
    client, runtime, person, at_form
):
    resume = pdf()
    await send(client, at_form, resume)
    (file,) = await kept(person)
    link = await my_page(runtime, person)
    locked = [await client.get(f"{link}/files"), await client.get(f"{link}/files/{file.id}")]
    sent = await client.post(
        f"{link}/files", data={"csrf": await csrf_of(client, f"{link}/code"), "kind": "cv_file"},
        files={"file": ("a.docx", docx())},
    )  # fmt: skip

    large = await client.post(f"{link}/files", files={"file": ("a.pdf", bytes(MAX_DOCUMENT))})

    assert (large.status_code, large.headers["location"]) == (303, f"{link}/code?to=files")
    assert [one.status_code for one in locked] == [303, 303]
    assert all("/code" in one.headers["location"] for one in locked)
    assert sent.status_code == 403
    assert len(await kept(person)) == 1

    await take_second_step(client, runtime, person, link)
    page = await client.get(link)
    opened = await client.get(f"{link}/files/{file.id}")
    sent = await send(client, link, docx(), "経歴.docx", "cv_file")

    assert "履歴書.pdf" in page.text
    assert opened.content == resume
    assert opened.headers["content-type"] == "application/octet-stream"
    assert opened.headers["content-disposition"].startswith(
        "attachment; filename=\"resume_file.pdf\"; filename*=UTF-8''%E5%B1%A5"
    )
    assert opened.headers["x-content-type-options"] == "nosniff"
    assert opened.headers["cache-control"] == "no-store"
    assert sent.status_code == 303
    assert {one.kind for one in await kept(person)} == set(PAPERS)


async def test_looking_changes_nothing(client, runtime, person, at_form, database_url):
    await send(client, at_form)
    (file,) = await kept(person)
    link = await my_page(runtime, person)
    await take_second_step(client, runtime, person, link)
    before = await snapshot(database_url)
    for path in (f"{at_form}/files", f"{link}/files", f"{link}/files/{file.id}", link):
        await client.get(path)
        await client.head(path)

    assert await snapshot(database_url) == before
    assert await rows(runtime, person.world.company.id, FileAccess) == []


async def test_a_hostile_name_is_shown_as_text(client, at_form):
    await send(client, at_form, name="<img src=x onerror=alert(1)>\u202egpj.pdf")
    page = await client.get(f"{at_form}/files")

    assert "<img src=x" not in page.text
    assert "\u202e" not in page.text
    assert "img src=x onerror=alert(1)gpj.pdf" in page.text
