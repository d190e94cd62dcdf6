"""A proof as it leaves the house: lines of JSON, streamed, so that memory does not follow the book.

The transaction stays open while the lines go out; so the doors look up the plan first (404, 422),
and hand this over as the answer's body.
"""

import json
from collections.abc import AsyncIterator

from api.ledger_keys import ledger_keys
from api.runtime import Runtime
from domain.access import as_agency, as_company
from domain.flows.earn.verify_ledger import steady
from domain.views import proof

MEDIA_TYPE = "application/x-ndjson"


async def stream(
    runtime: Runtime,
    wish: proof.Wish,
    *,
    company_id: str | None = None,
    agency_id: str | None = None,
) -> AsyncIterator[str]:
    """The lines of a proof for one tenant, each with its newline."""
    keys = ledger_keys(runtime.settings).public()
    async with runtime.database.transaction() as session:
        await steady(session)
        if company_id is not None:
            await as_company(session, company_id)
        elif agency_id is not None:
            await as_agency(session, agency_id)
        planned = await proof.plan(session, wish)
        async for line in proof.lines(session, planned, keys):
            yield json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
