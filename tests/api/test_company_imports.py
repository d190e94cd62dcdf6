"""The door for files: preview, questions, start, progress, faults as a table."""

import csv
import io

import httpx2
import pytest

from api.app import create_app
from domain.application import Application
from domain.imports import Import
from integrations.tables import LARGEST
from tests.applications import mailbox, one, rows
from tests.books import xlsx
from tests.conftest import api_client, forward
from tests.factories import make_world, work

pytestmark = pytest.mark.anyio
HEAD = "応募番号,氏名,メールアドレス,電話番号,求人名,選考結果,不採用日\r\n"
GOOD = "A-1,髙橋 花子,hanako@mail.example,090-1234-5678,法人営業,不採用,2026/06/01\r\n"
BAD = "A-2,見本 太郎,taro,9012345678,法人営業,謎,2026/06/01\r\n"


async def send(client, content, name="応募者.csv", **more):
    content = content if isinstance(content, bytes) else content.encode("cp932")
    return await client.post(
        "/v1/company/imports", files={"file": (name, content, "text/csv")}, **more
    )


async def test_a_file_is_shown_before_it_is_taken_over(company_api, runtime, world):
    answer = await send(company_api, HEAD + GOOD + BAD)

    shown = answer.json()
    assert answer.status_code == 201
    assert (shown["state"], shown["rows_total"], shown["rows_good"], shown["rows_bad"]) == (
        "preview", 2, 1, 1,
    )  # fmt: skip
    assert shown["file"] == {
        "name": "応募者.csv", "format": "csv", "encoding": "cp932", "delimiter": ",",
        "sheet": None, "size": len((HEAD + GOOD + BAD).encode("cp932")),
    }  # fmt: skip
    assert [one_["field"] for one_ in shown["columns"]] == [
        "application_id", "name", "email", "phone", "job", "outcome", "decided_at",
    ]  # fmt: skip
    assert shown["errors"] == [
        {"row": 3, "column": "email", "code": "email_invalid"},
        {"row": 3, "column": "outcome", "code": "outcome_unknown"},
    ]
    assert shown["sample"][0]["name"] == "髙橋 花子"
    assert shown["will"]["tell"] == 1
    assert shown["outcome_words"] == [
        {"word": "謎", "count": 1, "meaning": None, "suggestion": None}
    ]
    assert [one_["code"] for one_ in shown["questions"]] == ["leading_zero"]
    assert await rows(runtime, world.company.id, Application) == []


async def test_the_way_of_a_file(company_api, runtime, world):
    row = BAD.replace("taro,", "taro@mail.example,")
    made = (await send(company_api, HEAD + GOOD + row)).json()
    path = f"/v1/company/imports/{made['id']}"

    refused = await company_api.post(f"{path}/start", json={})
    told = {"outcome_map": {"謎": "withdrawn"}, "answers": {"leading_zero": "restore"}}
    shown = await company_api.patch(path, json=told)
    started = await company_api.post(f"{path}/start", json={})
    again = await company_api.post(f"{path}/start", json={})
    await work(runtime)
    done = (await company_api.get(path)).json()

    assert (refused.status_code, refused.json()["code"]) == (409, "questions_open")
    assert shown.json()["rows_bad"] == 0
    assert shown.json()["questions"][0]["answer"] == "restore"
    assert (started.status_code, started.json()["state"]) == (200, "queued")
    assert (again.status_code, again.json()["code"]) == (409, "already_started")
    assert {name: done[name] for name in ("state", "done", "changed", "unchanged", "failed")} == {
        "state": "done", "done": 2, "changed": 2, "unchanged": 0, "failed": 0,
    }  # fmt: skip
    assert (done["columns"], done["sample"], done["outcome_words"]) == ([], [], [])
    found = (await company_api.get("/v1/company/applications?external_id=A-2")).json()["data"]
    assert found[0]["outcome"] == "withdrawn"
    forward(runtime.clock, days=1)
    await work(runtime)
    assert [mail["to"] for mail in await mailbox(runtime, world.company.id)] == [
        "hanako@mail.example"
    ]


async def test_bad_rows_are_left_out_only_if_the_caller_says_so(company_api, runtime, world):
    made = (await send(company_api, HEAD + GOOD + BAD.replace("9012345678", ""))).json()
    path = f"/v1/company/imports/{made['id']}"

    refused = await company_api.post(f"{path}/start", json={"skip_bad": False})
    taken = await company_api.post(f"{path}/start", json={"skip_bad": True})
    await work(runtime)
    table = await company_api.get(f"{path}/errors.csv")

    assert (refused.status_code, refused.json()["code"]) == (409, "rows_bad")
    assert taken.status_code == 200
    assert len(await rows(runtime, world.company.id, Application)) == 1
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.content.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(table.content.decode("utf-8-sig")))) == [
        ["row", "column", "code"],
        ["3", "email", "email_invalid"],
        ["3", "outcome", "outcome_unknown"],
    ]


async def test_a_workbook_is_read_as_a_table_is(company_api):
    cells = [["応募ID", "氏名", "携帯", "結果"], ["00123", "試験 花子", 9012345678, "選考中"]]

    shown = (await send(company_api, xlsx(cells), "応募者.xlsx")).json()

    assert (shown["file"]["format"], shown["file"]["encoding"]) == ("xlsx", None)
    assert shown["sample"][0]["external_id"] == "00123"
    assert [one_["code"] for one_ in shown["questions"]] == ["leading_zero"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "encoding_unknown"),
        (b"PK\x03\x04nonsense", "file_unreadable"),
        (b"1,2\r\n3,4\r\n", "header_missing"),
    ],
)
async def test_a_file_we_cannot_read_is_refused_and_not_kept(
    company_api, runtime, world, content, code
):
    answer = await send(company_api, content)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await rows(runtime, world.company.id, Import) == []


