import tempfile

import pytest

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
