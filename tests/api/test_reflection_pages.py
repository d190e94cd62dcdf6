"""The person's own notes: kept sealed, shown to nobody else, thrown away at a press."""

import io
import re

import pytest
from pypdf import PdfReader

from domain.reflection import Reflection
from tests.applications import one, rows
from tests.consents import invited
from tests.own_page import at_own_page, form_in
from tests.relays import PROFILE

pytestmark = pytest.mark.anyio
SECRET = "静かな会議室でした"


@pytest.fixture
async def person(runtime, world):
    return await invited(runtime, world, stage="最終面接", job_title="経理")


@pytest.fixture
async def visitor(client, person):
    made = await at_own_page(client, person)
    await made.prove()
    return made


def place(person):
    return f"/reflection/{person.application.id}"


async def keep(visitor, **typed):
    here = place(visitor.person)
    checks = [(name.replace("_", "-"), typed.pop(name)) for name in list(typed) if "check" in name]
    form = await visitor.form(here, on=here)
    return await visitor.send(form, *checks, *typed.items())


async def test_the_checklist_is_that_of_the_stage_reached(visitor, person):
    page = await visitor.get(place(person))
    other = await visitor.get(f"{place(person)}?stage=first")

    assert "5年後の役割を思い描いて話せましたか" in page.text
    assert "志望の理由を30秒ほどで話せましたか" not in page.text
    assert "志望の理由を30秒ほどで話せましたか" in other.text
    assert await rows(person.runtime, person.world.company.id, Reflection) == []


async def test_where_the_stage_says_nothing_the_person_chooses(runtime, client, world):
    person = await invited(runtime, world, stage="選考")
    visitor = await at_own_page(client, person)
    await visitor.prove()
    page = await visitor.get(place(person))

    assert "どの段階の面接でしたか" in page.text
    assert 'name="check-1"' not in page.text


async def test_notes_are_kept_sealed_and_shown_again(visitor, person):
    answer = await keep(visitor, questions=SECRET, check_1="yes", good="声が出た", next="録音する")
    shown = await visitor.get(place(person))
    kept = await one(person.runtime, person.world.company.id, Reflection)

    assert answer.headers["location"] == f"{visitor.path}{place(person)}?kept=1"
    assert SECRET in shown.text
    assert "声が出た" in shown.text
    assert 'name="check-1" value="yes" checked' in shown.text
    assert SECRET.encode() not in kept.sealed


async def test_saving_again_changes_the_same_notes(visitor, person):
    await keep(visitor, questions=SECRET)
    await keep(visitor, questions="ほかの話")
    shown = await visitor.get(place(person))

    assert len(await rows(person.runtime, person.world.company.id, Reflection)) == 1
    assert SECRET not in shown.text
    assert "ほかの話" in shown.text


async def test_each_stage_keeps_its_own_checklist(visitor, person):
    await keep(visitor, check_1="yes", check_2="not_yet")
    other = f"{place(person)}?stage=first"
    form = form_in(await visitor.get(other), place(person))
    await visitor.send(form, ("check-1", "not_yet"))
    first, final = await visitor.get(other), await visitor.get(f"{place(person)}?stage=final")

    assert re.findall(r'name="(check-\d)" value="(\w+)" checked', first.text) == [
        ("check-1", "not_yet")
    ]
    assert re.findall(r'name="(check-\d)" value="(\w+)" checked', final.text) == [
        ("check-1", "yes"), ("check-2", "not_yet"),
    ]  # fmt: skip


async def test_the_notes_go_at_a_press_and_when_emptied(visitor, person):
    await keep(visitor, questions=SECRET)
    gone = await visitor.press("/delete", on=place(person))
    after = await rows(person.runtime, person.world.company.id, Reflection)
    await keep(visitor, questions=SECRET)
    emptied = await keep(visitor, questions="", good="", improve="")

    assert gone.headers["location"] == f"{visitor.path}?done=reflection_gone"
    assert after == []
    assert emptied.headers["location"] == f"{visitor.path}?done=reflection_gone"
    assert await rows(person.runtime, person.world.company.id, Reflection) == []


async def test_where_nothing_was_kept_nothing_is_said_to_be_deleted(visitor, person):
    answer = await keep(visitor, questions=" ")

    assert answer.headers["location"] == f"{visitor.path}?done=unchanged"
    assert await rows(person.runtime, person.world.company.id, Reflection) == []


async def test_whoever_saves_too_late_goes_back_to_the_notes(visitor, person):
    form = await visitor.form(place(person), on=place(person))
    visitor.client.cookies.delete("relay_proof")
    late = await visitor.send(form, questions=SECRET)
    elsewhere = await visitor.send(form | {"action": f"{form['action']}/delete"})

    assert (late.status_code, elsewhere.status_code) == (403, 403)
    assert f'name="to" value="{place(person)[1:]}"' in late.text
    assert 'name="to" value=""' in elsewhere.text


async def test_the_notes_are_in_the_persons_own_file_alone(visitor, company_api):
    await keep(visitor, questions=SECRET)
    data = (await visitor.get("/data.json")).json()
    told = await company_api.get("/v1/company/applications")

    assert data["reflections"][0]["questions"] == SECRET
    assert SECRET not in told.text
    assert "reflection" not in told.text


async def test_the_checklist_stands_in_the_printed_file_too(visitor):
    await keep(visitor, check_1="yes", check_4="not_yet")
    answer = await visitor.get("/data.pdf")
    read = PdfReader(io.BytesIO(answer.content)).pages
    text = "".join("".join(page.extract_text() for page in read).split())

    assert "面接の振り返り(ご本人だけのメモ)：経理" in text
    assert "自分の将来像と会社の方向が、どう重なるか話せましたか" in text
    assert "5年後の役割を思い描いて話せましたか" in text
    assert "会社の計画や報告を、自分の視点で読みましたか" not in text


async def test_the_notes_need_the_step(visitor, person):
    await keep(visitor, questions=SECRET)
    form = await visitor.form(place(person), on=place(person))
    visitor.client.cookies.delete("relay_proof")
    seen = await visitor.get(place(person))
    sent = await visitor.send(form, questions="anything")
    gone = await visitor.send(form | {"action": f"{form['action']}/delete"})

    assert (seen.status_code, sent.status_code, gone.status_code) == (303, 403, 403)
    assert len(await rows(person.runtime, person.world.company.id, Reflection)) == 1


async def test_nobody_elses_application_has_notes_here(runtime, client, world, visitor):
    other = await invited(runtime, world, profile={**PROFILE, "email": "o@mail.example"})
    form = await visitor.form(place(visitor.person), on=place(visitor.person))
    sent = await visitor.send(form | {"action": f"{visitor.path}{place(other)}"}, questions="x")
    seen = await visitor.get(place(other))

    assert (seen.status_code, sent.status_code) == (403, 403)
    assert client is visitor.client
    assert await rows(runtime, world.company.id, Reflection) == []


async def test_erasure_takes_the_notes_along(visitor, person):
    await keep(visitor, questions=SECRET)
    await visitor.press("/erase", ("erase", "yes"), on="/erase")

    assert await rows(person.runtime, person.world.company.id, Reflection) == []


async def test_what_is_typed_is_shown_as_text(visitor):
    await keep(visitor, questions="<script>alert(1)</script>{{ 7*7 }}😀", good='"><b>')
    shown = await visitor.get(place(visitor.person))

    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}😀" in shown.text
    assert "<b>" not in shown.text