async def test_a_file_that_is_too_large_is_refused(company_api, runtime, world):
    little = await send(company_api, b"x" * (LARGEST + 1))
    much = await send(company_api, b"x" * (LARGEST + 2 * 1024 * 1024))

    assert (little.status_code, little.json()["code"]) == (413, "file_too_large")
    assert (much.status_code, much.json()["code"]) == (413, "too_large")
    assert await rows(runtime, world.company.id, Import) == []


async def test_only_the_upload_may_be_large(company_api):
    made = (await send(company_api, HEAD + GOOD)).json()

    answer = await company_api.patch(
        f"/v1/company/imports/{made['id']}", content=b" " * (2 * 1024 * 1024),
        headers={"content-type": "application/json"},
    )  # fmt: skip

    assert answer.status_code == 413


async def test_the_same_upload_repeated_is_one_and_the_same_file_names_the_earlier(
    company_api, runtime, world
):
    key = {"headers": {"idempotency-key": "file-1"}}
    first = await send(company_api, HEAD + GOOD, **key)
    repeated = await send(company_api, HEAD + GOOD, **key)
    await company_api.post(f"/v1/company/imports/{first.json()['id']}/start", json={})
    await work(runtime)
    again = (await send(company_api, HEAD + GOOD)).json()

    assert repeated.json() == first.json()
    assert len(await rows(runtime, world.company.id, Import)) == 2
    assert again["duplicate_of"] == first.json()["id"]
    assert (again["will"]["tell"], again["will"]["unchanged"]) == (0, 1)


async def test_numbers_of_a_connected_ats_lead_to_its_applications(company_api, runtime, world):
    connection = world.connections["greenhouse"].id
    made = (await send(company_api, HEAD + GOOD, data={"connection_id": connection})).json()
    await company_api.post(f"/v1/company/imports/{made['id']}/start", json={})
    await work(runtime)

    assert made["connection_id"] == connection
    assert (await one(runtime, world.company.id, Application)).connection_id == connection


async def test_the_connection_of_somebody_else_is_not_there(company_api, runtime, world):
    other = await make_world(runtime, slug="other", agencies=0)

    answer = await send(
        company_api, HEAD + GOOD, data={"connection_id": other.connections["greenhouse"].id}
    )

    assert answer.status_code == 404
    assert await rows(runtime, world.company.id, Import) == []


async def test_a_preview_can_be_thrown_away_and_a_started_file_cannot(company_api):
    first, second = [(await send(company_api, HEAD + GOOD)).json()["id"] for _ in range(2)]
    await company_api.post(f"/v1/company/imports/{second}/start", json={})

    gone = await company_api.delete(f"/v1/company/imports/{first}")
    kept = await company_api.delete(f"/v1/company/imports/{second}")
    listed = (await company_api.get("/v1/company/imports")).json()["data"]

    assert (gone.status_code, kept.status_code) == (204, 409)
    assert [(one_["id"], one_["state"]) for one_ in listed] == [(second, "queued")]


@pytest.mark.parametrize(
    "told",
    [
        {"mapping": {"0": "email"}}, {"mapping": {"1": "shoe_size"}}, {"answers": {"x": "y"}},
        {"outcome_map": {"謎": "maybe"}}, {"history_before": "yesterday"}, {"more": 1},
        {"source_map": {"x": "A B"}}, {"outcome_map": {"a\0": "active"}},
    ],
    ids=str,
)  # fmt: skip
async def test_what_we_do_not_understand_changes_nothing(company_api, told):
    made = (await send(company_api, HEAD + GOOD)).json()
    path = f"/v1/company/imports/{made['id']}"

    answer = await company_api.patch(path, json=told)

    assert answer.status_code == 422
    assert (await company_api.get(path)).json() == made


async def test_another_company_sees_nothing_of_it(company_api, runtime, world):
    made = (await send(company_api, HEAD + GOOD)).json()
    other = await make_world(runtime, slug="other", agencies=0)
    path = f"/v1/company/imports/{made['id']}"

    async with api_client(runtime, other.company_client) as stranger:
        answers = [
            await stranger.get(path),
            await stranger.patch(path, json={}),
            await stranger.post(f"{path}/start", json={}),
            await stranger.delete(path),
            await stranger.get(f"{path}/errors.csv"),
        ]
        listed = (await stranger.get("/v1/company/imports")).json()["data"]

    assert [one_.status_code for one_ in answers] == [404] * 5
    assert listed == []
    assert (await one(runtime, world.company.id, Import)).state == "preview"


async def test_nothing_of_a_file_is_in_the_log_or_the_jobs(company_api, runtime, world, capsys):
    made = (await send(company_api, HEAD + GOOD)).json()
    await company_api.post(f"/v1/company/imports/{made['id']}/start", json={})
    await work(runtime)

    said = capsys.readouterr()
    assert len(await rows(runtime, world.company.id, Application)) == 1
    for secret in ("花子", "hanako", "12345678", "応募者.csv"):
        assert secret not in said.out + said.err


async def test_nobody_without_a_token_makes_us_read_a_file(runtime):
    read = 0

    async def upload():
        nonlocal read
        for _ in range(20):
            read += 1
            yield b"x" * 65536

    transport = httpx2.ASGITransport(create_app(runtime))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as nobody:
        for headers in ({}, {"authorization": "Bearer x.y.z"}):
            answer = await nobody.post(
                "/v1/company/imports", content=upload(),
                headers={**headers, "content-type": "multipart/form-data; boundary=b"},
            )  # fmt: skip
            assert answer.status_code == 401

    assert read <= 2
