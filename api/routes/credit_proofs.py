"""Proofs: a book, or a stretch of it, in a form that anybody can check offline (both sides)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.auth import Caller
from api.deps import Db, Process
from api.errors import problems
from api.proof import MEDIA_TYPE, stream
from api.sides import EITHER, SIDES, Side
from domain import ledger
from domain.errors import NotFound
from domain.ids import pattern
from domain.views import proof

router = APIRouter(tags=["credits"])
_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Lines of JSON; docs/ledger-proof.md says what they are",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


def _doors(side: Side) -> APIRouter:
    doors = APIRouter(prefix=f"{side.prefix}/credits")

    @doors.get(
        "/proof",
        response_class=StreamingResponse,
        responses={**problems(401, 403, 404, 422, 429), **_LINES},
    )
    async def read_proof(
        *,
        db: Db,
        process: Process,
        caller: Annotated[Caller, side.reader],
        counterparty_id: Annotated[str, Query(pattern=EITHER, description="The other side's id")],
        first: Annotated[int | None, Query(ge=1, le=2**62, description="From this number")] = None,
        last: Annotated[int | None, Query(ge=1, le=2**62, description="To this number")] = None,
        credit_id: Annotated[str | None, Query(pattern=pattern("crd"))] = None,
        since_checkpoint: Annotated[
            int | None, Query(ge=0, le=2**62, description="The last one you keep")
        ] = None,
    ) -> StreamingResponse:
        """The book's transactions with all that their hashes are made of, up to a checkpoint.

        `python verify_proof.py proof.ndjson` (in `docs/`, nothing but Python) checks it offline.
        """
        agreement = await side.with_other(db, caller, counterparty_id)
        book = await ledger.book_of(db, agreement.company_id, agreement.agency_id)
        if book is None:
            raise NotFound
        wish = proof.Wish(book.id, first, last, credit_id, since_checkpoint)
        await proof.plan(db, wish)
        lines = stream(process, wish, company_id=agreement.company_id)
        return StreamingResponse(lines, media_type=MEDIA_TYPE)

    return doors


for one in SIDES:
    router.include_router(_doors(one))
