import asyncio
import tempfile

import pytest

from api.app import create_app
from tests.consents import invited
from tests.documents import docx

pytestmark = pytest.mark.anyio


async def test_a_file_of_applications_is_never_written_to_a_temporary_file(
    company_api, monkeypatch
):
    """Two megabytes: more than the framework keeps in memory by itself."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    rows = "".join(f"A-{n},試験 花子,{'x' * 30_000}\r\n" for n in range(70))
    content = f"応募ID,氏名,備考\r\n{rows}".encode()
    answer = await company_api.post(
        "/v1/company/imports",
        files={"file": ("applications.csv", content, "text/csv")},
        headers={"idempotency-key": "never-written"},
    )

    assert len(content) > 2 * 1024 * 1024
    assert answer.status_code == 201, answer.text
    assert answer.json()["rows_total"] == 70


async def test_an_import_is_told_by_its_content_too(company_api):
    answer = await company_api.post(
        "/v1/company/imports",
        files={"file": ("applications.xlsx", docx(), "text/csv")},
        headers={"idempotency-key": "not-a-workbook"},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "file_type_unknown")


@pytest.mark.parametrize("place", ["/join/mirai", "/c/{token}/files"])
async def test_whoever_sends_slowly_holds_no_connection_to_the_database(runtime, world, place):
    person = await invited(runtime, world)
    path = place.format(token=person.token)
    headers = [(b"host", b"relay.test"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("relay.test", 80),
        "headers": headers,
    }  # fmt: skip
    pieces = [{"type": "http.request", "body": one, "more_body": True} for one in (b"a", b"=b")]
    waits, goes_on, said = asyncio.Event(), asyncio.Event(), []

    async def receive():
        if pieces:
            return pieces.pop()
        waits.set()
        await goes_on.wait()
        return {"type": "http.request", "body": b"&c=d", "more_body": False}

    async def send(message):
        said.append(message)

    sending = asyncio.create_task(create_app(runtime)(scope, receive, send))
    await asyncio.wait_for(waits.wait(), 10)
    held = runtime.database.engine.pool.checkedout()
    goes_on.set()
    await sending

    assert held == 0
    assert said[0]["status"] in {403, 422}
